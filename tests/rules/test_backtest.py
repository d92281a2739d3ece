"""The replay by itself: counters fall where they rose, funds follow, sums add up."""

from datetime import UTC, datetime
from typing import Any

from rules.backtest import Asked, Backtest, Moved
from rules.differences import Differences
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Purpose,
)
from rules.judge import NO_JUDGE, Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.reason import Reason

NIGHT = int(datetime(2026, 3, 22, 23, 59, tzinfo=UTC).timestamp())
ACCOUNT = AccountProfile("A1", "gold", "840", 0, "UTC", AccountState.ACTIVE)
CARD = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE)
A_DAY = Judge(
    read_policy(
        'version = "1"\n[[limit]]\nname = "a day"\nmeasure = "amount"\nceiling = 1000\n'
        'window = "day"\n'
    )
)
NO_FOOD = Judge(
    read_policy(
        'version = "1"\n[[rule]]\nname = "no food"\noutcome = "decline"\n'
        'when = { mcc = ["5411"] }\n'
    )
)


def asked(n: int, amount: int, at: int = NIGHT, mcc: str = "5411", **changes: Any) -> Asked:
    request = AuthorizationRequest(
        network="generic", mti="0100", card_key="k", purpose=Purpose.PURCHASE,
        amount_minor=amount, currency="840", transaction_minor=amount,
        transaction_currency="840", mcc=mcc, merchant_id="M1", terminal_id="T1",
        acquirer_id="1", country="US", entry_mode="051", expiry="", stan=f"{n:06}",
        rrn=f"{n:012}", sent_at=at,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "message_id": f"m{n}", "authorization_id": f"m{n}", "at_ms": at * 1000, "request": request,
        "card": CARD, "account": ACCOUNT, "lists": Lists(), "judge": NO_JUDGE,
        "is_increment": False, "planned": "approved", "verdict": "held", "detail": "", "rule": "",
        "refused_by": "", "took_minor": amount, "available_minor": 10_000,
    }  # fmt: skip
    return Asked(**(facts | changes))


def moved(n: int, took: int, **changes: Any) -> Moved:
    facts: dict[str, Any] = {"is_taken_back": True} | changes
    return Moved(authorization_id=f"m{n}", account_id="A1", took_minor=took, **facts)


def test_a_reversal_gives_back_to_the_day_that_was_risen_in() -> None:
    replay = Backtest(lambda then: A_DAY)
    assert replay.ask(asked(1, 800)).reason is Reason.APPROVED
    assert replay.ask(asked(2, 900, NIGHT + 60)).reason is Reason.APPROVED, "a new day"
    replay.move(moved(1, -500))
    assert replay.counters["S1/a day/amount/20260322"] == 300
    assert replay.counters["S1/a day/amount/20260323"] == 900
    here = replay.ask(asked(3, 701))
    assert (here.reason, here.rule, here.took_minor) == (Reason.AMOUNT_LIMIT, "a day", 0)
    assert replay.ask(asked(4, 700)).reason is Reason.APPROVED


def test_what_a_draft_declined_leaves_its_funds() -> None:
    replay = Backtest(lambda then: NO_FOOD)
    assert replay.ask(asked(1, 6000)).reason is Reason.RULE_DECLINED
    refused = {"verdict": "no_funds", "authorization_id": "", "took_minor": 0}
    here = replay.ask(asked(2, 7000, mcc="5999", available_minor=4000, **refused))
    assert (here.reason, here.was) == (Reason.APPROVED, Reason.FUNDS_INSUFFICIENT)
    assert here.by_funds
    assert replay.ask(asked(3, 3001, mcc="5999", available_minor=4000)).by_funds, "they are gone"
    # What was never taken cannot be given back; what a network posts is posted.
    replay.move(moved(1, -1000))
    assert replay.beyond == {"A1": 7000 - 5000 - 3001}
    replay.move(moved(1, 500, is_taken_back=False))
    assert replay.beyond == {"A1": 7000 - 3001}


def test_what_was_in_force_says_the_same_and_the_draft_is_added_up() -> None:
    then, draft = Backtest(), Backtest(lambda then: NO_FOOD)
    same, other = (
        Differences("then", {}),
        Differences("draft", {"m1": True, "1/000000000002": False}),
    )
    for n in (1, 2, 3):
        facts = asked(n, 100 * n, mcc="5411" if n < 3 else "5999")
        same.add(then.ask(facts), "2026-03-22")
        other.add(draft.ask(facts), "2026-03-22")
    assert same.report.reproduced
    report = other.report
    assert not report.reproduced
    assert (report.requests, report.same) == (3, 1)
    food = report.declined_by["no food"]
    assert (food.count, food.amounts_minor, food.fraud, food.genuine) == (2, {"840": 300}, 1, 1)
    assert (report.fraud_declined_then, report.fraud_declined_here) == (0, 1)
    assert (report.genuine_declined_then, report.genuine_declined_here) == (0, 1)
    assert report.by_day == {"2026-03-22": (2, 0)}


def test_a_journal_without_its_beginning_tells_where_counters_stood() -> None:
    replay = Backtest(lambda then: A_DAY)
    here = replay.ask(asked(1, 300, seen=(("S1/a day/amount/20260322", 800),)))
    assert here.reason is Reason.AMOUNT_LIMIT
