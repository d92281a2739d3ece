"""Looking: one card, account or authorization as the hot state has it, as plain data.

Ids alone do not say which shard a thing is in, so what is not an account is searched for,
over at most `SEARCH_MAX` keys; naming the account saves the search.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from authz.app.exceptions import in_force
from authz.app.history import Plain, Reach, facts_of, newest_first, told
from authz.app.meaning import is_id
from authz.clock import SystemClock, day_named, utc
from authz.hot import keys
from authz.hot.life import ACTS, state_of
from authz.hot.record import Act, Record, amounts_of, decode_record, targets_of
from authz.profiles import read_account, read_card
from authz.standing import Seen, look_call, read_look
from ledger.journal import AdviceBody, ClearingBody, Entry, LedgerBody
from rules.facts import AccountProfile, CardProfile
from rules.reason import Reason

SEARCH_MAX = 5_000_000  # keys looked through for an id; a million cards with their accounts
JOURNAL_MAX = 200_000  # newest entries of one shard looked through: a second or two
MESSAGES_MAX = 1_000_000  # newest entries looked through for a message: some 7 s
STEP = 2000
NOT_JOURNALLED = (
    "the journal has no repeats, and nothing that was answered 30, 12, 91 or 94. "
    "Most that were refused with 30 or 12 are in the engine's log, by MTI and STAN"
)


class Wanted(Struct, frozen=True, kw_only=True):
    """A message, by what is known of it; "" for what is not."""

    stan: str = ""
    rrn: str = ""
    account_id: str = ""
    card_id: str = ""
    card_key: str = ""  # finds what was answered for a card that is not ours, too
    since_ms: int = 0

    def is_met_by(self, entry: Entry) -> bool:
        e, body = entry.envelope, facts_of(entry)
        if self.stan and self.stan != getattr(body, "stan", ""):
            return False
        if self.rrn and self.rrn != getattr(body, "rrn", ""):
            return False
        if self.card_id or self.card_key:
            return is_of_card(entry, self.card_id, self.card_key)
        return self.account_id in ("", e.account_id)


# Verdicts of acts that a person must look at.
EXCEPTIONS = frozenset({"unmatched", "unapplied", "beyond", "overdue"})


class NotThere(Exception):
    """No such thing, or not within the bound of the search. The text says which."""


async def look_at_account(client: Redis, account_id: str, acts: int = 0) -> Plain:
    """Raises: NotThere."""
    profile, seen = await read_one(client, account_id)
    posted = seen.amounts.get(f"posted:{profile.currency}", 0)
    held = seen.amounts.get(f"held:{profile.currency}", 0)
    found = {
        "account_id": account_id,
        "program": profile.program,
        "state": profile.state,
        "version": seen.version,
        "currency": profile.currency,
        "time_zone": profile.time_zone,
        "posted_minor": posted,
        "held_minor": held,
        "credit_line_minor": profile.credit_line_minor,
        "available_minor": posted - held + profile.credit_line_minor,
        "cards": [
            {"card_id": card.card_id, "state": card.state, "expiry": card.expiry}
            for card in (read_card(packed.partition(b" ")[2]) for packed in seen.cards.values())
        ],
        "counters": dict(sorted(seen.used.items())),
        **authorizations(seen.records),
    }
    return found | await latest(
        client, account_id, acts, lambda entry: entry.envelope.account_id == account_id
    )


async def look_at_card(
    client: Redis, card_id: str, account_id: str | None, acts: int = 0, card_key: str = ""
) -> Plain:
    """`card_key` also finds what was only taken note of. Raises: NotThere."""
    if not is_id(card_id):
        raise NotThere("no such card")  # nor a pattern that finds another
    if account_id is None:
        account_id = await search(client, keys.card_field(card_id))
    found = await reply(client, "HGET", keys.account(account_id), keys.card_field(card_id))
    if found is None:
        raise NotThere("no such card")
    version, _, packed = found.partition(b" ")
    card: CardProfile = read_card(packed)
    profile, seen = await read_one(client, card.account_id)
    mine = f"{card.limit_subject}/"
    return {
        "card_id": card.card_id,
        "account_id": card.account_id,
        "state": card.state,
        "expiry": card.expiry,
        "issued": day_named(card.issued_day) if card.issued_day else "",
        "version": int(version),
        "currency": profile.currency,
        "limit_subject": card.limit_subject,
        "per_transaction_minor": card.transaction_limit_minor,
        "daily_amount_minor": card.daily_amount_minor,
        "daily_count": card.daily_count,
        "blocked_mccs": list(card.blocked_mccs),
        "exceptions": in_force(card, seen.used, SystemClock().now_ms() // 1000),
        "counters": {k: v for k, v in sorted(seen.used.items()) if k.startswith(mine)},
        **authorizations({id: r for id, r in seen.records.items() if r.card == card_id}),
    } | await latest(client, account_id, acts, lambda entry: is_of_card(entry, card_id, card_key))


def authorizations(records: Mapping[str, Record]) -> Plain:
    """How many there are, as `authz reconcile` counts them, and those that hold something."""
    held_now = {id: record for id, record in records.items() if record.holds > 0}
    return {
        # Judged and approved. After an early reversal there may be a record of a decline.
        "approved_authorizations": sum(
            1 for r in records.values() if r.original and r.given.kind == "held"
        ),
        "early_reversals": sum(1 for r in records.values() if not r.original),
        "open": [
            {
                "authorization_id": id,
                "card_id": record.card,
                "currency": record.currency,
                "held_minor": record.holds,
                "expires_at": utc(record.expires * 1000).isoformat(),
            }
            for id, record in sorted(held_now.items(), key=lambda item: item[1].expires)
        ],
    }


def is_of_card(entry: Entry, card_id: str, card_key: str) -> bool:
    """What was only taken note of has no card id: it is known by its card key."""
    if card_id and entry.envelope.card_id == card_id:
        return True
    return card_key != "" and getattr(facts_of(entry), "card_key", "") == card_key


async def latest(
    client: Redis, account_id: str, count: int, is_wanted: Callable[[Entry], bool]
) -> Plain:
    """The newest acts in the account's shard, of those that are wanted."""
    if count == 0:
        return {}
    shards, reach = (keys.shard_of(account_id),), Reach(JOURNAL_MAX)
    acts, is_all = await gather(client, newest_first(client, shards, reach), count, is_wanted)
    return {"latest_acts": acts, "older_left_out": not (is_all and reach.whole)}


