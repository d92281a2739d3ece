"""The batcher: lines on networks' accounts go into batches, each once; batches close and settle.

A page is one transaction: lines behind the cursors of some shards are read, put into the open batch
of their cycle, added up, and the cursors moved. A shard's entries are committed in their order,
without a hole, so what lies at or below its head is all that there will ever be there. Killed
anywhere, a page was written or it was not; batchers beside one another wait for each other's page.
(tests/ledger/test_settling.py)

A batch is settled by an entry of the journal that names it, when that is met among the lines: the
journal alone says what money moved.
"""

from collections.abc import Callable
from typing import Any

import asyncpg

from ledger.settlement import CLOSED, Terms
from ledger.settlement_page import LINES, SETTLEMENTS, Found, Page

LOCK = 0x7365746C  # of all that writes settlement tables; migrations have another
PAGE = 5000  # entries looked at in one transaction: some 5 MB where each has a line
Range = tuple[int, int, int]  # of a shard: behind this place, up to that


class Batcher:
    """Everything that changes settlement tables, over one session."""

    def __init__(
        self, connection: asyncpg.Connection, terms: Terms, now_ms: Callable[[], int],
        at: Callable[[str], None] = lambda place: None,
    ) -> None:  # fmt: skip
        """`at` is told where we are, for tests that end us there."""
        self._connection, self._terms, self._now_ms, self._at = connection, terms, now_ms, at

    async def take(self) -> int:
        """Everything that is in the books now; how many lines went into batches.

        Raises: asyncpg.PostgresError, OSError.
        """
        taken = 0
        while (lines := await self.take_page()) is not None:
            taken += lines
        return taken

    async def take_page(self) -> int | None:
        """One page, in one transaction; None, where there is nothing behind the cursors."""
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            ranges = await self._ranges()
            if not ranges:
                return None
            self._at("read")
            page = Page(self._connection, self._terms, self._now_ms())
            found = [Found(*row) for row in await self._connection.fetch(LINES, *zip(*ranges))]
            misfits = [
                row[:2]
                for row in await self._connection.fetch(SETTLEMENTS, *zip(*ranges))
                if not await page.settles(row, found)
            ]
            if misfits:
                ranges = before_misfits(ranges, misfits)
                page = Page(self._connection, self._terms, self._now_ms())
                found = [Found(*row) for row in await self._connection.fetch(LINES, *zip(*ranges))]
                for row in await self._connection.fetch(SETTLEMENTS, *zip(*ranges)):
                    await page.settles(row, found)
            lines = await page.gather(found)
            self._at("insert")
            await page.write(lines)
            await page.write_settled()
            await self._connection.execute(
                "INSERT INTO settlement_cursor (shard, seq) SELECT * FROM unnest($1::int[], "
                "$2::bigint[]) ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq",
                [shard for shard, _, _ in ranges], [last for _, _, last in ranges],
            )  # fmt: skip
            self._at("commit")
        self._at("committed")
        return len(lines)

    async def close_due(self, until_ms: int) -> list[str]:
        """Close what had its cut-off by then; the ids of the batches.

        `until_ms`: all that was journalled before it must have been taken.
        """
        return await self._close("closes_at_ms <= $3", until_ms)

    async def close_one(self, batch_id: str) -> bool:
        """Close one before its time. False, where it is not open."""
        return bool(await self._close("id = $3", batch_id))

    async def _close(self, which: str, value: Any) -> list[str]:
        async with self._connection.transaction():
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            rows = await self._connection.fetch(
                f"UPDATE settlement_batch SET status = $1, closed_at_ms = $2 "
                f"WHERE status = 'open' AND {which} RETURNING id", CLOSED, self._now_ms(), value,
            )  # fmt: skip
            self._at("close")
        return sorted(row[0] for row in rows)

    async def _ranges(self) -> list[Range]:
        """Of each shard with something new: the cursor, and how far this page goes. Each gets an
        equal part, so a shard that never rests keeps no other waiting."""
        rows = await self._connection.fetch(
            "SELECT s.shard, coalesce(c.seq, 0) AS after, s.seq FROM shard s "
            "LEFT JOIN settlement_cursor c USING (shard) WHERE s.seq > coalesce(c.seq, 0) "
            "ORDER BY s.shard"
        )
        each = max(PAGE // max(len(rows), 1), 1)
        return [(shard, after, min(head, after + each)) for shard, after, head in rows]


def before_misfits(ranges: list[Range], misfits: list[tuple[int, int]]) -> list[Range]:
    """As far as no settlement is met that does not fit its batch: that may lack lines of other
    shards. Where there is nothing before one, it is an item like any, and one is taken alone."""
    first: dict[int, int] = {}
    for shard, seq in misfits:
        first[shard] = min(seq, first.get(shard, seq))
    cut = [
        (shard, after, first[shard] - 1 if shard in first else last)
        for shard, after, last in ranges
    ]
    some = [(shard, after, last) for shard, after, last in cut if last > after]
    shard, after, _ = cut[0]
    return some or [(shard, after, after + 1)]
