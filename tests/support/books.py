"""Books in a real Postgres, a journal in a real store, and the questions that tests ask of both."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import asyncpg

from authz.app.past import Past
from authz.app.reconciling import BesideBooks
from authz.audit import AuditReport, audit_store
from authz.config import Config
from authz.config_books import PostgresConfig
from authz.hot import admin, keys
from authz.hot.acts import Authorize, Verdict
from bench import hot as bench_hot
from ledger.database import connect, migrate
from ledger.journal import read_entry
from ledger.writer import Settings, Writer
from tests.support.hot import store_and_client

STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
STORE = (keys.STORE_ID, keys.PAN_KEY)
# What a ledger is, for "the same, byte for byte": all but when it was written and in which batches.
TABLES = {
    "journal_entry": "shard, seq",
    "posting": "shard, seq, line",
    "account": "account_id",
    "balance": "account_id, currency",
    '"authorization"': "authorization_id",
    "notice": "shard, seq, what",
    "movement": "message_id",
    "card": "account_id, card_id",
    "decline": "message_id",
    "open_review": "account_id, message_id",
    "tally": "shard, name",
    "business_day": "network",
    "judgement": "version",
}


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.entries = self.postings = self.parked = self.batches = 0
        self.failures: Counter[str] = Counter()

    def wrote(self, entries: int, postings: int, parked: int, seconds: float) -> None:
        self.entries += entries
        self.postings += postings
        self.parked += parked
        self.batches += 1

    def failed(self, what: str) -> None:
        self.failures[what] += 1

    def owns(self, lane: int, shards: int) -> None: ...


async def begin(dsn: str) -> None:
    """The schema."""
    connection = await connect(dsn)
    await migrate(connection)
    await connection.close()


@asynccontextmanager
async def books(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def drain(redis_url: str, dsn: str, **settings: Any) -> Heard:
    """Everything that the journal has, into the books."""
    heard = Heard()
    writer = Writer(redis_url, dsn, STREAMS, Settings(**settings), heard, store_keys=STORE)
    await asyncio.wait_for(writer.run(once=True), 60)
    return heard


async def whole(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    async with books(dsn) as connection:
        return {
            table: [
                tuple(row) for row in await connection.fetch(f"SELECT * FROM {table} ORDER BY {by}")
            ]
            for table, by in TABLES.items()
        }


class Crowd:
    """A thousand accounts with a card each, and purchases without an end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._acts: Iterator[Authorize] | None = None

    async def approve(self, many: int) -> list[str]:
        """So many more approvals; their message ids."""
        async with store_and_client(self._url) as (hot, _):
            if self._acts is None:
                self._acts = bench_hot.make_acts(*await bench_hot.open_accounts(hot))
            ids: list[str] = []
            while len(ids) < many:
                some = list(islice(self._acts, min(500, many - len(ids))))
                said = await asyncio.gather(*(hot.authorize(act, 10.0) for act in some))
                assert {verdict.kind for verdict in said if isinstance(verdict, Verdict)} == {
                    "held"
                }
                ids += [act.message_id for act in some]
            return ids


async def journalled(client: Any) -> list[Any]:
    """All entries of all shards."""
    return [
        read_entry(*row)
        for shard in keys.ALL_SHARDS
        for row in await client.xrange(keys.journal(shard))
    ]


async def approved(dsn: str) -> list[str]:
    """Message ids of approvals, as often as they are in the books."""
    async with books(dsn) as connection:
        rows = await connection.fetch(
            "SELECT message_id FROM journal_entry WHERE kind = 'authorization' AND verdict = 'held'"
        )
        known = await connection.fetch(
            'SELECT authorization_id FROM "authorization" WHERE approved'
        )
        assert Counter(row[0] for row in rows) == Counter(row[0] for row in known)
        return [row[0] for row in rows]


async def unbalanced(dsn: str) -> int:
    async with books(dsn) as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM (SELECT currency FROM posting GROUP BY currency "
                "HAVING sum(amount_minor) <> 0) x"
            )
        )


async def trim(client: Any, left: int = 1) -> int:
    """Of each stream, what the books have is cut but for so many entries; how many went."""
    gone = 0
    for key in STREAMS.values():
        for group in await client.xinfo_groups(key) if await client.exists(key) else ():
            rows = await client.xrevrange(key, max=group["last-delivered-id"], count=left)
            if rows:
                gone += await client.xtrim(key, minid=rows[-1][0], approximate=False)
    return gone


async def reconciled(url: str, dsn: str, *, light: bool = False) -> AuditReport:
    """The audit of the hot state with the books beside it, and behind its streams."""
    client, config = admin.administrator(url), Config(postgres=PostgresConfig(url=dsn))
    try:
        async with books(dsn) as beside, Past(client, config) as past:
            behind = None if light else past
            return await audit_store(url, beside=BesideBooks(beside), past=behind)
    finally:
        await client.aclose()


async def owned(connection: Any, statement: str) -> None:
    """As who owns the tables: nothing refuses it."""
    await connection.execute("SET session_replication_role = replica")
    assert await connection.execute(statement) != "UPDATE 0"
