"""The proof of a day: every cent that moved, told in ways that share nothing but the journal.

Opening and every kind of movement must make the closing, by currency and role. The movements are
added up twice: from the lines of the books, and from the bytes of the journal's envelopes, which
say what moved without naming a line. Each entry is compared by itself, each authorization's hold
is followed through its day, and each account's money from one envelope to the next.

Pure: ledger/proof_reading.py reads the books, one shard after another, and asks this file to add.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from ledger.chart import Role
from ledger.journal import AccountBody, Body, LedgerBody

LISTED_MAX = 200  # findings with their place; all are counted

CARDHOLDERS = (Role.OPEN, Role.HELD)
PROMISES = (Role.LINE, Role.LINES_GRANTED)

# Kinds of movement, in the order in which a day is read; notes bring names of their own besides.
OPENING, LINES = "account opening", "credit line"
REFUND, CHARGEBACK, TAKEN_BACK = "refund", "chargeback", "clearing reversal"
EXPIRY, RELEASE = "expiry", "release"
MOVEMENTS = (
    OPENING, LINES, "approval", "increment", "advice", "completion", "clearing", REFUND,
    CHARGEBACK, TAKEN_BACK, "reversal", EXPIRY, RELEASE, "withdrawal", "unmatched", "fee",
    "dispute", "interchange", "settlement", "write_off",
)  # fmt: skip
NAMES = {"authorization": "approval"}
CLOSES = {"expired": EXPIRY, "released": RELEASE}
GIVES = ("authorization", "advice", "completion", "increment")
# Where a hold goes, by kind of movement. All that is not here placed it.
ENDS = {
    "completion": "cleared", "clearing": "cleared", TAKEN_BACK: "cleared",
    "reversal": "reversed", EXPIRY: "expired", RELEASE: "released", "withdrawal": "withdrawn",
}  # fmt: skip
FATES = ("placed", "cleared", "reversed", "expired", "released", "withdrawn")


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


class Finding(Struct, frozen=True):
    """Something that nobody has explained."""

    check: str  # which of the ways found it
    where: str  # "shard 3 entry 17", "authorization M1", "840 fees"
    what: str
    found: int | str
    expected: int | str
    currency: str = ""
    amount_minor: int = 0  # by how much; 0 where it is no amount


class Check(Struct):
    """One of the ways, and what it came to."""

    what: str
    compared: int = 0
    differences: int = 0


class Hold(Struct):
    """What became of holds in one currency: signed, so a credit's early hold is below zero."""

    opening_minor: int = 0
    placed_minor: int = 0
    cleared_minor: int = 0
    reversed_minor: int = 0
    expired_minor: int = 0
    released_minor: int = 0
    withdrawn_minor: int = 0
    closing_minor: int = 0
    authorizations_minor: int | None = None  # what the authorizations say is open; now, only

    @property
    def left_minor(self) -> int:
        """What must be open at the end."""
        ended = (self.cleared_minor, self.reversed_minor, self.expired_minor,
                 self.released_minor, self.withdrawn_minor)  # fmt: skip
        return self.opening_minor + self.placed_minor - sum(ended)


class Class(Struct):
    """One account class of a currency."""

    role: str
    opening_minor: int
    movements: dict[str, int]
    closing_minor: int


class Money(Struct):
    """One currency of the day."""

    currency: str
    roles: list[Class]
    holds: Hold
    counts: dict[str, int]  # acts that moved something, by kind of movement


class Proof(Struct, kw_only=True):
    """The day, whole. `ok`: nothing is unexplained."""

    ok: bool = True
    date: str
    zone: str
    begins_ms: int
    ends_ms: int
    so_far: bool = False  # the day was not over
    position: int = 0  # journal entries in the books when they were read
    shards: dict[str, dict[str, Any]] = field(default_factory=dict)  # seq and stream id of each
    newest_ms: int = 0  # of all entries in the books
    entries: int = 0  # of the day
    postings: int = 0
    authorizations: int = 0  # that an act of the day was about
    approved: int = 0  # of these, approved on the day and not withdrawn
    unexplained_minor: int = 0  # all differences, unsigned, whatever their currency
    found: int = 0
    currencies: list[Money] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    unexplained: list[Finding] = field(default_factory=list)

    def compare(
        self, check: str, where: str, what: str, found: Any, expected: Any, currency: str = "",
        minor: int | None = None,
    ) -> None:  # fmt: skip
        """One comparison. `minor`: what a difference amounts to, where it is not their own."""
        self.checks[check].compared += 1
        if found != expected:
            self.differs(check, where, what, found, expected, currency, minor)

    def differs(
        self, check: str, where: str, what: str, found: Any, expected: Any, currency: str = "",
        minor: int | None = None,
    ) -> None:  # fmt: skip
        """What was counted as compared, and is not the same."""
        self.checks[check].differences += 1
        self.ok = False
        self.found += 1
        if minor is None:
            is_amount = currency and isinstance(found, int) and isinstance(expected, int)
            minor = abs(found - expected) if is_amount else 0
        self.unexplained_minor += minor
        if len(self.unexplained) < LISTED_MAX:
            self.unexplained.append(Finding(check, where, what, found, expected, currency, minor))


