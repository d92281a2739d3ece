"""Conditions in tables whose neighbouring rows differ in one cell; precedence; limits."""

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pytest

from rules.decide import decide
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Channel,
    Finality,
    Purpose,
)
from rules.judge import Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.reason import Reason
from rules.windows import Moment, moment_at

NOON = int(datetime(2026, 3, 22, 12, tzinfo=UTC).timestamp())  # a Sunday
ACCOUNT = AccountProfile("A1", "gold", "840", 0, "UTC", AccountState.ACTIVE)
CARD = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE)


def request(**changes: Any) -> AuthorizationRequest:
    base: dict[str, Any] = {
        "network": "generic", "mti": "0100", "card_key": "k", "purpose": Purpose.PURCHASE,
        "amount_minor": 1000, "currency": "840", "transaction_minor": 1000,
        "transaction_currency": "840", "mcc": "5411", "merchant_id": "M1", "terminal_id": "T1",
        "acquirer_id": "123", "country": "US", "entry_mode": "051", "expiry": "",
        "stan": "000001", "rrn": "", "sent_at": NOON, "merchant_name": "CORNER GROCERY",
        "channel": Channel.CHIP, "card_present": True,
    }  # fmt: skip
    return AuthorizationRequest(**(base | changes))


def judge_of(*rows: str, head: str = "") -> Judge:
    text = f'version = "1"\n{head}\n'
    for number, row in enumerate(rows):
        kind = "limit" if "measure" in row else "rule"
        text += f'[[{kind}]]\nname = "r{number}"\n{row}\n'
    return Judge(read_policy(text))


def at(moment: str, zone: str = "UTC") -> Moment:
    return moment_at(int(datetime.fromisoformat(moment).timestamp()), zone)


GROUPS = '[groups.mcc]\nfood = ["5411", "5811-5814"]\n[groups.country]\nnear = ["US", "CA"]'

CONDITIONS: list[tuple[str, dict[str, Any], bool]] = [
    ('mcc = ["5411"]', {}, True),
    ('mcc = ["5411"]', {"mcc": "5412"}, False),
    ('mcc = ["5410-5411"]', {}, True),
    ('mcc = ["5412-5413"]', {}, False),
    ('mcc_group = ["food"]', {"mcc": "5814"}, True),
    ('mcc_group = ["food"]', {"mcc": "5815"}, False),
    ('mcc_group = ["food"], mcc = ["5815"]', {"mcc": "5815"}, True),
    ('merchant = ["M1", "M2"]', {}, True),
    ('merchant = ["M2"]', {}, False),
    ('merchant_name = ["corner*"]', {}, True),
    ('merchant_name = ["corner"]', {}, False),
    ('merchant_name = ["*GROC*"]', {}, True),
    ('merchant_name = ["[X] *"]', {"merchant_name": "[x] y"}, True),
    ('merchant_name = ["[X] *"]', {"merchant_name": "x y"}, False),
    ('merchant_name = ["?"]', {"merchant_name": "é"}, True),
    ('merchant_name = ["a.b"]', {"merchant_name": "axb"}, False),
    ('terminal = ["T1"]', {}, True),
    ('terminal = ["T1"]', {"terminal_id": "T2"}, False),
    ('acquirer = ["123"]', {}, True),
    ('acquirer = ["123"]', {"acquirer_id": "124"}, False),
    ('country = ["US"]', {}, True),
    ('country = ["US"]', {"country": "CA"}, False),
    ('country_group = ["near"]', {"country": "CA"}, True),
    ('country_group = ["near"]', {"country": "MX"}, False),
    ('currency = ["840"]', {}, True),
    ('currency = ["840"]', {"transaction_currency": "978"}, False),
    ('network = ["visa"]', {"network": "visa"}, True),
    ('network = ["visa"]', {}, False),
    ('channel = ["chip"]', {}, True),
    ('channel = ["chip"]', {"channel": Channel.ECOMMERCE}, False),
    ('purpose = ["cash"]', {"purpose": Purpose.CASH}, True),
    ('purpose = ["cash"]', {}, False),
    ('finality = ["pre"]', {"finality": Finality.PRE}, True),
    ('finality = ["pre"]', {}, False),
    ("card_present = true", {}, True),
    ("card_present = true", {"card_present": False}, False),
    ("card_present = false", {"card_present": False}, True),
    ("cash = true", {"purpose": Purpose.QUASI_CASH}, True),
    ("cash = true", {}, False),
    ("foreign = true", {"transaction_currency": "978"}, True),
    ("foreign = true", {}, False),
    ("token = false", {}, True),
    ("token = false", {"token": True}, False),
    ("authenticated = true", {"authenticated": True}, True),
    ("authenticated = true", {}, False),
    ("merchant_initiated = true", {"merchant_initiated": True}, True),
    ("merchant_initiated = true", {}, False),
    ("amount_from = 1000", {}, True),
    ("amount_from = 1001", {}, False),
    ("amount_to = 1000", {}, True),
    ("amount_to = 999", {}, False),
    ("risk_from = 500", {"risk": 500}, True),
    ("risk_from = 500", {"risk": 499}, False),
    ('mcc = ["5411"], country = ["US"]', {}, True),
    ('mcc = ["5411"], country = ["US"]', {"country": "CA"}, False),
    ('any = [{ mcc = ["1"] }, { country = ["US"] }]'.replace('"1"', '"0001"'), {}, True),
    ('any = [{ mcc = ["0001"] }, { country = ["CA"] }]', {}, False),
    ('all = [{ mcc = ["5411"] }, { country = ["US"] }]', {}, True),
    ('all = [{ mcc = ["5411"] }, { country = ["CA"] }]', {}, False),
    ('not = { country = ["CA"] }', {}, True),
    ('not = { country = ["US"] }', {}, False),
    ("", {}, True),
]


