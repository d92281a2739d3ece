"""Clearing files in Postgres: each written down whole before anything of it moves.

A file and all of its records are one transaction, so there is never half a file; what became of
each record is added afterwards, page by page, and does not change. One session at a time does
that: it holds a lock that ends with it.
"""

from collections.abc import Iterable
from datetime import date
from itertools import islice
from typing import Any, NamedTuple

import asyncpg

from ledger.clearing.outcome import BEYOND, FOR_A_PERSON, OVERDUE, POSTED, Outcome

LOCK = 0x636C6561  # one clears at a time: two would tell each other's items apart by luck
COPIED = 2000  # rows in one COPY, some 1 MB: a file has a million
OTHER_CONTENT = "other_content"  # as a detail: its key was cleared before, with another amount


class File(NamedTuple):
    """One file, as its table has it."""

    file_id: str
    name: str
    format: str
    network: str
    network_ids: list[str]
    business_date: date | None
    records: int
    items: int
    refused: int
    others: int
    source: str
    sent_s: int  # when its items count as sent


class Planned(NamedTuple):
    """One record as it is written down; the second key is for one whose first is taken."""

    record: int
    network: str
    item_key: str
    message_id: str
    phase: int
    kind: str
    sign: int
    transaction_minor: int
    transaction_currency: str
    settlement_minor: int
    settlement_currency: str
    arn: str
    bin: str
    card_key: str
    told: bytes
    outcome: str | None
    detail: str
    second_key: str
    second_message_id: str


class Waiting(NamedTuple):
    """One record that has no outcome yet."""

    record: int
    item_key: str
    message_id: str
    bin: str
    card_key: str
    told: bytes
    detail: str


class Concluded(NamedTuple):
    """What became of one."""

    record: int
    outcome: str
    detail: str = ""
    account_id: str = ""
    authorization_id: str = ""
    billed_minor: int = 0
    billed_currency: str = ""
    fee_minor: int = 0
    cross_border_minor: int = 0
    of_message: str = ""


class Original(NamedTuple):
    """An earlier record that one may take back or dispute."""

    item_key: str
    message_id: str
    arn: str
    kind: str
    outcome: str
    account_id: str
    authorization_id: str
    transaction_minor: int
    transaction_currency: str
    billed_minor: int
    billed_currency: str
    fee_minor: int
    cross_border_minor: int
    told: bytes
    taken_back_minor: int  # of the transaction amount, so far


KEPT = tuple(name for name in Planned._fields if not name.startswith("second_"))
# The same item, whatever else is said of it.
SAME = (
    "(c.sign, c.transaction_minor, c.transaction_currency, c.card_key) = "
    "(i.sign, i.transaction_minor, i.transaction_currency, i.card_key)"
)
# As the index of items that have a part in the books says it.
COUNTS = "(c.outcome IS NULL OR c.outcome NOT IN ('repeated', 'refused'))"
TAKEN = f"c.network = i.network AND c.item_key = i.item_key AND {COUNTS}"
OPEN = (
    f"resolved_at IS NULL AND (detail IN ('{BEYOND}', '{OVERDUE}') OR outcome IN "
    f"({', '.join(repr(str(o)) for o in sorted(FOR_A_PERSON))}))"
)


