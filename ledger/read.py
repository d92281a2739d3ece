"""Questions to the books: balances, an authorization's whole life, histories, statements.

Plain data comes back, amounts in minor units with their currency beside them, times in milliseconds
since 1970 by the store's clock. What is told of an entry is what its envelope says, word for word;
whose the other side was, its lines say. Every question goes by an index, whatever the books hold
(tests/ledger/test_read.py), and every answer has a bound.

Raises, of all functions here: asyncpg.PostgresError, OSError.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct, field

from ledger.journal import AuthorizationBody, Body, Envelope

PAGE_MAX = 1000  # entries of one page: some 2 MB with their bodies
LINES_MAX = 100_000  # of a statement: a year of a busy account; more is asked for in parts
ACTS_MAX = 1000  # of one authorization: its record in the hot state has fewer than 200
LAST_MS = 2**62  # after every time there is

read_envelope = msgspec.msgpack.Decoder(Envelope).decode
read_body = msgspec.msgpack.Decoder(Body).decode


class PutAway(Exception):
    """What is asked about began before the entries that are kept: `ledger/retain.py`."""


class TooLong(Exception):
    """A statement of more lines than are told in one: a shorter time must be asked for."""


class Balance(Struct, frozen=True, kw_only=True):
    """What an account has in one currency."""

    currency: str
    posted_minor: int
    held_minor: int
    credit_line_minor: int
    available_minor: int  # posted - held + credit line


class Account(Struct, frozen=True, kw_only=True):
    """An account as the books have it."""

    account_id: str
    program: str
    currency: str
    entries: int  # of the journal that are its own
    at_ms: int  # of the newest of them; 0 where they were all put away
    balances: list[Balance]


class Line(Struct, frozen=True, kw_only=True):
    """One posting of an entry: a debit above zero."""

    program: str
    currency: str
    role: str
    subject: str
    amount_minor: int


class Entry(Struct, frozen=True, kw_only=True):
    """One act, as the journal tells it."""

    at_ms: int
    shard: int
    seq: int
    kind: str
    verdict: str
    detail: str
    message_id: str
    authorization_id: str
    account_id: str
    card_id: str
    currency: str
    posted_delta_minor: int
    held_delta_minor: int
    posted_after_minor: int
    held_after_minor: int
    network: str = ""
    merchant: str = ""  # its own words, or its id
    mcc: str = ""
    lines: list[Line] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        """What the next page of a history is asked for after."""
        return f"{self.at_ms}-{self.seq}"


class Life(Struct, frozen=True, kw_only=True):
    """An authorization: how it stands, and all that was done to it, the oldest first."""

    authorization_id: str
    account_id: str
    card_id: str
    network: str
    currency: str
    approved: bool
    held_minor: int
    paid_minor: int  # what left the card in all; below zero for a credit
    fees_minor: int  # of that, but the next
    cross_border_minor: int
    taken_in_by: str  # the authorization that it is a part of now
    first_at_ms: int
    last_at_ms: int
    acts: list[Entry]
    left_out: int = 0  # acts above the bound
    may_have_more: bool = False  # acts in months that were put away


class History(Struct, frozen=True, kw_only=True):
    """A page of an account's entries, the newest first."""

    entries: list[Entry]
    after: str = ""  # the cursor of the next page; "" where there is none


class Sum(Struct, frozen=True, kw_only=True):
    """One currency of a statement: what it began with, what moved, and what that came to."""

    currency: str
    opening_posted_minor: int
    opening_held_minor: int
    moved_posted_minor: int
    moved_held_minor: int
    closing_posted_minor: int
    closing_held_minor: int

    @property
    def adds_up(self) -> bool:
        return (
            self.opening_posted_minor + self.moved_posted_minor == self.closing_posted_minor
            and self.opening_held_minor + self.moved_held_minor == self.closing_held_minor
        )


class Statement(Struct, frozen=True, kw_only=True):
    """An account from one time up to, and not with, another."""

    account_id: str
    from_ms: int
    to_ms: int
    sums: list[Sum]
    lines: list[Entry]  # what moved money, the oldest first
    adds_up: bool


COLUMNS = "e.at_ms, e.shard, e.seq, e.envelope, e.body"
# The statements, each by the index that its comment names; tests ask the planner.
ACCOUNT = "SELECT * FROM account WHERE account_id = $1"
BALANCES = "SELECT * FROM balance WHERE account_id = $1 ORDER BY currency"
AUTHORIZATION = 'SELECT * FROM "authorization" WHERE authorization_id = $1'
# carried_subject
CARRIED = """
    SELECT currency, (-sum(amount_minor))::bigint,
        (-coalesce(sum(amount_minor) FILTER (WHERE role = 'held'), 0))::bigint
    FROM carried WHERE subject = $1 AND role IN ('open', 'held') GROUP BY currency"""
