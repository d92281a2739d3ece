"""What Visa says in DE 22, 60, 62, 63 and 126.

Source: the public pages that docs/networks.md names. Values marked * are a reading of them, not
a quoted rule; they are data here, so that whoever knows better changes a line.
"""

from authz.wire import elements
from authz.wire.indicators.generic import ESTIMATES, LESS_WILL_DO
from authz.wire.indicators.said import NOTHING, Indicators, counted, counted_shipment, found
from iso8583.message import Message
from rules.facts import Channel, Finality

INCREMENT = "3900"  # * 63.3 of a request: more on an authorization under the same 62.2
BY_MERCHANT = frozenset({"R", "I", "C"})  # * 126.13: recurring, instalment, card on file
AUTHENTICATED = "05"  # * 60.8
CHANNELS = {
    "01": Channel.MAIL_PHONE, "04": Channel.MAIL_PHONE, "02": Channel.RECURRING,
    "03": Channel.RECURRING, "05": Channel.ECOMMERCE, "06": Channel.ECOMMERCE,
    "07": Channel.ECOMMERCE, "08": Channel.ECOMMERCE,
}  # fmt: skip  # * 60.8
STORED = "10"  # * DE 22 begins so: the card number was on file, nobody showed the card


def of_visa(message: Message) -> Indicators:
    fields = message.layout.index
    stored = elements.text(message, 22)[:2] == STORED
    if not (
        stored or 62 in fields or 60 in fields or 126 in fields or 63 in fields or 71 in fields
    ):
        return NOTHING
    payment = found(message, 62, 2, 11, 12, 21)
    transaction = str(payment.get(2, ""))
    order, flag = point_of_service(message)
    score = str(payment.get(21, ""))[:2]
    request = message.mti[1:3] == "10"
    increments = request and found(message, 63, 3).get(3) == INCREMENT
    more, shipments = counted(str(payment.get(11, "")), str(payment.get(12, "")))
    if not shipments:
        more, shipments = counted_shipment(message)
    return Indicators(
        life_cycle=transaction if transaction.strip("0") else "",
        finality=Finality.PRE if flag in ESTIMATES or increments else Finality.PLAIN,
        increments=increments,
        merchant_initiated=stored or found(message, 126, 13).get(13) in BY_MERCHANT,
        partial_ok=flag in LESS_WILL_DO,
        # 62.11 of 62.12: which clearing of how many. *
        more_to_come=more,
        shipments=shipments,
        channel=CHANNELS.get(order, Channel.UNKNOWN),
        authenticated=order == AUTHENTICATED,
        # 62.21: two digits of a score, then why. *
        risk=int(score) if len(score) == 2 and score.isascii() and score.isdigit() else 0,
    )


def point_of_service(message: Message) -> tuple[str, str]:
    """60.8, two digits that say how an order came, and 60.10, the last of twelve, which says what
    else would do; "" where it ends before.

    Raises: BadElement.
    """
    value = message.get(60)
    if isinstance(value, bytes) and len(value) == 6 and (digits := value.hex()).isdigit():
        return digits[8:10], digits[11]
    parts = found(message, 60, 8, 10)
    return str(parts.get(8, "")), str(parts.get(10, ""))
