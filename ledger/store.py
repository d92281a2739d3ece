"""The books in Postgres: what is known is read, and a batch is written, in one transaction.

New rows go straight into their tables by COPY: the writer has looked before whether they are
there, and their keys refuse them if it was wrong. What changed is updated from arrays. One
session holds the locks of its shards and writes all of their entries, so a writer that lost its
session has lost its locks with it, and cannot commit.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import asyncpg
from msgspec import Struct

from ledger.chain import START
from ledger.known import Authorization, Balance, Holder, State
from ledger.latest import Latest, write_latest
from ledger.split import Parts

LOCKS = 0x6C656467  # the first half of every lock on a shard; the second is its number


class Head(Struct, frozen=True, gc=False):
    """How far one shard's chain has come, and the chain of its entries that are no account's."""

    seq: int = 0
    digest: bytes = START
    gate_entries: int = 0
    gate_digest: str = ""
    stream_id: str = "0-0"
    at_ms: int = 0


class Row(NamedTuple):
    """One journal entry, as its table has it."""

    at_ms: int
    id: bytes
    shard: int
    seq: int
    kind: str
    verdict: str
    message_id: str
    authorization_id: str
    account_id: str
    postings: int
    envelope: bytes
    body: bytes
    digest: bytes
    answer: bytes | None = None  # for a rebuild, and in no digest


class Parked(NamedTuple):
    """An entry that could not be told."""

    id: bytes
    shard: int
    stream_id: str
    reason: str
    fields: bytes


class Batch:
    """What one transaction writes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.lines: list[tuple[Any, ...]] = []
        self.notices: list[tuple[int, int, str, str, str]] = []
        # Message id, shard, seq, what, reference.
        self.movements: list[tuple[str, int, int, str, str]] = []
        self.parked: list[Parked] = []
        self.heads: dict[int, Head] = {}
        self.feed: list[tuple[int, int, int]] = []  # shard, first and last seq
        self.holders: dict[str, int] = {}  # accounts that changed, and their shard
        self.described: set[str] = set()  # of these, those of which more changed than the chain
        self.balances: set[tuple[str, str]] = set()
        self.authorizations: set[str] = set()
        # Of these, what the database has already.
        self.known: Known = Known(set(), set(), set())
        self.latest = Latest()


class Known(NamedTuple):
    """What the database has a row of."""

    holders: set[str]
    balances: set[tuple[str, str]]
    authorizations: set[str]


class OtherStore(Exception):
    """The books are those of another store. Nothing of this one may get into them."""


class Rebuilt(Exception):
    """The store was rebuilt from the books since this session began: what was read before is of a
    journal that is gone."""


