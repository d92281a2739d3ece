"""Everything that a store holds, as data that can be compared before it was lost and after it was
rebuilt; less what docs/recovery.md names as not coming back."""

from typing import Any

import msgspec

from authz.hot import keys
from authz.hot.record import decode_record
from authz.hot.refold import judged_at
from authz.standing import Seen, read_counter
from rules.counters import DAY_S

# Of a control hash: which run it is open for, and how often it was; its chain, which the opening of
# the gates goes on with (`chains`); what a rebuild writes anew.
OF_THE_RUN = {"run_id", "epoch", "entries", "digest", keys.FROM_BOOKS, "totals_from"}
LIFE_MS = 5000  # by which the lives of answers may differ: a rebuild takes a while

unpack = msgspec.msgpack.decode


async def picture(client: Any, now_s: int = 0) -> dict[str, Any]:
    """By key, but for the journals, the outboxes and what is of one run of the store. `now_s`: by
    the clock of those who ask; what ended by then is dropped when somebody comes by."""
    found: dict[str, Any] = {}
    async for raw in client.scan_iter(match="authz:*", count=1000):
        key = raw.decode()
        if key.endswith(":journal") or ":outbox" in key:
            continue
        if key in (keys.GATE_LOCK, keys.REBUILT):
            continue
        kind = await client.type(key)
        if kind == b"string":
            value = await client.get(key)
            found[key] = value if key.startswith("authz:{gate}") else answer_of(value)
        elif kind == b"zset":
            found[key] = dict(await client.zrange(key, 0, -1, withscores=True))
        else:
            fields = await client.hgetall(key)
            found[key] = seen(key, {name.decode(): value for name, value in fields.items()}, now_s)
    return {key: value for key, value in found.items() if value}


def answer_of(packed: bytes) -> Any:
    """But for the attempts that may have delivered it: a repeat of which nothing was journalled
    adds itself to them."""
    given = unpack(packed)
    given[5] = given[5][:1]
    return given


def seen(key: str, fields: dict[str, bytes], now_s: int) -> dict[str, Any]:
    if key.endswith(":control"):
        return {
            name: value
            for name, value in fields.items()
            if name not in OF_THE_RUN and name[:2] not in ("q:", "qw", "l:", "lw")
            and value not in (b"0 0", b"0")
        } | used_of(fields)  # fmt: skip
    if ":account:" not in key:
        return fields
    found: dict[str, Any] = {}
    counters = Seen(0, b"", {}, {}, {}, {}, {}, 0, "", (0, 0))
    newest = 0
    for name, value in fields.items():
        if name.startswith("a:"):
            record = decode_record(value)
            newest = max(newest, judged_at(record))
            record.given.holders = record.given.holders[:1]
            found[name] = record
        elif name.startswith("u:"):
            read_counter(counters, name[2:], value)
        elif name.startswith(("posted:", "held:")) or name == "reviews":
            if int(value):
                found[name] = int(value)
        elif not name.startswith("w"):
            found[name] = value
    for name in ("w", *(name for name in fields if name.startswith("w:"))):
        if name != "w" and name in fields:
            day = int(name[2:])
            for field in fields[name].decode().splitlines():
                if field not in counters.floors:
                    counters.ends[field] = day * DAY_S
    clock = max(newest - newest % DAY_S, now_s)
    found["counters"] = {
        name: use
        for name, use in counters.used.items()
        if use and not 0 < counters.ends.get(name, 0) <= clock
    }
    return found


def used_of(fields: dict[str, bytes]) -> dict[str, int]:
    """Of quotas what is used: what else was granted is leased anew."""
    found = {}
    for name, value in fields.items():
        if name.startswith("q:") and int(value.split()[1]):
            found[name] = int(value.split()[1])
    return found


async def chains(client: Any) -> dict[str, tuple[int, str]]:
    """Count and digest of each shard's own entries."""
    found = {}
    for shard in keys.ALL_SHARDS:
        entries, digest = await client.hmget(keys.control(shard), "entries", "digest")
        found[shard] = int(entries or 0), (digest or b"").decode()
    return found


async def lives(client: Any) -> dict[str, int]:
    """How long each answer is still kept, in ms."""
    return {
        key.decode(): await client.pttl(key)
        async for key in client.scan_iter(match="authz:*:answer:*", count=1000)
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """In words, by key and field."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            for name in sorted(was.keys() | now.keys(), key=str):
                if was.get(name) != now.get(name):
                    found.append(f"{key} {name}: {was.get(name)!r} -> {now.get(name)!r}")
        else:
            found.append(f"{key}: {was!r} -> {now!r}")
    return found


async def lose(client: Any) -> None:
    """All keys. Functions are no keys."""
    await client.flushall()
