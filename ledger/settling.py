"""The batcher: lines on networks' accounts go into batches, each once; batches close and settle.

A page is one transaction: lines behind the cursors of some shards are read, put into the open batch
of their cycle, added up, and the cursors moved. A shard's entries are committed in their order,
without a hole, so what lies at or below its head is all that there will ever be there. Killed
anywhere, a page was written or it was not; batchers beside one another wait for each other's page.
(tests/ledger/test_settling.py)

A batch is settled by an entry of the journal that names it, when that is met among the lines: the
journal alone says what money moved.
"""

from collections.abc import Callable, Collection
from itertools import groupby
from typing import Any, NamedTuple

import asyncpg
import msgspec

from ledger.book import read_body
from ledger.chart import Role
from ledger.journal import Body, LedgerBody
from ledger.settlement import (
    CLOSED,
    FEE,
    NOTHING_TOLD,
    OPEN,
    SETTLED,
    SETTLEMENT,
    Cycle,
    Item,
    Key,
    Line,
    Sums,
    Terms,
    Told,
    fees_of,
    told_of,
)
from ledger.settlement_entry import Settled, read_settled

LOCK = 0x7365746C  # of all that writes settlement tables; migrations have another
PAGE = 5000  # entries looked at in one transaction: some 5 MB where each has a line
CYCLES_MAX = 400  # closed ones in a row that a late line is carried over: more than a year's
UNDECIDED = ("reversal", "withdrawal", "close")  # kinds whose bodies tell nothing of the item
NO_INTERCHANGE = (FEE, "dispute", "write_off", SETTLEMENT)


