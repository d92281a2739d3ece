"""The day's entries, added up one shard after another: each compared by itself, each authorization
and account followed through the day.

What an entry says is read from its bytes by structs of our own, which share nothing with the book.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from ledger.chart import Role
from ledger.journal import AccountBody, Body, LedgerBody
from ledger.proof import (
    CHARGEBACK,
    CLOSES,
    GIVES,
    LINES,
    NAMES,
    OPENING,
    REFUND,
    TAKEN_BACK,
    Proof,
)

PROMISES = (Role.LINE, Role.LINES_GRANTED)


class Act(Struct, frozen=True, array_like=True, gc=False):
    """As much of an envelope as is needed to add up; ledger/journal.py has all of it."""

    layout: int
    kind: str
    message_id: str
    authorization_id: str
    account_id: str
    card_id: str
    verdict: str
    detail: str
    currency: str
    posted_delta: int
    held_delta: int
    posted_after: int
    held_after: int
    at_ms: int
    counters: msgspec.Raw
    versions: msgspec.Raw
    absorbed: list[str] = []


class ClearedRecord(Struct, frozen=True, array_like=True, tag="clearing", gc=False):
    """As much of a cleared record's body as says what it was."""

    told: msgspec.Raw
    act: str
    references: msgspec.Raw
    item: str
    kind: str
    of: str
    reversal: bool


read_act = msgspec.msgpack.Decoder(Act).decode
read_body = msgspec.msgpack.Decoder(Body).decode
read_cleared = msgspec.msgpack.Decoder(ClearedRecord).decode


class Line(NamedTuple):
    """One line of an entry, as its table has it."""

    currency: str
    role: str
    amount_minor: int


def name_of(act: Act, body: Any) -> str:
    """What kind of movement an entry is."""
    if act.kind == "note":
        return body.what if isinstance(body, LedgerBody) else "note"
    if act.kind == "close":
        return CLOSES.get(act.verdict, act.verdict)
    if act.kind == "account":
        return OPENING
    if isinstance(body, ClearedRecord):
        if body.reversal:
            return TAKEN_BACK
        return body.kind if body.kind in (REFUND, CHARGEBACK) else act.kind
    if act.posted_delta > 0 and act.kind in GIVES:
        return REFUND
    if act.kind == "authorization" and act.posted_delta == 0 and act.held_delta < 0:
        return REFUND  # available at its approval
    return NAMES.get(act.kind, act.kind)


class Life(Struct, gc=False):
    """What one authorization did on the day, by its envelopes."""

    currency: str = ""
    held: int = 0
    posted: int = 0
    approvals: int = 0  # 1 or 0: it was approved, and not withdrawn
    absorbed: tuple[str, ...] = ()

    @property
    def moved(self) -> int:
        """How much is in question, where something of it is."""
        return abs(self.held) + abs(self.posted)


