"""What a hot state is rebuilt from, as the books have it: read in pages, all of one moment.

One transaction reads everything, behind a lock that waits for batches under way and lets no other
begin: so what is told here is what `finish` closes. A writer that was at work meanwhile finds the
store's `rebuilt` counted up, and lets go of what it had read.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
from msgspec import Struct

from ledger.database import connect

PAGE = 2000  # accounts of one page, at the most: some 3 MB with few records
FIRST = 100  # accounts of the first page, until it is known how many records they have
RECORDS = 20_000  # of one page, where accounts have much the same: some 20 MB
ROWS = 5000  # of everything else
AHEAD = 2  # pages read while one is loaded
LOCK_TIMEOUT = "30s"  # a batch takes a fraction of a second; a reader may be longer


ONE_AT_A_TIME = 0x72656275  # an advisory lock; those of migrations and shards are others


class NothingToRebuildFrom(Exception):
    """The books cannot give a store back; the text says why."""


class Store(Struct, frozen=True):
    """Whose books these are, and how far they go."""

    id: str
    pan_key: str  # the check of its cards' key; "" where none was ever told
    rebuilt: int  # how often it has been
    entries: int
    at_ms: int  # of the newest entry, by the store's clock then
    parked: int  # entries that are not in the books, and wait for a person
    notices: int  # entries of which something is missing here


class Shard(Struct, frozen=True):
    """The chain of a shard's entries that are no account's."""

    shard: int
    entries: int
    digest: str


class Card(Struct, frozen=True):
    card_id: str
    card_key: str
    version: int
    profile: bytes


class Review(Struct, frozen=True):
    message_id: str
    card_id: str
    at_s: int
    body: bytes


class Account(Struct):
    """One account with all that it has."""

    account_id: str
    version: int  # 0: the books never saw a profile of it
    profile: bytes
    currency: str
    entries: int
    digest: str
    balances: list[tuple[str, int, int]] = []  # currency, posted, held
    cards: list[Card] = []
    records: list[tuple[str, bytes]] = []  # authorization id, as it was packed
    declines: list[bytes] = []  # counters that rose by them, packed
    reviews: list[Review] = []


class Answer(Struct, frozen=True):
    """What a message was answered, in the order that it was."""

    shard: int
    message_id: str
    answer: bytes
    until_ms: int  # by the store's clock


class Tally(Struct, frozen=True):
    shard: int
    name: str
    count: int
    amount_minor: int


class Day(Struct, frozen=True):
    network: str
    in_force: int
    ended: int
    at_s: int
    moves: int


class Reader:
    """One reading of the books. Use `reading`."""

    def __init__(self, connection: asyncpg.Connection, transaction: Any) -> None:
        self._connection, self._transaction = connection, transaction

    async def store(self) -> Store:
        """Raises: NothingToRebuildFrom."""
        row = await self._connection.fetchrow("SELECT id, pan_key, rebuilt FROM store")
        if row is None:
            raise NothingToRebuildFrom("These books are empty: nothing was ever written in them.")
        about = await self._connection.fetchrow(
            "SELECT coalesce(sum(seq), 0)::bigint, coalesce(max(at_ms), 0), "
            "(SELECT count(*) FROM parked WHERE resolved_at IS NULL), "
            "(SELECT count(*) FROM notice WHERE what IN ('cut', 'gap', 'not_for_rebuild')) "
            "FROM shard"
        )
        return Store(*row, *about)

    async def shards(self) -> list[Shard]:
        rows = await self._connection.fetch("SELECT shard, gate_entries, gate_digest FROM shard")
        return [Shard(*row) for row in rows]

    async def accounts(self) -> AsyncIterator[list[Account]]:
        """All of them, a page at a time, the next read while one is loaded."""
        after, many = "", FIRST

        async def page() -> list[Account]:
            nonlocal after, many
            found = await self._accounts(after, many)
            after = found[-1].account_id if found else after
            records = sum(len(account.records) for account in found)
            many = min(many * 2, max(many * RECORDS // max(records, 1), 1), PAGE)
            return found

        async for some in ahead(page):
            yield some

    async def _accounts(self, after: str, many: int) -> list[Account]:
        fetch = self._connection.fetch
        rows = await fetch(
            "SELECT account_id, version, profile, currency, entries, digest FROM account "
            "WHERE account_id > $1 ORDER BY account_id LIMIT $2", after, many,
        )  # fmt: skip
        if not rows:
            return []
        found = {row[0]: Account(*row) for row in rows}
        part = after, rows[-1][0]
        for row in await fetch(
            "SELECT account_id, currency, told_posted_minor, told_held_minor FROM balance "
            f"WHERE {PART}", *part,
        ):  # fmt: skip
            if row[0] in found:  # of no account: an entry of nobody moved nothing
                found[row[0]].balances.append((row[1], row[2], row[3]))
        for row in await fetch(
            f"SELECT account_id, card_id, card_key, version, profile FROM card WHERE {PART}", *part
        ):
            found[row[0]].cards.append(Card(*row[1:]))
        for row in await fetch(
            'SELECT account_id, authorization_id, record FROM "authorization" '
            f"WHERE {PART} AND record IS NOT NULL", *part,
        ):  # fmt: skip
            found[row[0]].records.append((row[1], row[2]))
        for row in await fetch(f"SELECT account_id, counters FROM decline WHERE {PART}", *part):
            found[row[0]].declines.append(row[1])
        for row in await fetch(
            f"SELECT account_id, message_id, card_id, at_s, body FROM open_review WHERE {PART}",
            *part,
        ):
            found[row[0]].reviews.append(Review(*row[1:]))
        return list(found.values())

    async def answers(self, since_ms: int, now_ms: int) -> AsyncIterator[list[Answer]]:
        """Those that still live; of one message the later one comes later."""
        cursor = await self._connection.cursor(
            "SELECT shard, message_id, answer, at_ms FROM journal_entry "
            "WHERE at_ms >= $1 AND answer IS NOT NULL ORDER BY at_ms, shard, seq", since_ms,
        )  # fmt: skip
        while rows := await cursor.fetch(ROWS):
            found = []
            for shard, message_id, kept, at_ms in rows:
                life_s, _, answer = kept.partition(b" ")
                until_ms = at_ms + int(life_s) * 1000
                if until_ms > now_ms:
                    found.append(Answer(shard, message_id, answer, until_ms))
            yield found

    async def tallies(self) -> list[Tally]:
        rows = await self._connection.fetch("SELECT shard, name, count, amount_minor FROM tally")
        return [Tally(*row) for row in rows]

    async def days(self) -> list[Day]:
        rows = await self._connection.fetch(
            "SELECT network, in_force, ended, at_s, moves FROM business_day"
        )
        return [Day(*row) for row in rows]

    async def judgement(self) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Versions and the bodies of their entries, from the first."""
        cursor = await self._connection.cursor(
            "SELECT version, body FROM judgement ORDER BY version"
        )
        while rows := await cursor.fetch(200):
            yield [(row[0], row[1]) for row in rows]

    async def finish(self) -> int:
        """Count the rebuild, and let the writer go on; how often it has been one."""
        times = await self._connection.fetchval(
            "UPDATE store SET rebuilt = rebuilt + 1 RETURNING rebuilt"
        )
        await self._transaction.commit()
        return int(times)


