"""What is in batches: looked up, listed item by item, and held against the lines of the books."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from ledger.settlement import OPEN, STATUSES, Key, minor
from ledger.settlement_entry import Settling

PAGE = 2000  # items held in memory at once
SHOWN_MAX = 1000  # batches of one answer: two networks, ten programs, ten currencies, five days
DIFFERENCES_MAX = 200


class Batch(Struct, frozen=True, kw_only=True):
    """A settlement batch. Minor units of its currency; above zero the network owes us."""

    id: str
    network: str
    program: str
    currency: str
    cycle_date: date
    closes_at_ms: int
    settles_on: date
    days: int
    status: str
    opened_at_ms: int
    closed_at_ms: int | None
    settled_at_ms: int | None
    reconciled_at_ms: int | None
    items: int
    debit_minor: int
    credit_minor: int
    net_minor: int
    fee_items_minor: int
    interchange_micro: int
    fees_micro: int
    told_items: int
    uncounted_fees: int
    expected_micro: int
    moved_minor: int | None
    moved_currency: str | None
    booked_interchange_minor: int | None
    booked_fees_minor: int | None
    settled_shard: int | None
    settled_seq: int | None

    @property
    def key(self) -> Key:
        return Key(
            self.network, self.program, self.currency, self.cycle_date, self.closes_at_ms,
            self.settles_on, self.days,
        )  # fmt: skip

    @property
    def interchange_minor(self) -> int:
        return minor(self.interchange_micro)

    @property
    def fees_minor(self) -> int:
        return minor(self.fees_micro)

    @property
    def charges_minor(self) -> int:
        """Both, as networks tell them in one."""
        return self.interchange_minor + self.fees_minor

    @property
    def expected_minor(self) -> int:
        return minor(self.expected_micro)

    @property
    def settling(self) -> Settling:
        """What settles it, by what was told."""
        return Settling(self.net_minor, self.interchange_minor, self.fees_minor)


class Standing(Struct, frozen=True, kw_only=True):
    """Where settlement stands as a whole."""

    batches: dict[str, int]  # by status
    net_minor: dict[str, int]  # by currency, of batches that are not settled
    oldest_open_closes_at_ms: int | None
    entries_not_taken: int


async def batch(connection: asyncpg.Connection, id: str) -> Batch | None:
    row = await connection.fetchrow("SELECT * FROM settlement_batch WHERE id = $1", id)
    return Batch(**row) if row else None


async def batches(
    connection: asyncpg.Connection, *, status: tuple[str, ...] = STATUSES, day: date | None = None
) -> list[Batch]:
    """Those of these statuses, and of this cycle; at most SHOWN_MAX, the newest first."""
    rows = await connection.fetch(
        "SELECT * FROM settlement_batch WHERE status = ANY($1) AND ($2::date IS NULL OR "
        "cycle_date = $2) ORDER BY closes_at_ms DESC, id LIMIT $3", status, day, SHOWN_MAX,
    )  # fmt: skip
    return [Batch(**row) for row in rows]


async def standing(connection: asyncpg.Connection) -> Standing:
    rows = await connection.fetch("SELECT status, count(*) FROM settlement_batch GROUP BY status")
    net = await connection.fetch(
        "SELECT currency, sum(net_minor)::bigint FROM settlement_batch "
        "WHERE status IN ('open', 'closed') GROUP BY currency ORDER BY currency"
    )
    return Standing(
        batches=dict.fromkeys(STATUSES, 0) | {row[0]: row[1] for row in rows},
        net_minor={row[0]: row[1] for row in net},
        oldest_open_closes_at_ms=await connection.fetchval(
            "SELECT min(closes_at_ms) FROM settlement_batch WHERE status = $1", OPEN
        ),
        entries_not_taken=await connection.fetchval(
            "SELECT coalesce(sum(s.seq - coalesce(c.seq, 0)), 0)::bigint FROM shard s "
            "LEFT JOIN settlement_cursor c USING (shard)"
        ),
    )


async def items(connection: asyncpg.Connection, id: str) -> AsyncIterator[Any]:
    """The lines of a batch, in the order in which they happened; what settled it is the last."""
    after = (-1, 0, 0, 0)
    while True:
        rows = await connection.fetch(
            "SELECT * FROM settlement_line WHERE batch_id = $1 AND (at_ms, shard, seq, line) > "
            "($2, $3, $4, $5) ORDER BY at_ms, shard, seq, line LIMIT $6", id, *after, PAGE,
        )  # fmt: skip
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = tuple(rows[-1][name] for name in ("at_ms", "shard", "seq", "line"))


async def kinds(connection: asyncpg.Connection, id: str) -> list[dict[str, Any]]:
    """What a batch is made of, by what its items are."""
    rows = await connection.fetch(
        "SELECT what, count(*) AS items, "
        "coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint AS debit_minor, "
        "coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint AS credit_minor "
        "FROM settlement_line WHERE batch_id = $1 AND NOT settles GROUP BY what ORDER BY what", id,
    )  # fmt: skip
    return [dict(row) for row in rows]


async def route(connection: asyncpg.Connection, id: str) -> dict[str, Any] | None:
    """How its money was converted, where it was."""
    row = await connection.fetchrow("SELECT * FROM fx_route WHERE batch_id = $1", id)
    return None if row is None else dict(row) | {"offers": msgspec.json.decode(row["offers"])}


async def counters(connection: asyncpg.Connection, id: str, into: str) -> tuple[int, int]:
    """Of the items that we converted from `into`: what they come to in the batch's currency, and
    what stands against that in the FX position of `into`."""
    row = await connection.fetchrow(
        "SELECT coalesce(sum(amount_minor), 0)::bigint, coalesce(sum(counter_minor), 0)::bigint "
        "FROM settlement_line WHERE batch_id = $1 AND counter_currency = $2", id, into,
    )  # fmt: skip
    return row[0], row[1]


class Difference(Struct, frozen=True):
    """Where batches are not what the books say."""

    where: str
    what: str
    found: int | None
    expected: int | None


# Line by line; a batch against its lines; and what the two come to for each network's account.
CHECKS = {
    "a line is not in the batch of its account": """
        SELECT 'shard ' || coalesce(p.shard, l.shard) || ' entry ' || coalesce(p.seq, l.seq)
            || ' line ' || coalesce(p.line, l.line), l.amount_minor, p.amount_minor
        FROM (
            SELECT t.* FROM posting t JOIN settlement_cursor c USING (shard)
            WHERE t.role = 'network' AND t.seq <= c.seq
        ) p FULL JOIN (
            SELECT i.*, b.network, b.program, b.currency
            FROM settlement_line i JOIN settlement_batch b ON b.id = i.batch_id
        ) l ON (l.shard, l.seq, l.line) = (p.shard, p.seq, p.line)
        WHERE (p.subject, p.program, p.currency, p.amount_minor, p.at_ms)
            IS DISTINCT FROM (l.network, l.program, l.currency, l.amount_minor, l.at_ms)""",
    "a batch's net is not the sum of its items": """
        SELECT b.id, b.net_minor, coalesce(l.net, 0)::bigint FROM settlement_batch b LEFT JOIN (
            SELECT batch_id, sum(amount_minor) AS net, count(*) AS items FROM settlement_line
            WHERE NOT settles GROUP BY batch_id
        ) l ON l.batch_id = b.id
        WHERE (b.net_minor, b.items) IS DISTINCT FROM (coalesce(l.net, 0), coalesce(l.items, 0))""",
    "a settled batch does not come to zero": """
        SELECT b.id, sum(l.amount_minor)::bigint, 0::bigint
        FROM settlement_batch b JOIN settlement_line l ON l.batch_id = b.id
        WHERE b.status IN ('settled', 'reconciled')
        GROUP BY b.id HAVING sum(l.amount_minor) <> 0""",
    "a network's account is not what is unsettled on it": """
        SELECT coalesce(p.account, u.account), p.balance::bigint, u.unsettled::bigint FROM (
            SELECT subject || ' ' || program || ' ' || currency AS account,
                sum(amount_minor) AS balance
            FROM posting WHERE role = 'network' GROUP BY 1
        ) p FULL JOIN (
            SELECT account, sum(minor) AS unsettled FROM (
                SELECT network || ' ' || program || ' ' || currency AS account, net_minor AS minor
                FROM settlement_batch WHERE status IN ('open', 'closed')
                UNION ALL
                SELECT t.subject || ' ' || t.program || ' ' || t.currency, t.amount_minor
                FROM posting t LEFT JOIN settlement_cursor c USING (shard)
                WHERE t.role = 'network' AND t.seq > coalesce(c.seq, 0)
            ) x GROUP BY account
        ) u USING (account) WHERE coalesce(p.balance, 0) <> coalesce(u.unsettled, 0)""",
}


async def check(connection: asyncpg.Connection) -> list[Difference]:
    """Whether each line is in one batch, and each network's account is what is not settled.

    Reads all lines of the books, in one snapshot. At most DIFFERENCES_MAX of each kind.
    """
    found: list[Difference] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for what, statement in CHECKS.items():
            rows = await connection.fetch(f"{statement} ORDER BY 1 LIMIT {DIFFERENCES_MAX}")
            found += [Difference(str(where), what, has, should) for where, has, should in rows]
    return found
