"""Old months of the journal are put away: whole, into a schema of their own.

What they came to stays: the sum of each account of the ledger, and the link at which each shard's
chain goes on. So the trial balance is the same after it, and what is kept can still be verified.
All of it in one transaction: killed anywhere, nothing has happened.
"""

from datetime import UTC, datetime

import asyncpg
from msgspec import Struct

ARCHIVE = "ledger_archive"
LOCK = 0x72657461  # of retention; others are those of ledger/database.py and ledger/store.py
# Partitions are taken off under a lock that stops the writer; if it cannot be had soon, nothing is
# done, and the writer has waited no longer than this.
LOCK_TIMEOUT_MS = 3000
# A rebuild reads counters of windows of up to 92 days from the entries (authz rebuild).
MONTHS_MIN = 4

OLD = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'journal_entry'::regclass
        AND right(c.relname, 7) < $1 AND c.relname ~ '^journal_entry_\\d{4}_\\d\\d$'
    ORDER BY c.relname"""


class NotYet(Exception):
    """Nothing was put away; the text says why."""


class PutAway(Struct, kw_only=True):
    """What was put away, or would be."""

    months: list[str]  # "2026_05"
    before_ms: int = 0  # entries from here on are kept
    entries: int = 0
    postings: int = 0


async def put_away(
    connection: asyncpg.Connection, months: int, now_ms: int, *, dry_run: bool = False
) -> PutAway:
    """All but this month and so many before it. The times of entries are the store's; the calendar
    is that of UTC.

    Raises: NotYet; ValueError, for too few months; asyncpg.PostgresError, OSError.
    """
    if months < MONTHS_MIN:
        raise ValueError("too few months")
    first = first_kept(months, now_ms)
    transaction = connection.transaction()
    await transaction.start()
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
            raise NotYet("another one is putting months away")
        found = [name[-7:] for (name,) in await connection.fetch(OLD, f"{first:%Y_%m}")]
        done = PutAway(months=found, before_ms=int(first.timestamp() * 1000))
        for month in found:
            await carry(connection, month, done)
        if found and not dry_run:
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
            for month in found:
                await take_off(connection, month)
            await connection.execute(
                "INSERT INTO retention (number, before_ms, months, entries, postings, sums) "
                "SELECT 1 + count(*), $1, $2, $3, $4, carried_digest() FROM retention",
                done.before_ms, " ".join(found), done.entries, done.postings,
            )  # fmt: skip
    except asyncpg.LockNotAvailableError:
        await transaction.rollback()
        raise NotYet("the books are in use just now: try again") from None
    except BaseException:
        await transaction.rollback()
        raise
    await (transaction.rollback() if dry_run else transaction.commit())
    return done


def first_kept(months: int, now_ms: int) -> datetime:
    """The beginning of the first month that is kept."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    count = now.year * 12 + now.month - 1 - months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


async def carry(connection: asyncpg.Connection, month: str, done: PutAway) -> None:
    """The ends of its chains, and the sums of its lines. Raises: NotYet."""
    ends = await connection.fetch(
        "SELECT DISTINCT ON (shard) shard, seq, digest, count(*) OVER (PARTITION BY shard) AS many "
        f"FROM journal_entry_{month} ORDER BY shard, seq DESC"
    )
    for end in ends:
        shard, seq = end["shard"], end["seq"]
        before = await connection.fetchval("SELECT seq FROM anchor WHERE shard = $1", shard) or 0
        if seq - before != end["many"]:
            # The store's clock went back over the end of the month, or entries are missing.
            raise NotYet(f"{month}: the entries of shard {shard} are no piece of its chain")
        done.entries += end["many"]
    await connection.executemany(
        "INSERT INTO anchor (shard, seq, digest) VALUES ($1, $2, $3) "
        "ON CONFLICT (shard) DO UPDATE SET seq = excluded.seq, digest = excluded.digest",
        [(end["shard"], end["seq"], end["digest"]) for end in ends],
    )
    await connection.execute(
        "INSERT INTO carried SELECT program, currency, role, subject, sum(amount_minor)::bigint "
        f"FROM posting_{month} GROUP BY program, currency, role, subject "
        "ON CONFLICT (program, currency, role, subject) DO UPDATE "
        "SET amount_minor = carried.amount_minor + excluded.amount_minor"
    )
    done.postings += await connection.fetchval(f"SELECT count(*) FROM posting_{month}")


async def take_off(connection: asyncpg.Connection, month: str) -> None:
    for parent in ("journal_entry", "posting"):
        name = f"{parent}_{month}"
        await connection.execute(f"ALTER TABLE {parent} DETACH PARTITION {name}")
        await connection.execute(f"ALTER TABLE {name} SET SCHEMA {ARCHIVE}")
