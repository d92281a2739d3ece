"""From a reason to the answer's data elements."""

from authz.wire.networks import GENERIC, Network
from iso8583.message import Message
from rules.reason import Reason


def to_response(
    message: Message,
    reason: Reason,
    approval_code: str = "",
    network: Network = GENERIC,
    bad_field: int | None = None,
) -> dict[int, str | bytes]:
    """The elements of the answer to a request, whether it could be understood or not.

    A response is a function of the request and the decision alone, so an identical
    request gets identical bytes (tests/scenarios/test_life.py). `bad_field` is the element
    that made a format error of it, where one did.
    """
    is_management = message.mti[1:2] == "8"
    fields: dict[int, str | bytes] = {}
    for number in network.echoed_management if is_management else network.echoed:
        value = message.get(number)
        if value is not None:
            fields[number] = value
    if reason is Reason.APPROVED and approval_code:
        fields[38] = approval_code
    elif reason is Reason.APPROVED and 38 in message:
        fields[38] = message[38]  # of the reversal of an approval
    fields[39] = network.codes.code(reason, message.mti, is_account_check(message))
    if bad_field is not None and network.codes.names_bad_field:
        fields[44] = f"{bad_field:03}"
    return dict(sorted(fields.items()))


def is_account_check(message: Message) -> bool:
    """Whether a purchase of nothing asks only about the card."""
    value = message.get(4)
    return message.mti[1:3] in ("10", "20") and isinstance(value, str) and not value.strip("0")