class Found(NamedTuple):
    """One line of the books, with the entry that it is of."""

    shard: int
    seq: int
    line: int
    at_ms: int
    program: str
    currency: str
    role: str
    subject: str
    amount_minor: int
    kind: str
    authorization_id: str
    body: bytes


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
            found = [Found(*row) for row in await self._connection.fetch(LINES, *zip(*ranges))]
            page = _Page(self._connection, self._terms, self._now_ms())
            settlements = await self._connection.fetch(SETTLEMENTS, *zip(*ranges))
            for row in settlements:
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

    async def _ranges(self) -> list[tuple[int, int, int]]:
        """Of each shard with something new: the cursor, and how far this page goes. Each gets an
        equal part, so a shard that never rests keeps no other waiting."""
        rows = await self._connection.fetch(
            "SELECT s.shard, coalesce(c.seq, 0) AS after, s.seq FROM shard s "
            "LEFT JOIN settlement_cursor c USING (shard) WHERE s.seq > coalesce(c.seq, 0) "
            "ORDER BY s.shard"
        )
        each = max(PAGE // max(len(rows), 1), 1)
        return [(shard, after, min(head, after + each)) for shard, after, head in rows]


# Shard by shard along the index on its place, whatever the planner thinks of the rest.
RANGES = "unnest($1::int[], $2::bigint[], $3::bigint[]) r(shard, low, high)"
LINES = f"""
    SELECT p.shard, p.seq, p.line, p.at_ms, p.program, p.currency, p.role, p.subject,
        p.amount_minor, e.kind, e.authorization_id, e.body
    FROM {RANGES}
    CROSS JOIN LATERAL (
        SELECT * FROM posting WHERE shard = r.shard AND seq > r.low AND seq <= r.high
        AND role IN ('network', 'fx_position') OFFSET 0
    ) p
    CROSS JOIN LATERAL (
        SELECT kind, authorization_id, body FROM journal_entry
        WHERE shard = p.shard AND seq = p.seq AND at_ms = p.at_ms OFFSET 0
    ) e
    ORDER BY p.shard, p.seq, p.line"""
SETTLEMENTS = f"""
    SELECT m.shard, m.seq, m.reference, e.at_ms, e.body
    FROM {RANGES}
    JOIN movement m ON m.shard = r.shard AND m.seq > r.low AND m.seq <= r.high
    JOIN journal_entry e ON e.shard = m.shard AND e.seq = m.seq
    WHERE m.what = '{SETTLEMENT}' ORDER BY m.shard, m.seq"""
# What an authorization began with: its own request, or what came in its place.
FIRSTS = """
    SELECT DISTINCT ON (message_id) message_id, body FROM journal_entry
    WHERE message_id = ANY($1) AND kind <> ALL($2) ORDER BY message_id, at_ms, seq"""


# Settled batches on which the newest file that counted them agrees, in all of its rows.
RECONCILE = """
    UPDATE settlement_batch b SET status = 'reconciled', reconciled_at_ms = $1
    WHERE b.status = 'settled' AND b.id = ANY($2) AND (
        SELECT bool_and(t.differences = '[]') FROM network_total t
        WHERE t.batches @> ARRAY[b.id] AND (t.file_id, t.compared_at_ms) = (
            SELECT file_id, compared_at_ms FROM network_total WHERE batches @> ARRAY[b.id]
            ORDER BY compared_at_ms DESC, file_id LIMIT 1
        )
    ) RETURNING b.id"""


class _Page:
    """The lines of one transaction, and the batches that they go into."""

    def __init__(self, connection: asyncpg.Connection, terms: Terms, now_ms: int) -> None:
        self._connection, self._terms, self._now_ms = connection, terms, now_ms
        self._status: dict[str, str | None] = {}  # of batches; None where there is none yet
        self._keys: dict[str, Key] = {}
        self._settled: dict[tuple[int, int], tuple[str, int, Settled]] = {}
        self._settling_lines: list[Line] = []

    async def settles(self, row: Any, found: list[Found]) -> None:
        """A settlement's entry. It settles the batch that it names if that is closed, and if it
        leaves nothing of it; else its lines are items like any."""
        shard, seq, id, at_ms, packed = row
        batch = await self._connection.fetchrow(
            "SELECT status, network, program, currency, net_minor FROM settlement_batch "
            "WHERE id = $1", id,
        )  # fmt: skip
        body = read(packed)
        if batch is None or not isinstance(body, LedgerBody) or id in self._status:
            return
        status, network, program, currency, net = batch
        settled = read_settled(body)
        lines = [
            one for one in found
            if (one.shard, one.seq) == (shard, seq) and one.role == Role.NETWORK
        ]  # fmt: skip
        moved = [(one.subject, one.program, one.currency, one.amount_minor) for one in lines]
        expected = [(network, program, currency, -net)] if net else []
        if status != CLOSED or settled is None or moved != expected:
            return
        self._status[id] = SETTLED
        self._settled[shard, seq] = id, at_ms, settled
        for one in lines:
            self._settling_lines.append(
                Line(shard, seq, one.line, id, True, at_ms, SETTLEMENT, "", id, "", "",
                     one.amount_minor, 0, 0, False, 0, 0, "", 0)
            )  # fmt: skip

    async def gather(self, found: list[Found]) -> list[Line]:
        """Every line on a network's account, with its batch."""
        told = await self._told(found)
        lines: list[Line] = []
        for place, group in groupby(found, lambda one: (one.shard, one.seq)):
            if place in self._settled:
                continue
            entry, about = list(group), told[place]
            counters = counters_of(entry)
            fees_go_to = line_of_fees(entry, about)
            for one in entry:
                if one.role == Role.NETWORK:
                    fees = (
                        about if one.line == fees_go_to else msgspec.structs.replace(about, fees=())
                    )
                    counter = counters.get((one.program, one.currency), ("", 0))
                    lines.append(await self._line(one, fees, counter))
        return lines

    async def _told(self, found: list[Found]) -> dict[tuple[int, int], Told]:
        """What each entry tells of its item; of one whose body does not, what its first one did."""
        told: dict[tuple[int, int], Told] = {}
        ask: dict[tuple[int, int], str] = {}
        for one in found:
            place = one.shard, one.seq
            if place in told:
                continue
            told[place] = told_of(read(one.body))
            if told[place] == NOTHING_TOLD and one.authorization_id:
                ask[place] = one.authorization_id
        if ask:
            rows = await self._connection.fetch(FIRSTS, list({*ask.values()}), UNDECIDED)
            firsts = {row[0]: told_of(read(row[1])) for row in rows}
            for place, id in ask.items():
                first = firsts.get(id, NOTHING_TOLD)
                told[place] = msgspec.structs.replace(first, fees=(), what="", reference="")
        return told

    async def _line(self, one: Found, told: Told, counter: tuple[str, int]) -> Line:
        item = Item(one.subject, one.program, one.currency, told.bin, told.mcc, told.card_present)
        key = await self._open_batch(item, one.at_ms)
        fees = fees_of(told, one.currency, self._terms.exponents)
        what = told.what or one.kind
        expected = 0
        if not fees.told and what not in NO_INTERCHANGE:
            expected = self._terms.expected_micro(item, one.amount_minor)
        return Line(
            one.shard, one.seq, one.line, key.id, False, one.at_ms, what, one.authorization_id,
            told.reference, told.bin, told.mcc, one.amount_minor, fees.interchange_micro,
            fees.fees_micro, fees.told, fees.uncounted, expected, *counter,
        )  # fmt: skip

    async def _open_batch(self, item: Item, at_ms: int) -> Key:
        """The batch of its cycle; where that is closed, of the first one after it that is not."""
        for _ in range(CYCLES_MAX):
            cycle = self._terms.cycle(item, at_ms)
            key = key_of(item, cycle)
            if key.id not in self._status:
                self._status[key.id] = await self._connection.fetchval(
                    "SELECT status FROM settlement_batch WHERE id = $1", key.id
                )
            if self._status[key.id] in (None, OPEN):
                self._keys[key.id] = key
                return key
            at_ms = cycle.closes_at_ms
        raise AssertionError("a year of cycles is closed ahead")

    async def write(self, lines: Collection[Line]) -> None:
        """Batches that are new, lines, and what they add to their batches."""
        sums: dict[str, Sums] = {}
        for line in lines:
            sums.setdefault(line.batch_id, Sums()).add(line)
        await self._connection.executemany(
            "INSERT INTO settlement_batch (id, network, program, currency, cycle_date, "
            "closes_at_ms, settles_on, days, opened_at_ms) VALUES "
            "($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                (id, *self._keys[id], self._now_ms)
                for id in sorted(sums)
                if self._status[id] is None
            ],
        )
        await self._copy(lines)
        await self._connection.executemany(
            "UPDATE settlement_batch SET items = items + $2, debit_minor = debit_minor + $3, "
            "credit_minor = credit_minor + $4, fee_items_minor = fee_items_minor + $5, "
            "interchange_micro = interchange_micro + $6, fees_micro = fees_micro + $7, "
            "told_items = told_items + $8, uncounted_fees = uncounted_fees + $9, "
            "expected_micro = expected_micro + $10 WHERE id = $1",
            [(id, *msgspec.structs.astuple(sums[id])) for id in sorted(sums)],
        )

    async def write_settled(self) -> None:
        """Batches that were settled, with the route that their money took; reconciled at once
        where the network's totals came first and agree."""
        await self._copy(self._settling_lines)
        for (shard, seq), (id, at_ms, settled) in self._settled.items():
            await self._connection.execute(
                "UPDATE settlement_batch SET status = $2, settled_at_ms = $3, moved_minor = $4, "
                "moved_currency = $5, settled_shard = $6, settled_seq = $7, "
                "booked_interchange_minor = $8, booked_fees_minor = $9 WHERE id = $1",
                id, SETTLED, at_ms, settled.moved_minor, settled.currency, shard, seq,
                settled.interchange_minor, settled.fees_minor,
            )  # fmt: skip
            if settled.route is not None:
                names = ("source", "rate", "converted_minor", "cost_minor", "moved_minor")
                offers = [dict(zip(names, offer)) for offer in settled.offers]
                source, into, rate, amount, converted, cost = settled.route
                await self._connection.execute(
                    "INSERT INTO fx_route (batch_id, source, into_currency, rate, amount_minor, "
                    "converted_minor, cost_minor, offers) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    id, source, into, rate, amount, converted, cost,
                    msgspec.json.encode(offers).decode(),
                )  # fmt: skip
        ids = [id for id, _, _ in self._settled.values()]
        await self._connection.execute(RECONCILE, self._now_ms, ids)

    async def _copy(self, lines: Collection[Line]) -> None:
        if not lines:
            return
        await self._connection.copy_records_to_table(
            "settlement_line", records=lines, columns=Line._fields, schema_name="ledger"
        )


