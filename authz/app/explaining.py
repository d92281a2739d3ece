"""Why a request was answered as it was: every check in order, from what the journal kept of it.

The facts are in its journal entry; card, account, lists and policy are those of the versions that
it names, from the entries of that time. Nothing is looked at as it is today, and nothing is
guessed: what the journal no longer has is told.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from authz.app.exceptions import exception_told
from authz.app.history import Plain, Reach, newest_first, price_of, reason_of, refusal
from authz.app.judgements import ENTRIES_MAX, as_it_was
from authz.app.looking import NotThere
from authz.clock import SystemClock, utc
from authz.hot import keys
from authz.profiles import read_account, read_card
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    CardBody,
    ClearingBody,
    Entry,
    Envelope,
    IncrementBody,
    ReversalBody,
    seen_by,
)
from rules.categories import mcc_name
from rules.counters import spans_shards
from rules.explain import Check, checks_of
from rules.facts import (
    AccountProfile,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Channel,
    Finality,
    Limit,
    Purpose,
)
from rules.fx import RatesError
from rules.judge import Judge
from rules.lists import Lists
from rules.policy_text import PolicyError
from rules.price import NETWORK, plan_of
from rules.reason import Reason

REVIEW = {"opened": "a case was opened", "full": "there was no room for a case"}
# What is asked about by mistake.
NO_QUESTION = {
    AdviceBody: "an advice",
    ClearingBody: "a record of a clearing file",
    ReversalBody: "a reversal",
}
ROUNDS = 200  # of a check that is timed; the quickest counts


class AsOf(Struct, frozen=True):
    """What a decision was made from, besides the request."""

    card: CardProfile
    account: AccountProfile
    lists: Lists
    judge: Judge


async def explain(client: Redis, message_id: str, account_id: str, timed: bool) -> Plain:
    """Of that account, or of whichever it is. Raises: NotThere."""
    asked = await find(client, message_id, account_id)
    body = asked.body.asked if isinstance(asked.body, IncrementBody) else asked.body
    assert isinstance(body, AuthorizationBody)
    e = asked.envelope
    told: Plain = {
        "message_id": message_id,
        "account_id": e.account_id,
        "card_id": e.card_id,
        "at": utc(e.at_ms).isoformat(timespec="milliseconds"),
        "sent_at": utc(body.sent_at * 1000).isoformat(timespec="seconds"),
        "kind": e.kind,
        "mti": body.mti,
        "stan": body.stan,
        "network": body.network,
        "purpose": body.purpose,
        "channel": body.channel,
        "mcc": body.mcc,
        "mcc_name": mcc_name(body.mcc),
        "merchant_id": body.merchant_id,
        "country": body.country,
        "asked_minor": body.amount_minor,
        "asked_currency": body.currency,
        "answer": answer_to(asked),
    }
    if not e.versions:  # a card that is not ours: there was nothing else to look at
        no = {"check": Reason.CARD_UNKNOWN, "saw": "no such card", "says": body.planned}
        return told | {"checks": [no], "decided_again": body.planned, "same": True}
    as_of = await what_it_was_made_from(client, asked, request_of(body))
    made_from = as_of.card, as_of.account, as_of.lists, as_of.judge
    in_part = isinstance(asked.body, IncrementBody)
    priced, plan = plan_of(request_of(body), *made_from, in_part=in_part)
    checks = checks_of(priced.request, *made_from)
    told |= {
        "account_version": e.versions[0],
        "card_version": e.versions[1],
        "judgement_version": e.versions[2],
        "policy": body.policy or "none",
        "rule": body.rule,
        "flags": list(body.flags),
        "skipped_checks": list(body.skipped),
        **exception_of(body, as_of.card),
        **({"review": REVIEW[e.review]} if e.review in REVIEW else {}),
        "price": price_of(body),
        "checks": [told_of(check) for check in up_to_the_first_no(checks)],
        "ceilings": ceilings_of(asked, body),
        "funds": funds_of(asked, body),
        "decided_again": plan.reason,
        "same": (plan.reason, plan.rule, plan.exception, as_of.judge.version if body.policy else "")
        == (body.planned, body.rule, body.exception, body.policy)
        and body.settle_minor in (-1, priced.settle_minor),
    }
    if timed:
        told["decide_us"] = quickest(lambda: plan_of(request_of(body), *made_from, in_part=in_part))
        times = time_of_each(lambda: up_to_the_first_no(checks_of(priced.request, *made_from)))
        told["checks"] = [
            check | {"us": us} for check, us in zip(told["checks"], times, strict=True)
        ]
    return told


def exception_of(body: AuthorizationBody, card: CardProfile) -> Plain:
    """What let it past the rule, as the card had it then."""
    found = [one for one in card.exceptions if one.exception_id == body.exception]
    return {"exception": exception_told(found[0])} if found else {}


async def find(client: Redis, message_id: str, account_id: str) -> Entry:
    """The question. Raises: NotThere."""
    reach = Reach(ENTRIES_MAX)
    shards = (keys.shard_of(account_id),) if account_id else keys.ALL_SHARDS
    async for entry in newest_first(client, shards, reach):
        body, e = entry.body, entry.envelope
        if e.message_id != message_id or account_id not in ("", e.account_id):
            continue
        if isinstance(body, AuthorizationBody | IncrementBody):
            return entry
        if isinstance(body, AdviceBody | ClearingBody | ReversalBody):
            what = NO_QUESTION[type(body)]
            raise NotThere(
                f"that message is {what}: it tells what was done elsewhere and is no question, "
                "so nothing was judged"
            )
    where = "on this account" if account_id else "in the journal"
    raise NotThere(f"no request of that id {where}" if reach.whole
                   else "no request of that id in what was looked through")  # fmt: skip


def answer_to(asked: Entry) -> str:
    """As it was told. What an increment did to its authorization is another matter."""
    body, verdict = asked.body, asked.envelope.verdict
    noes = ("declined", "over_limit", "no_funds", "reversed", "mismatch")
    if isinstance(body, IncrementBody) and verdict not in noes:
        return Reason.APPROVED
    return reason_of(asked)


async def what_it_was_made_from(client: Redis, asked: Entry, request: AuthorizationRequest) -> AsOf:
    """Card, account, lists and policy of exactly the versions that the entry names, and of no
    other. Raises: NotThere."""
    e = asked.envelope
    account_version, card_version, lists_version = e.versions
    account: AccountProfile | None = None
    card: CardProfile | None = None
    shard, reach = keys.shard_of(e.account_id), Reach(ENTRIES_MAX)
    async for entry in newest_first(client, (shard,), reach, until=asked.stream_id):
        body, other = entry.body, entry.envelope
        of_account, of_card = other.account_id == e.account_id, other.card_id == e.card_id
        if isinstance(body, AccountBody) and of_account and other.versions == [account_version]:
            account = read_account(bytes(body.profile))
        elif isinstance(body, CardBody) and of_card and other.versions == [card_version]:
            card = read_card(bytes(body.profile))
        if account and card:
            break
    nobody = CardProfile(e.card_id, e.account_id, "", "", CardState.ACTIVE)
    was = await as_it_was(client, lists_version, request, card or nobody)
    missing = [
        f"{name} {version}"
        for name, version, found in (
            ("account version", account_version, account),
            ("card version", card_version, card),
            ("judgement", lists_version, was),
        )
        if found is None
    ]
    if account is None or card is None or was is None:
        raise NotThere(f"the journal does not have what it was judged by: {', '.join(missing)}")
    try:
        judge = was.judge()
    except (PolicyError, RatesError) as error:
        raise NotThere(f"its policy is of another version of ours: {error}") from None
    return AsOf(card, account, was.lists, judge)


def request_of(body: AuthorizationBody) -> AuthorizationRequest:
    """What was asked, before it was billed by our own rates."""
    names = {field.name for field in msgspec.structs.fields(AuthorizationRequest)}
    said = {name: value for name, value in msgspec.structs.asdict(body).items() if name in names}
    said |= {
        "purpose": Purpose(body.purpose),
        "finality": Finality(body.finality),
        "channel": Channel(body.channel),
    }
    if body.rate_source not in ("", NETWORK):
        said |= {"amount_minor": body.transaction_minor, "currency": body.transaction_currency}
    return AuthorizationRequest(**said)


def up_to_the_first_no(checks: Iterable[Check]) -> Iterator[Check]:
    for check in checks:
        yield check
        if check.objects:
            return


def told_of(check: Check) -> Plain:
    return {
        "check": check.rule or check.reason,
        "saw": check.seen,
        "says": check.reason if check.objects else "no objection",
    }


def ceilings_of(asked: Entry, body: AuthorizationBody) -> list[Plain]:
    """The ceilings, with what each counter stood at before and after. Nothing is known of the
    counters of an increment that was declined."""
    e = asked.envelope
    rows = []
    quotas = {place: allowed for place, _, allowed in e.quotas}
    for place, (row, seen) in enumerate(zip(body.limits, seen_by(e, body.limits), strict=True)):
        before, after, new = seen
        limit = replace(Limit(*row), use=new)
        refuses = e.verdict == "over_limit" and e.detail == limit.reason
        ceiling = quotas.get(place, limit.ceiling)  # of a program's: what the shard was granted
        if refuses and before is not None and before + limit.use <= ceiling:
            refuses = False  # it was another of the same reason
        if refuses and place in quotas and own_refused(body, e):
            refuses = False  # a program's are asked last
        told = ceiling_of(limit, before, after, limit.reason if refuses else "no objection")
        if place in quotas:
            told |= {f"room_in_shard_{unit_of(limit)}": ceiling - (before or 0)}
        rows.append(told)
        if refuses:
            break
    return rows


def own_refused(body: AuthorizationBody, e: Envelope) -> bool:
    """Whether a ceiling that is no program's was in the way."""
    return any(
        row[0] == e.detail and before is not None and before + new > row[3]
        for row, (before, _, new) in zip(body.limits, seen_by(e, body.limits), strict=True)
        if not spans_shards(row[1])
    )