@pytest.mark.parametrize(("when", "changes", "holds"), CONDITIONS, ids=str)
def test_each_condition(when: str, changes: dict[str, Any], holds: bool) -> None:
    judge = judge_of(f'when = {{ {when} }}\noutcome = "decline"', head=GROUPS)
    said = judge.judge(request(**changes), ACCOUNT, CARD, at("2026-03-22T12:00+00:00"))
    assert (said.outcome == "decline") == holds
    noon = at("2026-03-22T12:00+00:00")
    [(_, explained)] = judge.explain(request(**changes), ACCOUNT, CARD, noon)
    assert explained == holds


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ('except_cards = ["C1"]', False),
        ('except_cards = ["C2", "C3"]', True),
        ('except_accounts = ["A1"]', False),
        ('except_accounts = ["A2"]', True),
        ('except_programs = ["gold"]', False),
        ('except_programs = ["P2"]', True),
        ('program = "gold", except_accounts = ["A2"], except_cards = ["C1"]', False),
        ('program = "gold", except_accounts = ["A2"], except_cards = ["C2"]', True),
        ('account = "A1", except_cards = ["C1"]', False),
    ],
)
def test_who_is_left_out_of_a_scope(scope: str, holds: bool) -> None:
    judge = judge_of(f'scope = {{ {scope} }}\noutcome = "decline"')
    noon = at("2026-03-22T12:00+00:00")
    said = judge.judge(request(), ACCOUNT, CARD, noon)
    assert (said.outcome == "decline") == holds
    assert [held for _, held in judge.explain(request(), ACCOUNT, CARD, noon)] == [holds]


@pytest.mark.parametrize(
    ("when", "moment", "zone", "holds"),
    [
        ('time = "23:00-05:00"', "2026-03-22T22:59+00:00", "UTC", False),
        ('time = "23:00-05:00"', "2026-03-22T23:00+00:00", "UTC", True),
        ('time = "23:00-05:00"', "2026-03-22T04:59+00:00", "UTC", True),
        ('time = "23:00-05:00"', "2026-03-22T05:00+00:00", "UTC", False),
        ('time = "09:00-17:00"', "2026-03-22T09:00+00:00", "Asia/Tokyo", False),
        ('time = "18:00-19:00"', "2026-03-22T09:00+00:00", "Asia/Tokyo", True),
        ('weekday = ["sun"]', "2026-03-22T23:59+00:00", "UTC", True),
        ('weekday = ["sun"]', "2026-03-23T00:00+00:00", "UTC", False),
        ('weekday = ["sun"]', "2026-03-23T00:00+00:00", "America/New_York", True),
        ('weekday = ["sun"]', "2026-03-22T14:59+00:00", "Asia/Tokyo", True),
        ('weekday = ["sun"]', "2026-03-22T15:00+00:00", "Asia/Tokyo", False),
        # Clocks go forward at 2:00 in New York on 8 March 2026: 1:59 is followed by 3:00.
        ('time = "03:00-04:00"', "2026-03-08T06:59+00:00", "America/New_York", False),
        ('time = "03:00-04:00"', "2026-03-08T07:00+00:00", "America/New_York", True),
    ],
)
def test_time_is_that_of_the_account(when: str, moment: str, zone: str, holds: bool) -> None:
    judge = judge_of(f'when = {{ {when} }}\noutcome = "refer"')
    said = judge.judge(request(), ACCOUNT, CARD, at(moment, zone))
    assert (said.outcome == "refer") == holds


