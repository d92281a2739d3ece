"""An authorization's record, as the account's hash keeps it. `prelude.lua` names the same places.

What the functions do with one is said in Python below, for their twin and for the audit.
"""

from collections.abc import Iterable
from fractions import Fraction

import msgspec
from msgspec import Struct

from rules.counters import DECLINES
from rules.facts import Limit

# Why these bounds: prelude.lua.
ACTS_MAX = {"full": 190, "expired": 192, "released": 192}
OTHER_ACTS_MAX = 120
REFERENCES_MAX = 32

# When a record's money moves: with its completions, if it is neither.
AT_ONCE, AT_APPROVAL = 1, 2

TARGETS = frozenset({"more", "set", "post", "last", "void"})  # acts that a reversal may name
SHIPS = frozenset({"post", "last"})


class Act(Struct, frozen=True, array_like=True):
    """What came after an authorization, or before it. The kinds are told in prelude.lua."""

    kind: str  # full | part | more | set | post | last | expired | released | void
    message_id: str
    sent_at: int  # seconds since 1970
    amount: int = 0  # minor units; of a part: what stays
    amount_in: str = ""  # its currency; "" for the transaction's own
    billed: int = 0  # the amount in the billing currency
    names: str = ""  # its own reference; of a reversal: that of the act it takes back
    parts: int = 1  # of a last completion: so many there are, with it


class Touched(Struct, frozen=True, array_like=True, gc=False):
    """A counter that follows a record, or rose with it."""

    counter: str
    scale: int
    ends: int = 0  # seconds since 1970: it does not move any more; 0 for never
    size: int = 0  # of its bucket, in seconds


def touched_by(limits: Iterable[Limit]) -> tuple[Touched, ...]:
    """The counters of these that follow what is spent."""
    return tuple(
        [
            Touched(one.counter, one.scale, one.until, one.size)
            for one in limits
            if one.scale != DECLINES
        ]
    )


class Given(Struct, array_like=True):
    """The answer given to a message. Holders are the attempts that may have delivered it."""

    fingerprint: str = ""
    kind: str = ""
    detail: str = ""
    planned: str = ""
    held: int = 0
    holders: list[str] = msgspec.field(default_factory=list)


class Record(Struct, array_like=True, kw_only=True):
    """An authorization and its acts; a tombstone while `original` is empty."""

    asked: int = 0  # in the transaction's currency
    asked_in: str = ""
    approved: int = 0  # in the billing currency: the hold before any act
    currency: str = ""
    card: str = ""
    expires: int = 0
    original: str = ""  # message id of the authorization
    references: list[str] = msgspec.field(default_factory=list)
    acts: list[Act] = msgspec.field(default_factory=list)
    touched: list[Touched] = msgspec.field(default_factory=list)
    holds: int = 0
    given: Given = msgspec.field(default_factory=Given)
    posts: int = 0  # AT_ONCE where the whole of it posts; AT_APPROVAL, of a credit
    sign: int = 1  # -1 for a credit
    posted: int = 0
    beside: list[Touched] = msgspec.field(default_factory=list)  # counters of its acts
    sent: int = 0  # when the authorization was sent, by DE 7
    tally: str = ""  # what totals counted it under: totals.lua
    tried: list[Touched] = msgspec.field(default_factory=list)  # counters of declines, of one

    @property
    def counted_by(self) -> list[Touched]:
        """The authorization's own counters once it is approved; else its acts'."""
        return self.touched if self.given.kind == "held" else self.beside

    @property
    def spent(self) -> int:
        return self.holds + self.posted


decode_record = msgspec.msgpack.Decoder(Record).decode


def targets_of(acts: list[Act]) -> set[str]:
    return {act.names for act in acts if act.kind in TARGETS and act.names}


def part_of(a: int, b: int, c: int) -> int:
    """a * b / c, half to even, as round() of a Fraction is."""
    return round(Fraction(a * b, c))


def left_of(record: Record, part: Act, billed: int, asked: int, asked_in: str) -> tuple[int, int]:
    """What a part leaves of what was billed for what was asked, in both currencies."""
    if part.amount_in in ("", asked_in):
        if part.amount < asked:
            return part_of(part.amount, billed, asked), part.amount
    elif part.amount_in == record.currency and part.amount < billed:
        return part.amount, part_of(part.amount, asked, billed)
    return billed, asked


