"""The decision: facts in, a plan out; then plan and verdict in, a reason out."""

from datetime import date
from functools import lru_cache

from msgspec.structs import replace

from rules.exceptions import ceilings_of, exception_for
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Limit,
    Plan,
)
from rules.judge import NO_JUDGE, Judge
from rules.lists import Lists
from rules.reason import APPROVED, REFERRED, Reason
from rules.windows import civil_date, day_bucket, day_end, moment_at

# What speaks against a card or an account that is not active.
CARD_STATES = {
    CardState.CLOSED: Reason.CARD_CLOSED,
    CardState.LOST: Reason.CARD_LOST,
    CardState.STOLEN: Reason.CARD_STOLEN,
    CardState.EXPIRED: Reason.CARD_EXPIRED,
    CardState.INACTIVE: Reason.CARD_INACTIVE,
    CardState.FROZEN: Reason.CARD_FROZEN,
}
BEFORE_EXPIRY = frozenset(
    {Reason.CARD_CLOSED, Reason.CARD_LOST, Reason.CARD_STOLEN, Reason.CARD_EXPIRED}
)
ACCOUNT_STATES = {
    AccountState.CLOSED: Reason.ACCOUNT_CLOSED,
    AccountState.FROZEN: Reason.ACCOUNT_FROZEN,
}
assert CARD_STATES.keys() == set(CardState) - {CardState.ACTIVE}
assert ACCOUNT_STATES.keys() == set(AccountState) - {AccountState.ACTIVE}
OPEN, DAILY_COUNT, DAILY_AMOUNT = (
    AccountState.ACTIVE, Reason.DAILY_COUNT_LIMIT, Reason.DAILY_AMOUNT_LIMIT,
)  # fmt: skip


def decide(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    lists: Lists,
    judge: Judge = NO_JUDGE,
) -> Plan:
    """Judge a request on facts alone, and plan the rest.

    Reads top to bottom in the order of `Reason`; then checks that were not answered, and the
    policy's rules last, which may ask what checks tell. Money and
    counters are not looked at: they change under us, so they are checked where they are
    changed, in one step, by `authz/hot/authorize.lua`.
    """
    plan = judged(request, card, account, lists, judge)
    if plan.reason in (APPROVED, REFERRED) or not judge.counts_declines:
        return plan
    moment = moment_at(request.sent_at, account.time_zone)
    return replace(plan, limits=judge.declines(request, account, card, moment))


def judged(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    lists: Lists,
    judge: Judge,
) -> Plan:
    """The same, but for the counters that a decline rises in."""
    assert card.account_id == account.account_id
    today = civil_date(request.sent_at, account.time_zone)

    state = CARD_STATES.get(card.state)
    if state is not None and state in BEFORE_EXPIRY:
        return Plan(state)
    if is_expired(card.expiry, today):
        return Plan(Reason.CARD_EXPIRED)
    if request.expiry and request.expiry != card.expiry:
        return Plan(Reason.EXPIRY_MISMATCH)
    if state is not None:
        return Plan(state)
    if account.state is not OPEN:
        return Plan(ACCOUNT_STATES[account.state])

    listed = lists.look(request, card)
    if listed is not None and listed.blocks:
        return Plan(listed.reason)
    if request.mcc in card.blocked_mccs:
        return Plan(Reason.MCC_BLOCKED)
    if request.amount_minor and request.currency != account.currency:
        # What could be billed by our own rates was, before it came here (rules/price.py).
        if judge.exchange and request.currency == request.transaction_currency:
            return Plan(Reason.RATE_UNAVAILABLE)
        return Plan(Reason.CURRENCY_MISMATCH)

    ceiling = card.transaction_limit_minor
    if ceiling is not None and request.amount_minor > ceiling:
        return Plan(Reason.TRANSACTION_LIMIT)

    if request.skipped_means == "decline":  # of a check that gave no answer in its time
        return Plan(Reason.CHECK_UNAVAILABLE)

    if judge.is_empty and not request.skipped_means:
        # No objection left but those that depend on money and counters.
        return Plan(APPROVED, request.amount_minor, limits_for(request, card, today))
    return ruled(request, card, account, judge, today)