# journal_entry_message, and journal_entry_authorization for all but the first of each.
ACTS = f"""
    SELECT * FROM (
        SELECT {COLUMNS} FROM journal_entry e
        WHERE e.message_id = ANY($1::text[])
        UNION
        SELECT {COLUMNS} FROM journal_entry e
        WHERE e.authorization_id = ANY($1::text[]) AND e.authorization_id <> ''
            AND e.authorization_id <> e.message_id
    ) e ORDER BY at_ms, shard, seq LIMIT $2"""
# journal_entry_account, from its end.
NEWEST = f"""
    SELECT {COLUMNS} FROM journal_entry e
    WHERE e.account_id = $1 AND e.at_ms <= $2 AND (e.at_ms < $2 OR e.seq < $3) AND e.at_ms >= $4
    ORDER BY e.at_ms DESC, e.seq DESC LIMIT $5"""
# posting_pkey; the times leave out other months.
LINES = """
    SELECT * FROM posting WHERE shard = $1 AND seq = ANY($2::bigint[]) AND at_ms BETWEEN $3 AND $4
    ORDER BY seq, line"""


async def account(connection: asyncpg.Connection, account_id: str) -> Account | None:
    """Its balances; None where the books have never heard of it."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        row = await connection.fetchrow(ACCOUNT, account_id)
        balances = await connection.fetch(BALANCES, account_id)
        newest = await connection.fetch(NEWEST, account_id, LAST_MS, 0, 0, 1)
    if row is None:
        return None
    line = {row["currency"]: row["credit_line_minor"]}
    return Account(
        account_id=account_id,
        program=row["program"],
        currency=row["currency"],
        entries=row["entries"],
        at_ms=newest[0]["at_ms"] if newest else 0,
        balances=[
            Balance(
                currency=one["currency"],
                posted_minor=one["posted_minor"],
                held_minor=one["held_minor"],
                credit_line_minor=line.get(one["currency"], 0),
                available_minor=one["posted_minor"] - one["held_minor"]
                + line.get(one["currency"], 0),
            )
            for one in balances
        ],
    )  # fmt: skip


async def authorization(connection: asyncpg.Connection, id: str) -> Life | None:
    """All acts on it, with those that came before it and that it took in; and their lines."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        row = await connection.fetchrow(AUTHORIZATION, id)
        if row is None:
            return None
        kept_from = await connection.fetchval("SELECT kept_from_ms()")
        ids, acts = [id], list[Entry]()
        while True:  # what was taken in may have taken in others
            rows = await connection.fetch(ACTS, ids, ACTS_MAX + 1)
            known = len(ids)
            ids += sorted({a for r in rows for a in absorbed_by(r)} - {*ids})
            if len(ids) == known or len(rows) > ACTS_MAX:
                break
        acts = await with_lines(connection, [entry_of(r) for r in rows[:ACTS_MAX]])
    return Life(
        authorization_id=id, account_id=row["account_id"], card_id=row["card_id"],
        network=row["network"], currency=row["currency"], approved=row["approved"],
        held_minor=row["held_minor"], paid_minor=row["paid_minor"], fees_minor=row["fees_minor"],
        cross_border_minor=row["cross_border_minor"], taken_in_by=row["taken_in_by"],
        first_at_ms=row["first_at_ms"], last_at_ms=row["last_at_ms"], acts=acts,
        left_out=max(len(rows) - ACTS_MAX, 0), may_have_more=row["first_at_ms"] < kept_from,
    )  # fmt: skip


async def history(
    connection: asyncpg.Connection, account_id: str, *, card_id: str = "", after: str = "",
    limit: int = 100, lines: bool = False,
) -> History:  # fmt: skip
    """A page of an account's entries, or of one card's on it; the newest first.

    `after`: the cursor of the page before. Pages do not shift when entries come: these are newer
    than what was read. Raises: ValueError, where the cursor is none.
    """
    limit = min(max(limit, 1), PAGE_MAX)
    at_ms, seq = place_of(after) if after else (LAST_MS, 0)
    found: list[Entry] = []
    async for entry in backwards(connection, account_id, at_ms, seq):
        if card_id and entry.card_id != card_id:
            continue
        if len(found) == limit:
            break
        found.append(entry)
    else:
        return History(entries=await with_lines(connection, found) if lines else found)
    page = await with_lines(connection, found) if lines else found
    return History(entries=page, after=page[-1].cursor)


