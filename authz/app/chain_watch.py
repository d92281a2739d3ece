"""The writer's own look at itself: each account's chain here against its chain in the books.

Equal chains are equal histories, byte for byte, so this is all that needs looking at between two
runs of `authz reconcile`, and it is cheap: two fields of each account. It goes slowly, since the
store has answers to give. Accounts are those that the books know.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
import structlog
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.hot import admin, keys
from ledger.book import chained
from ledger.database import connect
from ledger.journal import BODY, ENVELOPE, Envelope
from ledger.metrics import Metrics
from ledger.reconcile import GATE, Chain, ShardOfBooks

log = structlog.get_logger()

PAGE = 500  # accounts, or entries, asked for at once: about a millisecond of the store's
REST = 2  # so many times as long as a page took, nothing is asked
# Entries behind the books that are told on top of them, 50 MB at the worst. Where a shard has more
# the writer is far behind, and its accounts are left to the next time.
TAIL_MAX = 50_000
NAMED = 10  # accounts named in the log

AWAY = (OSError, TimeoutError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)

read_envelope = msgspec.msgpack.Decoder(Envelope).decode


class Looked(Struct):
    """What was compared, and which accounts differ; "" for entries of a shard that are nobody's."""

    accounts: int = 0
    left_out: int = 0  # the books were too far behind
    differing: list[str] = msgspec.field(default_factory=list)


async def compare_all(client: Redis, connection: asyncpg.Connection) -> Looked:
    """Raises: redis.RedisError, OSError, asyncpg.PostgresError."""
    looked = Looked()
    for shard in keys.ALL_SHARDS:
        await compare_shard(client, connection, shard, looked)
    return looked


async def compare_shard(
    client: Redis, connection: asyncpg.Connection, shard: str, looked: Looked
) -> None:
    """The books first, then the hot state, then what was journalled between the two."""
    books = ShardOfBooks(connection, int(shard))
    await books.begin()
    try:
        await books.load()
    finally:
        await books.end()
    here = books.chains
    hot = await chains_of(client, shard, list(here))
    later = await tail_of(client, shard, books.position)
    if later is None:
        looked.left_out += len(here)
        return
    for id, there in hot.items():
        chain = here[id]
        for envelope, body in later[id][: max(there.entries - chain.entries, 0)]:
            chain = Chain(chain.entries + 1, chained(chain.digest, envelope, body))
        if chain != there:
            looked.differing.append(id)
    looked.accounts += len(hot)


async def chains_of(client: Redis, shard: str, ids: list[str]) -> dict[str, Chain]:
    found: dict[str, Chain] = {}
    loop = asyncio.get_running_loop()
    for start in range(0, len(ids), PAGE):
        some, began = ids[start : start + PAGE], loop.time()
        async with client.pipeline(transaction=False) as pipeline:
            for id in some:
                key = keys.control(shard) if id == GATE else keys.account(id)
                pipeline.hmget(key, "entries", "digest")
            rows = await pipeline.execute()
        for id, (entries, digest) in zip(some, rows, strict=True):
            found[id] = Chain(int(entries or 0), (digest or b"").decode())
        await asyncio.sleep(REST * (loop.time() - began))
    return found


async def tail_of(
    client: Redis, shard: str, after: str
) -> dict[str, list[tuple[bytes, bytes]]] | None:
    """Entries behind the books, by account; None where there are too many."""
    found: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    many = 0
    while True:
        page: Any = await client.xrange(keys.journal(shard), min=f"({after}", count=PAGE)
        for _, fields in page:
            try:
                account_id = read_envelope(fields[ENVELOPE]).account_id
                found[account_id].append((fields[ENVELOPE], fields[BODY]))
            except (KeyError, msgspec.MsgspecError, UnicodeDecodeError):
                continue  # it will be parked, and its account differs
        many += len(page)
        if len(page) < PAGE:
            return found
        if many > TAIL_MAX:
            return None
        after = page[-1][0].decode()


class ChainWatch:
    """Looks every so often, as long as this process writes."""

    def __init__(
        self, redis_url: str, dsn: str, metrics: Metrics, every_s: float, writes: Callable[[], bool]
    ) -> None:
        self._redis_url, self._dsn, self._metrics = redis_url, dsn, metrics
        self._every_s, self._writes = every_s, writes

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            if self._writes():
                await self.look()

    async def look(self) -> None:
        """Once. Where a server is away, or the store is being rebuilt, the numbers stay as they
        were."""
        client = admin.administrator(self._redis_url)
        try:
            connection = await connect(self._dsn, name="authz settle chains")
            try:
                before = await client.mget(keys.REBUILDING, keys.REBUILT)
                looked = await compare_all(client, connection)
                after = await client.mget(keys.REBUILDING, keys.REBUILT)
            finally:
                await connection.close(timeout=2)
        except AWAY as error:
            log.warning("chains_not_compared", error=type(error).__name__)
            return
        finally:
            await client.aclose()
        if after[0] or after != before:  # accounts that were not there yet
            log.warning("chains_not_compared", error="rebuilt")
            return
        self._metrics.compared(looked.accounts, len(looked.differing), looked.left_out)
        if looked.differing:
            log.error(
                "chains_differ", accounts=len(looked.differing), some=looked.differing[:NAMED]
            )
