"""Writes a hot state that is told anew into a store that has nothing; see authz/app/rebuilding.py.

No function of ours is called, as nobody else is there: gates are shut, and a mark says that the
store is being rebuilt, until everything is in it. Killed anywhere it is begun anew, from nothing.
Promises: tests/authz/app/test_rebuilding.py.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from authz.hot import admin, keys
from authz.hot.lists import pack_rows, parts_of
from authz.hot.quotas import centre_of
from authz.hot.refold import Case, Refolded, Word, centre_words, quota_words, refold
from authz.hot.resp import Argument, Connection, connect
from ledger.journal import ENVELOPE, Envelope, JudgementBody
from rules.judge import TEXTS

CONNECTIONS = 3  # each with a page: the server makes one disk write of what they say at once
TIMEOUT_S = 120.0  # of one call: behind a page of others, on a slow disk
CALLS = 4000  # of one page that wait for their replies: half of what a connection takes
WORDS = 2000  # of one HSET: a card of 10,000 purchases must not stop the server
SCAN = 1000
NOTES_MAX = 1000  # entries looked at in a store that shall be new: it has one for each opening
CHANGES_MAX, CHANGES_BYTES = 1000, 8_388_608  # why: lists.lua

# What an engine or a load leaves in a store that they only looked at.
HARMLESS = {keys.BY_FILE, keys.STORE_ID, keys.PAN_KEY, keys.GATE_LOCK, keys.REBUILT}

KEPT = {keys.REBUILDING, keys.PAN_KEY, keys.REBUILT}

NOTHING = Refolded([], [], [], {}, 0)

Call = tuple[Argument, ...]
read_envelope = msgspec.msgpack.Decoder(Envelope).decode
read_judgement = msgspec.msgpack.Decoder(JudgementBody, strict=False).decode


async def begin(client: Redis, now_ms: int) -> None:
    """Mark the store as one that is being rebuilt, and empty it of what an earlier rebuild left, or
    of the bare gates of a new one.

    Raises: NotFit, where there is anything else in it.
    """
    if not await client.exists(keys.REBUILDING):
        await refuse_unless_new(client)
    await client.set(keys.REBUILDING, now_ms)
    cursor = -1
    while cursor:
        said: Any = await client.scan(max(cursor, 0), match="authz:*", count=SCAN)
        cursor, page = said
        if left := [key for key in page if key.decode() not in KEPT]:
            await client.unlink(*left)


async def refuse_unless_new(client: Redis) -> None:
    """Raises: NotFit. A new store has its gates, and nothing that came in by them."""
    gates = {key for shard in keys.ALL_SHARDS for key in (keys.control(shard), keys.journal(shard))}
    async for key in client.scan_iter(count=SCAN):
        if key.decode() not in HARMLESS | gates:
            raise admin.NotFit(
                "the store is not empty: only one that has lost everything is rebuilt. If what is "
                "in it is worth nothing, empty it first (FLUSHALL), and let no engine run meanwhile"
            )
    for shard in keys.ALL_SHARDS:
        rows: Any = await client.xrange(keys.journal(shard), count=NOTES_MAX)
        if len(rows) == NOTES_MAX or any(
            read_envelope(fields[ENVELOPE]).kind != "gate" for _, fields in rows
        ):
            raise admin.NotFit("the store is not new: an engine has answered by it")


class Loader:
    """Everything but the gates' opening. Use `loading`."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._free = asyncio.Queue[Connection]()
        for connection in connections:
            self._free.put_nowait(connection)
        self._under_way: set[asyncio.Task[None]] = set()
        self._controls: dict[str, list[Word]] = {shard: [] for shard in keys.ALL_SHARDS}
        self._quotas: dict[str, dict[str, tuple[int, int]]] = {}  # by shard
        self._clocks: dict[str, int] = {}
        self._judgement: dict[str, Any] = {}
        self._changes: list[tuple[int, bytes]] = []
        self.version = 0  # of the judgement
        self.records = self.open = self.cards = 0

    async def accounts(self, page: Iterable[Any]) -> None:
        """A page of them: `ledger.rebuild.Account`, which we do not know by name.

        Raises: msgspec.MsgspecError, HotStateError, of this page or one before it.
        """
        calls: list[Call] = []
        sets: dict[str, list[Word]] = {}
        for a in page:
            calls += self._account(a, sets)
        calls += [("ZADD", key, *words) for key, words in sets.items() if words]
        await self._send(calls)

    def _account(self, a: Any, sets: dict[str, list[Word]]) -> list[Call]:
        id = a.account_id
        _, key, expiry, _ = keys.account_keys.__wrapped__(id)  # each comes once
        told = NOTHING
        if a.records or a.declines or a.reviews:
            cases = [Case(r.message_id, r.card_id, r.at_s, r.body) for r in a.reviews]
            told = refold(id, a.records, a.declines, cases)
            sets.setdefault(expiry, []).extend(told.expiry)
            sets.setdefault(keys.reviews(keys.shard_of(id)), []).extend(told.reviews)
        words: list[Word] = [
            "version", a.version, "profile", a.profile, "entries", a.entries, "digest", a.digest,
        ]  # fmt: skip
        for currency, posted, held in a.balances:
            # Of its own currency both are always there: put_account.
            if posted or currency == a.currency:
                words += (f"posted:{currency}", posted)
            if held or currency == a.currency:
                words += (f"held:{currency}", held)
        for card in a.cards:
            words += (keys.card_field(card.card_id), b"%d %b" % (card.version, card.profile))
        words += told.words
        if told.quotas:
            shard = keys.shard_of(id)
            mine = self._quotas.setdefault(shard, {})
            for counter, (use, ends) in told.quotas.items():
                mine[counter] = mine.get(counter, (0, 0))[0] + use, ends
            self._clocks[shard] = max(self._clocks.get(shard, 0), told.clock)
        self.records += len(a.records)
        self.open += len(told.expiry) // 2
        self.cards += len(a.cards)
        return [
            *(("HSET", key, *words[i : i + WORDS]) for i in range(0, len(words), WORDS)),
            *(
                ("HSET", keys.directory(card.card_key), "account", id, "card", card.card_id)
                for card in a.cards
            ),
        ]

    async def answers(self, page: Iterable[Any]) -> None:
        """`ledger.rebuild.Answer`; of one message the later one comes later."""
        await self._send([
            ("SET", keys.answer(f"{a.shard:02}", a.message_id), a.answer, "PXAT", a.until_ms)
            for a in page
        ], in_order=True)  # fmt: skip

    def judge(self, versions: Iterable[tuple[int, bytes]]) -> None:
        """Some more versions, in their order. Raises: msgspec.MsgspecError, zlib.error."""
        for version, body in versions:
            change = read_judgement(body).change
            for name, _, after in (*change.texts, *change.entries):
                if after:
                    self._judgement[name] = after
                else:
                    self._judgement.pop(name, None)
            self.version = version
            self._changes.append((version, body))
            bytes_kept = sum(len(kept) for _, kept in self._changes)
            while len(self._changes) > 1 and (
                len(self._changes) > CHANGES_MAX or bytes_kept > CHANGES_BYTES
            ):
                bytes_kept -= len(self._changes.pop(0)[1])

    def gate(self, shard: str, words: Iterable[Word]) -> None:
        """Fields of a shard's control hash."""
        self._controls[shard] += words

    async def finish_loading(self) -> None:
        """Wait for all pages; then what is of no account."""
        await self._settled()
        calls = list(self._judgement_calls())
        centres: dict[str, dict[str, tuple[int, int]]] = {}
        clock = max(self._clocks.values(), default=0)
        for shard, used in self._quotas.items():
            self._controls[shard] += quota_words(self._clocks[shard], used)
            for counter, (use, ends) in used.items():
                granted = centres.setdefault(centre_of(counter), {})
                granted[counter] = granted.get(counter, (0, 0))[0] + use, ends
        for shard, granted in centres.items():
            self._controls[shard] += centre_words(clock, granted)
        for shard, words in self._controls.items():
            words += ("lists", self.version, keys.FROM_BOOKS, 1)
            calls += in_steps(keys.control(shard), words)
        await self._send(calls)
        await self._settled()

    def _judgement_calls(self) -> Iterable[Call]:
        if not self.version:
            return
        words: list[Word] = ["version", self.version]
        entries: list[Word] = []
        counts: dict[str, int] = {}
        for name, value in self._judgement.items():
            if name in TEXTS:
                words += (name, value)
            else:
                entries += (name, pack_rows(value))
                of = "/".join(parts_of(name)[:2])
                counts[of] = counts.get(of, 0) + 1
        for of, count in counts.items():
            words += (f"n:{of}", count)
        first = self._changes[0][0]
        words += ("first", first, "bytes", sum(len(body) for _, body in self._changes))
        yield from in_steps(keys.JUDGEMENT, words)
        yield from in_steps(keys.LISTS, entries)
        yield from in_steps(keys.CHANGES, [part for change in self._changes for part in change])

    async def _send(self, calls: Sequence[Call], *, in_order: bool = False) -> None:
        """On the next connection that is free; errors come with a later call."""
        for start in range(0, len(calls), CALLS):
            if in_order:
                await self._settled()
            connection = await self._free.get()
            for task in [task for task in self._under_way if task.done()]:
                self._under_way.discard(task)
                task.result()
            some = calls[start : start + CALLS]
            self._under_way.add(asyncio.ensure_future(self._page(connection, some)))

    async def _page(self, connection: Connection, calls: Sequence[Call]) -> None:
        try:
            futures = [connection.call(call, TIMEOUT_S) for call in calls]
            for future in futures:
                await future
        finally:
            self._free.put_nowait(connection)

    async def _settled(self) -> None:
        while self._under_way:
            await self._under_way.pop()