@pytest.mark.parametrize(("age", "holds"), [(29, True), (30, False)])
def test_a_new_card(age: int, holds: bool) -> None:
    judge = judge_of('when = { card_age_below_days = 30 }\noutcome = "decline"')
    moment = at("2026-03-22T12:00+00:00")
    card = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE, issued_day=moment.day - age)
    assert (judge.judge(request(), ACCOUNT, card, moment).outcome == "decline") == holds
    assert not judge.judge(request(), ACCOUNT, CARD, moment).outcome, "nobody said when"


MOMENT = at("2026-03-22T12:00+00:00")


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (('outcome = "decline"', 'outcome = "refer"'), "r0"),
        (('scope = { card = "C1" }\noutcome = "decline"', 'outcome = "approve"'), "r1"),
        (
            (
                'scope = { card = "C1" }\noutcome = "decline"',
                'scope = { account = "A1" }\noutcome = "refer"',
            ),
            "r1",
        ),
        (('scope = { program = "gold" }\noutcome = "decline"', 'outcome = "refer"'), "r1"),
        (('scope = { program = "silver" }\noutcome = "decline"', 'outcome = "flag"'), ""),
        (('scope = { account = "A2" }\noutcome = "decline"',), ""),
    ],
)
def test_the_first_last_word_holds(rows: tuple[str, ...], rule: str) -> None:
    """Everybody's before the program's, then the account's, then the card's; in file order."""
    assert judge_of(*rows).judge(request(), ACCOUNT, CARD, MOMENT).rule == rule


def test_caps_uplifts_and_flags_add_up_until_the_last_word() -> None:
    said = judge_of(
        'outcome = "flag"', 'outcome = "cap"\namount = 900', 'outcome = "cap"\namount = 800',
        'outcome = "uplift"\npercent = 20', 'outcome = "uplift"\namount = 300',
        'outcome = "approve"', 'outcome = "flag"',
    ).judge(request(), ACCOUNT, CARD, MOMENT)  # fmt: skip
    assert (said.outcome, said.cap_minor, said.capped_by) == ("approve", 800, "r2")
    assert (said.uplift_minor, said.flags) == (300, ("r0",))


def plan(judge: Judge, **changes: Any) -> Any:
    return decide(request(**changes), CARD, ACCOUNT, Lists(), judge)


def test_what_a_decision_makes_of_them() -> None:
    assert plan(judge_of('outcome = "decline"')).reason is Reason.RULE_DECLINED
    declined = plan(judge_of('outcome = "decline"\nreason = "suspected_fraud"'))
    assert (declined.reason, declined.rule) == (Reason.SUSPECTED_FRAUD, "r0")
    assert plan(judge_of('outcome = "refer"')).reason is Reason.REFERRED
    capped = judge_of('outcome = "cap"\namount = 999')
    assert plan(capped).reason is Reason.TRANSACTION_LIMIT
    part = plan(capped, partial_ok=True)
    assert (part.reason, part.hold_minor) == (Reason.APPROVED, 999)
    assert plan(judge_of('outcome = "uplift"\npercent = 20')).uplift_minor == 200
    assert plan(judge_of()).reason is Reason.APPROVED