class Sums:
    """The day's movements, added up in two ways."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str, str], int] = {}  # currency, role, movement
        self.told: dict[tuple[str, str, str], int] = {}  # the same of `open` and `held`
        self.counts: dict[tuple[str, str], int] = {}  # currency, movement
        # By currency, how many and how much: what cleared records posted on cardholders, and the
        # networks' lines that settlement batches have looked at.
        self.cleared: dict[str, tuple[int, int]] = {}
        self.taken: dict[str, tuple[int, int]] = {}


def count_one(into: dict[str, tuple[int, int]], currency: str, minor: int) -> None:
    many, total = into.get(currency, (0, 0))
    into[currency] = many + 1, total + minor


class Shard:
    """One shard's entries of the day, in their order."""

    def __init__(self, number: int, proof: Proof, sums: Sums, taken: int = 0) -> None:
        """`taken`: settlement batches have looked at its entries up to this one."""
        self.number, self._proof, self._sums, self._taken = number, proof, sums, taken
        self.lives: dict[str, Life] = {}
        self.accounts: dict[tuple[str, str], tuple[int, int]] = {}  # posted and held afterwards

    def add(
        self, seq: int, columns: tuple[Any, ...], envelope: bytes, body: bytes | None,
        lines: list[Line],
    ) -> None:  # fmt: skip
        """One entry. `columns`: time, kind, verdict, message, authorization and account as its row
        has them beside the bytes."""
        proof = self._proof
        proof.entries += 1
        proof.postings += len(lines)
        try:
            act = read_act(envelope)
            read = self._read(act, body) if body is not None else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            lost = sum(abs(line[2]) for line in lines)
            proof.compare("bytes", self.place(seq), "bytes", "unreadable", "an entry", minor=lost)
            return
        told = (act.at_ms, act.kind, act.verdict, act.message_id, act.authorization_id,
                act.account_id)  # fmt: skip
        if told != columns:
            proof.compare("bytes", self.place(seq), "its row", "not as its bytes", "the same")
        if lines or act.posted_delta or act.held_delta:
            self._add_money(seq, act, read, lines)
        if isinstance(read, LedgerBody):
            self._compare_movement(seq, read, lines)
        elif isinstance(read, AccountBody) and act.posted_delta:
            proof.compare("bytes", self.place(seq), "opening funds", act.posted_delta,
                          read.opening_minor, act.currency)  # fmt: skip
        if act.account_id and act.currency:
            self._follow_account(seq, act)
        if act.authorization_id:
            self._follow_life(seq, act)

    def _read(self, act: Act, body: bytes) -> Body | ClearedRecord:
        return read_cleared(body) if act.kind == "clearing" else read_body(body)

    def place(self, seq: int) -> str:
        return f"shard {self.number} entry {seq}"

    def _add_money(self, seq: int, act: Act, read: Any, lines: list[Line]) -> None:
        """Its lines with its envelope, and both into the sums. Most entries agree, so what says
        where one differs is put together only then."""
        sums, proof, currency = self._sums, self._proof, act.currency
        name = name_of(act, read)
        open_minor = held_minor = 0
        left: dict[str, int] = {}
        by_lines = sums.lines
        for of, role, amount in lines:
            left[of] = left.get(of, 0) + amount
            what = LINES if role in PROMISES and act.kind == "account" else name
            key = of, role, what
            by_lines[key] = by_lines.get(key, 0) + amount
            if role == "network":
                if seq <= self._taken:
                    count_one(sums.taken, of, amount)
            elif of == currency:
                if role == "open":
                    open_minor += amount
                elif role == "held":
                    held_minor += amount
        if act.kind == "clearing" and act.posted_delta:
            count_one(sums.cleared, currency, act.posted_delta)
        told_open, told_held = act.held_delta - act.posted_delta, -act.held_delta
        for role, amount in (("open", told_open), ("held", told_held)):
            if amount:
                key = currency, role, name
                sums.told[key] = sums.told.get(key, 0) + amount
        for of in left or (currency,):
            sums.counts[of, name] = sums.counts.get((of, name), 0) + 1
        proof.checks["bytes"].compared += 3
        if open_minor != told_open:
            proof.differs("bytes", self.place(seq), "open", open_minor, told_open, currency)
        if held_minor != told_held:
            proof.differs("bytes", self.place(seq), "held", held_minor, told_held, currency)
        for of, amount in left.items():
            if amount:
                proof.differs("bytes", self.place(seq), "sum of its lines", amount, 0, of)

    def _compare_movement(self, seq: int, body: LedgerBody, lines: list[Line]) -> None:
        """A movement of no cardholder's money says its lines itself."""
        told: dict[tuple[str, str], int] = {}
        for _, currency, role, _, amount in body.lines:
            told[currency, role] = told.get((currency, role), 0) + amount
        for currency, role, amount in lines:
            told[currency, role] = told.get((currency, role), 0) - amount
        for (currency, role), left in told.items():
            if left:
                where, what = self.place(seq), f"{role} by its body"
                self._proof.differs("bytes", where, what, 0, left, currency)

    def _follow_account(self, seq: int, act: Act) -> None:
        """Its first entry of the day has nothing before it to be compared with."""
        key = act.account_id, act.currency
        before = self.accounts.get(key)
        if before is not None:
            self._proof.checks["chain"].compared += 2
            told = act.posted_after - act.posted_delta, act.held_after - act.held_delta
            if told != before:
                for what, found, expected in zip(("posted", "held"), told, before):
                    if found != expected:
                        self._proof.differs("chain", self.place(seq), f"{what} before it", found,
                                            expected, act.currency)  # fmt: skip
        self.accounts[key] = act.posted_after, act.held_after

    def _follow_life(self, seq: int, act: Act) -> None:
        life = self.lives.get(act.authorization_id)
        if life is None:
            life = self.lives[act.authorization_id] = Life()
        life.currency = act.currency or life.currency
        life.held += act.held_delta
        life.posted += act.posted_delta
        for other in act.absorbed:
            gone = self.lives.pop(other, None)
            life.absorbed = (*life.absorbed, other)
            if gone is not None:
                life.held, life.posted = life.held + gone.held, life.posted + gone.posted
                life.absorbed = (*life.absorbed, *gone.absorbed)
        if act.kind == "authorization" and act.verdict == "held":
            self._proof.checks["approved"].compared += 1
            if life.approvals:
                where, minor = f"authorization {act.authorization_id}", abs(act.held_delta)
                self._proof.differs("approved", where, "approvals", f"again, {self.place(seq)}",
                                    "one", minor=minor + abs(act.posted_delta))  # fmt: skip
            life.approvals = 1
        elif act.kind == "withdrawal" and act.message_id == act.authorization_id:
            life.approvals = 0
