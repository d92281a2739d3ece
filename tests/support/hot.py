"""Both hot states side by side, and the whole of what they hold as comparable data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis

from authz.hot import admin, keys
from authz.hot.acts import PutAccount, PutCard
from authz.hot.memory import MemoryHotState
from authz.hot.outbox import Word
from authz.hot.record import decode_record
from authz.hot.resp import connect
from authz.hot.reviews import Case
from authz.hot.store import RedisHotState
from authz.standing import read_look
from ledger.journal import AccountBody, CardBody, encode_body

EVER = ("posted:840", "held:840")  # of the account's own currency; of others, while not zero
EMPTY = msgspec.Raw(msgspec.msgpack.encode([]))


async def opened(url: str) -> RedisHotState:
    """A store with the library loaded and its gates open; new unless opened before."""
    client = admin.administrator(url)
    await admin.install(client)
    if await admin.state_of_gates(client) == "new":
        await admin.open_gates(client, new=True, source="test")
    run = await admin.run_id(client)
    await client.aclose()
    state = RedisHotState()
    state.attach(await connect(url), run)
    return state


@asynccontextmanager
async def store_and_client(url: str) -> AsyncIterator[tuple[RedisHotState, Redis]]:
    """An opened store, and an administrator to look at it."""
    state, client = await opened(url), admin.administrator(url)
    connection = state._connection
    try:
        yield state, client
    finally:
        assert connection is not None
        connection.close()
        await client.aclose()
        await asyncio.sleep(0)


def account_act(
    account_id: str, opening: int, profile: bytes = b"p1", currency: str = "840"
) -> PutAccount:
    body = encode_body(AccountBody(EMPTY, opening, "test"))
    return PutAccount(
        account_id=account_id, profile=profile, currency=currency, opening_minor=opening, body=body
    )


def card_act(card_id: str, account_id: str, profile: bytes = b"c1") -> PutCard:
    body = encode_body(CardBody(EMPTY, "key", "test"))
    return PutCard(card_id=card_id, account_id=account_id, profile=profile, body=body)


async def dump_redis(client: Any, account_id: str) -> dict[str, Any]:
    """One account in Redis, in the shape of `dump_memory`."""
    look = await client.fcall_ro("authz_look", 4, *keys.account_keys(account_id))
    _, balance, auth, ref, _ = (_pairs(flat) for flat in look[:5])
    seen, rows = read_look(look)
    assert not rows, rows
    expiry = await client.zrange(keys.account_keys(account_id)[2], 0, -1, withscores=True)
    reviews = await client.zrange(keys.reviews(keys.shard_of(account_id)), 0, -1)
    listed = [member.decode().partition(" ") for member in reviews]
    records = {}
    for id, packed in auth.items():
        records[id] = decode_record(packed.encode("latin-1"))
    return {
        "balance": {k: int(v) for k, v in balance.items() if int(v) or k in EVER},
        "records": records,
        "references": ref,
        "used": live(seen.used, seen.ends, seen.clock),
        "expiry": {
            member.decode().split(" ")[1]: int(score)
            for member, score in expiry
            if member.decode().split(" ")[0] == account_id
        },
        "reviews": {id: _undated(case.encode("latin-1")) for id, case in _pairs(look[7]).items()},
        "listed": {id for of, _, id in listed if of == account_id},
    }


def _undated(case: bytes) -> tuple[str, bytes]:
    """Twin and store have clocks of their own."""
    kept = Case.kept(case)
    return kept.card_id, kept.body


def _pairs(flat: list[bytes]) -> dict[str, str]:
    text = [item.decode("latin-1") for item in flat]
    return dict(zip(text[::2], text[1::2], strict=True))


def dump_memory(model: MemoryHotState, account_id: str) -> dict[str, Any]:
    a = model.accounts[account_id]
    balance = {f"posted:{c}": v for c, v in a.posted.items()}
    balance |= {f"held:{c}": v for c, v in a.held.items()}
    return {
        "balance": {k: v for k, v in balance.items() if v or k in EVER},
        "records": a.records,
        "references": dict(a.references),
        "used": live(a.used.flat(), a.used.ends, a.used.clock),
        "expiry": dict(a.expiry),
        "reviews": {id: _undated(case) for id, case in a.reviews.items()},
        "listed": set(a.reviews),
    }


def live(used: dict[str, int], ends: dict[str, int], clock: int) -> dict[str, int]:
    """Counters that are not zero and have not come to their end: those are dropped at leisure."""
    return {k: v for k, v in used.items() if v and not 0 < ends.get(k, 0) <= clock}


def word(network: str = "generic", code: str = "add", sealed: str = "sealed") -> Word:
    return Word(network, code, sealed)


__all__ = [
    "account_act",
    "card_act",
    "dump_memory",
    "dump_redis",
    "opened",
    "store_and_client",
    "word",
]