async def statement(
    connection: asyncpg.Connection, account_id: str, from_ms: int, to_ms: int, *, card_id: str = ""
) -> Statement:
    """What an account had at the first time, what moved, and what it had at the second.

    With a card: of what moved that card's alone, and the sums are the account's. Raises: TooLong;
    PutAway.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        kept_from = await connection.fetchval("SELECT kept_from_ms()")
        if from_ms < kept_from:
            raise PutAway(kept_from)
        rows = await connection.fetch(BALANCES, account_id)
        currencies = {row["currency"] for row in rows}
        entries: list[Entry] = []
        async for entry in backwards(connection, account_id, to_ms, 0, from_ms):
            if entry.posted_delta_minor or entry.held_delta_minor:
                if len(entries) == LINES_MAX:
                    raise TooLong
                entries.append(entry)
        entries.reverse()
        opening = await standing_at(connection, account_id, from_ms, currencies)
    sums = [sum_of(currency, entries, opening[currency]) for currency in sorted(opening)]
    return Statement(
        account_id=account_id,
        from_ms=from_ms,
        to_ms=to_ms,
        sums=sums,
        lines=[e for e in entries if card_id in ("", e.card_id)],
        adds_up=all(one.adds_up for one in sums),
    )


async def standing_at(
    connection: asyncpg.Connection, account_id: str, at_ms: int, currencies: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Posted and held of each currency before a time: as its newest entry says, or the sums of what
    was put away."""
    missing = {*currencies}
    found = dict.fromkeys(missing, (0, 0))
    for currency, posted, held in await connection.fetch(CARRIED, account_id):
        found[currency] = posted, held
    if missing:
        async for entry in backwards(connection, account_id, at_ms, 0):
            if entry.currency in missing:
                missing.remove(entry.currency)
                found[entry.currency] = entry.posted_after_minor, entry.held_after_minor
                if not missing:
                    break
    return found


def sum_of(currency: str, entries: Sequence[Entry], opening: tuple[int, int]) -> Sum:
    own = [e for e in entries if e.currency == currency]
    closing = (own[-1].posted_after_minor, own[-1].held_after_minor) if own else opening
    return Sum(
        currency=currency,
        opening_posted_minor=opening[0],
        opening_held_minor=opening[1],
        moved_posted_minor=sum(e.posted_delta_minor for e in own),
        moved_held_minor=sum(e.held_delta_minor for e in own),
        closing_posted_minor=closing[0],
        closing_held_minor=closing[1],
    )


async def backwards(
    connection: asyncpg.Connection, account_id: str, at_ms: int, seq: int, since_ms: int = 0
) -> AsyncIterator[Entry]:
    """An account's entries before a place, the newest first, a page at a time."""
    count = 50  # most who ask want a few
    while True:
        rows = await connection.fetch(NEWEST, account_id, at_ms, seq, since_ms, count)
        for row in rows:
            yield entry_of(row)
        if len(rows) < count:
            return
        at_ms, seq, count = rows[-1]["at_ms"], rows[-1]["seq"], PAGE_MAX


async def with_lines(connection: asyncpg.Connection, entries: list[Entry]) -> list[Entry]:
    found: dict[tuple[int, int], list[Line]] = {}
    for shard in {entry.shard for entry in entries}:
        own = [entry for entry in entries if entry.shard == shard]
        times = [entry.at_ms for entry in own]
        for row in await connection.fetch(
            LINES, shard, [entry.seq for entry in own], min(times), max(times)
        ):
            found.setdefault((shard, row["seq"]), []).append(Line(
                program=row["program"], currency=row["currency"], role=row["role"],
                subject=row["subject"], amount_minor=row["amount_minor"],
            ))  # fmt: skip
    return [
        msgspec.structs.replace(entry, lines=found.get((entry.shard, entry.seq), []))
        for entry in entries
    ]


def absorbed_by(row: Any) -> list[str]:
    return read_envelope(row["envelope"]).absorbed


def entry_of(row: Any) -> Entry:
    """What an entry says; of a body that is unreadable, nothing."""
    e = read_envelope(row["envelope"])
    body: Any = None
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):  # which the books have noticed
        body = read_body(row["body"])
    # An advice tells of a request, and an increment is one.
    told = getattr(body, "told", None) or getattr(body, "asked", None) or body
    facts = told if isinstance(told, AuthorizationBody) else None
    return Entry(
        at_ms=row["at_ms"], shard=row["shard"], seq=row["seq"], kind=e.kind, verdict=e.verdict,
        detail=e.detail, message_id=e.message_id, authorization_id=e.authorization_id,
        account_id=e.account_id, card_id=e.card_id, currency=e.currency,
        posted_delta_minor=e.posted_delta, held_delta_minor=e.held_delta,
        posted_after_minor=e.posted_after, held_after_minor=e.held_after,
        network=facts.network if facts else getattr(body, "network", ""),
        merchant=(facts.merchant_name or facts.merchant_id) if facts else "",
        mcc=facts.mcc if facts else "",
    )  # fmt: skip


def place_of(cursor: str) -> tuple[int, int]:
    """Raises: ValueError."""
    at_ms, dash, seq = cursor.partition("-")
    if not (dash and at_ms.isdecimal() and seq.isdecimal() and len(cursor) <= 40):
        raise ValueError("not a cursor")
    return int(at_ms), int(seq)
