"""What networks say in elements of their own: whether more is to come, what else would do.

The standard leaves open how a request says that its amount is an estimate, that it raises an
earlier one, or that the terminal takes less than it asked for. Each network has its own place
for each, so there is one reader for each network here, and all say the same.

    network      estimate          increment            less will do       life-cycle id
    generic      DE 60.10 = 2, 3   DE 90 in a 0100      DE 60.10 = 1, 3    none
    iso93        DE 24 = 101 …     DE 24 = 104 …, 187   none               none

Source: docs/messages.md, which tells where each was read, and what is a reading only.
"""

from collections.abc import Callable

from msgspec import Struct

from authz.wire import elements
from iso8583.message import Message
from rules.facts import Finality


class Indicators(Struct, frozen=True, kw_only=True, gc=False):
    """What one message says beside its amount."""

    life_cycle: str = ""  # the network's own id of the whole life of this payment
    finality: Finality = Finality.PLAIN
    increments: bool = False  # it asks for more on an authorization given before
    merchant_initiated: bool = False
    partial_ok: bool = False  # the terminal can take less than it asked for
    more_to_come: bool = False  # one of several completions, and not the last


NOTHING = Indicators()


def of_generic(message: Message) -> Indicators:
    """1987 without a network's own elements: what it has no place for is ours to say.

    DE 60 has twelve digits, of which the tenth tells, as in Visa's; DE 90, which no request
    has in the standard, names the authorization that a 0100 asks more for; DE 71 and 72 count
    completions.
    """
    conditions = elements.text(message, 60)
    if not conditions and 90 not in message and 71 not in message:
        return NOTHING
    flag = conditions[9:10]
    return Indicators(
        finality=Finality.PRE if flag in ("2", "3") else Finality.PLAIN,
        increments=message.mti[1:3] == "10" and bool(elements.text(message, 90).strip("0")),
        partial_ok=flag in ("1", "3"),
        more_to_come=more_to_come(message),
    )


def more_to_come(message: Message) -> bool:
    """DE 71 of 72: the third of five. Says nothing where either is absent or no number."""
    number, last = elements.text(message, 71), elements.text(message, 72)
    both = number.isascii() and number.isdigit() and last.isascii() and last.isdigit()
    return both and int(number) < int(last)


ESTIMATED_1993 = frozenset({"101", "103", "105"})
SUPPLEMENTARY_1993 = frozenset({"104", "105", "187"})


def of_1993(message: Message) -> Indicators:
    """DE 24, the function code: 101, 103 and 105 estimate; 104 and 105 are supplementary, and
    187 is what some hosts say instead."""
    function = elements.text(message, 24)
    request = message.mti[1:3] == "10"
    return Indicators(
        finality=Finality.PRE if request and function in ESTIMATED_1993 else Finality.PLAIN,
        increments=request and function in SUPPLEMENTARY_1993,
    )


READERS: dict[str, Callable[[Message], Indicators]] = {
    "generic": of_generic,
    "visa": lambda message: NOTHING,
    "mastercard": lambda message: NOTHING,
    "postilion": of_generic,
    "iso93": of_1993,
}
