"""Answers in a dialect that lacks elements: what is left out, and what is said instead."""

from typing import Any

import pytest

from authz.wire.networks import GENERIC
from authz.wire.to_response import Reply
from authz.wire.totals import NAMES
from authz.wire.written import write
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.errors import EncodeError
from rules.facts import Approved, Funds
from rules.notices import Balance
from rules.reason import Reason
from tests.support.dialects import without
from tests.support.engine import purchase

WHOLE = BY_NAME["iso87_ascii"]
PART = Reply(Reason.APPROVED, "A1B2C3", approved=Approved(3000, 3000))
FUNDS = Reply(Reason.APPROVED, funds=Funds("840", 10_000, 5_000))
TOTALS = Reply(Reason.APPROVED, balance=Balance(20_534, dict.fromkeys(NAMES.values(), 7), False))


@pytest.mark.parametrize(
    ("lacking", "reply", "reason", "code", "left_out"),
    [
        ((), PART, Reason.APPROVED, "10", ""),
        ((54,), PART, Reason.APPROVED, "10", "MTI 0100, STAN 000001, field 54"),
        ((38,), PART, Reason.MALFUNCTION, "96", "MTI 0100, STAN 000001, field 38"),
        ((54,), FUNDS, Reason.UNSUPPORTED, "12", "MTI 0100, STAN 000001, field 54"),
        ((44, 54), FUNDS, Reason.UNSUPPORTED, "12", "MTI 0100, STAN 000001, field 54"),
        ((15,), TOTALS, Reason.APPROVED, "00", "MTI 0100, STAN 000001, field 15"),
        ((15, 97), TOTALS, Reason.UNSUPPORTED, "12", "MTI 0100, STAN 000001, field 15, 97"),
        ((66,), TOTALS, Reason.UNSUPPORTED, "12", "MTI 0100, STAN 000001, field 66"),
    ],
)
def test_what_a_dialect_lacks(
    lacking: tuple[int, ...], reply: Reply, reason: Reason, code: str, left_out: str
) -> None:
    dialect = without(WHOLE, *lacking)
    message = decode(encode("0100", purchase(), dialect), dialect)
    said = write(message, reply, GENERIC, dialect)
    answer = decode(said.body, dialect)
    assert (said.reason, said.left_out, answer[39]) == (reason, left_out, code)
    assert (answer.mti, answer[11]) == ("0110", "000001")


def test_less_than_was_asked_is_never_said_without_how_much() -> None:
    dialect = without(WHOLE, 54)
    message = decode(encode("0100", purchase(1, 5000), dialect), dialect)
    answer: Any = decode(write(message, PART, GENERIC, dialect).body, dialect)
    assert (answer[4], answer[38], answer[39]) == ("000000003000", "A1B2C3", "10")


def test_without_a_response_code_there_is_no_answer() -> None:
    dialect = without(WHOLE, 39)
    message = decode(encode("0100", purchase(), dialect), dialect)
    for reply in (PART, FUNDS, Reply(Reason.CARD_LOST)):
        with pytest.raises(EncodeError):
            write(message, reply, GENERIC, dialect)
