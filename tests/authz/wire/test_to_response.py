"""What an answer carries, by its request and our reason."""

import pytest

from authz.wire.to_response import Reply, to_response
from iso8583.message import Message
from rules.reason import Reason


def request(mti: str) -> Message:
    return Message.of(mti, {11: "000001", 38: "ABC123"})


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.APPROVED])
def test_only_an_approval_has_an_approval_code(reason: Reason) -> None:
    """A terminal that finds one in a decline may print it."""
    assert 38 not in to_response(request("0100"), Reply(reason))
    assert 38 not in to_response(request("0400"), Reply(reason))


def test_an_approval_has_our_code_and_its_reversal_the_one_that_it_named() -> None:
    assert to_response(request("0100"), Reply(Reason.APPROVED, "F00D42"))[38] == "F00D42"
    assert to_response(request("0400"), Reply(Reason.APPROVED))[38] == "ABC123"
