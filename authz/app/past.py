"""What came before the streams of a store: read in the books, once a stream turns out to be cut.

The writer trims the journal in the store once it is in the books. Who reads it backwards, or from
its beginning, reads on there. Without books, or with those of another store, what was cut is not
told, and `why` says so.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from authz.app.books import NO_BOOKS, FoundBooks, find_books
from authz.config import Config
from authz.hot import keys
from ledger import past as books
from ledger.database import connect
from ledger.past import Told

Fields = Mapping[bytes, bytes]
T = TypeVar("T")

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

NOT_KNOWN = "the books know nothing of the oldest entries in the store"
PAGE = 1000  # entries of one reading: some 2 MB
KNOWN = 100  # entries of a stream that are looked for in the books; one is enough, some are parked


class OtherBooks(Exception):
    """These books are of another store: nothing of them is about this one."""


async def check_whose(client: Redis, connection: asyncpg.Connection) -> None:
    """Raises: OtherBooks; errors of both servers."""
    whose = await books.store_id(connection)
    here: Any = await client.get(keys.STORE_ID)
    if whose and here != whose.encode():
        if here is None:
            raise OtherBooks("the store is empty: authz rebuild gives it back what the books have")
        raise OtherBooks("the books are of another store")


class Past:
    """The books behind the streams; nothing of them is opened before it is asked for.

    To be used in an `async with`. Without a store and a configuration there is nothing to be had.
    """

    def __init__(
        self, client: Redis | None = None, config: Config | None = None, folder: Path | None = None
    ) -> None:
        self._client, self._config, self._folder = client, config, folder
        self._found: FoundBooks | None = None
        self._connection: asyncpg.Connection | None = None
        self.why = ""  # what was missed, and why

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._connection is not None:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError):
                await self._connection.close(timeout=2)
        if self._found is not None:
            self._found.stop()

    async def place(self, shard: str, first: Sequence[Fields]) -> int | None:
        """Up to which place of the shard the books come before these entries, the oldest that are
        left of its stream; None where they do not know them, or are not to be had."""
        found = await self.ask(lambda c: books.place_of(c, int(shard), first), 0)
        if found:
            return found - 1
        if not self.why and await self._is_rebuilt(shard):
            # Of what came since the writer has written nothing yet; else one of them was found.
            return await self.ask(lambda c: books.length(c, int(shard)), 0)
        self.why = self.why or NOT_KNOWN
        return None

    async def _is_rebuilt(self, shard: str) -> bool:
        """Whether the store was rebuilt from the books, so that they precede all of its stream."""
        assert self._client is not None
        return await self._client.hget(keys.control(shard), keys.FROM_BOOKS) == b"1"

    async def newest(self, shard: str, until: int, since_ms: int, count: int) -> list[Told]:
        """Up to that place and since that time, the newest first."""
        return await self.ask(
            lambda c: books.newest(c, int(shard), until, since_ms, count), list[Told]()
        )

    async def oldest(self, shard: str, after: int, until: int, count: int) -> list[Told]:
        """Between these places, the oldest first."""
        return await self.ask(
            lambda c: books.oldest(c, int(shard), after, until, count), list[Told]()
        )

    async def before(
        self, shard: str, first: Sequence[Fields]
    ) -> AsyncIterator[tuple[bytes, dict[bytes, bytes]]]:
        """All before these, the oldest first: what an audit asks for."""
        async for row in self.rows(shard, first):
            yield stream_id(row), row.fields

    async def rows(
        self, shard: str, first: Sequence[Fields], after: int = 0
    ) -> AsyncIterator[Told]:
        """Those behind a place, and before these."""
        until = await self.place(shard, first) or 0
        while page := await self.oldest(shard, after, until, PAGE):
            for row in page:
                yield row
            after = page[-1].seq

    async def ask(self, question: Callable[[asyncpg.Connection], Awaitable[T]], nothing: T) -> T:
        """What the books say. Those that are lost while they are read are as good as none; `why`
        tells it."""
        if self._config is None or self._client is None:
            self.why = self.why or "nobody said where its books are"
            return nothing
        try:
            if self._connection is None:
                self._found = await find_books(self._config, self._folder, make=False)
                self._connection = await connect(self._found.dsn, command_timeout=None)
                await check_whose(self._client, self._connection)
            return await question(self._connection)
        except OtherBooks as error:
            self.why = str(error)
        except NO_BOOKS as error:
            self.why = str(error)
        except AWAY as error:
            self.why = f"the books could not be read ({type(error).__name__})"
        self._config = None  # they are not asked again
        return nothing


def stream_id(row: Told) -> bytes:
    """Below every id of a stream: who reads on from it reads in the books."""
    return b"0-%d" % row.seq


def place_in(stream_id: str) -> int:
    """The place in the books that such an id names; 0 for one of a stream."""
    ms, _, sequence = stream_id.partition("-")
    return int(sequence) if ms == "0" else 0


async def is_cut(client: Redis, shard: str) -> bool:
    """Whether something was journalled in this shard that its stream has no more."""
    if await client.hget(keys.control(shard), keys.FROM_BOOKS) == b"1":
        return True
    try:
        about = await client.xinfo_stream(keys.journal(shard))
    except ResponseError:  # there is none
        return False
    return bool(about["entries-added"] > about["length"])


async def first_of(
    client: Redis, shard: str, count: int = KNOWN
) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The oldest entries of its stream."""
    rows: Any = await client.xrange(keys.journal(shard), count=count)
    return list(rows)
