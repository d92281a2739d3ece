"""Totals in data elements: what we counted, beside what the network says that it did.

Source: ISO 8583:1987 and 1993, data elements 66, 74 to 81, 86 to 89 and 97; action code 501.
"""

from datetime import date, timedelta

from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.networks import Network
from iso8583.message import Message
from rules.notices import Balance

NET = 97
# Each by our own name. There are no transfers here: a network that counts some differs from us.
NAMES = {
    74: "credits_number", 75: "credit_reversals_number",
    76: "debits_number", 77: "debit_reversals_number",
    78: "transfers_number", 79: "transfer_reversals_number",
    80: "inquiries_number", 81: "authorizations_number",
    86: "credits_amount", 87: "credit_reversals_amount",
    88: "debits_amount", 89: "debit_reversals_amount",
    NET: "net",
}  # fmt: skip
AMOUNTS = range(86, 90)
EPOCH = date(1970, 1, 1)


def told_totals(message: Message) -> tuple[tuple[str, int], ...]:
    """What the network counted, as far as it says so. Raises: BadElement."""
    return tuple((name, total(message, at)) for at, name in NAMES.items() if at in message)


def total(message: Message, number: int) -> int:
    """A count or an amount; of the net, a debit is below zero. Raises: BadElement."""
    digits, sign = elements.required(message, number), 1
    if number == NET:
        sign, digits = (-1 if digits[:1] == "D" else 1), digits[1:]
    if not (digits.isascii() and digits.isdigit()):
        raise BadElement(number, "not a total")
    return sign * int(digits)


def say_totals(fields: dict[int, str | bytes], balance: Balance, network: Network) -> None:
    """Our own counts of that day, and whether they are the network's."""
    day = EPOCH + timedelta(days=balance.day)
    fields[15] = f"{day:%m%d}" if network.version == "0" else f"{day:%y%m%d}"
    for number, name in NAMES.items():
        value = balance.ours.get(name)
        if value is None:
            continue
        size = 16 if number in AMOUNTS or number == NET else 10
        # Not below nothing, unless it is the net; and not more than the element holds.
        shown = min(abs(value) if number == NET else max(value, 0), 10**size - 1)
        sign = "" if number != NET else "D" if value < 0 else "C"
        fields[number] = f"{sign}{shown:0{size}}"
    if network.version == "0":
        fields[66] = "2" if balance.differs else "1"
    elif balance.differs:
        fields[39] = "501"
