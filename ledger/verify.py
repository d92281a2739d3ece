"""Are the books whole? What can be told from entries and lines is told again and compared.

The chain of each shard is made anew from the entries' bytes and their lines, from its start or from
where older months were put away (retain.py), so whoever altered, dropped or added one is found at
the first entry that differs. Then sums: each currency's lines, the balances beside them, and what
authorizations say. Reads all of the books, in pages, one shard after another; in one snapshot, so
it may run while a writer writes.
"""

from typing import Any

import asyncpg
from msgspec import Struct, field

from ledger.chain import ID_BYTES, START, content, link

PAGE = 5000  # entries held in memory at once
DIFFERENCES_MAX = 200  # listed; all are counted


class Difference(Struct, frozen=True):
    """One thing that is not as it should be."""

    where: str  # "shard 7 entry 1234", "account A1 840"
    what: str
    found: int | str | None
    expected: int | str | None


class Verified(Struct, kw_only=True):
    """What was looked at, and what differed."""

    ok: bool = True
    shards: int = 0
    entries: int = 0
    postings: int = 0
    put_away: int = 0  # entries before these, of which only sums and the ends of chains are kept
    parked: int = 0  # open ones: money in them is not in the books
    notices: int = 0
    found: int = 0  # differences, listed or not
    differences: list[Difference] = field(default_factory=list)

    def differs(self, where: str, what: str, found: Any, expected: Any) -> None:
        self.ok = False
        self.found += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(Difference(where, what, found, expected))


async def verify(connection: asyncpg.Connection) -> Verified:
    """Raises: asyncpg.PostgresError, OSError."""
    report = Verified()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for row in await connection.fetch("SELECT * FROM shard ORDER BY shard"):
            await verify_shard(connection, row, report)
        await verify_sums(connection, report)
        report.put_away = await connection.fetchval(
            "SELECT coalesce(sum(entries), 0)::bigint FROM retention"
        )
        report.parked = await connection.fetchval(
            "SELECT count(*) FROM parked WHERE resolved_at IS NULL"
        )
        report.notices = await connection.fetchval("SELECT count(*) FROM notice")
    return report


async def verify_shard(connection: asyncpg.Connection, head: Any, report: Verified) -> None:
    """Its chain, link by link; it stops at the first that is broken, as all later ones are."""
    shard, digest, seq = head["shard"], START, 0
    anchor = await connection.fetchrow("SELECT seq, digest FROM anchor WHERE shard = $1", shard)
    if anchor is not None:  # what came before it was put away
        seq, digest = anchor
    report.shards += 1
    while True:
        entries = await connection.fetch(
            "SELECT * FROM journal_entry WHERE shard = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            shard, seq, PAGE,
        )  # fmt: skip
        if not entries:
            break
        lines = await lines_of(connection, shard, seq, entries[-1]["seq"])
        for entry in entries:
            where = f"shard {shard} entry {seq + 1}"
            if entry["seq"] != seq + 1:
                report.differs(where, "entry", "missing", None)
                return
            seq += 1
            digest = verify_entry(shard, entry, lines.pop(seq, []), digest, where, report)
            if not digest:
                return
            report.entries += 1
        for orphan in lines:
            report.differs(f"shard {shard} entry {orphan}", "lines", "of no entry", None)
    if (seq, digest) != (head["seq"], head["digest"]):
        report.differs(f"shard {shard}", "entries", seq, head["seq"])


def verify_entry(
    shard: int, entry: Any, lines: list[tuple[Any, ...]], before: bytes, where: str,
    report: Verified,
) -> bytes:  # fmt: skip
    """The link that it makes; nothing where it is not the one that it has."""
    of = content(shard, entry["envelope"], entry["body"])
    report.postings += len(lines)
    if of[:ID_BYTES] != entry["id"]:
        report.differs(where, "content", of[:ID_BYTES].hex(), entry["id"].hex())
    elif len(lines) != entry["postings"]:
        report.differs(where, "lines", len(lines), entry["postings"])
    elif (digest := link(before, of, [line[1:] for line in lines])) != entry["digest"]:
        report.differs(where, "digest", digest.hex(), entry["digest"].hex())
    else:
        return digest
    return b""


