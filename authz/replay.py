"""What the journal says the hot state must be: its entries told one after another.

The second model of the audit. It adds up what each entry says that it moved, and
watches that each begins where the one before it ended. It never looks at the hot state.
"""

import zlib
from asyncio import sleep
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.resp import Connection
from authz.profiles import read_account
from authz.standing import Position, Row, Seen, position, spell
from ledger.journal import (
    BODY,
    ENVELOPE,
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    Body,
    CardBody,
    ClearingBody,
    CutOverBody,
    Envelope,
    IncrementBody,
    JudgementBody,
    ListRows,
    ReversalBody,
)
from rules.counters import spans_shards
from rules.facts import CREDITS

TIMEOUT_S = 60.0
# An act as it was asked for: its message, its kind, when it was sent, the amount (of a reversal,
# what stays), in which currency.
Asked = tuple[str, str, int, int, str]

ACTS = frozenset(
    {"reversal", "advice", "completion", "clearing", "increment", "close"}
)  # kinds of entries that join one
PAGE = 1000  # entries in one reply
PAUSE_AFTER = 2000  # list entries: one change may have a thousand, and the links are to be answered

read_envelope = msgspec.msgpack.Decoder(Envelope).decode
read_body = msgspec.msgpack.Decoder(Body).decode


class Card(Struct, frozen=True):
    """A card as it was journalled last."""

    version: int
    profile: bytes
    card_key: str  # what the directory finds it by


@dataclass(slots=True)
class Told:
    """One account as its journal entries leave it.

    `whole` is False where the stream has been cut at its head: then the first entry that
    names an amount is believed about what came before it.
    """

    whole: bool = True
    version: int = 0
    profile: bytes = b""
    posted: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    # By authorization id: what its acts hold in sum, the message that it was judged by,
    # and the acts that named it.
    held_by: dict[str, int] = field(default_factory=dict)
    posted_by: dict[str, int] = field(default_factory=dict)
    judged_by: dict[str, str] = field(default_factory=dict)
    acts: dict[str, set[str]] = field(default_factory=dict)
    approved: set[str] = field(default_factory=set)  # message ids, not withdrawn
    asked: set[Asked] = field(default_factory=set)  # acts, as they were asked for
    absorbed: set[str] = field(default_factory=set)  # tombstones that others took in
    withdrawals: int = 0
    reviews: set[str] = field(default_factory=set)  # referrals that wait for a person
    cards: dict[str, Card] = field(default_factory=dict)  # by card id
    entries: int = 0
    digest: str = ""
    credit_line_minor: int = 0
    # A control act, or what was decided elsewhere, took it below zero, as it may.
    below_by_others: bool = False
    rows: list[Row] = field(default_factory=list)  # where the journal contradicts itself

    def chain(self, envelope: bytes, body: bytes) -> None:
        """One more entry, as `commit` of prelude.lua chains it."""
        self.entries += 1
        self.digest = sha1(self.digest.encode() + envelope + body).hexdigest()

    def add(self, e: Envelope, packed: bytes) -> None:
        """Tell one more entry. Raises: msgspec.MsgspecError where its body is unreadable."""
        if e.currency:
            self._amount("posted", self.posted, e, e.posted_after, e.posted_delta)
            self._amount("held", self.held, e, e.held_after, e.held_delta)
        for counter, before, after in e.counters:
            if spans_shards(counter):
                continue  # the shard's
            known = self.used.get(counter, 0 if self.whole else before)
            if known != before:
                self.rows.append((f"counter {counter} before {e.message_id}", before, known))
            self.used[counter] = after
        id = e.authorization_id
        if id:
            self.held_by[id] = self.held_by.get(id, 0) + e.held_delta
            self.posted_by[id] = self.posted_by.get(id, 0) + e.posted_delta
        for other in e.absorbed:
            # A tombstone that was taken in: its acts are this one's, and what they moved.
            self.absorbed.add(other)
            self.held_by[id] += self.held_by.pop(other, 0)
            self.posted_by[id] += self.posted_by.pop(other, 0)
            self.acts.setdefault(id, set()).update(self.acts.pop(other, set()))

        if e.review == "opened":
            self.reviews.add(e.message_id)
        elif e.kind in ("review", "withdrawal"):
            self.reviews.discard(e.message_id)

        if e.kind == "authorization":
            self._authorization(e, packed)
        elif e.kind in ACTS and id:  # an increment that was declined is nobody's act
            self.acts.setdefault(id, set()).add(e.message_id)
            body = read_body(packed)
            if e.kind != "close":
                self.asked.add(as_asked(e.message_id, body))
            if e.kind == "increment" and e.verdict == "held":
                assert isinstance(body, IncrementBody)
                self._promised(e, body.asked)
        elif e.kind == "withdrawal":
            self._withdrawal(e)
        elif e.kind == "card":
            body = read_body(packed)
            assert isinstance(body, CardBody)
            self.cards[e.card_id] = Card(e.versions[0], bytes(body.profile), body.card_key)
        elif e.kind == "account":
            body = read_body(packed)
            assert isinstance(body, AccountBody)
            line = read_account(body.profile).credit_line_minor
            self.version, self.profile = e.versions[0], bytes(body.profile)
            if line < self.credit_line_minor:
                self.below_by_others = True
            self.credit_line_minor = line
        if (
            e.verdict != "held"
            and took(e)
            and e.posted_after + self.credit_line_minor < e.held_after
        ):
            self.below_by_others = True

    def expected_records(self) -> set[str]:
        """The authorizations and tombstones that must be there: judged, or acted on."""
        return self.judged_by.keys() | self.acts.keys()

    def _authorization(self, e: Envelope, packed: bytes) -> None:
        id = e.authorization_id
        if not id:
            return  # declined, and no reversal was waiting for it: no record
        if id in self.judged_by or e.message_id in self.approved:
            self.rows.append((f"authorization {id}", "judged twice", "once"))
        self.judged_by[id] = e.message_id
        if e.verdict != "held":
            return
        self.approved.add(e.message_id)
        body = read_body(packed)
        assert isinstance(body, AuthorizationBody)
        self._promised(e, body)

    def _promised(self, e: Envelope, asked: AuthorizationBody) -> None:
        """What was approved was there; a credit needs no funds, whatever it took in."""
        available = e.posted_after - e.held_after + asked.credit_line_minor
        if not took(e) or available >= 0:
            return
        if asked.purpose in CREDITS:
            self.below_by_others = True
        else:
            self.rows.append((f"available after {e.message_id}", available, "not below 0"))

    def _withdrawal(self, e: Envelope) -> None:
        self.withdrawals += 1
        id = e.authorization_id
        if self.judged_by.get(id) == e.message_id:
            del self.judged_by[id]
            self.approved.discard(e.message_id)
        elif id in self.acts:  # an increment
            self.acts[id].discard(e.message_id)
            if not self.acts[id]:
                del self.acts[id]

    def _amount(
        self, name: str, amounts: dict[str, int], e: Envelope, after: int, delta: int
    ) -> None:
        before = after - delta
        known = amounts.get(e.currency, 0 if self.whole else before)
        if known != before:
            self.rows.append((f"{name} {e.currency} before {e.message_id}", before, known))
        amounts[e.currency] = after