@pytest.mark.parametrize(
    ("row", "moment", "zone", "counter"),
    [
        ('measure = "count"\nwindow = "hour"', "2026-03-22T12:59+00:00", "UTC", "h492828"),
        ('measure = "count"\nwindow = "day"', "2026-03-22T23:59+00:00", "UTC", "20260322"),
        ('measure = "count"\nwindow = "day"', "2026-03-22T23:59+00:00", "Asia/Tokyo",
         "20260323"),
        ('measure = "count"\nwindow = "week"', "2027-01-03T12:00+00:00", "UTC", "2026w53"),
        ('measure = "count"\nwindow = "week"', "2027-01-04T12:00+00:00", "UTC", "2027w01"),
        ('measure = "count"\nwindow = "month"', "2028-02-29T12:00+00:00", "UTC", "202802"),
        ('measure = "count"\nwindow = "year"', "2026-12-31T23:59+00:00", "UTC", "2026"),
        ('measure = "count"\nwindow = "lifetime"', "2026-12-31T23:59+00:00", "UTC", "ever"),
        ('measure = "count"\nwindow = "day"\nper = "account"', "2026-03-22T12:00+00:00", "UTC",
         "20260322"),
    ],
)  # fmt: skip
def test_each_window_has_its_counter(row: str, moment: str, zone: str, counter: str) -> None:
    judge = judge_of(f"{row}\nceiling = 3")
    [limit] = judge.limits(request(), ACCOUNT, CARD, at(moment, zone))
    whose = "@A1" if "per" in row else "S1"
    assert (limit.counter, limit.ceiling) == (f"{whose}/r0/count/{counter}", 3)


def test_a_limit_is_about_what_it_says() -> None:
    judge = judge_of(
        'measure = "amount"\nceiling = 5\nwindow = "day"\nwhen = { cash = true }',
        'measure = "count"\nceiling = 6\nwindow = "day"\nscope = { card = "C2" }',
        'measure = "count"\nceiling = 7\nwindow = "day"\nscope = { card = "C1" }',
    )
    [limit] = judge.limits(request(), ACCOUNT, CARD, MOMENT)
    assert (limit.reason, limit.ceiling, limit.scale) == (Reason.COUNT_LIMIT, 7, 0)
    cash, _ = judge.limits(request(purpose=Purpose.CASH), ACCOUNT, CARD, MOMENT)
    assert (cash.reason, cash.use, cash.scale) == (Reason.AMOUNT_LIMIT, 1000, 1)
    assert not judge.limits(request(amount_minor=0, transaction_minor=0), ACCOUNT, CARD, MOMENT)


def test_amounts_and_counts_of_one_name_are_counted_apart() -> None:
    counters = set()
    for measure in ("amount", "count"):
        judge = judge_of(f'measure = "{measure}"\nwindow = "day"\nceiling = 3')
        [limit] = judge.limits(request(), ACCOUNT, CARD, moment_at(NOON, "UTC"))
        counters.add(limit.counter)
    assert counters == {"S1/r0/amount/20260322", "S1/r0/count/20260322"}


def test_many_stars_take_no_time() -> None:
    """Each piece between stars is looked for once: no name is tried in more than its ways."""
    pattern = "*a?" * 20 + "*b"
    judge = judge_of(f'outcome = "flag"\nwhen = {{ merchant_name = ["{pattern}"] }}')
    started = perf_counter()
    for _ in range(100):
        judge.judge(request(merchant_name="a" * 40), ACCOUNT, CARD, moment_at(NOON, "UTC"))
    assert perf_counter() - started < 1


@pytest.mark.parametrize(
    ("changes", "uplift"),
    [
        ({}, 500),
        ({"amount_minor": 0, "transaction_minor": 0}, 0),
        ({"purpose": Purpose.BALANCE_INQUIRY, "amount_minor": 0, "transaction_minor": 0}, 0),
        ({"purpose": Purpose.REFUND}, 0),
    ],
)
def test_nothing_is_held_beyond_what_moves_nothing_or_comes_back(
    changes: dict[str, Any], uplift: int
) -> None:
    judge = judge_of('outcome = "uplift"\namount = 500')
    plan = decide(request(**changes), CARD, ACCOUNT, Lists(), judge)
    assert (plan.reason, plan.uplift_minor) == (Reason.APPROVED, uplift)
