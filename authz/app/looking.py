"""Looking: one card, account or authorization as the hot state has it, as plain data.

Ids alone do not say which shard a thing is in, so what is not an account is searched for,
over at most `SEARCH_MAX` keys; naming the account saves the search.
"""

from typing import Any

import msgspec
from redis.asyncio import Redis

from authz.app.meaning import is_id
from authz.clock import utc
from authz.hot import keys
from authz.profiles import read_account, read_card
from authz.replay import read_body, read_envelope
from authz.standing import Seen, look_call, read_look
from ledger.journal import BODY, ENVELOPE, AuthorizationBody, Envelope, ReversalBody
from rules.facts import AccountProfile, CardProfile

SEARCH_MAX = 5_000_000  # keys looked through for an id; a million cards with their accounts
JOURNAL_MAX = 200_000  # newest entries of the shard looked through for an authorization
STEP = 2000

Plain = dict[str, Any]


class NotThere(Exception):
    """No such thing, or not within the bound of the search. The text says which."""


async def look_at_account(client: Redis, account_id: str) -> Plain:
    """Raises: NotThere."""
    profile, seen = await read_one(client, account_id)
    posted = seen.amounts.get(f"posted:{profile.currency}", 0)
    held = seen.amounts.get(f"held:{profile.currency}", 0)
    held_now = {id: record for id, record in seen.records.items() if record.holds > 0}
    return {
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
        "counters": dict(sorted(seen.used.items())),
        "authorizations": len(seen.records),
        "open": [
            {
                "authorization_id": id,
                "card_id": record.card,
                "held_minor": record.holds,
                "expires_at": utc(record.expires * 1000).isoformat(),
            }
            for id, record in sorted(held_now.items(), key=lambda item: item[1].expires)
        ],
    }


async def look_at_card(client: Redis, card_id: str, account_id: str | None) -> Plain:
    """Raises: NotThere."""
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
        "version": int(version),
        "currency": profile.currency,
        "limit_subject": card.limit_subject,
        "per_transaction_minor": card.transaction_limit_minor,
        "daily_amount_minor": card.daily_amount_minor,
        "daily_count": card.daily_count,
        "blocked_mccs": list(card.blocked_mccs),
        "counters": {k: v for k, v in sorted(seen.used.items()) if k.startswith(mine)},
        "open": sum(1 for r in seen.records.values() if r.card == card_id and r.holds > 0),
    }


async def look_at_authorization(client: Redis, id: str, account_id: str | None) -> Plain:
    """Raises: NotThere."""
    if account_id is None:
        account_id = await search(client, keys.authorization_field(id))
    _, seen = await read_one(client, account_id)
    record = seen.records.get(id)
    if record is None:
        raise NotThere("no such authorization on this account")
    entries, all_read = await entries_of(client, account_id, id)
    state = "open" if record.holds else "closed" if record.original else "reversed before it came"
    return {
        "authorization_id": id,
        "account_id": account_id,
        "card_id": record.card,
        "state": state,
        "currency": record.currency,
        "approved_minor": record.approved,
        "held_minor": record.holds,
        "expires_at": utc(record.expires * 1000).isoformat() if record.expires else None,
        "original": record.original or None,
        "counters": [counter for counter, _ in record.touched],
        "acts": [
            {
                "kind": f"{act.kind} reversal",
                "message_id": act.message_id,
                "sent_at": utc(act.sent_at * 1000).isoformat(),
                # As the network told it: in the transaction's currency unless it says another.
                "remaining_minor": act.remaining,
                "currency": act.currency or record.asked_in,
            }
            for act in record.acts
        ],
        "entries": entries,
        "journal_read_whole": all_read,
    }


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


async def entries_of(client: Redis, account_id: str, id: str) -> tuple[list[Plain], bool]:
    """The authorization's journal entries, oldest first, and whether all the journal was read."""
    key, found = keys.account_keys(account_id)[3], list[Plain]()
    end, looked_at = "+", 0
    while looked_at < JOURNAL_MAX:
        page = await reply(client, "XREVRANGE", key, end, "-", "COUNT", STEP)
        for stream_id, fields in page:
            e = read_envelope(fields[ENVELOPE])
            if e.account_id == account_id and id in (e.authorization_id, e.message_id):
                found.insert(0, entry(stream_id.decode(), e, fields[BODY]))
        looked_at += len(page)
        if len(page) < STEP:
            return found, True
        end = f"({page[-1][0].decode()}"
    return found, False


def entry(stream_id: str, e: Envelope, packed: bytes) -> Plain:
    """One entry without what the body keeps to find the card again."""
    try:
        body = read_body(packed)
    except msgspec.MsgspecError:
        body = None
    told: Plain = {}
    if isinstance(body, AuthorizationBody):
        told = {
            "amount_minor": body.amount_minor, "planned": body.planned, "mcc": body.mcc,
            "merchant_id": body.merchant_id, "terminal_id": body.terminal_id,
            "stan": body.stan, "rrn": body.rrn,
        }  # fmt: skip
    elif isinstance(body, ReversalBody):
        told = {"remaining_minor": body.remaining_minor, "stan": body.stan, "rrn": body.rrn}
    return {
        "stream_id": stream_id,
        "at": utc(e.at_ms).isoformat(),
        "kind": e.kind,
        "verdict": e.verdict,
        "detail": e.detail,
        "message_id": e.message_id,
        "held_delta_minor": e.held_delta,
        "held_after_minor": e.held_after,
        **told,
    }