async def gather(
    client: Redis, entries: AsyncIterator[Entry], count: int, is_wanted: Callable[[Entry], bool]
) -> tuple[list[Plain], bool]:
    """The first so many that are wanted, and whether there were no more."""
    found = list[Plain]()
    async for entry in entries:
        if is_wanted(entry):
            if len(found) == count:
                return found, False
            found.append(await told_with_ceiling(client, entry))
    return found, True


async def told_with_ceiling(client: Redis, entry: Entry) -> Plain:
    """An act; where the card's own ceiling refused, with it, if the card is as it was then.

    Counters and funds have theirs in the journal; this one is read off the card's profile.
    """
    act, e = told(entry), entry.envelope
    if act["reason"] != Reason.TRANSACTION_LIMIT:
        return act
    card = await reply(client, "HGET", keys.account(e.account_id), keys.card_field(e.card_id))
    version, _, packed = (card or b"").partition(b" ")
    if e.versions[1:2] == [int(version or 0)]:
        return act | {"ceiling_minor": read_card(packed).transaction_limit_minor}
    return act | {"detail": "per_transaction; the card was changed since"}


async def look_for_message(client: Redis, wanted: Wanted, count: int) -> Plain:
    """Acts by what their message carried, over all shards or the account's. Raises: NotThere."""
    shards = keys.ALL_SHARDS
    if wanted.account_id:
        shards = (keys.shard_of(wanted.account_id),)
    reach = Reach(MESSAGES_MAX)
    entries = newest_first(client, shards, reach, wanted.since_ms)
    messages, is_all = await gather(client, entries, count, wanted.is_met_by)
    if not messages:
        where = "" if reach.whole else f" among the {MESSAGES_MAX:,} newest entries"
        raise NotThere(f"no such message{where}; {NOT_JOURNALLED}")
    return {
        "messages": messages,
        "older_left_out": not (is_all and reach.whole),
        "entries_looked_at": reach.looked_at,
        "entries_unreadable": reach.unreadable,
    }


async def look_for_exceptions(
    client: Redis, wanted: Wanted, count: int, *, with_cleared: bool = True
) -> Plain:
    """What was taken in without the authorization that it belongs to, or could not be applied;
    less what has found its authorization since. `with_cleared`: what clearing files left, too, as
    far as the journal tells of it. Raises: NotThere, where there is no such account.
    """
    if wanted.account_id:
        await read_one(client, wanted.account_id)
    shards = (keys.shard_of(wanted.account_id),) if wanted.account_id else keys.ALL_SHARDS
    reach, found = Reach(MESSAGES_MAX), list[Plain]()
    async for entry in newest_first(client, shards, reach, wanted.since_ms):
        asked_for = entry.envelope.verdict in EXCEPTIONS and wanted.is_met_by(entry)
        if not with_cleared and isinstance(entry.body, ClearingBody | LedgerBody):
            continue
        if asked_for and await still_alone(client, entry):
            if len(found) == count:
                return {"exceptions": found, "older_left_out": True}
            found.append(told(entry))
    return {"exceptions": found, "older_left_out": not reach.whole}


