"""The journal's streams: read from where the books stand, acknowledged once they stand further.

Each stream has a consumer group, `ledger`, and the group keeps one thing: how far the books have
come. An entry is not handed out and counted as pending one by one; it is read by range, and when
a batch is committed the group's position is set behind it. So the store keeps no list of pending
entries and writes one line to its disk for each batch, and a writer that dies leaves nothing to
be claimed: whoever comes next reads on from the position, and what was committed but not
acknowledged is known by its digest.

The position lives beside the stream, in the same server: after a failover it is as old as the
stream is, and nothing new can lie behind it, whatever ids the new server gives out.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from ledger.journal import ANSWER, BODY, ENVELOPE, RECORD

GROUP = "ledger"
TIMEOUT_S = 30.0  # of one call: a page of every stream; longer means that the server hangs


# Streams that one question asks of. The store answers a client's whole question before it looks at
# another's: a page of all streams at once keeps an authorization waiting for milliseconds.
TOGETHER = 4

# Entries of a stream above which their age does not keep them: half of those at which the hot state
# takes no more (authz/hot/admin.py), so that a busy day never closes its doors.
LONG = 500_000


class Raw(NamedTuple):
    """One entry as the stream has it."""

    stream_id: bytes
    envelope: bytes | None
    body: bytes | None
    fields: list[bytes]  # all of it, name and value in turn
    record: bytes | None = None  # what came with it: ledger/journal.py
    answer: bytes | None = None


class Standing(NamedTuple):
    """How far the books have come in one stream, by its server."""

    position: bytes
    entries_read: int  # so many before it, as far as the server can tell
    lag: int | None  # entries behind it; None where the server cannot tell
    # Where the group stands, with so many read, while older entries are read again; "" else.
    ahead: bytes = b""

    def after(self, ids: list[bytes]) -> "Standing":
        """Behind these, the next that came."""
        news = len(ids)
        if self.ahead:
            news = sum(place(id) > place(self.ahead) for id in ids)
        return Standing(ids[-1], self.entries_read + news, None, b"" if news else self.ahead)


class Source:
    """The streams of all shards of one store. `streams`: the key of each; `store_keys`: of the
    store's own id and of the check of its cards' key, where it matters whose streams these are."""

    def __init__(
        self, url: str, streams: Mapping[int, str], store_keys: tuple[str, ...] = ()
    ) -> None:
        self._client: Redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0), retry_on_timeout=False
        )
        # Our own parsing: a dict for each entry costs more than all the rest of its reading.
        for command in ("XRANGE", "XINFO GROUPS"):
            self._client.response_callbacks.pop(command, None)
        self.streams = dict(streams)
        self._store_keys = store_keys
        # Whose entries were read last, by these keys; "" where it has lost all, or is rebuilt.
        self.store: tuple[str, ...] = ("",)

    async def close(self) -> None:
        await self._client.aclose()

    async def standings(self, shards: Iterable[int]) -> dict[int, Standing]:
        """Where the group stands; made at the stream's start where there is none. A shard without
        a stream is left out: nothing has ever been journalled there.

        Raises: redis.RedisError, OSError.
        """
        shards = list(shards)
        found: dict[int, Standing] = {}
        for shard, groups in zip(shards, await self._all("XINFO", "GROUPS", of=shards)):
            if isinstance(groups, ResponseError):
                continue  # no such key
            for flat in groups:
                about = pairs(flat)
                if about[b"name"] == GROUP.encode():
                    found[shard] = Standing(
                        about[b"last-delivered-id"],
                        about.get(b"entries-read") or 0,
                        about.get(b"lag"),
                    )
        missing = [shard for shard in shards if shard not in found]
        made = await self._all("XGROUP", "CREATE", of=missing, tail=(GROUP, "0"))
        for shard, reply in zip(missing, made):
            if not isinstance(reply, ResponseError):
                found[shard] = Standing(b"0-0", 0, None)
            elif "BUSYGROUP" in str(reply):  # made by another writer in this moment
                found |= await self.standings([shard])
        return found

    async def are_cut(self, behind: Mapping[int, bytes]) -> dict[int, bytes]:
        """Of these streams those of which something behind this place is gone, as far as the store
        can tell; each with its oldest entry. Raises: as above."""
        found: dict[int, bytes] = {}
        shards = list(behind)
        for shard, flat in zip(shards, await self._all("XINFO", "STREAM", of=shards)):
            if isinstance(flat, ResponseError):
                continue  # no such key
            about = pairs(flat)
            oldest = about[b"first-entry"]
            is_trimmed = about[b"entries-added"] > about[b"length"]
            if is_trimmed and oldest and place(oldest[0]) > place(behind[shard]):
                found[shard] = oldest[0]
        return found

    async def read(self, after: Mapping[int, bytes], count: int) -> dict[int, list[Raw]]:
        """The next entries of each stream, behind its position; not all where the store is found to
        have lost all meanwhile (`store`). Raises: as above."""
        found: dict[int, list[Raw]] = {}
        left = iter(after.items())
        while some := list(islice(left, TOGETHER)):
            async with self._client.pipeline(transaction=False) as pipeline:
                for shard, position in some:
                    pipeline.execute_command(
                        "XRANGE", self.streams[shard], b"(" + position, "+", "COUNT", count
                    )
                if self._store_keys:
                    pipeline.execute_command("MGET", *self._store_keys)
                pages = await pipeline.execute()
            if self._store_keys:
                self.store = tuple((value or b"").decode() for value in pages.pop())
                if not self.store[0]:
                    break
            for (shard, _), page in zip(some, pages):
                if page:
                    found[shard] = [raw(*row) for row in page]
        return found

    async def acknowledge(self, to: Mapping[int, tuple[bytes, int]]) -> None:
        """Set positions: stream id, and how many entries were read up to it."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for shard, (stream_id, entries_read) in to.items():
                pipeline.execute_command(
                    "XGROUP", "SETID", self.streams[shard], GROUP, stream_id,
                    "ENTRIESREAD", entries_read,
                )  # fmt: skip
            await pipeline.execute()

    async def trim(self, to: Mapping[int, bytes], keep_s: int) -> int:
        """Drop what is committed, and older than so much by the store's clock; of a stream that has
        grown long, also what is younger. How many went."""
        now_s, _ = await self._client.time()
        now_ms = now_s * 1000
        async with self._client.pipeline(transaction=False) as pipeline:
            for shard in to:
                pipeline.execute_command("XLEN", self.streams[shard])
                pipeline.execute_command("XRANGE", self.streams[shard], "-", "+", "COUNT", 1)
            replies = await pipeline.execute()
            for (shard, committed), length, first in zip(to.items(), replies[::2], replies[1::2]):
                oldest = now_ms - keep_s * 1000
                if length > LONG and first:
                    # As if entries came evenly; the next times come nearer to it.
                    span_ms = now_ms - place(first[0][0])[0]
                    oldest = max(oldest, now_ms - span_ms * LONG // length)
                least = min(place(committed)[0], oldest)
                pipeline.execute_command("XTRIM", self.streams[shard], "MINID", f"{least}-0")
            return sum(await pipeline.execute())

    async def lag(self) -> tuple[int, float]:
        """Entries that are not in the books, and how long the oldest of them has waited, in s."""
        shards = [*self.streams]
        standings = await self.standings(shards)
        now_s, now_us = await self._client.time()
        behind = await self.read({s: found.position for s, found in standings.items()}, 1)
        entries, oldest_ms = 0, None
        for shard, page in behind.items():
            entries += max(standings[shard].lag or 1, 1)
            at_ms = int(page[0].stream_id.partition(b"-")[0])
            oldest_ms = at_ms if oldest_ms is None else min(at_ms, oldest_ms)
        if oldest_ms is None:
            return 0, 0.0
        return entries, max(now_s + now_us / 1e6 - oldest_ms / 1000, 0.0)

    async def _all(self, *command: str, of: list[int], tail: tuple[Any, ...] = ()) -> list[Any]:
        """One command for each shard's stream; an error is a reply like others."""
        if not of:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for shard in of:
                pipeline.execute_command(*command, self.streams[shard], *tail)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
                raise reply
        return replies


def place(stream_id: bytes) -> tuple[int, int]:
    ms, _, number = stream_id.partition(b"-")
    return int(ms), int(number)


def earlier(group: Standing, books: bytes) -> Standing:
    """Where to read on: at the group's position, or where the books stand in the stream, if that
    lies before it. So it does where they were restored from a backup. What is read again is known
    by its digest, and the group stays where it is until there is something new."""
    if place(books) < place(group.position):
        return Standing(books, group.entries_read, None, group.position)
    return group


def pairs(flat: Any) -> dict[bytes, Any]:
    """A map comes as one or as a flat list, by protocol version."""
    if isinstance(flat, dict):
        return {k if isinstance(k, bytes) else k.encode(): v for k, v in flat.items()}
    return dict(zip(flat[::2], flat[1::2]))


def raw(stream_id: bytes, fields: list[bytes]) -> Raw:
    if len(fields) == 6 and fields[0] == ENVELOPE and fields[2] == BODY and fields[4] == RECORD:
        return Raw(stream_id, fields[1], fields[3], fields, fields[5])  # most of them
    named = dict(zip(fields[::2], fields[1::2]))
    return Raw(
        stream_id, named.get(ENVELOPE), named.get(BODY), fields, named.get(RECORD),
        named.get(ANSWER),
    )  # fmt: skip
