"""From a reason to the answer's data elements."""

from authz.wire.response_codes import GENERIC_1987
from iso8583.message import Message
from rules.reason import Reason

# What an answer repeats of its request. Never the track, the PIN block or chip data.
ECHOED = (2, 3, 4, 6, 7, 10, 11, 12, 13, 19, 25, 32, 33, 37, 41, 42, 49, 51, 90, 95)

# What a network management answer repeats.
ECHOED_MANAGEMENT = (7, 11, 33, 70)


def to_response(
    message: Message, reason: Reason, approval_code: str = ""
) -> dict[int, str | bytes]:
    """The elements of the answer to a request, whether it could be understood or not.

    A response is a function of the request and the decision alone, so an identical
    request gets identical bytes (tests/scenarios/test_life.py).
    """
    echoed = ECHOED_MANAGEMENT if message.mti[1:2] == "8" else ECHOED
    fields: dict[int, str | bytes] = {}
    for number in echoed:
        value = message.get(number)
        if value is not None:
            fields[number] = value
    if reason is Reason.APPROVED and approval_code:
        fields[38] = approval_code
    elif reason is Reason.APPROVED and 38 in message:
        fields[38] = message[38]  # of the reversal of an approval
    fields[39] = GENERIC_1987[reason]
    return dict(sorted(fields.items()))