class Books:
    """One session's side of it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._months: set[int] = set()
        self._rebuilt: int | None = (
            None  # how often the store had been, when this session learnt whose it is
        )

    async def claim(self, store: str, pan_key: str) -> None:
        """These are that store's books from now on, unless they are another's. `pan_key`: the check
        of the key of its cards, "" where it has no card yet.

        Raises: OtherStore.
        """
        await self._connection.execute(
            "INSERT INTO store (id) VALUES ($1) ON CONFLICT DO NOTHING", store
        )
        row = await self._connection.fetchrow("SELECT id, rebuilt FROM store")
        if row["id"] != store:
            raise OtherStore
        if pan_key:
            await self._connection.execute(
                "UPDATE store SET pan_key = $1 WHERE pan_key = ''", pan_key
            )
        self._rebuilt = row["rebuilt"]

    @property
    def alive(self) -> bool:
        return not self._connection.is_closed()

    async def lock(self, shards: Iterable[int]) -> list[int]:
        """Those of these shards that are ours now. They are until this session ends."""
        rows = await self._connection.fetch(
            "SELECT s FROM unnest($2::int[]) s WHERE pg_try_advisory_lock($1, s)",
            LOCKS, list(shards),
        )  # fmt: skip
        return [row[0] for row in rows]

    async def heads(self, shards: Collection[int]) -> dict[int, Head]:
        """Where the chains of these shards stand; begun where they were not."""
        await self._connection.execute(
            "INSERT INTO shard (shard) SELECT unnest($1::int[]) ON CONFLICT DO NOTHING",
            list(shards),
        )
        rows = await self._connection.fetch(
            "SELECT * FROM shard WHERE shard = ANY($1::int[])", list(shards)
        )
        return {
            row["shard"]: Head(
                row["seq"], row["digest"], row["gate_entries"], row["gate_digest"],
                row["stream_id"], row["at_ms"],
            )
            for row in rows
        }  # fmt: skip

    async def which_are_there(self, entries: list[tuple[int, bytes]]) -> set[bytes]:
        """Of these entries, by time and id, those that are in the books or parked."""
        rows = await self._connection.fetch(
            "SELECT e.id FROM unnest($1::bigint[], $2::bytea[]) n(at_ms, id) "
            "JOIN journal_entry e ON e.at_ms = n.at_ms AND e.id = n.id "
            "UNION ALL SELECT id FROM parked WHERE id = ANY($2::bytea[])",
            [at_ms for at_ms, _ in entries], [id for _, id in entries],
        )  # fmt: skip
        return {row[0] for row in rows}

    async def load_accounts(self, ids: list[str], state: State, known: Known) -> None:
        for row in await self._connection.fetch(
            "SELECT account_id, program, currency, credit_line_minor, created, entries, digest "
            "FROM account WHERE account_id = ANY($1::text[])", ids,
        ):  # fmt: skip
            id = row[0]
            state.holders[id] = Holder(
                account_id=id, program=row[1], currency=row[2], credit_line_minor=row[3],
                created=row[4], entries=row[5], digest=row[6],
            )  # fmt: skip
            known.holders.add(id)
        for row in await self._connection.fetch(
            "SELECT account_id, currency, posted_minor, held_minor, told_posted_minor, "
            "told_held_minor FROM balance WHERE account_id = ANY($1::text[])", ids,
        ):  # fmt: skip
            state.balances.setdefault(row[0], {})[row[1]] = Balance(*row[2:])
            known.balances.add((row[0], row[1]))

    async def load_authorizations(self, ids: list[str], state: State, known: Known) -> None:
        for row in await self._connection.fetch(
            f"SELECT {', '.join(TOLD)} FROM \"authorization\" "
            "WHERE authorization_id = ANY($1::text[])", ids,
        ):  # fmt: skip
            id = row["authorization_id"]
            state.authorizations[id] = Authorization(
                authorization_id=id, account_id=row["account_id"], card_id=row["card_id"],
                currency=row["currency"], network=row["network"], held=row["held_minor"],
                parts=Parts(
                    row["paid_minor"], row["fees_minor"], row["cross_border_minor"],
                    row["converted_minor"], read_foreign(row["foreign"]),
                ),
                approved=row["approved"], taken_in_by=row["taken_in_by"], acts=row["acts"],
                first_at_ms=row["first_at_ms"], last_at_ms=row["last_at_ms"],
            )  # fmt: skip
            known.authorizations.add(id)

    async def count_parked(self) -> int:
        return int(
            await self._connection.fetchval("SELECT count(*) FROM parked WHERE resolved_at IS NULL")
        )

    async def open_months(self, batch: Batch) -> None:
        """The partitions that a batch goes to; before its transaction: it locks the tables."""
        for month in {row.at_ms // 2_419_200_000 for row in batch.rows} - self._months:
            # Buckets of four weeks: each touches two months at the most.
            start = month * 2_419_200_000
            for at_ms in {start, start + 2_419_199_999}:
                await self._connection.execute("SELECT open_month($1)", at_ms)
            self._months.add(month)

    async def write(
        self, batch: Batch, state: State, before_commit: Callable[[], None] = lambda: None
    ) -> None:
        """All of it, or nothing. Raises: asyncpg.PostgresError, OSError."""
        await self.open_months(batch)
        async with self._connection.transaction():
            await self._copy("journal_entry", batch.rows, Row._fields)
            await self._copy("posting", batch.lines, LINE)
            await self._write_holders(batch, state)
            await self._write_balances(batch, state)
            await self._write_authorizations(batch, state)
            await self._copy("notice", batch.notices, NOTICE)
            await self._copy("movement", batch.movements, MOVEMENT)
            await write_latest(self._connection, batch.latest)
            if batch.parked:
                await self._connection.executemany(
                    "INSERT INTO parked (id, shard, stream_id, reason, fields) "
                    "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING", batch.parked,
                )  # fmt: skip
            await self._copy("feed", batch.feed, ("shard", "first_seq", "last_seq"))
            heads = sorted(batch.heads.items())
            moved = await self._connection.fetch(
                "UPDATE shard s SET seq = n.seq, digest = n.digest, stream_id = n.stream_id, "
                "at_ms = n.at_ms, gate_entries = n.gate_entries, gate_digest = n.gate_digest "
                "FROM unnest($1::int[], $2::bigint[], $3::bytea[], $4::text[], $5::bigint[], "
                "$6::bigint[], $7::text[]) "
                "n(shard, seq, digest, stream_id, at_ms, gate_entries, gate_digest) "
                "WHERE s.shard = n.shard RETURNING s.shard",
                [shard for shard, _ in heads], [h.seq for _, h in heads],
                [h.digest for _, h in heads], [h.stream_id for _, h in heads],
                [h.at_ms for _, h in heads], [h.gate_entries for _, h in heads],
                [h.gate_digest for _, h in heads],
            )  # fmt: skip
            assert len(moved) == len(heads)
            # Behind the rows that a rebuild locks: it has begun after this batch, or is over.
            if self._rebuilt is not None and self._rebuilt != await self._connection.fetchval(
                "SELECT rebuilt FROM store"
            ):
                raise Rebuilt
            before_commit()

    async def _copy(self, table: str, rows: Collection[Any], columns: Iterable[str]) -> None:
        if rows:
            await self._connection.copy_records_to_table(
                table, records=rows, columns=list(columns), schema_name="ledger"
            )

    async def _write_holders(self, batch: Batch, state: State) -> None:
        new: list[tuple[Any, ...]] = []
        described: list[tuple[Any, ...]] = []
        longer: list[tuple[Any, ...]] = []  # the chain alone
        for id, shard in batch.holders.items():
            h = state.holders[id]
            if id not in batch.known.holders:
                new.append((id, shard, h.program, h.currency, h.credit_line_minor, h.created,
                            h.entries, h.digest))  # fmt: skip
                continue
            longer.append((id, h.entries, h.digest))
            if id in batch.described:
                described.append((id, h.program, h.currency, h.credit_line_minor, h.created))
        await self._copy("account", new, HOLDER)
        await self._update(
            "UPDATE account a SET entries = n.e, digest = n.d FROM "
            f"unnest({arrays('text', 'bigint', 'text')}) n(id, e, d) WHERE a.account_id = n.id",
            longer,
        )  # fmt: skip
        await self._update(
            "UPDATE account a SET program = n.p, currency = n.c, credit_line_minor = n.l, "
            f"created = n.m FROM unnest({arrays('text', 'text', 'text', 'bigint', 'bool')}) "
            "n(id, p, c, l, m) WHERE a.account_id = n.id", described,
        )  # fmt: skip

    async def _write_balances(self, batch: Batch, state: State) -> None:
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        for key in batch.balances:
            b = state.balances[key[0]][key[1]]
            row = (*key, b.posted, b.held, b.told_posted, b.told_held)
            (changed if key in batch.known.balances else new).append(row)
        await self._copy("balance", new, BALANCE)
        await self._update(
            "UPDATE balance b SET posted_minor = n.p, held_minor = n.h, told_posted_minor = n.tp, "
            "told_held_minor = n.th FROM "
            f"unnest({arrays('text', 'text', *['bigint'] * 4)}) n(id, c, p, h, tp, th) "
            "WHERE b.account_id = n.id AND b.currency = n.c", changed,
        )  # fmt: skip

    async def _write_authorizations(self, batch: Batch, state: State) -> None:
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        records = batch.latest.records
        for id in batch.authorizations:
            a = state.authorizations[id]
            p = a.parts
            row = (id, a.account_id, a.card_id, a.currency, a.network, a.held, p.paid, p.fees,
                   p.cross_border, p.converted, write_foreign(p.foreign), a.approved,
                   a.taken_in_by, a.acts, a.first_at_ms, a.last_at_ms)  # fmt: skip
            record = records.get(id)
            if id not in batch.known.authorizations:
                new.append((*row, record or None))
            elif record is None:
                changed.append((*row, UNTOUCHED))
            else:
                changed.append((*row, record.hex()))
        await self._copy("authorization", new, AUTHORIZATION)
        await self._update(
            'UPDATE "authorization" a SET card_id = n.c, currency = n.cu, network = n.nw, '
            "held_minor = n.h, paid_minor = n.p, fees_minor = n.f, cross_border_minor = n.x, "
            'converted_minor = n.co, "foreign" = n.fo, approved = n.ap, taken_in_by = n.t, '
            f"acts = n.ac, last_at_ms = n.la, record = CASE n.r WHEN '{UNTOUCHED}' THEN a.record "
            "WHEN '' THEN NULL ELSE decode(n.r, 'hex') END FROM "
            f"unnest({arrays(*AUTHORIZATION_TYPES)}) "
            "n(id, acc, c, cu, nw, h, p, f, x, co, fo, ap, t, ac, fi, la, r) "
            "WHERE a.authorization_id = n.id", changed,
        )  # fmt: skip

    async def _update(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            # In one order, so that two sessions never wait for one another in a circle.
            rows.sort()
            columns = (SEPARATOR.join(("", *map(str, column))) for column in zip(*rows))
            await self._connection.execute(statement, *columns)


# Arrays go as one text each: the driver takes ten times as long for them as they do to be split. No
# id holds the separator (book.py); the first element is empty, since '' would be an array of none.
SEPARATOR = "\x1f"


def arrays(*types: str) -> str:
    """Parameters of these types, as columns."""
    return ", ".join(
        f"(string_to_array(${n}, E'\\x1f'))[2:]::{type}[]" for n, type in enumerate(types, 1)
    )


LINE = ("at_ms", "shard", "seq", "line", "program", "currency", "role", "subject", "amount_minor")
NOTICE = ("shard", "seq", "what", "account_id", "details")
MOVEMENT = ("message_id", "shard", "seq", "what", "reference")
HOLDER = ("account_id", "shard", "program", "currency", "credit_line_minor", "created", "entries",
          "digest")  # fmt: skip
BALANCE = ("account_id", "currency", "posted_minor", "held_minor", "told_posted_minor",
           "told_held_minor")  # fmt: skip
AUTHORIZATION = (
    "authorization_id", "account_id", "card_id", "currency", "network", "held_minor", "paid_minor",
    "fees_minor", "cross_border_minor", "converted_minor", "foreign", "approved", "taken_in_by",
    "acts", "first_at_ms", "last_at_ms", "record",
)  # fmt: skip
AUTHORIZATION_TYPES = (*["text"] * 5, *["bigint"] * 5, "text", "bool", "text", "text", "bigint",
                       "bigint", "text")  # fmt: skip
TOLD = tuple(f'"{column}"' for column in AUTHORIZATION[:-1])
UNTOUCHED = "-"  # of a record, in hex otherwise: the act did not come near it


def write_foreign(foreign: tuple[tuple[str, int], ...]) -> str:
    return " ".join([f"{currency}:{amount}" for currency, amount in foreign]) if foreign else ""


def read_foreign(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (word.partition(":") for word in text.split())
    return tuple((currency, int(amount)) for currency, _, amount in pairs)
