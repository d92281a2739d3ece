"""One shard's journal, told from its start to where the accounts were looked at.

What came before the stream, where somebody has it, is told first (`Past`). Without it a stream that
was cut tells less, and never anything wrong: an account is told whole where its first entry is that
of its creation.
"""

import zlib
from asyncio import sleep
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.resp import Connection
from authz.replay import Told, chain_rows, read_body, read_envelope
from authz.standing import Position, Row, Seen, position, spell
from ledger.journal import BODY, ENVELOPE, CutOverBody, Envelope, JudgementBody, ListRows
from rules.counters import spans_shards

TIMEOUT_S = 60.0
PAGE = 1000  # entries in one reply
PAUSE_AFTER = 2000  # list entries: one change may have a thousand, and the links are to be answered

Fields = dict[bytes, bytes]


class Past(Protocol):
    """Who has the entries that a stream has no more."""

    def before(
        self, shard: str, first: Sequence[Fields], after: int = 0
    ) -> AsyncIterator[tuple[bytes, Fields]]:
        """The entries before these and behind a place, the oldest first; none where it does not
        know these. Their stream ids are "0-<place in the shard>", below all of a stream's own."""
        ...


class Gate(Struct, frozen=True):
    """What a shard's gate says of its own entries, read in one step with the journal's end."""

    entries: int
    digest: str
    lists: int
    newest: Position
    added: int = 0  # entries that the stream ever had, up to the newest
    totals: dict[str, str] = {}  # "<network>/<day>/<currency>/<kind>": "<how many> <amount>"
    totals_from: int = 0  # the first day whose totals are still kept
    days: dict[str, str] = {}  # by network: the business day in force, and the one that ended
    quotas: dict[str, list[int]] = {}  # of programs' counters: authz/hot/quotas.lua
    quota_clock: int = 0  # what has ended by then does not move any more
    length: int = 0  # of the stream
    from_books: bool = False  # the store was rebuilt: what came before the stream is in the books

    @property
    def misses_entries(self) -> bool:
        """Whether something was journalled that is not in the stream."""
        return self.from_books or self.added > self.length