async def still_alone(client: Redis, entry: Entry) -> bool:
    """Whether an unmatched act has no authorization yet, an unapplied reversal names nothing yet.

    What was only noted never has one. An advice that it was declined there takes nothing back as a
    rule, since nobody had asked us.
    """
    e = entry.envelope
    if isinstance(entry.body, AdviceBody) and not entry.body.approved:
        return False
    if e.verdict not in ("unmatched", "unapplied") or not e.authorization_id:
        return True
    field = keys.authorization_field(e.authorization_id)
    packed = await reply(client, "HGET", keys.account(e.account_id), field)
    if packed is None:
        return False
    record = decode_record(packed)
    if e.verdict == "unmatched":
        return not record.original
    named = [act.names for act in record.acts if act.message_id == e.message_id]
    return not targets_of(record.acts) & {name for name in named if name}


async def look_at_authorization(client: Redis, id: str, account_id: str | None) -> Plain:
    """Raises: NotThere."""
    if account_id is None:
        account_id = await search(client, keys.authorization_field(id))
    _, seen = await read_one(client, account_id)
    record = seen.records.get(id)
    if record is None:
        raise NotThere("no such authorization on this account")
    entries, all_read = await entries_of(client, account_id, id)
    raised = [amounts_of(record, act)[0] for act in record.acts if act.kind == "more"]
    return {
        "authorization_id": id,
        "account_id": account_id,
        "card_id": record.card,
        "state": state_of(record),
        "currency": record.currency,
        "approved_minor": record.approved,
        **({"increments_minor": sum(raised)} if raised else {}),
        "held_minor": record.holds,
        "posted_minor": record.posted * record.sign,
        **({"expires_at": utc(record.expires * 1000).isoformat()} if record.holds else {}),
        "original": record.original or None,
        "counters": [one.counter for one in record.touched],
        "acts": [
            {
                "kind": ACTS[act.kind].words,
                "message_id": act.message_id,
                "sent_at": utc(act.sent_at * 1000).isoformat(),
                **amount_of(act, record),
            }
            for act in record.acts
        ],
        "entries": entries,
        "journal_read_whole": all_read,
    }


def amount_of(act: Act, record: Record) -> Plain:
    """As the network told it: in the transaction's currency unless it says another."""
    if act.kind in ("expired", "released"):
        return {"amount_minor": None, "amount_currency": ""}
    name = "remaining" if act.kind in ("full", "part") else "amount"
    return {f"{name}_minor": act.amount, f"{name}_currency": act.amount_in or record.asked_in}


async def read_one(client: Redis, account_id: str) -> tuple[AccountProfile, Seen]:
    seen, _ = read_look(await reply(client, *look_call(account_id)))
    if not seen.version:
        raise NotThere("no such account")
    return read_account(seen.profile), seen


async def reply(client: Redis, *command: Any) -> Any:
    """What a command answers, as redis-py reads it; its own methods promise less than that."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def search(client: Redis, field: str) -> str:
    """The account that has this field. Raises: NotThere."""
    cursor: bytes | int = 0
    looked_at = 0
    while looked_at < SEARCH_MAX:
        cursor, page = await reply(
            client, "SCAN", cursor, "MATCH", "authz:{*}:account:*", "COUNT", STEP
        )
        looked_at += STEP
        async with client.pipeline(transaction=False) as pipeline:
            for key in page:
                pipeline.hexists(key, field)
            has = await pipeline.execute()
        for key, found in zip(page, has, strict=True):
            if found:
                return str(key.decode().partition("}:account:")[2])
        if int(cursor) == 0:
            raise NotThere("no such id in this store")
    raise NotThere(f"not among the first {SEARCH_MAX} keys: name its account with --account")


async def look_for_card(client: Redis, card_id: str) -> tuple[str, str, str]:
    """Its key in the directory, its id and its account, by the id alone. Raises: NotThere."""
    cursor: bytes | int = 0
    looked_at = 0
    while is_id(card_id) and looked_at < SEARCH_MAX:
        cursor, page = await reply(
            client, "SCAN", cursor, "MATCH", keys.directory("*"), "COUNT", STEP
        )
        looked_at += STEP
        async with client.pipeline(transaction=False) as pipeline:
            for key in page:
                pipeline.hmget(key, "card", "account")
            rows = await pipeline.execute()
        for key, (card, account) in zip(page, rows, strict=True):
            if card == card_id.encode():
                return key.decode().partition("{")[2].removesuffix("}"), card_id, account.decode()
        if int(cursor) == 0:
            break
    raise NotThere("no such card")


async def entries_of(client: Redis, account_id: str, id: str) -> tuple[list[Plain], bool]:
    """The authorization's journal entries, oldest first, and whether all the journal was read."""
    found, reach = list[Plain](), Reach(JOURNAL_MAX)
    async for entry in newest_first(client, (keys.shard_of(account_id),), reach):
        e = entry.envelope
        if e.account_id == account_id and id in (e.authorization_id, e.message_id):
            found.append(told(entry))
    return found[::-1], reach.whole