def read(body: bytes) -> Body | None:
    try:
        found: Body = read_body(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found


def key_of(item: Item, cycle: Cycle) -> Key:
    return Key(
        item.network, item.program, item.currency, cycle.day, cycle.closes_at_ms,
        cycle.settles_on, cycle.days,
    )  # fmt: skip


def counters_of(entry: list[Found]) -> dict[tuple[str, str], tuple[str, int]]:
    """By program and currency: what stands in the FX position of which other currency against what
    the network is owed. Only where it is plain: one network's line against one position each way.
    """
    owed = [one for one in entry if one.role == Role.NETWORK]
    positions = [one for one in entry if one.role == Role.FX_POSITION]
    if len(owed) != 1 or len(positions) != 2:
        return {}
    here = [p for p in positions if p.currency == owed[0].currency]
    there = [p for p in positions if p.currency != owed[0].currency]
    if len(here) != 1 or here[0].amount_minor != -owed[0].amount_minor:
        return {}
    return {(owed[0].program, owed[0].currency): (there[0].currency, there[0].amount_minor)}


def line_of_fees(entry: list[Found], told: Told) -> int:
    """Which line has what was told of fees, where there are several: each is told once."""
    owed = [one for one in entry if one.role == Role.NETWORK]
    here = [one.line for one in owed if one.currency == told.settles_in]
    return (here or [one.line for one in owed] or [-1])[0]