def took(e: Envelope) -> bool:
    """Whether it left less available than there was: held more, or posted it."""
    return e.held_delta > e.posted_delta


def as_asked(message_id: str, body: Any) -> Asked:
    """An act as a record keeps it."""
    if isinstance(body, AdviceBody | IncrementBody):
        told, kind = (body.told, body.act) if isinstance(body, AdviceBody) else (body.asked, "more")
        if kind == "full":  # an advice that it was declined there
            return message_id, kind, told.sent_at, 0, ""
        amount, currency = told.transaction_minor, told.transaction_currency
        return message_id, kind, told.sent_at, amount, currency
    if isinstance(body, ClearingBody):
        told = body.told
        if body.act in ("post", "last"):
            amount, currency = told.transaction_minor, told.transaction_currency
            return message_id, body.act, told.sent_at, amount, currency
        sent_at, remaining, currency = told.sent_at, body.remaining_minor, ""  # its target's own
    else:
        assert isinstance(body, ReversalBody)
        sent_at, remaining, currency = body.sent_at, body.remaining_minor, body.transaction_currency
    if remaining < 0:
        return message_id, "full", sent_at, 0, ""
    return message_id, "part", sent_at, remaining, currency


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


class Journal:
    """One shard's stream, told from its start to where the accounts were looked at."""

    def __init__(self, shard: str, gate: Gate) -> None:
        self.shard = shard
        self.gate = gate
        self.told: dict[str, Told] = {}
        self.rows: list[Row] = []
        self.whole = False  # whether it still begins with the opening of a new store
        self.entries = 0
        self._own = Told()  # the shard's entries that are no account's, up to the gate's look
        self._lists = 0
        self.judgement: tuple[int, dict[str, str | ListRows]] = (0, {})  # as the home's entries say
        self._spelt: dict[str | ListRows, str | ListRows] = {}  # a million entries have few rows
        self._since_pause = 0  # list entries that were told without one
        self.until_gate = 0  # entries up to the gate's look
        self.totals: dict[str, tuple[int, int]] = {}
        self.days: dict[str, str] = {}
        self.used: dict[str, int] = {}  # of programs' counters

    async def read(self, connection: Connection, accounts: dict[str, Seen]) -> None:
        """Tell each account up to the position that it was looked at."""
        key = keys.journal(self.shard)
        until = max([self.gate.newest, *(seen.position for seen in accounts.values())])
        start = "-"
        while True:
            page = await connection.call(
                ("XRANGE", key, start, spell(until), "COUNT", PAGE), TIMEOUT_S
            )
            for stream_id, flat in page:
                self._tell(stream_id, dict(zip(flat[::2], flat[1::2], strict=True)), accounts)
                if self._since_pause >= PAUSE_AFTER:
                    self._since_pause = 0
                    await sleep(0)
            if len(page) < PAGE:
                return
            start = f"({page[-1][0].decode()}"

    def gate_rows(self, may_be_trimmed: bool) -> list[Row]:
        """Count, digest and lists of the gate against the stream's."""
        gate, rows = self.gate, list[Row]()
        if gate.entries and not self.whole and not may_be_trimmed:
            rows.append((f"journal of {self.shard}", "cut at its head", "whole"))
        rows += chain_rows(f" of {self.shard}", gate.entries, gate.digest, self._own, self.whole)
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

    def _tell(
        self, stream_id: bytes, fields: dict[bytes, bytes], accounts: dict[str, Seen]
    ) -> None:
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
                    told = self.told[e.account_id] = Told(whole=self.whole)
                told.chain(envelope, body)
                told.add(e, body)
        except (KeyError, IndexError, AssertionError, msgspec.MsgspecError, zlib.error):
            # A body of another kind than its envelope says is as unreadable as no body.
            self.rows.append((f"entry {stream_id.decode()} of {self.shard}", "unreadable", None))
        self.entries += 1


def chain_rows(of: str, entries: int, digest: str, told: Told, whole: bool) -> list[Row]:
    """A chain's count and digest against the entries that are there."""
    if told.entries > entries or (whole and told.entries < entries):
        return [(f"entries{of}", entries, told.entries)]
    if whole and digest != told.digest:
        return [(f"digest{of}", digest, told.digest)]
    return []
