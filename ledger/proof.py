"""The proof of a day: every cent that moved, told in ways that share nothing but the journal.

Opening and every kind of movement must make the closing, by currency and role. The movements are
added up twice: from the lines of the books, and from the bytes of the journal's envelopes, which
say what moved without naming a line. Each entry is compared by itself, each authorization's hold
is followed through its day, and each account's money from one envelope to the next.

Here is what a proof says. ledger/proof_reading.py reads the books, ledger/proof_fold.py adds up
what it reads, and ledger/proof_closing.py puts the day together.
"""

from typing import Any

from msgspec import Struct, field

LISTED_MAX = 200  # findings with their place; all are counted

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
    movements: dict[str, int]  # by lines
    closing_minor: int
    told: dict[str, int] = {}  # the same by envelopes, which speak of `open` and `held` only


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


def order_of(name: str) -> tuple[int, str]:
    return (MOVEMENTS.index(name) if name in MOVEMENTS else len(MOVEMENTS)), name
