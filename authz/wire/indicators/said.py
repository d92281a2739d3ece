"""What a message may say beside its amount, whatever the network; and how its place is read."""

from collections.abc import Mapping

from msgspec import Struct

from authz.wire import elements
from authz.wire.elements import BadElement
from iso8583.errors import Key, PartError
from iso8583.message import Message, Value
from rules.facts import Channel, Finality


class Indicators(Struct, frozen=True, kw_only=True, gc=False):
    """What one message says beside its amount."""

    life_cycle: str = ""  # the network's own id of the whole life of this payment
    finality: Finality = Finality.PLAIN
    increments: bool = False  # it asks for more on an authorization given before
    merchant_initiated: bool = False
    partial_ok: bool = False  # the terminal can take less than it asked for
    more_to_come: bool = False  # one of several completions, and not the last
    shipments: int = 0  # so many completions there are in all; 0 where nothing was said
    channel: Channel = Channel.UNKNOWN  # how the card was used, where DE 22 and 25 do not say
    authenticated: bool = False  # 3-D Secure
    risk: int = 0  # the network's score, as it counts; 0 where it gave none
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


def counted_shipment(message: Message) -> tuple[bool, int]:
    """DE 71 of 72, the third of five: whether more are to come, and how many there are in all."""
    return counted(elements.text(message, 71), elements.text(message, 72))


def counted(number: str, last: str) -> tuple[bool, int]:
    """Says nothing where either is absent, or where they count nothing."""
    both = number.isascii() and number.isdigit() and last.isascii() and last.isdigit()
    if not both or not 1 <= int(number) <= int(last) <= SHIPMENTS_MAX:
        return False, 0
    return int(number) < int(last), int(last)


SHIPMENTS_MAX = 99  # what networks count to; a hold that waits for more would wait for ever
