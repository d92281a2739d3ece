"""Why a request was answered as it was: every check in order, from what the journal kept of it.

The facts are in its journal entry; card, account, lists and policy as they were then stand in the
entries before it. Nothing is looked at as it is today.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.app.history import Plain, Reach, newest_first, price_of, reason_of
from authz.app.looking import NotThere
from authz.clock import SystemClock, utc
from authz.hot import keys
from authz.profiles import read_account, read_card
from ledger.journal import (
    AccountBody,
    AuthorizationBody,
    CardBody,
    Entry,
    IncrementBody,
    ListsBody,
)
from rules.decide import decide
from rules.explain import Check, checks_of
from rules.facts import (
    AccountProfile,
    AuthorizationRequest,
    Blocklists,
    CardProfile,
    Channel,
    Finality,
    Purpose,
)
from rules.judge import Judge, make_judge, texts_of

ENTRIES_MAX = 1_000_000  # of one shard: what its journal holds at the most
ROUNDS = 200  # of a check that is timed; the quickest counts


class AsOf(Struct, frozen=True):
    """What a decision was made from, besides the request."""

    card: CardProfile
    account: AccountProfile
    lists: Blocklists
    judge: Judge


async def explain(client: Redis, message_id: str, account_id: str, timed: bool) -> Plain:
    """Raises: NotThere."""
    reach = Reach(ENTRIES_MAX)
    entries = newest_first(client, (keys.shard_of(account_id),), reach)
    asked: Entry | None = None
    async for entry in entries:
        e = entry.envelope
        if e.message_id == message_id and isinstance(entry.body, AuthorizationBody | IncrementBody):
            asked = entry
            break
    if asked is None:
        raise NotThere("no request of that id on this account" if reach.whole
                       else "no request of that id in what was looked through")  # fmt: skip
    as_of = await what_it_was_made_from(entries, asked)
    body = asked.body.asked if isinstance(asked.body, IncrementBody) else asked.body
    assert isinstance(body, AuthorizationBody)
    request = request_of(body)
    checks = checks_of(request, as_of.card, as_of.account, as_of.lists, as_of.judge)
    plan = decide(request, as_of.card, as_of.account, as_of.lists, as_of.judge)
    e = asked.envelope
    told: Plain = {
        "message_id": message_id,
        "at": utc(e.at_ms).isoformat(timespec="milliseconds"),
        "kind": e.kind,
        "mti": body.mti,
        "stan": body.stan,
        "answer": reason_of(asked),
        "account_version": e.versions[0] if e.versions else None,
        "card_version": e.versions[1] if e.versions else None,
        "judgement_version": e.versions[2] if e.versions else None,
        "policy": body.policy or "none",
        "rule": body.rule,
        "flags": list(body.flags),
        "price": price_of(body),
        "checks": [told_of(check) for check in up_to_the_first_no(checks)],
        "counters": counters_of(asked, body),
        "funds": funds_of(asked, body),
        "decided_again": plan.reason,
        "same": plan.reason == body.planned and plan.rule == body.rule,
    }
    if timed:
        told["decide_us"] = quickest(
            lambda: decide(request, as_of.card, as_of.account, as_of.lists, as_of.judge)
        )
    return told


async def what_it_was_made_from(entries: Any, asked: Entry) -> AsOf:
    """Card, account, lists and policy of the versions that the entry names. Raises: NotThere."""
    e = asked.envelope
    if not e.versions:
        raise NotThere("that request was of a card that is not ours: nothing was judged")
    account: AccountProfile | None = None
    card: CardProfile | None = None
    lists: ListsBody | None = None if e.versions[2] else ListsBody(0, (), "")
    async for entry in entries:
        body, other = entry.body, entry.envelope
        if isinstance(body, AccountBody) and other.account_id == e.account_id:
            account = account or read_account(bytes(body.profile))
        elif isinstance(body, CardBody) and other.card_id == e.card_id:
            card = card or read_card(bytes(body.profile))
        elif isinstance(body, ListsBody):
            lists = lists or body
        if account and card and lists:
            break
    if account is None or card is None or lists is None:
        raise NotThere("the journal no longer has what that request was judged by")
    return AsOf(card, account, blocklists_of(lists), make_judge(*texts_of(lists.entries)))


def blocklists_of(lists: ListsBody) -> Blocklists:
    def of(wanted: str) -> frozenset[str]:
        return frozenset(value for kind, value in lists.entries if kind == wanted)

    return Blocklists(
        version=lists.version, cards=of("card"), merchants=of("merchant"), countries=of("country")
    )


def request_of(body: AuthorizationBody) -> AuthorizationRequest:
    """The facts as they were judged."""
    names = {field.name for field in msgspec.structs.fields(AuthorizationRequest)}
    said = {name: value for name, value in msgspec.structs.asdict(body).items() if name in names}
    said |= {
        "purpose": Purpose(body.purpose),
        "finality": Finality(body.finality),
        "channel": Channel(body.channel),
    }
    return AuthorizationRequest(**said)


def up_to_the_first_no(checks: list[Check]) -> Iterable[Check]:
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


def counters_of(asked: Entry, body: AuthorizationBody) -> list[Plain]:
    """The ceilings, with what each counter stood at before and after."""
    moved = {counter: (before, after) for counter, before, after in asked.envelope.counters}
    rows = []
    for reason, counter, use, ceiling, _ in body.limits:
        before, after = moved.get(counter, (None, None))
        refuses = asked.envelope.verdict == "over_limit" and asked.envelope.detail == reason
        rows.append({
            "check": reason, "counter": counter, "before": before, "use": use,
            "ceiling": ceiling, "after": after, "says": reason if refuses else "no objection",
        })  # fmt: skip
    return rows


def funds_of(asked: Entry, body: AuthorizationBody) -> Plain:
    e = asked.envelope
    available = e.posted_after - e.held_after + body.credit_line_minor
    before = available + e.held_delta - e.posted_delta
    return {
        "currency": e.currency,
        "available_before_minor": before,
        "asked_minor": body.amount_minor + body.fee_minor,
        "available_after_minor": available,
        "says": "funds_insufficient" if e.verdict == "no_funds" else "no objection",
    }


def quickest(work: Any) -> float:
    """Microseconds of one round."""
    clock, best = SystemClock(), float("inf")
    for _ in range(ROUNDS):
        started = clock.monotonic()
        work()
        best = min(best, clock.monotonic() - started)
    return round(best * 1e6, 2)
