"""Networks' own totals held against our batches. What differs is kept, and named row by row."""

from collections.abc import Sequence
from datetime import date

import asyncpg
import msgspec
from msgspec import Struct

from ledger.settlement import OPEN
from ledger.settlement_advice import Advice, Total
from ledger.settlement_page import RECONCILE
from ledger.settlement_read import Batch
from ledger.settling import LOCK

Difference = tuple[str, int | None, int | None]  # name, told, ours
read_differences = msgspec.json.Decoder(tuple[Difference, ...]).decode


class Compared(Struct, frozen=True, kw_only=True):
    """One row of a network's totals, and what we have for it."""

    row: int
    network: str
    currency: str
    cycle_date: date
    batches: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences


class Comparison(Struct, frozen=True, kw_only=True):
    """A file of totals against the books."""

    file_id: str
    rows: tuple[Compared, ...]
    not_told: tuple[str, ...]  # batches of its networks, currencies and days that no row counts
    reconciled: tuple[str, ...]  # batches that have this status by it

    @property
    def agrees(self) -> bool:
        return all(row.agrees for row in self.rows) and not self.not_told


async def compare(connection: asyncpg.Connection, advice: Advice, now_ms: int) -> Comparison:
    """Keep what a network says, and what we say to it; settled batches on which all agrees are
    reconciled. The newest file that counts a batch has the last word on it.

    The same file again is compared again, since batches move on, and is the newest then. What was
    found is kept once, unless another file had the last word meanwhile.

    Raises: asyncpg.PostgresError, OSError.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        rows = tuple([await compared(connection, one) for one in advice.totals])
        spoken_of = sorted({id for row in rows for id in row.batches})
        last_word = await connection.fetchval(
            "SELECT file_id FROM network_total WHERE batches && $1::text[] "
            "ORDER BY compared_at_ms DESC LIMIT 1", spoken_of,
        )  # fmt: skip
        if last_word != advice.file_id or rows != await latest(connection, advice.file_id):
            # Later than all before it, whatever a clock says: the last word must be known.
            newest = await connection.fetchval("SELECT max(compared_at_ms) FROM network_total")
            at_ms = max(now_ms, (newest or 0) + 1)
            await connection.executemany(
                "INSERT INTO network_total (file_id, row, compared_at_ms, network, currency, "
                "cycle_date, told, batches, differences) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                [
                    (
                        advice.file_id, c.row, at_ms, c.network, c.currency, c.cycle_date,
                        msgspec.json.encode(one.told).decode(), list(c.batches),
                        msgspec.json.encode(c.differences).decode(),
                    )
                    for one, c in zip(advice.totals, rows)
                ],
            )  # fmt: skip
        done = await connection.fetch(RECONCILE, now_ms, spoken_of)
        return Comparison(
            file_id=advice.file_id,
            rows=rows,
            not_told=await not_told(connection, rows, spoken_of),
            reconciled=tuple(sorted(row[0] for row in done)),
        )


async def latest(connection: asyncpg.Connection, file_id: str) -> tuple[Compared, ...]:
    """What was found when this file was compared last; nothing, where it never was."""
    rows = await connection.fetch(
        "SELECT * FROM network_total WHERE file_id = $1 AND compared_at_ms = "
        "(SELECT max(compared_at_ms) FROM network_total WHERE file_id = $1) ORDER BY row", file_id,
    )  # fmt: skip
    return tuple(
        Compared(
            row=row["row"],
            network=row["network"],
            currency=row["currency"],
            cycle_date=row["cycle_date"],
            batches=tuple(row["batches"]),
            differences=read_differences(row["differences"]),
        )
        for row in rows
    )


async def compared(connection: asyncpg.Connection, one: Total) -> Compared:
    rows = await connection.fetch(
        "SELECT * FROM settlement_batch WHERE network = $1 AND currency = $2 AND cycle_date = $3 "
        "AND ($4::date IS NULL OR settles_on = $4) AND ($5 = '' OR program = $5) "
        "AND ($6 = '' OR id = $6) ORDER BY id",
        one.network, one.currency, one.cycle_date, one.settles_on, one.program, one.batch,
    )  # fmt: skip
    found = [Batch(**row) for row in rows]
    return Compared(
        row=one.row,
        network=one.network,
        currency=one.currency,
        cycle_date=one.cycle_date,
        batches=tuple(batch.id for batch in found),
        differences=differences(one.told, found),
    )


def differences(told: dict[str, int], found: Sequence[Batch]) -> tuple[Difference, ...]:
    """Name, what the network says, what we say; nothing, where both are the same."""
    if not found:
        return (("no such batch", told.get("net_minor"), None),)
    still_open = sum(batch.status == OPEN for batch in found)
    differing: list[Difference] = []
    if still_open:
        differing.append(("still open", None, still_open))
    for name, theirs in told.items():
        ours = sum(getattr(batch, name) for batch in found)
        if ours != theirs:
            differing.append((name, theirs, ours))
    return tuple(differing)


async def not_told(
    connection: asyncpg.Connection, rows: Sequence[Compared], spoken_of: Sequence[str]
) -> tuple[str, ...]:
    """Batches that the network should have counted in this file, and has not. One that is open has
    not had its cut-off: nobody has counted it yet."""
    groups = sorted({(row.network, row.currency, row.cycle_date) for row in rows})
    found = await connection.fetch(
        "SELECT b.id FROM settlement_batch b JOIN unnest($1::text[], $2::text[], $3::date[]) "
        "g(network, currency, day) ON (b.network, b.currency, b.cycle_date) = "
        "(g.network, g.currency, g.day) WHERE b.id <> ALL($4) AND b.status <> $5 ORDER BY b.id",
        *(map(list, zip(*groups)) if groups else ([], [], [])), list(spoken_of), OPEN,
    )  # fmt: skip
    return tuple(row[0] for row in found)
