"""What the twin in memory.py is made of: an account, the answers, and how records take others in.

The same as references.lua and the middle of record.lua say.
"""

from dataclasses import dataclass, field

from authz.hot.acts import Authorize, Decision, Verdict
from authz.hot.record import (
    Given,
    Record,
    add_act,
    add_beside,
    add_references,
    share,
    taken_back,
)

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
    used: dict[str, int] = field(default_factory=dict)
    expiry: dict[str, int] = field(default_factory=dict)

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

    def tombstones(self, references: tuple[str, ...], sent_at: int, own: str) -> list[str]:
        """Those that may mean an authorization of that time; -1: all of them."""
        found = set()
        for reference in references:
            for id in self.named(reference):
                record = self.records[id]
                after = any(act.sent_at >= sent_at for act in record.acts)
                if not record.original and (sent_at < 0 or reference == own or after):
                    found.add(id)
        return sorted(found)

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

    def settle(self, record: Record, id: str, taken: list[str], base: "Base") -> None:
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
                self.held.get(record.currency, 0) + record.holds - base.hold
            )
            self.posted[record.currency] = (
                self.posted.get(record.currency, 0) + (base.posted - record.posted) * record.sign
            )
        changes = {counter: -had for counter, had in base.shares.items()}
        for counter, scale in record.counted_by:
            changes[counter] = changes.get(counter, 0) + share(record.spent, scale)
        for counter, change in changes.items():
            self.used[counter] = self.used.get(counter, 0) + change
            if self.used[counter] == 0:
                del self.used[counter]
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


class Base:
    """What records amounted to before an act: holds, posted, and their shares of counters."""

    def __init__(self) -> None:
        self.hold = self.posted = 0
        self.shares: dict[str, int] = {}

    def add(self, record: Record) -> None:
        self.hold, self.posted = self.hold + record.holds, self.posted + record.posted
        for counter, scale in record.counted_by:
            self.shares[counter] = self.shares.get(counter, 0) + share(record.spent, scale)


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
        touched=[(limit.counter, limit.scale) for limit in act.limits],
        posts=int(act.posts),
        sign=act.sign,
        sent=act.sent_at,
    )


def fits(record: Record, other: Record) -> bool:
    """Money of one currency and one direction."""
    if not record.currency or not other.currency:
        return True
    return (record.currency, record.sign) == (other.currency, other.sign)


def judge(account: Account, record: Record, base: Base, decision: Decision) -> tuple[str, str]:
    """Whether an increment may have what it asks for: kind and detail."""
    if decision.planned != "approved":
        return "declined", ""
    if taken_back(record):
        return "reversed", ""
    for limit in decision.limits:
        use = share(record.spent, limit.scale) - base.shares.get(limit.counter, 0)
        if use > 0 and account.used.get(limit.counter, 0) + use > limit.ceiling:
            return "over_limit", limit.reason
    news = record.spent - base.hold - base.posted
    posted, held = (amounts.get(record.currency, 0) for amounts in (account.posted, account.held))
    if news > 0 and news > posted - held + decision.credit_line_minor:
        return "no_funds", ""
    return "held", ""


def take_in(record: Record, tombstone: Record, base: Base) -> None:
    """Its acts, references and counters become the record's own."""
    base.add(tombstone)
    add_references(record, tombstone.references)
    for act in tombstone.acts:
        add_act(record.acts, act)
    for touched in tombstone.beside:
        add_beside(record, touched)
    if not record.currency:
        record.currency, record.sign = tombstone.currency, tombstone.sign
    record.expires = max(record.expires, tombstone.expires)


def said(given: Given, id: str, *, replayed: bool = False) -> Verdict:
    return Verdict(
        kind=given.kind,
        planned=given.planned,
        detail=given.detail,
        held_minor=given.held,
        authorization_id=id,
        replayed=replayed,
    )
