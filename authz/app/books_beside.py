"""Books beside a run, of the demo or the bench: a Postgres, a writer, and what they came to.

Both start in the background, and nothing need wait for them: no answer needs the ledger.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from redis.exceptions import RedisError

from authz.app.books import FOR_BOOKS
from authz.app.child import WriterProcess
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.clock import SystemClock
from authz.hot import keys
from ledger.database import connect
from ledger.source import Source
from ledger.verify import Verified, verify

STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
LOOK_S = 0.25  # between looks at the lag: a position and an entry of 64 streams
DRAIN_S = 60.0  # longer after the last message, and the writer is no writer


class Booked(Struct, kw_only=True):
    """What the books came to."""

    lag_max: int  # journal entries that were not in them, at most
    drained_s: float | None  # from the last answer until none was left; None: not in time
    entries: int
    verified: Verified
    approved: int  # authorizations, each once

    def failures(self, approved: int) -> list[str]:
        """What did not hold; `approved` is how many the hot state knows."""
        found = []
        if self.drained_s is None:
            found.append(f"the journal was not in the books after {DRAIN_S:g} s")
        if not self.verified.ok:
            found.append(f"the books are not whole: {self.verified.found} differences")
        if self.verified.parked:
            found.append(f"{self.verified.parked} journal entries could not be told")
        if self.approved != approved:
            found.append(
                f"{self.approved} approved authorizations in the books, {approved} in the hot state"
            )
        return found


class BooksBeside:
    """The two processes. `close` ends them, however far they came.

    `gives_way`: they have a core only while nobody else wants it. So not where they must be done
    soon on a machine that is never idle."""

    def __init__(self, folder: Path, redis_url: str, *, gives_way: bool = False) -> None:
        self._folder, self._redis_url, self._gives_way = folder, redis_url, gives_way
        self._postgres: EmbeddedPostgres | None = None
        self._writer: WriterProcess | None = None
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        self._closing = False
        self._watching = asyncio.ensure_future(self._watch())
        self.lag_max = 0

    @property
    def pids(self) -> tuple[int, int]:
        """Of Postgres and of the writer, once they have started."""
        assert self._postgres is not None
        assert self._writer is not None
        return self._postgres.pid, self._writer.pid

    def _start(self) -> None:
        self._postgres = EmbeddedPostgres.start(settings=FOR_BOOKS, gives_way=self._gives_way)
        self._writer = WriterProcess(
            self._folder, self._redis_url, self._postgres.dsn, gives_way=self._gives_way
        )

    async def started(self, say: Callable[[str], None] = lambda line: None) -> None:
        """Until both are there. Raises: EmbeddedError, RuntimeError."""
        await self._starting
        assert self._writer is not None
        await asyncio.to_thread(self._writer.wait_until_ready)
        say("books     Postgres on a Unix socket, pid {}; the writer, pid {}".format(*self.pids))

    @property
    def dsn(self) -> str:
        assert self._postgres is not None
        return self._postgres.dsn

    async def drained(self, within_s: float = DRAIN_S) -> float | None:
        """Seconds from now until nothing is left to be written; None where that takes too long."""
        clock, source = SystemClock(), Source(self._redis_url, STREAMS)
        started = clock.monotonic()
        try:
            while clock.monotonic() < started + within_s:
                entries, _ = await source.lag()
                if entries == 0:
                    return clock.monotonic() - started
                await asyncio.sleep(LOOK_S / 5)
        finally:
            await source.close()
        return None

    async def settled(self) -> None:
        """What the server would do later for what it has been given, done now: of a million cards
        that is minutes of its disk. Raises: asyncpg.PostgresError, OSError."""
        connection = await connect(self.dsn, name="authz demo", command_timeout=None)
        try:
            await connection.execute("VACUUM (ANALYZE)")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    async def look(self, drained_s: float | None) -> Booked:
        """Whether they are whole, and what is in them. Raises: asyncpg.PostgresError, OSError."""
        connection = await connect(self.dsn, name="authz demo")
        try:
            verified = await verify(connection)
            approved = await connection.fetchval(
                'SELECT count(*) FROM "authorization" WHERE approved'
            )
        finally:
            await connection.close()
        return Booked(
            lag_max=self.lag_max, drained_s=drained_s, entries=verified.entries,
            verified=verified, approved=approved,
        )  # fmt: skip

    async def _watch(self) -> None:
        source = Source(self._redis_url, STREAMS)
        try:
            # A cancel that comes in one turn with a reply may be dropped on its way here, as by
            # time limits of Python 3.11. So it is not relied upon.
            while not self._closing:
                with suppress(OSError, TimeoutError, RedisError):
                    entries, _ = await source.lag()
                    self.lag_max = max(self.lag_max, entries)
                await asyncio.sleep(LOOK_S)
        finally:
            await source.close()

    async def close(self) -> None:
        self._closing = True
        self._watching.cancel()
        with suppress(asyncio.CancelledError):
            await self._watching
        with suppress(Exception):  # told where it was waited for
            await self._starting
        if self._writer is not None:
            await asyncio.to_thread(self._writer.stop)
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
