from authz.wire.response_codes import GENERIC_1987
from rules.decide import conclude
from rules.reason import NOT_A_VERDICT, Answer, Reason, answer_of


def test_every_reason_has_an_answer_and_a_code() -> None:
    for reason in Reason:
        assert (answer_of(reason) is Answer.APPROVED) == (reason is Reason.APPROVED)
        assert (GENERIC_1987[reason] == "00") == (reason is Reason.APPROVED)
    assert {GENERIC_1987[reason] for reason in NOT_A_VERDICT} == {"91", "96"}


def test_every_kind_of_verdict_is_concluded() -> None:
    said = {
        kind: conclude("card_frozen", kind, "daily_count_limit")
        for kind in ("held", "declined", "over_limit", "no_funds", "reversed", "mismatch")
    }
    assert said == {
        "held": Reason.APPROVED,
        "declined": Reason.CARD_FROZEN,
        "over_limit": Reason.DAILY_COUNT_LIMIT,
        "no_funds": Reason.FUNDS_INSUFFICIENT,
        "reversed": Reason.REVERSED_BEFORE,
        "mismatch": Reason.DUPLICATE,
    }
