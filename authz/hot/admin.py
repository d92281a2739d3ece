"""The administrator's side of the hot state: library, gate, and what the engine refuses.

Everything here goes through redis-py, off the hot path. Its retries are switched off
on purpose: it re-sends a timed-out command ten times by default.
"""

import secrets
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from authz.hot import keys, library
from ledger.journal import GateBody, encode_body

# Entries per shard before the door is closed: the journal is the only copy of what the
# ledger has not read yet, so it is never cut. 64 shards of these are some 25 GB.
JOURNAL_CAP = 1_000_000


LAYOUT = b"4"  # as control.lua has it
EMPTY = (
    "the store is empty: load accounts into it, or give it back what the books have (authz rebuild)"
)
UNFINISHED = (
    "the store is being rebuilt: until that is finished nothing is decided by it; where it was "
    "broken off, run authz rebuild again"
)
OTHER_LAYOUT = (
    "the store was made with another layout or shard count, by another version of authz: go on "
    "with that one, or load a new store"
)

# Under another key every card is unknown, and a card that is loaded stands on a second account.
OTHER_KEY = (
    "the PAN key is not the one that this store's cards are kept under: name that one with "
    "pan.key_file, or restore pan.key beside the store's data"
)


class NotFit(Exception):
    """The store is one that must not be used; the text says what to change."""


def administrator(url: str) -> Redis:
    """A redis-py client that never re-sends. `url`: unix:///path or redis://host:port."""
    client: Redis = Redis.from_url(
        url, socket_timeout=30, retry=Retry(NoBackoff(), 0), retry_on_timeout=False
    )
    return client


async def run_id(client: Redis) -> str:
    """Which run of the server this is: another after every restart and failover."""
    info = await client.info("server")
    return str(info["run_id"])


async def store_id(client: Redis) -> str:
    """Which store this is, whatever its address and however often it was restarted.

    Drawn when it is first opened, or first asked for. A copy has its original's; an emptied
    store is another one.
    """
    await client.set(keys.STORE_ID, secrets.token_hex(8), nx=True)
    found: Any = await client.get(keys.STORE_ID)
    return str(found, "ascii")


async def check_pan_key(client: Redis, check: str, *, claim: bool) -> None:
    """Refuse a key that is not the one of this store's cards; `check` is `PanKeys.check`.

    `claim`: where the store knows of none yet, this is the one from now on.
    Raises: NotFit.
    """
    found: Any = await client.get(keys.PAN_KEY)
    if found is None and claim:
        found = await client.set(keys.PAN_KEY, check, nx=True, get=True)
    if found not in (None, check.encode()):
        raise NotFit(OTHER_KEY)


async def install(client: Redis) -> bool:
    """Load the function library if the store has another one, or none. True if it was loaded."""
    source = library.source()
    loaded = await client.function_list(library.NAME, withcode=True)
    for entry in loaded:
        if source.encode() in _flat(entry):
            return False
    await client.function_load(source, replace=True)
    return True


def _flat(entry: Any) -> list[Any]:
    """A FUNCTION LIST row is a flat list or a map, by protocol version."""
    return list(entry.values()) if isinstance(entry, dict) else list(entry)


async def check_fit(client: Redis, appendfsync: str) -> None:
    """Refuse a store that may drop what it was told to keep.

    Raises: NotFit, naming the setting: an evicting maxmemory-policy, no append-only
        file, or a weaker fsync than configured ("always", "everysec", "no", "off").
    """
    memory, persistence = await client.info("memory"), await client.info("persistence")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise NotFit(f"maxmemory-policy is {policy}: an evicted balance reads as nothing held")
    if appendfsync == "off":
        return
    if not persistence.get("aof_enabled"):
        raise NotFit("appendonly is off: a restart would forget every hold (or set fsync = off)")
    found = (await client.config_get("appendfsync"))["appendfsync"]
    strength = ("no", "everysec", "always")
    if strength.index(found) < strength.index(appendfsync):
        raise NotFit(f"appendfsync is {found}, weaker than the configured {appendfsync}")


async def open_gates(client: Redis, *, new: bool, source: str, cap: int = JOURNAL_CAP) -> str:
    """Let acts in, on every shard, for the store's present run.

    `new` opens a store that holds nothing; otherwise it must have been opened before,
    and audited by the caller. Returns the run id.
    Raises: NotFit where that is not so.
    """
    state = await state_of_gates(client)  # first: a gate that was opened stays open
    if state == "rebuilding":
        raise NotFit(UNFINISHED)
    if new and state != "new":
        raise NotFit("the store has been opened before: it is not a new one")
    if not new and state == "new":
        raise NotFit(EMPTY)
    if state == "torn":
        raise NotFit("some shards of the store were never opened: restore it, or start anew")
    await store_id(client)
    return await let_in(client, "new" if new else "audited", source, cap)


async def let_in(client: Redis, how: str, source: str, cap: int) -> str:
    """`open_gates`, where the caller knows that they may be. Raises: NotFit."""
    run = await run_id(client)
    body = encode_body(GateBody(run, source))
    async with client.pipeline(transaction=False) as pipeline:
        for shard in keys.ALL_SHARDS:
            pipeline.fcall(
                "authz_open_gate", 2, keys.control(shard), keys.journal(shard),
                run, keys.SHARDS, cap, body, how,
            )  # fmt: skip
        replies = await pipeline.execute()
    said = {reply[1].decode() for reply in replies}
    if "other_layout" in said:
        raise NotFit(OTHER_LAYOUT)
    if said != {"open"}:
        raise NotFit("the store was opened by somebody else in the same moment: look again")
    return run


async def state_of_gates(client: Redis) -> str:
    """open | new (never opened) | shut (opened for another run) | torn (some of each) |
    rebuilding (authz rebuild is not finished)."""
    run = (await run_id(client)).encode()
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.exists(keys.REBUILDING)
        for shard in keys.ALL_SHARDS:
            pipeline.hmget(keys.control(shard), "layout", "run_id")
        rebuilding, *rows = await pipeline.execute()
    if rebuilding:
        return "rebuilding"
    if all(layout is None for layout, _ in rows):
        return "new"
    if any(layout is None for layout, _ in rows):
        return "torn"
    if any(layout != LAYOUT for layout, _ in rows):
        raise NotFit(OTHER_LAYOUT)
    return "open" if all(found == run for _, found in rows) else "shut"
