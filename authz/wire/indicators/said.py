"""What a message may say beside its amount, whatever the network; and how its place is read."""

from collections.abc import Mapping

from msgspec import Struct

from authz.wire import elements
from authz.wire.elements import BadElement
from iso8583.errors import Key, PartError
from iso8583.message import Message, Value
from rules.facts import Finality


class Indicators(Struct, frozen=True, kw_only=True, gc=False):
    """What one message says beside its amount."""

    life_cycle: str = ""  # the network's own id of the whole life of this payment
    finality: Finality = Finality.PLAIN
    increments: bool = False  # it asks for more on an authorization given before
    merchant_initiated: bool = False
    partial_ok: bool = False  # the terminal can take less than it asked for
    more_to_come: bool = False  # one of several completions, and not the last
    country: str | None = None  # the merchant's, where the network has its own way to write it


NOTHING = Indicators()


def found(message: Message, number: int, *keys: Key) -> Mapping[Key, Value]:
    """Those of an element's parts that are there; none where the dialect sees it as one piece.

    Raises: BadElement, where it is broken.
    """
    try:
        return message.glance(number, *keys)
    except PartError as error:
        problem = f"{error.problem} inside, at byte {error.offset}"
    raise BadElement(number, problem)


def more_to_come(message: Message) -> bool:
    """DE 71 of 72: the third of five. Says nothing where either is absent or no number."""
    return is_before(elements.text(message, 71), elements.text(message, 72))


def is_before(number: str, last: str) -> bool:
    both = number.isascii() and number.isdigit() and last.isascii() and last.isdigit()
    return both and int(number) < int(last)