class Cleared:
    """One session's side of it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def lock(self) -> bool:
        """Whether it is ours, until this session ends."""
        return bool(await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK))

    async def file(self, file_id: str) -> dict[str, Any] | None:
        row = await self._connection.fetchrow(
            "SELECT * FROM clearing_file WHERE file_id = $1", file_id
        )
        return dict(row) if row else None

    async def unfinished(self) -> list[str]:
        rows = await self._connection.fetch(
            "SELECT file_id FROM clearing_file WHERE status = 'posting' ORDER BY planned_at"
        )
        return [row[0] for row in rows]

    async def plan(self, file: File, rows: Iterable[Planned]) -> None:
        """Write a file down, all of it or nothing. What `rows` raises leaves nothing behind."""
        c = self._connection
        async with c.transaction():
            await c.execute(
                "CREATE TEMP TABLE incoming (LIKE clearing_item INCLUDING DEFAULTS, "
                "second_key text, second_message_id text) ON COMMIT DROP"
            )
            left = iter(rows)
            while some := list(islice(left, COPIED)):
                await c.copy_records_to_table(
                    "incoming", records=[(file.file_id, *row) for row in some],
                    columns=["file_id", *Planned._fields],
                )  # fmt: skip
            await c.execute("CREATE INDEX ON incoming (network, item_key)")
            await c.execute("ANALYZE incoming")
            await self._tell_repeated()
            await c.execute(
                f"INSERT INTO clearing_file ({', '.join(File._fields)}) VALUES "
                f"({', '.join(f'${n}' for n in range(1, len(File._fields) + 1))})", *file,
            )  # fmt: skip
            columns = ", ".join(("file_id", *KEPT))
            await c.execute(
                f"INSERT INTO clearing_item ({columns}) SELECT {columns} FROM incoming "
                "ORDER BY record"
            )

    async def _tell_repeated(self) -> None:
        """What was cleared before, in another file or above; and what only has its key."""
        before = f"clearing_item c WHERE {TAKEN}"
        above = (
            "incoming c WHERE c.network = i.network AND c.item_key = i.item_key "
            "AND c.record < i.record AND c.outcome IS NULL AND c.detail = ''"
        )
        fresh = "AND i.outcome IS NULL AND i.detail = ''"
        for there in (before, above):
            for change, condition in (
                (f"outcome = '{Outcome.REPEATED}'", f"AND {SAME}"),
                (f"detail = '{OTHER_CONTENT}'", ""),
            ):
                await self._connection.execute(
                    f"UPDATE incoming i SET {change} FROM {there} {condition} {fresh}"
                )
        await self._connection.execute(
            "UPDATE incoming SET item_key = second_key, message_id = second_message_id "
            "WHERE detail = $1", OTHER_CONTENT,
        )  # fmt: skip
        await self._connection.execute(
            f"UPDATE incoming i SET outcome = '{Outcome.REPEATED}', detail = '' FROM {before} "
            "AND i.outcome IS NULL AND i.detail = $1", OTHER_CONTENT,
        )  # fmt: skip

    async def waiting(self, file_id: str, phase: int, count: int) -> list[Waiting]:
        """The next so many of a phase, in the file's order."""
        rows = await self._connection.fetch(
            f"SELECT {', '.join(Waiting._fields)} FROM clearing_item "
            "WHERE file_id = $1 AND phase = $2 AND outcome IS NULL ORDER BY record LIMIT $3",
            file_id, phase, count,
        )  # fmt: skip
        return [Waiting(*row) for row in rows]

    async def conclude(self, file_id: str, told: list[Concluded]) -> None:
        """What became of these. One that has its outcome keeps it."""
        columns = list(zip(*told, strict=True))
        names = Concluded._fields
        given = ", ".join(f"{name} = n.{name}" for name in names[1:])
        types = ("int", *["text"] * 4, "bigint", "text", "bigint", "bigint", "text")
        arrays = ", ".join(f"${at}::{type}[]" for at, type in enumerate(types, 2))
        await self._connection.execute(
            f"UPDATE clearing_item i SET {given}, concluded_at = now() "
            f"FROM unnest({arrays}) n({', '.join(names)}) "
            "WHERE i.file_id = $1 AND i.record = n.record AND i.outcome IS NULL",
            file_id, *map(list, columns),
        )  # fmt: skip

    async def done(self, file_id: str) -> None:
        await self._connection.execute(
            "UPDATE clearing_file SET status = 'done', done_at = now() "
            "WHERE file_id = $1 AND status = 'posting'", file_id,
        )  # fmt: skip

    async def originals(
        self, network: str, arns: Iterable[str], keys: Iterable[str]
    ) -> list[Original]:
        """What these ARNs or keys moved before, the newest first."""
        own = ", ".join(f"c.{name}" for name in Original._fields[:-1])
        found = " UNION ".join(
            f"SELECT {own}, c.concluded_at, c.record FROM clearing_item c WHERE c.network = $1 "
            f"AND {named} AND {COUNTS} AND c.outcome = ANY($4::text[])"
            for named in ("c.arn <> '' AND c.arn = ANY($2::text[])", "c.item_key = ANY($3::text[])")
        )
        rows = await self._connection.fetch(
            f"SELECT {own}, (SELECT coalesce(sum(r.transaction_minor), 0)::bigint "
            "FROM clearing_item r WHERE r.outcome = 'reversed' AND r.of_message = c.message_id) "
            f"FROM ({found}) c ORDER BY c.concluded_at DESC, c.record DESC",
            network, list(arns), list(keys), [str(outcome) for outcome in POSTED],
        )  # fmt: skip
        return [Original(*row) for row in rows]

    async def agreed(self, network: str, ids: Iterable[str]) -> set[str]:
        """Of these online acts, those that a record was found for."""
        rows = await self._connection.fetch(
            "SELECT of_message FROM clearing_item WHERE network = $1 AND outcome = 'agrees' "
            "AND of_message = ANY($2::text[]) AND of_message <> ''", network, list(ids),
        )  # fmt: skip
        return {row[0] for row in rows}

    async def moved(self, ids: Iterable[str]) -> set[str]:
        """Of these message ids, those whose movement is in the books."""
        rows = await self._connection.fetch(
            "SELECT message_id FROM movement WHERE message_id = ANY($1::text[])", list(ids)
        )
        return {row[0] for row in rows}

    async def outcomes(self, file_id: str) -> list[dict[str, Any]]:
        """How many records, and of what amounts, by outcome and currency."""
        rows = await self._connection.fetch(
            "SELECT coalesce(outcome, '') AS outcome, transaction_currency AS currency, "
            "count(*)::bigint AS records, coalesce(sum(transaction_minor), 0)::bigint AS minor, "
            "coalesce(sum(sign * transaction_minor), 0)::bigint AS owed "
            "FROM clearing_item WHERE file_id = $1 GROUP BY 1, 2 ORDER BY 1, 2", file_id,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def listed(
        self, count: int, *, file_id: str = "", account_id: str = "", since_ms: int = 0
    ) -> list[dict[str, Any]]:
        """What waits for a person, the newest first."""
        rows = await self._connection.fetch(
            "SELECT i.file_id, f.name AS file, i.record, i.network, i.kind, i.outcome, i.detail, "
            "i.transaction_minor, i.transaction_currency, i.billed_minor, i.billed_currency, "
            "i.arn, i.account_id, i.authorization_id, i.message_id, "
            "coalesce(i.concluded_at, f.planned_at) AS at "
            f"FROM clearing_item i JOIN clearing_file f USING (file_id) WHERE {OPEN} "
            "AND ($2 = '' OR i.file_id = $2) AND ($3 = '' OR i.account_id = $3) "
            "AND coalesce(i.concluded_at, f.planned_at) >= to_timestamp($4 / 1000.0) "
            "ORDER BY at DESC, i.file_id, i.record LIMIT $1",
            count, file_id, account_id, since_ms,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def item(self, file_id: str, record: int) -> dict[str, Any] | None:
        """One record with what its file says; None where none or several begin so."""
        rows = await self._connection.fetch(
            "SELECT i.*, f.business_date, f.sent_s FROM clearing_item i "
            "JOIN clearing_file f USING (file_id) "
            "WHERE starts_with(i.file_id, $1) AND i.record = $2 LIMIT 2", file_id, record,
        )  # fmt: skip
        return dict(rows[0]) if len(rows) == 1 else None

    async def program_of(self, message_id: str) -> str | None:
        """In which program's accounts a movement stands; None: it is not in the books yet."""
        program: str | None = await self._connection.fetchval(
            "SELECT p.program FROM movement m JOIN posting p USING (shard, seq) "
            "WHERE m.message_id = $1 LIMIT 1", message_id,
        )  # fmt: skip
        return program

    async def claim(
        self, file_id: str, record: int, what: str, by: str, minor: int, currency: str
    ) -> str:
        """Write down what is begun with a record, unless something was; what it is now. `by`: the
        act that will bill it, and how much."""
        await self._connection.execute(
            "UPDATE clearing_item SET of_message = $3, billed_by = $4, billed_minor = $5, "
            "billed_currency = $6 WHERE file_id = $1 AND record = $2 AND of_message = ''",
            file_id, record, what, by, minor, currency,
        )  # fmt: skip
        return str(
            await self._connection.fetchval(
                "SELECT of_message FROM clearing_item WHERE file_id = $1 AND record = $2",
                file_id, record,
            )
        )  # fmt: skip

    async def resolve(
        self, file_id: str, record: int, note: str, *, any_outcome: bool = False
    ) -> bool:
        """A person has seen to it, by that note. Whether it waited for one. It moves nothing, so
        what was begun to be billed is not resolved by it."""
        waits = "resolved_at IS NULL" if any_outcome else f"{OPEN} AND billed_by = ''"
        found = await self._connection.fetch(
            "UPDATE clearing_item SET resolved_at = now(), note = $3 "
            f"WHERE starts_with(file_id, $1) AND record = $2 AND {waits} RETURNING record",
            file_id, record, note,
        )  # fmt: skip
        return len(found) > 0

    async def count_open(self) -> dict[str, int]:
        """How many wait for a person, by outcome."""
        rows = await self._connection.fetch(
            f"SELECT outcome, count(*) FROM clearing_item WHERE {OPEN} GROUP BY 1"
        )
        return {row[0]: row[1] for row in rows}
