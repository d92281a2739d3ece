"""What engines judge by besides cards and accounts: lists, policy and rates, put in force together.

They lie in one shard, under one version that every shard's gate knows. A change of them is one
step there, with what was before and what is since in that shard's journal, so a decision can be
explained by the version that it names. The gates are told afterwards, one after the other: an
engine may be ahead of a gate, and decides nothing behind one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from redis.asyncio import Redis

from authz.hot import admin, keys
from authz.hot.errors import Cold, Full, HotStateError
from authz.hot.lists import (
    PLAIN,
    Standing,
    body_of,
    field_of,
    pack_rows,
    parts_of,
    read_rows,
    standing_of,
)
from ledger.journal import Change, JudgementBody, ListRows, encode_body
from rules.judge import POLICY, RATES, SHADOW
from rules.lists import ALLOW, BLOCK, overlap

TRIES = 32  # of a change among others: each lost one is another's success
CHUNK = 1000  # values of one version: an engine takes them in within a millisecond
PAUSE_S = 0.02  # between the versions of a long load, in which requests are answered
# Behind the last of them, before the gates are told: engines look twice a second by themselves, so
# that no request has to wait for more than they have not seen yet.
SETTLE_S = 1.0
PERIODS_MAX = 16  # of one value on one list

Rows = ListRows | None
Made = Callable[[Standing], Awaitable[Change]]


class Overlaps(Exception):
    """A value would be on a list twice at one time, or blocked and allowed. Names its field."""

    def __init__(self, field: str) -> None:
        super().__init__("overlaps with an entry that is there")
        self.field = field


async def put_policy(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Make this policy the one in force, and none of "". It must have been checked.

    Returns the version, and whether anything is another one now. Raises: Cold, Full, HotStateError;
    redis.RedisError.
    """
    return await put_texts(client, {POLICY: text}, source)