def in_steps(key: str, words: Sequence[Word]) -> Iterable[Call]:
    return (("HSET", key, *words[i : i + WORDS]) for i in range(0, len(words), WORDS))


class loading:
    """A Loader with connections of its own. Raises: OSError, TimeoutError, HotStateError."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connections: list[Connection] = []

    async def __aenter__(self) -> Loader:
        for _ in range(CONNECTIONS):
            self._connections.append(await connect(self._url))
        return Loader(self._connections)

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)  # closed on the loop's next turn


async def finish(client: Redis, about: Mapping[str, str | int], source: str, cap: int) -> None:
    """All is there: the gates are opened, and then the store has its id again and the mark goes.
    Until that moment no engine asks anything of it, and whoever is killed before it begins anew.
    An engine that has not looked since the store was lost is told that it is full: nothing that is
    approved before may be emptied out by who begins anew.

    `about`: the keys of the store's id, of the check of its cards' key, and of how often it was
    rebuilt, with their values. Raises: NotFit.
    """
    async with client.pipeline(transaction=False) as pipeline:
        for shard in keys.ALL_SHARDS:
            pipeline.hset(
                keys.control(shard),
                mapping={
                    "layout": admin.LAYOUT, "shards": keys.SHARDS, "epoch": 0, "run_id": "",
                    "cap": 0,
                },
            )  # fmt: skip
        await pipeline.execute()
    await admin.let_in(client, "audited", source, cap=0)
    async with client.pipeline(transaction=True) as pipeline:
        for shard in keys.ALL_SHARDS:
            pipeline.hset(keys.control(shard), "cap", cap)
        for key, value in about.items():
            if value != "":
                pipeline.set(key, value)
        pipeline.delete(keys.REBUILDING)
        await pipeline.execute()