class Journal:
    """One shard's stream, told from its start to where the accounts were looked at."""

    def __init__(self, shard: str, gate: Gate, past: Past | None = None) -> None:
        self.shard = shard
        self.gate = gate
        self._past = past
        self.told: dict[str, Told] = {}
        self.rows: list[Row] = []
        self.whole = False  # whether it still begins with the opening of a new store
        self.entries = 0
        self.from_past = 0  # of these, told by the past
        self._own = Told()  # the shard's entries that are no account's, up to the gate's look
        self._lists = 0
        self.judgement: tuple[int, dict[str, str | ListRows]] = (0, {})  # as the home's entries say
        self._spelt: dict[str | ListRows, str | ListRows] = {}  # a million entries have few rows
        self._since_pause = 0  # list entries that were told without one
        self.until_gate = 0  # entries up to the gate's look, the past's with them
        self.totals: dict[str, tuple[int, int]] = {}
        self.days: dict[str, str] = {}
        self.used: dict[str, int] = {}  # of programs' counters

    async def read(self, connection: Connection, accounts: dict[str, Seen]) -> None:
        """Tell each account up to the position that it was looked at."""
        until = max([self.gate.newest, *(seen.position for seen in accounts.values())])
        rows = await self._page(connection, "-", until)
        if self._past is not None and self.gate.misses_entries:
            rows = await self._tell_past(self._past, connection, until, rows, accounts)
        while True:
            for stream_id, fields in rows:
                await self._next(stream_id, fields, accounts)
            if len(rows) < PAGE:
                return
            rows = await self._page(connection, f"({rows[-1][0].decode()}", until)

    async def _page(
        self, connection: Connection, start: str, until: Position
    ) -> list[tuple[bytes, Fields]]:
        page = await connection.call(
            ("XRANGE", keys.journal(self.shard), start, spell(until), "COUNT", PAGE), TIMEOUT_S
        )
        return [(id, dict(zip(flat[::2], flat[1::2], strict=True))) for id, flat in page]

    async def _tell_past(
        self, past: Past, connection: Connection, until: Position,
        rows: list[tuple[bytes, Fields]], accounts: dict[str, Seen],
    ) -> list[tuple[bytes, Fields]]:  # fmt: skip
        """What came before these rows, the stream's first; and before those that are its first
        afterwards, which are returned. A past of years takes minutes, and is added to meanwhile."""
        after = 0
        while rows:
            told = self.from_past
            async for stream_id, fields in past.before(self.shard, [f for _, f in rows], after):
                after = position(stream_id)[1]
                self.from_past += 1
                await self._next(stream_id, fields, accounts)
            if self.from_past == told:
                break
            rows = await self._page(connection, "-", until)
        return rows

    async def _next(self, stream_id: bytes, fields: Fields, accounts: dict[str, Seen]) -> None:
        self._tell(stream_id, fields, accounts)
        if self._since_pause >= PAUSE_AFTER:
            self._since_pause = 0
            await sleep(0)

    @property
    def is_cut(self) -> bool:
        """Whether something came before it that is not told here."""
        return self.gate.entries > 0 and not self.whole

    def gate_rows(self) -> list[Row]:
        """Count, digest and lists of the gate against the stream's."""
        gate = self.gate
        rows = chain_rows(f" of {self.shard}", gate.entries, gate.digest, self._own, self.whole)
        if gate.lists != self._lists and (self.whole or self._lists):
            rows.append((f"lists of {self.shard}", gate.lists, self._lists))
        if self.whole:
            rows += self._totals_rows()
            for counter in sorted(gate.quotas.keys() | self.used.keys()):
                used, told = gate.quotas.get(counter, [0, 0])[1], self.used.get(counter, 0)
                if used != told:
                    rows.append((f"quota {counter} of {self.shard}", used, told))
        return rows + self.rows

    def _totals_rows(self) -> list[Row]:
        """Totals and business days of networks against what the entries counted."""
        rows: list[Row] = []
        told = {
            name: f"{count} {amount}"
            for name, (count, amount) in self.totals.items()
            if int(name.split("/")[1]) >= self.gate.totals_from
        }
        kept = self.gate.totals
        for name in sorted(kept.keys() | told.keys()):
            if kept.get(name, "0 0") != told.get(name, "0 0"):
                rows.append((f"total {name}", kept.get(name), told.get(name)))
        for network in sorted(self.gate.days.keys() | self.days.keys()):
            hot, expected = self.gate.days.get(network), self.days.get(network)
            if hot != expected:
                rows.append((f"business day of {network}", hot, expected))
        return rows

    def _count(self, e: Envelope, body: bytes) -> None:
        for name, count, amount in e.totals:
            before = self.totals.get(name, (0, 0))
            self.totals[name] = before[0] + count, before[1] + amount
        for counter, was, after in e.counters:
            if spans_shards(counter):
                known = self.used.get(counter, 0 if self.whole else was)
                if known != was:
                    self.rows.append((f"quota {counter} before {e.message_id}", was, known))
                self.used[counter] = after
        if (e.kind, e.verdict) == ("cut_over", "moved"):
            told = read_body(body)
            assert isinstance(told, CutOverBody)
            self.days[told.network] = e.detail

    def _judge(self, body: bytes) -> None:
        """One more version: texts by their kind, entries by their field."""
        told = read_body(body)
        assert isinstance(told, JudgementBody)
        change, there = told.change, self.judgement[1]
        self._since_pause += len(change.entries)
        for name, _, after in (*change.texts, *change.entries):
            if after:
                there[name] = self._spelt.setdefault(after, after)
            else:
                there.pop(name, None)
        self.judgement = told.version, there

    @property
    def trimmed(self) -> int:
        """How many of the gate's own entries are no longer there."""
        return max(self.gate.entries - self._own.entries, 0)

    def _tell(self, stream_id: bytes, fields: Fields, accounts: dict[str, Seen]) -> None:
        at = position(stream_id)
        self.until_gate += at <= self.gate.newest
        try:
            envelope, body = fields[ENVELOPE], fields[BODY]
            e = read_envelope(envelope)
            if self.entries == 0:
                self.whole = (e.kind, e.verdict) == ("gate", "new")
            if at <= self.gate.newest:
                self._count(e, body)
            seen = accounts.get(e.account_id)
            if not e.account_id:
                if at <= self.gate.newest:
                    self._own.chain(envelope, body)
                    if e.kind == "judgement":
                        self._judge(body)
                    elif e.kind == "lists":
                        self._lists = max(self._lists, e.versions[0])
            elif seen is None or at <= seen.position:
                told = self.told.get(e.account_id)
                if told is None:
                    created = (e.kind, e.verdict) == ("account", "created")
                    told = self.told[e.account_id] = Told(whole=self.whole or created)
                told.chain(envelope, body)
                told.add(e, body)
        except (KeyError, IndexError, AssertionError, msgspec.MsgspecError, zlib.error):
            # A body of another kind than its envelope says is as unreadable as no body.
            self.rows.append((f"entry {stream_id.decode()} of {self.shard}", "unreadable", None))
        self.entries += 1
