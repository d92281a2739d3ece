"""What `decide` looked at, check by check, in the order in which it looks.

The same questions once more, for people: `decide` stops at the first no, this goes on to the end.
`tests/rules/test_explain.py` holds the two against each other.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from msgspec import Struct

from rules.decide import is_expired
from rules.exceptions import exception_for
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardException,
    CardProfile,
    CardState,
)
from rules.judge import NO_JUDGE, Judge
from rules.lists import BLOCK, SANCTION, Lists, Said
from rules.reason import Reason
from rules.windows import civil_date, moment_at


class Check(Struct, frozen=True):
    """One question: what would be said, what was looked at, and whether it objects."""

    reason: str  # a `Reason`, or of a rule its name
    seen: str  # what was looked at, without card data
    objects: bool
    rule: str = ""  # the policy's


def checks_of(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    lists: Lists,
    judge: Judge = NO_JUDGE,
) -> Iterator[Check]:
    """All that is asked of facts alone; funds and counters are the hot state's to tell. Each is
    asked when it is come to, so that it can be timed."""
    today = civil_date(request.sent_at, account.time_zone)
    yield from card_checks(request, card, today)
    yield Check(Reason.ACCOUNT_CLOSED, account.state, account.state is AccountState.CLOSED)
    yield Check(Reason.ACCOUNT_FROZEN, account.state, account.state is AccountState.FROZEN)
    yield from list_checks(request, card, lists)
    yield from place_checks(request, card, account, judge)
    yield from rule_checks(request, card, account, judge)


def card_checks(request: AuthorizationRequest, card: CardProfile, today: date) -> Iterator[Check]:
    yield Check(Reason.CARD_CLOSED, card.state, card.state is CardState.CLOSED)
    yield Check(Reason.CARD_LOST, card.state, card.state is CardState.LOST)
    yield Check(Reason.CARD_STOLEN, card.state, card.state is CardState.STOLEN)
    gone = card.state is CardState.EXPIRED or is_expired(card.expiry, today)
    yield Check(Reason.CARD_EXPIRED, f"{card.state}, {card.expiry}, on {today}", gone)
    other = bool(request.expiry) and request.expiry != card.expiry
    yield Check(Reason.EXPIRY_MISMATCH, "told" if request.expiry else "not told", other)
    yield Check(Reason.CARD_INACTIVE, card.state, card.state is CardState.INACTIVE)
    yield Check(Reason.CARD_FROZEN, card.state, card.state is CardState.FROZEN)


def list_checks(request: AuthorizationRequest, card: CardProfile, lists: Lists) -> Iterator[Check]:
    """One for each kind: the entry that blocks, or that lifts what stands behind it."""
    lifted_by = ""
    for n, (kind, value, said) in enumerate(lists.look_at_each(request, card)):
        reason = Said(SANCTION if n == 0 else BLOCK, kind, value).reason
        seen, objects = value or "not told", False
        if lifted_by:
            seen += f", not asked: the {lifted_by} is allowed"
        elif said is None:
            seen += ", no entry"
        else:
            objects = said.blocks
            seen += f", {said.name} list" + (f": {said.value}" if said.value != value else "")
            lifted_by = "" if said.blocks else kind
        yield Check(reason, f"{seen}, lists {lists.version}", objects)


def place_checks(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    judge: Judge,
) -> Iterator[Check]:
    amount, ceiling = request.amount_minor, card.transaction_limit_minor
    foreign = request.currency != account.currency and amount != 0
    ours = judge.exchange is not None and request.currency == request.transaction_currency
    blocked = " ".join(card.blocked_mccs) or "none blocked"
    yield Check(Reason.MCC_BLOCKED, f"{request.mcc}, {blocked}", request.mcc in card.blocked_mccs)
    currencies = f"{request.currency}, {account.currency}"
    yield Check(Reason.CURRENCY_MISMATCH, currencies, foreign and not ours)
    yield Check(Reason.RATE_UNAVAILABLE, currencies, foreign and ours)
    most = "no ceiling" if ceiling is None else f"at most {ceiling} minor units"
    over = ceiling is not None and amount > ceiling
    yield Check(Reason.TRANSACTION_LIMIT, f"{amount} minor units, {most}", over)
    yield from skipped_checks(request, card)


def skipped_checks(request: AuthorizationRequest, card: CardProfile) -> list[Check]:
    """Optional checks that gave no answer in their time, with the exception that answers for them;
    nothing where all did."""
    if not request.skipped:
        return []
    seen = f"no answer from {' '.join(request.skipped)}"
    declines, refers = (request.skipped_means == word for word in ("decline", "refer"))
    exception = exception_for(request, card) if refers else None
    passed = f"{seen}; {in_words(exception)}" if exception is not None else seen
    return [
        Check(Reason.CHECK_UNAVAILABLE, seen, declines),
        Check(Reason.REFERRED, passed, refers and exception is None),
    ]


def rule_checks(
    request: AuthorizationRequest, card: CardProfile, account: AccountProfile, judge: Judge
) -> Iterator[Check]:
    """The policy's rules, up to the one with the last word; with the exception that answers it."""
    moment = moment_at(request.sent_at, account.time_zone)
    exception = exception_for(request, card)
    for rule, holds in judge.explain(request, account, card, moment):
        amount, allowed = request.amount_minor, rule.amount
        capped = rule.outcome == "cap" and allowed < amount and not request.partial_ok
        reason = {
            "decline": rule.reason,
            "refer": Reason.REFERRED,
            "cap": Reason.TRANSACTION_LIMIT,
        }.get(rule.outcome, rule.outcome)
        objects = holds and (rule.outcome in ("decline", "refer") or capped)
        seen = f"{rule.outcome}, policy {judge.version}, {'holds' if holds else 'does not hold'}"
        if holds and exception is not None and rule.outcome in ("decline", "refer"):
            objects = False
            seen += f"; {in_words(exception)}"
        yield Check(reason, seen, objects, rule.name)
        if holds and rule.outcome in ("approve", "decline", "refer"):
            break


def in_words(one: CardException) -> str:
    until = datetime.fromtimestamp(one.until_s, UTC).isoformat()
    often = ", if it is not used up" if one.uses else ""
    return f"exception {one.exception_id} of {one.opened_by} until {until} lets it pass{often}"