def unit_of(limit: Limit) -> str:
    return "minor" if limit.scale == 1 else "count"


def ceiling_of(limit: Limit, before: int | None, after: int | None, says: str) -> Plain:
    """One ceiling for people: what its counter stood at, and what was to be added."""
    unit = unit_of(limit)
    return {
        "check": limit.reason, "counter": limit.counter, f"before_{unit}": before,
        f"use_{unit}": limit.use, f"ceiling_{unit}": limit.ceiling, f"after_{unit}": after,
        "says": says,
    }  # fmt: skip


def funds_of(asked: Entry, body: AuthorizationBody) -> Plain:
    e = asked.envelope
    available = e.posted_after - e.held_after + body.credit_line_minor
    before = available + e.held_delta - e.posted_delta
    says = "not asked"
    if e.verdict == "no_funds":
        says = Reason.FUNDS_INSUFFICIENT
    elif answer_to(asked) == Reason.APPROVED and body.amount_minor:
        says = "no objection"
    part = refusal(asked, body) if e.detail == "partial" else {}
    return {
        "currency": e.currency,
        "available_before_minor": before,
        "asked_minor": body.amount_minor + body.fee_minor,
        **part,
        "available_after_minor": available,
        "says": says,
    }


def time_of_each(make: Callable[[], Iterator[Check]]) -> list[float]:
    """Microseconds of each check with its telling: of all rounds the quickest."""
    clock, best = SystemClock(), list[float]()
    for _ in range(ROUNDS):
        started, n = clock.monotonic(), 0
        for n, _check in enumerate(make()):
            ended = clock.monotonic()
            if n == len(best):
                best.append(float("inf"))
            best[n] = min(best[n], ended - started)
            started = clock.monotonic()
    return [round(seconds * 1e6, 2) for seconds in best]


def quickest(work: Any) -> float:
    """Microseconds of one round."""
    clock, best = SystemClock(), float("inf")
    for _ in range(ROUNDS):
        started = clock.monotonic()
        work()
        best = min(best, clock.monotonic() - started)
    return round(best * 1e6, 2)
