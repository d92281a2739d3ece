"""The writer: drains the journal into the books, each entry once, whatever dies in between.

A *lane* is one session of Postgres with the locks of some shards. It reads their streams from the
group's position, tells the entries in their order, writes a batch in one transaction, and only
then acknowledges. Killed anywhere, it leaves at worst a committed batch that is not acknowledged:
the next owner reads it again and knows every entry by its digest. Lanes overlap: while the
database works for one, another reads and tells. (tests/ledger/test_crashes.py)

What cannot be told is parked alone. What the database refuses is looked for by halving the batch,
until it is one entry, which is parked. What is only away (a server that restarts, a full disk) is
waited for, and nothing is parked then.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Protocol

import asyncpg
import structlog
from msgspec import Struct
from redis.exceptions import RedisError

from ledger.batch import Cache, Page, assemble
from ledger.database import connect
from ledger.source import Raw, Source, Standing, earlier
from ledger.store import Books, Head, Rebuilt

log = structlog.get_logger()

# Of the server's errors, those that are about what it was given. All others are about the server.
REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    OverflowError,
)
AWAY = (
    OSError,
    TimeoutError,
    RedisError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a server that dies between two messages
)
# For `gc.set_threshold`: a batch is some ten thousands of objects in no cycle, and to look through
# them is a tenth of the writer's time. So that many batches pass before somebody looks.
GC_THRESHOLDS = (400_000, 20, 50)

WORK_MEM = "16MB"  # what triggers look at of a full batch is 6 MB: beyond it goes to the disk

SHORTEST_S = 0.05  # the first wait for a server that is away
IDLE_S = 0.2  # between looks at a journal to which nothing is added
REFUSALS_MAX = 2  # of one entry alone: the first may come from what somebody else has just written


class Settings(Struct, frozen=True, kw_only=True):
    """How the writer works. docs/configuration.md explains each."""

    batch: int = 4000  # entries in a transaction: some 10 MB of memory, a quarter of a second
    linger_ms: int = 500  # until the next look, where a batch was not full: bench load says why
    lanes: int = 3
    parked_max: int = 10_000  # open ones; above it nothing more is taken from where the next comes
    trim_keep_s: int = 0  # 0: nothing is ever trimmed
    standby_s: float = 0.5  # between tries to get shards that another writer has
    backoff_s: float = 5.0  # the longest wait for a server that is away


class TooManyParked(Exception):
    """The bound on parked entries is reached: a person must look before more is taken."""


class Observer(Protocol):
    """Hears what lanes do."""

    def wrote(self, entries: int, postings: int, parked: int, seconds: float) -> None: ...
    def failed(self, what: str) -> None: ...
    def owns(self, lane: int, shards: int) -> None: ...


class Writer:
    """All lanes of one process."""

    def __init__(
        self, redis_url: str, dsn: str, streams: Mapping[int, str], settings: Settings,
        observer: Observer, at: Callable[[str], None] = lambda place: None,
        store_keys: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """`store_keys`: where the store keeps its own id, and the check of its cards' key. Its
        journal gets into no other's books."""
        self._lanes = [
            Lane(
                number, redis_url, dsn,
                {s: key for s, key in streams.items() if s % settings.lanes == number},
                settings, observer, at, store_keys,
            )
            for number in range(settings.lanes)
        ]  # fmt: skip

    async def run(self, *, once: bool = False) -> None:
        """Until `stop`; or, once, until every stream is drained to where it then ends.

        Raises: OtherStore, in an ExceptionGroup.
        """
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run(once=once))

    def stop(self) -> None:
        """What is under way is committed and acknowledged first."""
        for lane in self._lanes:
            lane.stop()

    @property
    def owned(self) -> int:
        return sum(len(lane.owned) for lane in self._lanes)


