"""Exceptions: what they cover, which of them is used, and how many a card has."""

from typing import Any

import pytest
from msgspec.structs import replace

from rules.decide import decide
from rules.exceptions import (
    EXCEPTIONS_MAX,
    USES_MAX,
    TooMany,
    ceilings_of,
    exception_for,
    with_one_more,
)
from rules.facts import EXACT_MAX, CardException
from rules.lists import Lists
from rules.reason import Reason
from tests.rules.test_judge import ACCOUNT, CARD, judge_of, request

AT = request().sent_at
ONE = CardException("x1", "M1", 6000, "840", AT - 100, AT + 100, 1, "J. Doe")


def exception(id: str = "x1", **changes: Any) -> CardException:
    return replace(ONE, exception_id=id, **changes)


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"amount_minor": 6000}, True),
        ({"amount_minor": 6001}, False),
        ({"merchant_id": "M2"}, False),
        ({"merchant_id": ""}, False),
        ({"sent_at": AT - 100}, True),
        ({"sent_at": AT - 101}, False),
        ({"sent_at": AT + 99}, True),
        ({"sent_at": AT + 100}, False),
        ({"currency": "978"}, False),
        ({"currency": "978", "amount_minor": 0}, True),
    ],
)
def test_what_it_covers(changes: dict[str, Any], covered: bool) -> None:
    card = replace(CARD, exceptions=(ONE,))
    asked = request(**({"merchant_id": "M1", "amount_minor": 5000, "currency": "840"} | changes))
    assert (exception_for(asked, card) is ONE) is covered


def test_what_is_not_used_up_comes_first_then_what_allows_least() -> None:
    asked = request(merchant_id="M1", amount_minor=5000)
    small, large = exception("small", amount_minor=5000), exception("large", amount_minor=9000)
    any_amount, always = exception("any", amount_minor=None), exception("always", uses=0)
    for exceptions, used in (
        ((large, small, any_amount), small),
        ((any_amount, large), large),
        ((small, always), always),
    ):
        assert exception_for(asked, replace(CARD, exceptions=exceptions)) is used


def test_ceilings_of_one() -> None:
    asked = request(merchant_id="M1", amount_minor=5000)
    rows = ceilings_of(exception(uses=3), asked, CARD, Reason.REFERRED)
    subject = CARD.limit_subject
    assert [(r.reason, r.counter, r.use, r.ceiling, r.scale) for r in rows] == [
        ("referred", f"{subject}/exception/x1/count/ever", 1, 3, 0),
        ("referred", f"{subject}/exception/x1/amount/ever", 5000, 18_000, 1),
    ]
    assert len(ceilings_of(exception(amount_minor=None), asked, CARD, "x")) == 1
    huge = exception(amount_minor=10**15, uses=USES_MAX)
    assert ceilings_of(huge, asked, CARD, "x")[1].ceiling == EXACT_MAX
    assert ceilings_of(exception(uses=0), asked, CARD, "x") == ()
    assert ceilings_of(ONE, request(amount_minor=0), CARD, "x") == ()


def test_a_card_has_so_many_and_no_more() -> None:
    exceptions: tuple[CardException, ...] = ()
    for n in range(EXCEPTIONS_MAX):
        exceptions, _ = with_one_more(exceptions, exception(f"x{n}", merchant_id=f"M{n}"), AT)
    more = exception("more", merchant_id="M99")
    with pytest.raises(TooMany):
        with_one_more(exceptions, more, AT)
    left, _ = with_one_more(exceptions, more, AT, {"x3"})
    assert [one.exception_id for one in left] == ["x0", "x1", "x2", "x4", "x5", "x6", "x7", "more"]
    assert with_one_more(exceptions, more, AT + 100)[0] == (more,)


def test_two_that_allow_the_same_are_one_that_allows_it_twice() -> None:
    later = exception("x2", until_s=AT + 500, opened_by="jdoe", review_id="m2")
    exceptions, one = with_one_more((ONE,), later, AT)
    assert exceptions == (one,)
    assert (one.exception_id, one.uses, one.until_s, one.from_s) == ("x1", 2, AT + 500, AT - 100)
    assert (one.opened_by, one.review_id) == ("jdoe", "m2")
    for other in (exception("x2", uses=0), exception("x2", amount_minor=5999)):
        assert len(with_one_more((ONE,), other, AT)[0]) == 2


@pytest.mark.parametrize(
    ("rules", "plan"),
    [
        (('outcome = "refer"',), (Reason.APPROVED, 5000, "r0", "x1")),
        (('outcome = "decline"',), (Reason.APPROVED, 5000, "r0", "x1")),
        (('outcome = "approve"',), (Reason.APPROVED, 5000, "r0", "")),
        # What stands behind the rule that is answered is not asked; a cap before it is.
        (('outcome = "refer"', 'outcome = "cap"\namount = 100'),
         (Reason.APPROVED, 5000, "r0", "x1")),
        (('outcome = "cap"\namount = 100', 'outcome = "refer"'),
         (Reason.TRANSACTION_LIMIT, 0, "r0", "")),
    ],
)  # fmt: skip
def test_it_answers_the_rule_with_the_last_word(rules: tuple[str, ...], plan: Any) -> None:
    card = replace(CARD, exceptions=(ONE,))
    asked = request(merchant_id="M1", amount_minor=5000)
    found = decide(asked, card, ACCOUNT, Lists(), judge_of(*rules))
    assert (found.reason, found.hold_minor, found.rule, found.exception) == plan


@pytest.mark.parametrize(
    ("means", "rules", "reason", "used"),
    [
        ("refer", (), Reason.APPROVED, "x1"),
        ("decline", (), Reason.CHECK_UNAVAILABLE, ""),
        ("", (), Reason.APPROVED, ""),
        ("refer", ('outcome = "decline"',), Reason.APPROVED, "x1"),
        ("refer", ('outcome = "cap"\namount = 10',), Reason.TRANSACTION_LIMIT, ""),
    ],
)
def test_it_answers_a_check_that_wants_a_person_to_look(
    means: str, rules: tuple[str, ...], reason: Reason, used: str
) -> None:
    facts = {"merchant_id": "M1", "amount_minor": 5000, "skipped": ("score",)}
    asked = request(**facts, skipped_means=means)
    lists, judge = Lists(), judge_of(*rules)
    plan = decide(asked, replace(CARD, exceptions=(ONE,)), ACCOUNT, lists, judge)
    assert (plan.reason, plan.exception) == (reason, used)
    if used:
        assert [limit.ceiling for limit in plan.limits] == [1, 6000], "used once, whoever objected"
    without = decide(asked, CARD, ACCOUNT, lists, judge)
    assert (without.reason is Reason.REFERRED) is (means == "refer")
