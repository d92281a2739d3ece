"""1987 and 1993 without a network's own elements."""

from authz.wire import elements
from authz.wire.indicators.said import NOTHING, Indicators, counted_shipment
from iso8583.message import Message
from rules.facts import Finality

# The tenth position of DE 60. That it tells partial authorization is public; which digit says
# what is a reading, not confirmed.
ESTIMATES = frozenset({"2", "3"})
LESS_WILL_DO = frozenset({"1", "3"})


def of_generic(message: Message) -> Indicators:
    """What the standard has no place for is ours to say.

    DE 60 has twelve digits, of which the tenth tells, as in Visa's; DE 90, which no request
    has in the standard, names the authorization that a 0100 asks more for; DE 71 and 72 count
    completions.
    """
    conditions = elements.text(message, 60)
    if not conditions and 90 not in message and 71 not in message:
        return NOTHING
    flag = conditions[9:10]
    more, shipments = counted_shipment(message)
    return Indicators(
        finality=Finality.PRE if flag in ESTIMATES else Finality.PLAIN,
        increments=message.mti[1:3] == "10" and bool(elements.text(message, 90).strip("0")),
        partial_ok=flag in LESS_WILL_DO,
        more_to_come=more,
        shipments=shipments,
    )


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