async def lines_of(
    connection: asyncpg.Connection, shard: int, after: int, until: int
) -> dict[int, list[tuple[Any, ...]]]:
    """Lines by entry, in their order: seq, program, currency, role, subject, amount."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in await connection.fetch(
        "SELECT seq, program, currency, role, subject, amount_minor FROM posting "
        "WHERE shard = $1 AND seq > $2 AND seq <= $3 ORDER BY seq, line", shard, after, until,
    ):  # fmt: skip
        found.setdefault(row[0], []).append(tuple(row))
    return found


# Each balance beside the sums of its lines; also where one of the two is missing.
BY_LINES = """
    WITH by_lines AS (
        SELECT coalesce(b.account_id, l.subject) AS account_id,
            coalesce(b.currency, l.currency) AS currency,
            coalesce(b.posted_minor, 0) AS posted, coalesce(b.held_minor, 0) AS held,
            l.open, l.lines_held
        FROM balance b FULL JOIN (
            SELECT subject, currency,
                (-sum(amount_minor) FILTER (WHERE role = 'open'))::bigint AS open,
                (-sum(amount_minor) FILTER (WHERE role = 'held'))::bigint AS lines_held
            FROM moved WHERE role IN ('open', 'held') GROUP BY subject, currency
        ) l ON l.subject = b.account_id AND l.currency = b.currency
    )"""
# What is kept beside the lines, against their sums: where, what, as it is kept, as it must be.
SUMS = {
    "a currency does not sum to zero": """
        SELECT currency, sum(amount_minor)::bigint, 0::bigint FROM moved
        GROUP BY currency HAVING sum(amount_minor) <> 0""",
    "what a balance says is open is not the sum of its lines": """
        SELECT 'account ' || account_id || ' ' || currency, posted - held, coalesce(open, 0)
        FROM by_lines WHERE posted - held <> coalesce(open, 0)""",
    "what a balance says is held is not the sum of its lines": """
        SELECT 'account ' || account_id || ' ' || currency, held, coalesce(lines_held, 0)
        FROM by_lines WHERE held <> coalesce(lines_held, 0)""",
    "holds are not those of the authorizations": """
        SELECT 'account ' || b.account_id || ' ' || b.currency, b.held_minor, coalesce(a.held, 0)
        FROM balance b LEFT JOIN (
            SELECT account_id, currency, sum(held_minor)::bigint AS held FROM "authorization"
            GROUP BY account_id, currency
        ) a USING (account_id, currency)
        WHERE b.held_minor <> coalesce(a.held, 0)""",
    "an authorization is approved without an approval": """
        SELECT 'authorization ' || a.authorization_id, 1::bigint, 0::bigint FROM "authorization" a
        WHERE a.approved AND a.first_at_ms >= kept_from_ms() AND NOT EXISTS (
            SELECT FROM journal_entry e WHERE e.message_id = a.authorization_id
            AND e.kind = 'authorization' AND e.verdict = 'held')""",
    "the sums of what was put away are not those that were written then": """
        SELECT 'retention ' || number, encode(carried_digest(), 'hex'), encode(sums, 'hex')
        FROM retention WHERE number = (SELECT max(number) FROM retention)
        AND sums <> carried_digest()""",
}


async def verify_sums(connection: asyncpg.Connection, report: Verified) -> None:
    for what, statement in SUMS.items():
        rows = await connection.fetch(
            f"{BY_LINES} {statement} ORDER BY 1 LIMIT {DIFFERENCES_MAX + 1}"
        )
        for where, found, expected in rows:
            report.differs(str(where), what, found, expected)