def ruled(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    judge: Judge,
    today: date,
) -> Plan:
    """What the policy in force makes of a request that nothing else speaks against, and before it
    a check that gave no answer and wants a person to look.

    An exception answers that, and the rule with the last word as `approve` would have: caps that
    held before it, limits and funds are asked all the same.
    """
    exception, uses = "", tuple[Limit, ...]()
    if request.skipped_means:
        found = exception_for(request, card)
        if found is None:
            return Plan(REFERRED)
        exception = found.exception_id
        uses = ceilings_of(found, request, card, REFERRED)
    moment = moment_at(request.sent_at, account.time_zone)
    said = judge.judge(request, account, card, moment)
    if said.outcome in ("decline", "refer"):
        objection = said.reason if said.outcome == "decline" else REFERRED
        found = exception_for(request, card)
        if found is None:
            return Plan(objection, rule=said.rule, flags=said.flags)
        exception, uses = found.exception_id, ceilings_of(found, request, card, objection)
    hold_minor = request.amount_minor
    if said.cap_minor is not None and said.cap_minor < hold_minor:
        if not request.partial_ok:
            return Plan(Reason.TRANSACTION_LIMIT, rule=said.capped_by, flags=said.flags)
        hold_minor = said.cap_minor
    # Nothing is held beyond what moves nothing, or comes to the card.
    uplift_minor = said.uplift_minor if request.amount_minor and request.sign > 0 else 0
    # Where the exception is used up the rule's word stands, so that is asked first.
    limits = uses + limits_for(request, card, today) + judge.limits(request, account, card, moment)
    return Plan(
        APPROVED, hold_minor, limits, said.rule, uplift_minor, said.flags, exception
    )  # fmt: skip


@lru_cache(maxsize=4096)  # expiries in circulation times the days in play
def is_expired(expiry: str, today: date) -> bool:
    """Whether a card of that expiry (YYMM) is past the last day of its month.

    Years are read as 2000 to 2099: no card in circulation is older.
    """
    return (today.year - 2000, today.month) > (int(expiry[:2]), int(expiry[2:]))


def limits_for(request: AuthorizationRequest, card: CardProfile, today: date) -> tuple[Limit, ...]:
    """The ceilings that this request must stay under, in the order they are checked.

    An account check (zero amount) or a refund uses nothing up, so it meets no ceiling.
    """
    if card.daily_count is None and card.daily_amount_minor is None:
        return ()
    amount = request.amount_minor
    if amount == 0 or request.sign < 0:
        return ()
    limits = []
    bucket, until = day_bucket(today), day_end(today)
    if card.daily_count is not None:
        counter = f"{card.limit_subject}/day_count/{bucket}"
        limits.append(Limit(DAILY_COUNT, counter, 1, card.daily_count, 0, until))
    if card.daily_amount_minor is not None:
        counter = f"{card.limit_subject}/day_amount/{bucket}"
        most = card.daily_amount_minor
        limits.append(Limit(DAILY_AMOUNT, counter, amount, most, 1, until))
    return tuple(limits)


def conclude(planned: str, kind: str, detail: str) -> Reason:
    """The plan's reason and the hot state's verdict, as one reason.

    `planned` is the reason of the plan that was carried out: for a repeat, the one
    stored with the first answer. `detail` names the ceiling that was hit.
    """
    match kind:
        case "held" | "told":
            return APPROVED
        case "declined":
            return Reason(planned)
        case "over_limit":
            return Reason(detail)
        case "no_funds":
            return Reason.FUNDS_INSUFFICIENT
        case "reversed":
            return Reason.REVERSED_BEFORE
        case "mismatch":
            return Reason.DUPLICATE
    raise AssertionError(kind)