PART = "account_id > $1 AND account_id <= $2"


class reading:
    """Everything as it stands when no batch is under way. One at a time, until its end.

    Raises: NothingToRebuildFrom, where there is another; OSError, asyncpg.PostgresError.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def __aenter__(self) -> Reader:
        # An hour: to sort a week's answers takes a while, and nobody waits behind it.
        self._connection = await connect(self._dsn, name="authz rebuild", command_timeout=3600.0)
        try:
            if not await self._connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", ONE_AT_A_TIME
            ):
                raise NothingToRebuildFrom("Another rebuild from these books is under way.")
            transaction = self._connection.transaction(isolation="repeatable_read")
            await transaction.start()
            # Before anything is read: the moment is that of the first look.
            await self._connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            # Tables that were just filled have no statistics, and a page is a small part of them.
            await self._connection.execute("SET LOCAL enable_seqscan = off")
            await self._connection.execute("LOCK TABLE shard IN SHARE MODE")
        except BaseException:
            await self._connection.close(timeout=5)
            raise
        return Reader(self._connection, transaction)

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close(timeout=5)  # which ends the lock, and what is not committed


async def ahead(page: Callable[[], Awaitable[list[Account]]]) -> AsyncIterator[list[Account]]:
    """Pages until there is an empty one, read ahead of who takes them."""
    queue: asyncio.Queue[list[Account]] = asyncio.Queue(AHEAD)

    async def read() -> None:
        while True:
            some = await page()
            await queue.put(some)
            if not some:
                return

    task = asyncio.ensure_future(read())
    take = asyncio.ensure_future(queue.get())
    try:
        while True:
            await asyncio.wait((take, task), return_when=asyncio.FIRST_COMPLETED)
            if not take.done() and task.done():
                task.result()  # raises what ended it; else it has put the last page
            if not (some := await take):
                return
            take = asyncio.ensure_future(queue.get())
            yield some
    finally:
        task.cancel()
        take.cancel()
        await asyncio.gather(task, take, return_exceptions=True)
