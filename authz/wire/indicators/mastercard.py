"""What Mastercard says in DE 43, 48, 61 and 63.

Source: the public pages that docs/networks.md names. Values marked * are a reading of them, not
a quoted rule; they are data here, so that whoever knows better changes a line.
"""

from functools import lru_cache

import iso3166

from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.indicators.said import NOTHING, Indicators, counted_shipment, found
from iso8583.message import Message, Value
from rules.facts import Channel, Finality

PARTIAL_APPROVAL = "1"  # 48.61.1
FINAL = "1"  # * 48.61.5
PREAUTHORIZATION = "4"  # * 61.7, the transaction's status
STANDING_ORDER = frozenset({"4"})  # 61.4, the cardholder's presence
CHANNELS = {
    "2": Channel.MAIL_PHONE, "3": Channel.MAIL_PHONE, "4": Channel.RECURRING,
    "5": Channel.ECOMMERCE,
}  # fmt: skip  # 61.4; * but for the 4
AUTHENTICATED = "2"  # * 48.42.1, the last of its three digits

REFERENCE_SIZE = 9  # of DE 63 in 48.63; then comes DE 15, and two blanks


def of_mastercard(message: Message) -> Indicators:
    fields = message.layout.index
    if not (48 in fields or 61 in fields or 63 in fields or 71 in fields):
        return Indicators(country=country(message, "")) if 43 in fields else NOTHING
    additional = found(message, 48, "42", "61", "63", "75")
    conditions, trace = str(additional.get("61", "")), str(additional.get("63", ""))
    if conditions and not conditions.isdigit():
        raise BadElement(48, "61 is no flags")
    point_of_service = pos_data(message)
    estimate = point_of_service[6:7] == PREAUTHORIZATION
    kind = message.mti[1:3]
    increments = kind == "10" and estimate and bool(trace.strip(" 0"))
    # A request is the first of its life and has its own reference; what it carries in 48.63 is
    # another payment's (the first of a series), unless it is more of the same.
    security, score = additional.get("42", b""), str(additional.get("75", ""))[:3]
    is_first = kind in ("10", "20") and not increments
    finality = Finality.FINAL if conditions[4:5] == FINAL else Finality.PLAIN
    more, shipments = counted_shipment(message)
    return Indicators(
        life_cycle=(own_id(message) if is_first else told_id(trace) or own_id(message)),
        finality=Finality.PRE if estimate else finality,
        increments=increments,
        merchant_initiated=point_of_service[3:4] in STANDING_ORDER,
        partial_ok=conditions[:1] == PARTIAL_APPROVAL,
        more_to_come=more,
        shipments=shipments,
        channel=CHANNELS.get(point_of_service[3:4], Channel.UNKNOWN),
        authenticated=ucaf(security) == AUTHENTICATED,
        # 48.75: three digits of a score, then why. *
        risk=int(score) if len(score) == 3 and score.isascii() and score.isdigit() else 0,
        country=country(message, point_of_service),
    )


def ucaf(security: Value) -> str:
    """What 48.42 says of the cardholder: in its entry 01, of three digits the last; "" where it is
    not there."""
    said = security.decode("cp500") if isinstance(security, bytes) else str(security)
    return said[6] if said[:4] == "0103" and len(said) >= 7 else ""


def own_id(message: Message) -> str:
    """DE 63 (network code 3, reference 9) and DE 15; "" where either is missing.

    48.63 has room for nine characters of it. * A reference of six fits behind the code; a longer
    one, as we read it, stands there alone. The same is done here, so that both find each other.
    """
    network_data, date = elements.text(message, 63), elements.text(message, 15)
    reference = network_data[3:12].strip()
    if not (date and reference.strip("0")):
        return ""
    code = network_data[:3] if len(reference) <= REFERENCE_SIZE - 3 else ""
    return f"{code}{reference} {date}"


def told_id(trace: str) -> str:
    """The same as 48.63 tells it of the first message; "" where that says nothing."""
    reference, date = trace[:REFERENCE_SIZE].strip(), trace[REFERENCE_SIZE:].strip()
    return f"{reference} {date}" if date and reference.strip("0") else ""


def pos_data(message: Message) -> str:
    """DE 61 as its positions; as far as the seventh only, where it ends early.

    Raises: BadElement.
    """
    value = message.get(61)
    if value is None:
        return ""
    if isinstance(value, str) and len(value) >= 16 and value[:16].isdigit():
        return value
    return "".join(map(str, found(message, 61, *range(1, 8)).values()))


def country(message: Message, point_of_service: str) -> str:
    """ISO 3166 alpha-2. DE 43 ends in three letters, or at home in a state: then 61.13 tells."""
    name_and_location, acquirer = message.get(43), message.get(19)
    return _alpha2(
        name_and_location[37:40] if isinstance(name_and_location, str) else "",
        point_of_service[13:16],
        acquirer if isinstance(acquirer, str) else "",
    )


@lru_cache(maxsize=4096)  # countries, twice, and states
def _alpha2(letters: str, *numbers: str) -> str:
    known = iso3166.countries_by_alpha3.get(letters.upper())
    for number in numbers:
        known = known or iso3166.countries_by_numeric.get(number)
    return known.alpha2 if known else ""