async def put_shadow(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Let this policy judge beside the one in force and only count; none of "". As `put_policy`."""
    return await put_texts(client, {SHADOW: text}, source)


async def put_rates(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Make these reference rates the ones in force. They must have been checked."""
    return await put_texts(client, {RATES: text}, source)


async def put_texts(client: Redis, texts: Mapping[str, str], source: str) -> tuple[int, bool]:
    async def change(standing: Standing) -> Change:
        before = standing.texts
        return Change(tuple((k, before[k], text) for k, text in texts.items() if text != before[k]))

    version, changed = await put_change(client, source, change)
    return version, changed > 0


async def texts_in_force(client: Redis) -> tuple[str, str]:
    """Of policy and rates; "" where there is none."""
    texts = (await standing_in(client)).texts
    return texts[POLICY], texts[RATES]


async def put_lists(
    client: Redis, entries: Iterable[tuple[str, str]], source: str
) -> tuple[int, bool]:
    """Block exactly these kinds and values, always, and allow none. As `put_policy`."""
    wanted = {field_of(BLOCK, kind, value): PLAIN for kind, value in entries}
    version, changed = await replace_entries(client, wanted, source)
    return version, changed > 0


async def replace_entries(
    client: Redis,
    wanted: Mapping[str, ListRows],
    source: str,
    names: Sequence[str] = (BLOCK, ALLOW),
) -> tuple[int, int]:
    """Make these the entries of the lists of these names; what they had besides goes.

    `wanted` has been looked through for overlaps. Returns the version, and how many values changed.
    A long load is many versions: first what stands in the way of blocks, then blocks; at no time is
    a value let through that is blocked before and after. Raises as `put_policy`.
    """
    changes: dict[str, Rows] = dict(wanted)
    async for field, rows in entries_in(client):
        if changes.get(field) == rows:
            del changes[field]
        elif field not in changes and parts_of(field)[0] in names:
            changes[field] = None

    def turn(field: str) -> int:
        gone = changes[field] is None
        return (0 if gone else 3) if parts_of(field)[0] == ALLOW else (2 if gone else 1)

    in_turn = sorted(changes, key=turn)
    return await change_entries(client, in_turn, lambda field, *_: changes[field], source)


async def add_entries(client: Redis, new: Mapping[str, ListRows], source: str) -> tuple[int, int]:
    """Put these beside what is there; one for the same time takes its place.

    Returns as `replace_entries`. Raises: Overlaps, and as `put_policy`; what came before it stays.
    """
    return await change_entries(
        client, list(new), lambda field, *there: added(field, new[field], *there), source
    )


async def remove_entries(client: Redis, fields: Sequence[str], source: str) -> tuple[int, int]:
    return await change_entries(client, fields, lambda *_: None, source)


def added(field: str, new: ListRows, there: Rows, opposite: Rows) -> ListRows:
    """The rows of a field with some more. Raises: Overlaps."""
    rows = {(row[2], row[3]): row for row in there or ()}
    for row in new:
        period = row[2], row[3]
        others = [other for other in rows if other != period]
        others += [(other[2], other[3]) for other in opposite or ()]
        if any(overlap(period, other) for other in others):
            raise Overlaps(field)
        rows[period] = row
    if len(rows) > PERIODS_MAX:
        raise Overlaps(field)
    return tuple(rows[period] for period in sorted(rows))


async def change_entries(
    client: Redis,
    fields: Sequence[str],
    after: Callable[[str, Rows, Rows], Rows],
    source: str,
) -> tuple[int, int]:
    """`after` says what becomes of a field, by what it and its opposite of block and allow are."""
    version, changed = (await standing_in(client)).version, 0
    parts = [fields[start : start + CHUNK] for start in range(0, len(fields), CHUNK)] or [()]
    for n, some in enumerate(parts):

        async def change(standing: Standing, some: Sequence[str] = some) -> Change:
            there = await rows_of(client, [*some, *map(opposite, some)])
            found = []
            for field in some:
                before = there[field]
                rows = after(field, before, there[opposite(field)])
                if rows != before:
                    found.append((field, before, rows))
            return Change((), tuple(found))

        is_last = n == len(parts) - 1
        if changed > CHUNK and is_last:
            await asyncio.sleep(SETTLE_S)
        version, more = await put_change(client, source, change, begins=n == 0, tells=is_last)
        changed += more
        if more and not is_last:
            await asyncio.sleep(PAUSE_S)
    return version, changed


def opposite(field: str) -> str:
    """The same value on the list that must not have it at the same time."""
    name, kind, value = parts_of(field)
    return field_of({BLOCK: ALLOW, ALLOW: BLOCK}.get(name, name), kind, value)


async def put_change(
    client: Redis, source: str, make: Made, *, begins: bool = True, tells: bool = True
) -> tuple[int, int]:
    """One version: what `make` makes of what is in force, or none where that is nothing.

    Of two at once one begins anew, with what the other wrote. Cut short, it is finished by running
    it again, or by whoever comes next. `begins`: gates that are behind are told first. `tells`:
    they are told of this one. Returns the version, and how many texts and values it changed.
    """
    run_id = await admin.run_id(client)
    for _ in range(TRIES):
        standing = await standing_in(client)
        newest = standing.version
        if begins:
            newest = await tell_gates(client, run_id, standing.version, source)
        change = await make(standing)
        size = len(change.texts) + len(change.entries)
        if not size:
            if tells and not begins:
                await tell_gates(client, run_id, standing.version, source)
            return standing.version, 0
        version = newest + 1
        if await was_taken(client, run_id, standing, version, source, change):
            if tells:
                await tell_gates(client, run_id, version, source)
            return version, size
    raise HotStateError("others put lists or policies in force all the time")


async def was_taken(
    client: Redis, run_id: str, standing: Standing, version: int, source: str, change: Change
) -> bool:
    """Whether it was the next version; else another's was. Raises: Cold, Full, HotStateError."""
    counts: dict[str, int] = {}
    put: list[str | bytes] = []
    dropped: list[str] = []
    for field, before, rows in change.entries:
        name, kind, _ = parts_of(field)
        of = f"{name}/{kind}"
        counts.setdefault(of, standing.counts.get(of, 0))
        counts[of] += (rows is not None) - (before is not None)
        if rows is None:
            dropped.append(field)
        else:
            put += (field, pack_rows(rows))
    said = [(kind, text) for kind, _, text in change.texts]
    said += [(f"n:{of}", str(count)) for of, count in counts.items()]
    reply = await client.fcall(
        "authz_change_judgement", 5, keys.control(keys.HOME), keys.journal(keys.HOME),
        keys.JUDGEMENT, keys.LISTS, keys.CHANGES,
        run_id, standing.version, version, body_of(version, source, change),
        2 * len(said), len(put), *chain.from_iterable(said), *put, *dropped,
    )  # fmt: skip
    return checked({reply[1].decode()}) == {"moved"}


async def tell_gates(client: Redis, run_id: str, version: int, source: str) -> int:
    """Tell this version to the gates that are behind it. Returns the newest known anywhere: the
    judgement may be gone, and a version never comes twice."""
    async with client.pipeline(transaction=False) as gates:
        for shard in keys.ALL_SHARDS:
            gates.hget(keys.control(shard), "lists")
        seen = [int(one or 0) for one in await gates.execute()]
        body = encode_body(JudgementBody(version, source))
        for shard, one in zip(keys.ALL_SHARDS, seen, strict=True):
            if one < version:
                gates.fcall(
                    "authz_put_lists", 2, keys.control(shard), keys.journal(shard),
                    run_id, version, body,
                )  # fmt: skip
        checked({reply[1].decode() for reply in await gates.execute()})
    return max(version, *seen)


def checked(said: set[str]) -> set[str]:
    if "cold" in said:
        raise Cold("a gate is closed")
    if "full" in said:
        raise Full("a journal is at its bound")
    if not said <= {"moved", "older"}:
        raise HotStateError("the gates gave no known answer")
    return said


# What is in force, for administrators.


async def standing_in(client: Redis) -> Standing:
    flat: Any = await client.hgetall(keys.JUDGEMENT)
    return standing_of(flat)


async def rows_of(client: Redis, fields: Sequence[str]) -> dict[str, Rows]:
    """What the lists say of these fields; None of those that they do not have."""
    if not fields:
        return {}
    found: Any = await client.hmget(keys.LISTS, fields)
    return {
        f: None if one is None else read_rows(one) for f, one in zip(fields, found, strict=True)
    }


async def entries_in(client: Redis) -> AsyncIterator[tuple[str, ListRows]]:
    """All entries, some at a time."""
    cursor, page = -1, dict[bytes, bytes]()
    while cursor != 0:
        told: Any = await client.hscan(keys.LISTS, max(cursor, 0), count=CHUNK)
        cursor, page = told
        for field, packed in page.items():
            yield field.decode(), read_rows(packed)