# The ways. Each is there from the start, so that a report shows what was looked at.
CHECKS = {
    "day": "opening and every movement make the closing",
    "bytes": "what envelopes say that moved is what lines say, entry by entry",
    "places": "no entry is missing or twice between its neighbours of the shard",
    "chain": "each account's money goes on from where the entry before it ended",
    "holds": "holds: opening and placed are cleared, reversed, ended, withdrawn, and open",
    "approved": "each approval in the journal's bytes is an authorization of the books, once",
    "kept": "balances and authorizations, as they are kept, are the sums of lines",
    "clearing": "records of clearing files are the entries that they made",
    "batches": "settlement batches hold every line of a network's account that they looked at",
    "parked": "nothing is parked",
    "notices": "nothing was noticed",
    "suspense": "nothing stands in suspense",
}


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
        if act.kind == "clearing":
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


def close(
    proof: Proof, sums: Sums, totals: Iterable[tuple[str, str, int, int]],
) -> None:  # fmt: skip
    """Put the day together. `totals`: currency, role, and what stood there before and after the
    day, by all lines there are."""
    stood = {(currency, role): (before, after) for currency, role, before, after in totals}
    moved = {(currency, role) for currency, role, _ in sums.lines}
    by_place: dict[tuple[str, str], dict[str, int]] = {}
    for (currency, role, name), amount in sums.lines.items():
        by_place.setdefault((currency, role), {})[name] = amount
    moneys: dict[str, Money] = {}
    for currency, role in sorted(stood.keys() | moved, key=place_of):
        before, after = stood.get((currency, role), (0, 0))
        movements = by_place.get((currency, role), {})
        movements = {n: movements[n] for n in sorted(movements, key=order_of) if movements[n]}
        money = moneys.setdefault(currency, Money(currency, [], Hold(), {}))
        money.roles.append(Class(role, before, movements, after))
        proof.compare("day", f"{currency} {role}", "closing", after,
                      before + sum(movements.values()), currency)  # fmt: skip
        if role == Role.SUSPENSE:
            proof.compare("suspense", f"{currency} {role}", "closing", after, 0, currency)
    for currency, money in moneys.items():
        close_holds(proof, sums, money)
        for what, total in (("opening", sum(r.opening_minor for r in money.roles)),
                            ("closing", sum(r.closing_minor for r in money.roles))):  # fmt: skip
            proof.compare("day", currency, f"sum of all {what} balances", total, 0, currency)
        counted = {name: n for (of, name), n in sums.counts.items() if of == currency}
        money.counts = {name: counted[name] for name in sorted(counted, key=order_of)}
    for key in sums.told.keys() | {key for key in sums.lines if key[1] in CARDHOLDERS}:
        currency, role, name = key
        proof.compare("bytes", f"{currency} {role}", name, sums.lines.get(key, 0),
                      sums.told.get(key, 0), currency)  # fmt: skip
    proof.currencies = list(moneys.values())


def close_holds(proof: Proof, sums: Sums, money: Money) -> None:
    """From envelopes, but for what was open before: that is of the lines, and so is the end."""
    hold = money.holds
    for role in money.roles:
        if role.role == Role.HELD:
            hold.opening_minor, hold.closing_minor = -role.opening_minor, -role.closing_minor
    for (currency, role_name, name), amount in sums.told.items():
        if currency == money.currency and role_name == Role.HELD:
            fate = ENDS.get(name)
            if fate is None:
                hold.placed_minor += -amount
            else:
                setattr(hold, f"{fate}_minor", getattr(hold, f"{fate}_minor") + amount)
    proof.compare("holds", money.currency, "open at the end", hold.closing_minor, hold.left_minor,
                  money.currency)  # fmt: skip


def place_of(key: tuple[str, str]) -> tuple[str, int, str]:
    """Currencies by number, roles as in the chart of accounts."""
    currency, role = key
    roles = [str(r) for r in Role]
    return currency, roles.index(role) if role in roles else len(roles), role


def order_of(name: str) -> tuple[int, str]:
    return (MOVEMENTS.index(name) if name in MOVEMENTS else len(MOVEMENTS)), name
