"""One page of the batcher: lines of the books, each put into the open batch of its cycle."""

from collections.abc import Collection
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
    MICRO_MAX,
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


class Page:
    """The lines of one transaction, and the batches that they go into."""

    def __init__(self, connection: asyncpg.Connection, terms: Terms, now_ms: int) -> None:
        self._connection, self._terms, self._now_ms = connection, terms, now_ms
        self._status: dict[str, str | None] = {}  # of batches; None where there is none yet
        self._keys: dict[str, Key] = {}
        self._settled: dict[tuple[int, int], tuple[str, int, Settled]] = {}
        self._settling_lines: list[Line] = []

    async def settles(self, row: Any, found: list[Found]) -> bool:
        """A settlement's entry. It settles the batch that it names if it leaves nothing of it.

        Nobody journals one for a batch that is open, so where it is open here, these books were
        restored to a time before its close: it is closed by what the journal knows of it.
        """
        shard, seq, id, at_ms, packed = row
        batch = await self._connection.fetchrow(
            "SELECT status, network, program, currency, net_minor FROM settlement_batch "
            "WHERE id = $1", id,
        )  # fmt: skip
        body = read(packed)
        if batch is None or not isinstance(body, LedgerBody) or id in self._status:
            return False
        status, network, program, currency, net = batch
        settled = read_settled(body)
        lines = [
            one for one in found
            if (one.shard, one.seq) == (shard, seq) and one.role == Role.NETWORK
        ]  # fmt: skip
        moved = [(one.subject, one.program, one.currency, one.amount_minor) for one in lines]
        expected = [(network, program, currency, -net)] if net else []
        if status not in (OPEN, CLOSED) or settled is None or moved != expected:
            return False
        self._status[id] = SETTLED
        self._settled[shard, seq] = id, at_ms, settled
        for one in lines:
            self._settling_lines.append(
                Line(shard, seq, one.line, id, True, at_ms, SETTLEMENT, "", id, "", "",
                     one.amount_minor, 0, 0, False, 0, 0, "", 0)
            )  # fmt: skip
        return True

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
            expected = expected if abs(expected) <= MICRO_MAX else 0
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
        ids = [id for id, _, _ in self._settled.values()]
        await self._connection.execute(
            "UPDATE settlement_batch SET status = $1, closed_at_ms = $2 "
            "WHERE status = 'open' AND id = ANY($3)", CLOSED, self._now_ms, ids,
        )  # fmt: skip
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