class Lane:
    """Some shards, one session. `at` is called between its steps, for tests that kill it there."""

    def __init__(
        self, number: int, redis_url: str, dsn: str, streams: Mapping[int, str],
        settings: Settings, observer: Observer, at: Callable[[str], None],
        store_keys: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._store_keys = store_keys
        self._number, self._dsn, self._redis_url = number, dsn, redis_url
        self._streams, self._settings, self._observer = streams, settings, observer
        self._at = at
        self._stop = asyncio.Event()
        self._random = Random(number)
        self.owned: dict[int, Head] = {}
        self._standings: dict[int, Standing] = {}
        # Where the journal does not reach back to books that were restored: from where, to where.
        self._cut: dict[int, str] = {}
        self._unsure: set[int] = set()  # shards whose next entries may be in the books already
        self._cache = Cache()
        self._worked = False
        self._limit = settings.batch
        self._refusals = 0
        self._began = 0.0
        self._condemned: set[bytes] = set()

    def stop(self) -> None:
        self._stop.set()

    async def run(self, *, once: bool) -> None:
        wait_s = SHORTEST_S
        while not self._stop.is_set():
            self._worked = False
            try:
                await self._session(once=once)
                return
            except TooManyParked:
                self._observer.failed("parked")
                log.error("too_many_parked", most=self._settings.parked_max)
                wait_s = self._settings.backoff_s
            except Rebuilt:
                log.warning("store_was_rebuilt", lane=self._number)
            except AWAY as error:
                what = "redis" if isinstance(error, RedisError) else "postgres"
                self._observer.failed(what)
                log.warning("away", lane=self._number, what=what, error=type(error).__name__)
            self._forget()
            wait_s = SHORTEST_S if self._worked else wait_s
            await self._pause(wait_s * (0.5 + self._random.random() / 2))
            wait_s = min(wait_s * 2, self._settings.backoff_s)

    def _forget(self) -> None:
        """Whatever we knew, another may have moved."""
        self.owned.clear()
        self._cut.clear()
        self._cache.clear()
        self._observer.owns(self._number, 0)

    async def _session(self, *, once: bool) -> None:
        """Connected, until it ends: asked to, drained, or by an error of a server."""
        connection = await connect(
            self._dsn, name=f"authz settle {self._number}", work_mem=WORK_MEM
        )
        source = Source(self._redis_url, self._streams, self._store_keys)
        claimed: tuple[str, ...] = ()
        try:
            books = Books(connection)
            loop = asyncio.get_running_loop()
            look_at, pause_s = 0.0, self._settings.linger_ms / 1000
            while not self._stop.is_set():
                if len(self._standings) < len(self._streams) and loop.time() >= look_at:
                    await self._take(books)
                    await self._stand(source)
                    look_at = loop.time() + self._settings.standby_s
                pages = await self._read(source) if self._standings else {}
                if self._store_keys and pages and source.store != claimed:
                    await books.claim(*source.store)
                    claimed = source.store
                taken = await self._cycle(source, books, pages) if pages else 0
                if once and taken == 0 and len(self.owned) == len(self._streams):
                    return
                if taken:
                    pause_s = self._settings.linger_ms / 1000
                if taken < self._limit // 2 and not (once and taken):
                    await self._pause(pause_s)
                    pause_s = min(pause_s * 1.5, max(IDLE_S, pause_s))
        finally:
            self._standings.clear()
            try:
                await source.close()
                with suppress(*AWAY):
                    await connection.close(timeout=2)
            finally:
                if not connection.is_closed():  # another lane has raised meanwhile
                    connection.terminate()

    async def _take(self, books: Books) -> None:
        """The locks that nobody has; with them, where the chains stand."""
        got = await books.lock([s for s in self._streams if s not in self.owned])
        if got:
            self.owned |= await books.heads(got)
            self._unsure |= {*got}
            self._observer.owns(self._number, len(self.owned))

    async def _stand(self, source: Source) -> None:
        found = await source.standings(
            [shard for shard in self.owned if shard not in self._standings]
        )
        for shard, standing in found.items():
            self._standings[shard] = earlier(standing, self.owned[shard].stream_id.encode())
        places = {shard: self._standings[shard].position for shard in found}
        cut = await source.are_cut(places)
        for shard, oldest in cut.items():
            self._cut[shard] = f"{places[shard].decode()} {oldest.decode()}"
        if cut:
            log.error("journal_does_not_reach_back", shards=len(cut))

    async def _read(self, source: Source) -> dict[int, list[Raw]]:
        """What comes next in each stream; nothing where the store has lost all."""
        self._began = asyncio.get_running_loop().time()
        count = max(self._limit // max(len(self._standings), 1), 1)
        after = {shard: s.position for shard, s in self._standings.items()}
        pages = await source.read(after, count)
        if self._store_keys and not source.store[0]:
            self._standings.clear()  # of streams that are gone
            return {}
        return pages

    async def _cycle(self, source: Source, books: Books, pages: Mapping[int, list[Raw]]) -> int:
        """One batch: told, written, acknowledged. How many entries it took."""
        self._at("read")
        page = Page(pages, self._limit)
        unsure = page.of(self._unsure)
        there = await books.which_are_there(unsure) if unsure else set()
        await self._cache.load(books, page)
        batch = await assemble(page, self.owned, self._cache, there, self._condemned)
        for shard, head in batch.heads.items():
            if shard in self._cut and head.seq > (seq := self.owned[shard].seq):
                batch.notices.append((shard, seq + 1, "cut", "", self._cut[shard]))
        if batch.parked and (
            await books.count_parked() + len(batch.parked) > self._settings.parked_max
        ):
            raise TooManyParked
        self._at("insert")
        try:
            await books.write(batch, self._cache.state, before_commit=lambda: self._at("commit"))
        except REFUSED as error:
            if not books.alive:
                raise
            await self._refused(page, books, error)
            return page.entries
        self._worked = True
        self._at("acknowledge")
        for shard, _, what, *_ in batch.notices:
            if what == "cut":
                del self._cut[shard]
        self.owned |= batch.heads
        self._cache.commit(batch)
        self._condemned.clear()
        self._refusals, self._limit = 0, min(self._limit * 2, self._settings.batch)
        await self._acknowledge(source, page)
        # A shard of which something new has come has nothing old behind it.
        self._unsure -= {shard for shard in page.raws if page.ends_new(shard, there)}
        self._observer.wrote(
            len(batch.rows), len(batch.lines), len(batch.parked),
            asyncio.get_running_loop().time() - self._began,
        )  # fmt: skip
        return page.entries

    async def _acknowledge(self, source: Source, page: Page) -> None:
        for shard, raws in page.raws.items():
            ids = [raw.stream_id for raw in raws]
            # Whose turn it was comes last the next time: when batches are small, since one entry is
            # looked for, a busy shard must not keep that one waiting behind it.
            self._standings[shard] = self._standings.pop(shard).after(ids)
        now = {shard: self._standings[shard] for shard in page.raws}
        to = {s: (at.position, at.entries_read) for s, at in now.items() if not at.ahead}
        if to:
            await source.acknowledge(to)
        if self._settings.trim_keep_s:
            self._at("trim")
            committed = {shard: standing.position for shard, standing in now.items()}
            await source.trim(committed, self._settings.trim_keep_s)

    async def _refused(self, page: Page, books: Books, error: BaseException) -> None:
        """Half as much at the next try; one entry that is refused alone, and again, is parked."""
        self._cache.clear()
        self.owned |= await books.heads(self.owned)
        self._unsure |= {*self.owned}
        self._observer.failed("refused")
        if page.entries > 1:
            self._limit = max(page.entries // 2, 1)
            return
        self._refusals += 1
        if self._refusals >= REFUSALS_MAX:
            log.error("refused", error=type(error).__name__,
                      state=getattr(error, "sqlstate", ""))  # fmt: skip
            self._condemned |= {seen.id for seen in page.seen}

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
