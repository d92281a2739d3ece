"""Referrals that wait for a person, as plain data; and what became of one that is decided."""

from collections.abc import Iterable
from math import ceil
from typing import Any

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.app.cli import hidden
from authz.app.history import Plain, Reach, newest_first
from authz.app.looking import NotThere, read_one
from authz.app.past import Past
from authz.clock import utc
from authz.hot import keys
from authz.hot.reviews import COUNTS, Case, ReviewCounts
from ledger.journal import AuthorizationBody, IncrementBody, ReviewBody
from rules.facts import EXACT_MAX

ENTRIES_MAX = 1_000_000  # looked through for a decision; some 7 s
# What is converted costs more or less with the next day's rate.
RATES_MOVE_PERCENT = 5

read_body = msgspec.msgpack.Decoder(AuthorizationBody | IncrementBody).decode


class Waiting(Struct, frozen=True):
    """One open case."""

    message_id: str
    account_id: str
    card_id: str
    since: int
    body: AuthorizationBody | IncrementBody

    @property
    def asked(self) -> AuthorizationBody:
        return self.body.asked if isinstance(self.body, IncrementBody) else self.body


async def waiting(client: Redis, most: int) -> tuple[list[Waiting], ReviewCounts]:
    """The oldest so many, and how many there are and were."""
    found = await members(client)
    cases = await read(client, found[:most])
    async with client.pipeline(transaction=False) as pipeline:
        for call in COUNTS:
            pipeline.execute_command(*call)
        return cases, ReviewCounts.of(await pipeline.execute())


async def find(client: Redis, message_id: str, past: Past | None = None) -> Waiting:
    """One that waits. Raises: NotThere, with what became of it."""
    named = [one for one in await members(client) if one[2] == message_id]
    cases = await read(client, named)
    if not cases:
        raise NotThere(await what_became_of(client, message_id, past))
    return cases[0]


async def members(client: Redis) -> list[tuple[int, str, str]]:
    """Since when, account and message of every open case, the oldest first."""
    async with client.pipeline(transaction=False) as pipeline:
        for shard in keys.ALL_SHARDS:
            pipeline.zrange(keys.reviews(shard), 0, -1, withscores=True)
        shards = await pipeline.execute()
    return sorted(
        (int(since), account_id, id)
        for shard in shards
        for member, since in shard
        for account_id, _, id in [member.decode().rpartition(" ")]
    )


async def read(client: Redis, found: Iterable[tuple[int, str, str]]) -> list[Waiting]:
    """Their facts. One that was decided meanwhile is left out, and so is one that an other version
    of ours has written."""
    found = list(found)
    async with client.pipeline(transaction=False) as pipeline:
        for _, account_id, id in found:
            pipeline.hget(keys.account(account_id), keys.review_field(id))
        packed = await pipeline.execute()
    cases = []
    for (since, account_id, id), one in zip(found, packed, strict=True):
        try:
            case = Case.kept(one or b"")
            cases.append(Waiting(id, account_id, case.card_id, since, read_body(case.body)))
        except (ValueError, msgspec.MsgspecError):
            continue
    return cases


async def what_became_of(client: Redis, message_id: str, past: Past | None = None) -> str:
    reach = Reach(ENTRIES_MAX)
    async for entry in newest_first(client, keys.ALL_SHARDS, reach, past=past):
        e, body = entry.envelope, entry.body
        if e.message_id != message_id:
            continue
        if isinstance(body, ReviewBody):
            at = utc(e.at_ms).isoformat(timespec="seconds")
            if e.verdict == "ended":
                return f"that case ended at {at}: nobody decided it in time; nothing was changed"
            said = f"that case was {e.verdict} at {at}, by {body.source}"
            return f"{said}; nothing was changed"
        if e.review == "full":
            return "there was no room for a case when that message was referred"
        if isinstance(body, AuthorizationBody | IncrementBody):
            return "that message opened no case: it was not referred, or its answer was withdrawn"
    return "no case of that id" + ("" if reach.whole else f" in what was looked through{reach.but}")


async def allowed_by(client: Redis, case: Waiting) -> int:
    """What its approval allows, if nobody says otherwise: what was asked with its fees. What was
    converted may cost a little more tomorrow; an increment counts with what it adds to."""
    asked = case.asked
    minor = max(asked.amount_minor, asked.settle_minor)
    if asked.currency != asked.transaction_currency or asked.rate:
        minor = ceil(minor * (100 + RATES_MOVE_PERCENT) / 100)
    if isinstance(case.body, IncrementBody):
        _, seen = await read_one(client, case.account_id)
        ids = {
            id
            for _, reference in case.body.references
            for id in seen.references.get(reference, "").split()
        }
        minor += max((seen.records[id].spent for id in ids if id in seen.records), default=0)
    return min(minor, EXACT_MAX)


def listed(case: Waiting, now_s: int) -> Plain:
    """A line of the list."""
    asked = case.asked
    return {
        "age": age(now_s - case.since),
        "review_id": case.message_id,
        "amount_minor": asked.amount_minor,
        "amount_currency": asked.currency,
        "merchant": shown(asked.merchant_name) or asked.merchant_id,
        "rule": asked.rule,
        "card_id": case.card_id,
    }


def facts(case: Waiting, now_s: int) -> Plain:
    """All that the journal has of it, but what finds the card."""
    a = case.asked
    return {
        "review_id": case.message_id,
        "waits_since": utc(case.since * 1000).isoformat(),
        "age": age(now_s - case.since),
        "account_id": case.account_id,
        "card_id": case.card_id,
        "kind": "increment" if isinstance(case.body, IncrementBody) else "authorization",
        "rule": a.rule,
        "policy": a.policy,
        "flags": list(a.flags),
        "exception_used_up": a.exception,
        "amount_minor": a.amount_minor,
        "amount_currency": a.currency,
        "fees_minor": a.fee_minor,
        "fees_currency": a.currency,
        "transaction_minor": a.transaction_minor,
        "transaction_currency": a.transaction_currency,
        "merchant_name": shown(a.merchant_name),
        "merchant_id": a.merchant_id,
        "terminal_id": a.terminal_id,
        "acquirer_id": a.acquirer_id,
        "mcc": a.mcc,
        "country": a.country,
        "purpose": a.purpose,
        "channel": a.channel,
        "card_present": a.card_present,
        "authenticated": a.authenticated,
        "network": a.network,
        "mti": a.mti,
        "stan": a.stan,
        "rrn": a.rrn,
        "sent_at": utc(a.sent_at * 1000).isoformat(timespec="seconds"),
    }


def shown(name: str) -> str:
    """A merchant's own words, on a terminal."""
    return hidden("".join(c if c.isprintable() else "?" for c in name))


def age(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def counted(counts: ReviewCounts) -> dict[str, Any]:
    return {
        "waiting": counts.waiting,
        "opened": counts.opened,
        "not_opened": counts.full,
        "approved": counts.approved,
        "declined": counts.declined,
        "ended": counts.ended,
    }