def means_all(record: Record, act: Act, targets: set[str]) -> bool:
    """Whether a reversal is of the authorization itself."""
    if act.names in targets:
        return False
    return not act.names or not record.original or act.names == (*record.references, "")[0]


def amounts_of(record: Record, act: Act) -> tuple[int, int, bool]:
    """An act's own amounts, less what reversals that name it take back; and whether that is all."""
    billed, asked = act.billed, act.amount
    for other in record.acts:
        if act.names and other.names == act.names:
            if other.kind == "full":
                return 0, 0, True
            if other.kind == "part":
                b, a = left_of(record, other, act.billed, act.amount, act.amount_in)
                billed, asked = min(billed, b), min(asked, a)
    return billed, asked, False


def fold(record: Record) -> tuple[int, int]:
    """What is held and what is posted after all acts: a function of the set of them."""
    return folded(record)[:2]


def folded(record: Record) -> tuple[int, int, int, bool, bool]:
    """The same, what all of it was authorized for, whether all of it is taken back, and whether it
    has ended."""
    total, asked, asked_in = record.approved, record.asked, record.asked_in
    base, base_asked, posted, ended, back = total, asked, 0, False, False
    targets, at_once = targets_of(record.acts), record.posts == AT_ONCE
    ordered = sorted(record.acts, key=lambda act: (act.sent_at, act.message_id))
    first = next((act for act in ordered if act.kind in SHIPS), None)
    for act in ordered:
        if act.kind == "set" or (at_once and act is first):
            total, asked, back = amounts_of(record, act)
            asked_in, base, base_asked = act.amount_in, total, asked
        elif act.kind == "more" or (at_once and act.kind in SHIPS):
            billed, amount, _ = amounts_of(record, act)
            if not back:
                if total == 0:
                    asked_in = act.amount_in
                elif act.amount_in != asked_in:
                    whole, rest = divmod(billed, total)
                    amount = whole * asked + part_of(rest, asked, total)
                total, asked = total + billed, asked + amount
            base, base_asked = total, asked
        elif act.kind in SHIPS:
            posted += amounts_of(record, act)[0]
        elif act.kind in ("expired", "released"):
            ended = True
        elif act.kind == "full" and means_all(record, act, targets):
            total, asked, back = 0, 0, True
        elif act.kind == "part" and means_all(record, act, targets):
            b, a = left_of(record, act, base, base_asked, asked_in)
            total, asked = min(total, b), min(asked, a)
    shipped = sum(act.kind in SHIPS for act in ordered)
    announced = [act.parts for act in ordered if act.kind == "last"]
    ended = ended or back or (bool(announced) and shipped >= max(announced))
    if at_once:
        return 0, posted + total, total, back, ended
    if ended or (record.sign == -1 and record.posts != AT_APPROVAL):
        return 0, posted, total, back, ended
    return max(total - posted, 0), posted, total, back, ended


def taken_back(record: Record) -> bool:
    """Whether the authorization itself was reversed in full, and that is the last word."""
    return folded(record)[3]


def has_ended(record: Record) -> bool:
    """Whether it has ended, so that an increment would hold nothing."""
    return folded(record)[4]


def add_act(acts: list[Act], act: Act, most: int = 0) -> bool:
    """One more, unless it is there. Whether it is. One that was withdrawn comes again."""
    for place, known in enumerate(acts):
        if known.message_id == act.message_id:
            if known.kind == "void":
                acts[place] = act
            return True
    if len(acts) >= (most or ACTS_MAX.get(act.kind, OTHER_ACTS_MAX)):
        return False
    acts.append(act)
    return True


def add_beside(record: Record, touched: Touched) -> None:
    if all(known.counter != touched.counter for known in record.beside):
        record.beside.append(touched)


def add_references(record: Record, references: tuple[str, ...] | list[str]) -> None:
    for reference in references:
        if reference not in record.references and len(record.references) < REFERENCES_MAX:
            record.references.append(reference)
