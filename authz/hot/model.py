"""What the twin in memory.py is made of: an account, the answers, and how records take others in.

The same as references.lua and the middle of record.lua say.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from fractions import Fraction

from authz.hot.acts import Apply, Authorize, Decision, Terms, Verdict
from authz.hot.record import (
    ACTS_MAX,
    Act,
    Given,
    Record,
    Touched,
    add_act,
    add_beside,
    add_references,
    fold,
    folded,
    has_ended,
    means_all,
    taken_back,
    targets_of,
    touched_by,
)
from rules.counters import AMOUNT, Counters, rises_by, share
from rules.facts import Approved, Limit

SEVERAL = "*"
NAMED_MAX = 8
OTHERS = "*"  # a holder that nobody can strike off
ATTEMPTS_MAX = 16


@dataclass
class Account:
    version: int
    profile: bytes
    posted: dict[str, int]
    held: dict[str, int]
    records: dict[str, Record] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    used: Counters = field(default_factory=lambda: Counters(bounded=True))
    expiry: dict[str, int] = field(default_factory=dict)
    reviews: dict[str, bytes] = field(default_factory=dict)

    def named(self, reference: str) -> list[str]:
        """The records that a reference names."""
        return [id for id in self.references.get(reference, "").split() if id in self.records]

    def authorization(self, reference: str, sent_at: int, exact: bool) -> str:
        """The one that an act of that time means: the latest that something is left of."""
        fitting = [
            (record.spent > 0, record.sent, id)
            for id in self.named(reference)
            if (record := self.records[id]).original and (exact or record.sent <= sent_at)
        ]
        return max(fitting)[2] if fitting else ""

    def tombstones(
        self, references: tuple[str, ...], sent_at: int, exact: Collection[str]
    ) -> list[str]:
        """Those that may mean an authorization of that time; -1: all of them."""
        found = set()
        for reference in references:
            for id in self.named(reference):
                record = self.records[id]
                after = any(act.sent_at >= sent_at for act in record.acts)
                if not record.original and (sent_at < 0 or reference in exact or after):
                    found.add(id)
        return sorted(found)

    def find(self, act: Apply) -> tuple[str, str, bool, list[str], bool]:
        """What an act belongs to, the rung that found it, whether that is an authorization of ours
        (else it is what was decided elsewhere), the tombstones beside it, and whether it was found
        by a word that names it and no other."""
        references = tuple(reference for _, reference in act.references)
        exact = {*references[: act.exact], act.act.names}
        id, rung, exactly = "", "", False
        for name, reference in act.references:
            if not id:
                id = self.authorization(reference, act.act.sent_at, reference in exact)
                rung, exactly = (name if id else ""), reference in exact
        tombstones = self.tombstones(references, self.records[id].sent if id else -1, exact)
        if act.message_id in self.records and act.message_id not in tombstones:
            tombstones.append(act.message_id)
        if not id and tombstones and self.records[tombstones[0]].currency:
            follows = tombstones[0]
            rungs = [name for name, one in act.references if follows in self.named(one)]
            return follows, (*rungs, "")[0], False, tombstones, True
        return id, rung, id != "", tombstones, exactly

    def free_of_others(self, references: tuple[str, ...], id: str) -> tuple[str, ...]:
        """Those that name no other authorization."""
        return tuple(
            reference
            for reference in references
            if all(
                other == id or not self.records[other].original for other in self.named(reference)
            )
        )

    def drop(self, record: Record, id: str) -> None:
        """A record that says nothing any more; its references name it no longer."""
        del self.records[id]
        for reference in record.references:
            named = self.references[reference]
            left = [other for other in named.split() if other != id]
            if named != SEVERAL:
                self.references[reference] = " ".join(left)
                if not left:
                    del self.references[reference]

    def settle(self, record: Record, id: str, taken: list[str], base: "Base", now_s: int) -> None:
        """The record stands, its references name it, and what it took in is gone."""
        gone = [other for other in taken if other != id]
        for other in gone:
            del self.records[other]
            self.expiry.pop(other, None)
        self.records[id] = record
        for reference in record.references:
            named = self.references.get(reference, "")
            if named != SEVERAL:
                ids = sorted({*named.split(), id} - set(gone))
                self.references[reference] = SEVERAL if len(ids) > NAMED_MAX else " ".join(ids)
        if record.currency:
            self.held[record.currency] = (
                self.held.get(record.currency, 0) + (record.holds - base.hold) * record.sign
            )
            self.posted[record.currency] = (
                self.posted.get(record.currency, 0) + (base.posted - record.posted) * record.sign
            )
        changes = {counter: -had for counter, had in base.shares.items()}
        touches = dict(base.touched)
        for touched in record.counted_by:
            changes[touched.counter] = changes.get(touched.counter, 0) + share(
                record.spent, touched.scale
            )
            touches[touched.counter] = touched
        for counter in sorted(changes):
            touched = touches[counter]
            self.used.add(counter, changes[counter], touched.ends, touched.size, now_s)
        if record.holds > 0:
            self.expiry[id] = record.expires
        else:
            self.expiry.pop(id, None)


def hold(holders: list[str], attempt: str) -> None:
    """One more attempt may have delivered the answer; none is ever forgotten."""
    if attempt in holders:
        return
    if len(holders) < ATTEMPTS_MAX:
        holders.append(attempt)
    else:
        holders[-1] = OTHERS


@dataclass
class Answer:
    """An answer that stands in no record, and the attempts that must not run."""

    given: Given = field(default_factory=Given)
    id: str = ""
    withdrawn: list[str] = field(default_factory=list)
    tally: tuple[str, str] = ("", "")  # what it was counted under, and the currency
    tried: list[Touched] = field(default_factory=list)  # counters of declines that rose


class Base:
    """What records amounted to before an act: holds, posted, and their shares of counters."""

    def __init__(self) -> None:
        self.hold = self.posted = 0
        self.shares: dict[str, int] = {}
        self.touched: dict[str, Touched] = {}

    def add(self, record: Record) -> None:
        self.hold, self.posted = self.hold + record.holds, self.posted + record.posted
        for one in record.counted_by:
            had = self.shares.get(one.counter, 0)
            self.shares[one.counter] = had + share(record.spent, one.scale)
            self.touched[one.counter] = one


def record_of(act: Authorize) -> Record:
    """What an authorization is before anything is known of it."""
    return Record(
        asked=act.asked_minor,
        asked_in=act.asked_currency,
        approved=act.hold_minor,
        currency=act.currency,
        card=act.card_id,
        expires=act.expires_at,
        original=act.message_id,
        references=list(act.references),
        touched=list(touched_by(act.limits)),
        posts=act.posts,
        sign=act.sign,
        sent=act.sent_at,
        tally=act.tally,
    )


def fits(record: Record, other: Record) -> bool:
    """Money of one currency and one direction."""
    if not record.currency or not other.currency:
        return True
    return (record.currency, record.sign) == (other.currency, other.sign)


def decided(
    account: Account, act: Authorize, record: Record, base: Base, follows: bool
) -> tuple[str, str]:
    """What an authorization is told: kind and detail. Sets what is approved of it."""
    record_wants = record.approved
    available = account.posted.get(act.currency, 0) - account.held.get(act.currency, 0)
    available += act.credit_line_minor
    asked = act.asked_billed_minor
    if act.planned != "approved":
        return "declined", ""
    full = first_full(account, act.limits, 0, base)
    if act.hold_minor == 0 and not follows and full:
        return "over_limit", full
    if act.inquires:
        return "told", f"{account.posted.get(act.currency, 0)} {available}"
    if follows:
        kind, detail = stands(account, act, record, base, available)
        if asked > record_wants:
            return "over_limit", "transaction_limit"
        if asked < record_wants and kind in ("over_limit", "no_funds"):
            record.approved = asked
            kind, detail = stands(account, act, record, base, available)
        return kind, detail
    if asked == 0:
        return "held", ""  # it takes nothing, and an advice may have filled more than there was
    # The most that everything has room for; what is asked fits, or the first that says no is told.
    rooms = [("over_limit", act.hold_minor, "transaction_limit")]
    for limit in act.limits:
        used, known = account.used.seen(limit)
        counts = act.hold_minor if used < limit.ceiling or known else 0
        room = limit.ceiling - used if limit.scale == AMOUNT else counts
        rooms.append(("over_limit", room, limit.reason))
    if act.sign == 1 and act.hold_minor > 0:
        rooms.append(("no_funds", available, ""))
    fit = min(room for _, room, _ in rooms)
    if fit >= asked:
        record.approved = fit
        return "held", ""
    part = act.asked_minor * fit // asked
    if act.part_reference and part > 0:
        record.approved, record.asked = fit, part
        record.references.append(act.part_reference)
        return "held", "partial"
    return next((kind, reason) for kind, room, reason in rooms if room < asked)


def first_full(account: Account, limits: tuple[Limit, ...], spent: int, base: Base) -> str:
    """The first ceiling that so much more does not fit under: its reason, or ""."""
    for limit in limits:
        seen, use = account.used.use_of(limit, spent, base.shares)
        if use > 0 and seen + use > limit.ceiling:
            return limit.reason
    return ""


def count_decline(
    account: Account, limits: tuple[Limit, ...], kind: str, detail: str, now_s: int
) -> list[Touched]:
    """A decline rises in the counters of declines. Which rose."""
    mine = rises_by(limits, kind, detail)
    for limit in mine:
        account.used.add(limit.counter, 1, limit.until, limit.size, now_s)
    return [Touched(one.counter, one.scale, one.until, one.size) for one in mine]


def stands(
    account: Account, act: Authorize, record: Record, base: Base, available: int
) -> tuple[str, str]:
    """Whether an authorization may be what it and its follow-ups amount to."""
    spent = sum(fold(record))
    nothing_left = spent == 0 and (act.sign == 1 or act.posts != 0)
    if act.hold_minor > 0 and (taken_back(record) or nothing_left):
        return "reversed", ""
    full = first_full(account, act.limits, spent, base)
    if full:
        return "over_limit", full
    if act.sign == 1 and 0 < spent - base.hold - base.posted > available:
        return "no_funds", ""
    return "held", ""


def kept_to(terms: Terms, record: Record, act: Act) -> str:
    """Whether a completion keeps to what was agreed on."""
    _, posted, total, *_ = folded(record)
    if posted > total + max(round(Fraction(total * terms.tolerance_percent, 100)),
                            terms.tolerance_minor):  # fmt: skip
        return "beyond"
    return "overdue" if act.sent_at - record.sent > terms.overdue_s else "applied"


def judge(
    account: Account, record: Record, base: Base, decision: Decision, act: Act
) -> tuple[str, str]:
    """Whether an increment may have what it asks for: kind and detail."""
    if decision.planned != "approved":
        return "declined", ""
    news = record.spent - base.hold - base.posted
    if has_ended(record) or (act.billed > 0 and news <= 0):
        return "reversed", ""
    full = first_full(account, decision.limits, record.spent, base)
    if full:
        return "over_limit", full
    posted, held = (amounts.get(record.currency, 0) for amounts in (account.posted, account.held))
    if news > posted - held + decision.credit_line_minor:
        return "no_funds", ""
    return "held", ""


def has_room(record: Record, tombstone: Record) -> bool:
    """Whether all of its acts fit. One that does not stays what it is: nothing is lost."""
    ids = {act.message_id for act in (*record.acts, *tombstone.acts)}
    return len(ids) <= ACTS_MAX["full"]


def is_foreign(record: Record, act: Act) -> bool:
    """Whether a part is told in a currency in which it says nothing."""
    return act.kind == "part" and act.amount_in not in ("", record.asked_in, record.currency)


def is_idle(record: Record, base: Base, act: Act) -> bool:
    """Whether a reversal takes nothing back that it should: all has posted, or it names what has
    not come."""
    if (record.holds, record.posted) != (base.hold, base.posted):
        return False
    targets = targets_of(record.acts)
    waits = act.names != "" and act.names not in targets and not means_all(record, act, set())
    return waits or (act.kind == "full" and record.posted > 0)


def take_in(record: Record, tombstone: Record, base: Base) -> None:
    """Its acts, references and counters become the record's own."""
    base.add(tombstone)
    add_references(record, tombstone.references)
    for act in tombstone.acts:
        add_act(record.acts, act, ACTS_MAX["full"])
    for touched in tombstone.beside:
        add_beside(record, touched)
    if not record.currency:
        record.currency, record.sign = tombstone.currency, tombstone.sign
    record.expires = max(record.expires, tombstone.expires)


def said(given: Given, id: str, *, replayed: bool = False, record: Record | None = None) -> Verdict:
    part = None
    if given.detail == "partial":
        assert record is not None
        part = Approved(record.approved, record.asked)
    return Verdict(
        kind=given.kind,
        planned=given.planned,
        detail=given.detail,
        held_minor=given.held,
        authorization_id=id,
        replayed=replayed,
        approved=part,
    )
