"""What the journal says the hot state must be: its entries told one after another.

The second model of the audit. It adds up what each entry says that it moved, and
watches that each begins where the one before it ended. It never looks at the hot state.
authz/shard_journal.py reads the stream.
"""

from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

import msgspec
from msgspec import Struct

from authz.profiles import read_account
from authz.standing import Row
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    Body,
    CardBody,
    ClearingBody,
    Envelope,
    IncrementBody,
    ReversalBody,
)
from rules.counters import spans_shards
from rules.facts import CREDITS

# An act as it was asked for: its message, its kind, when it was sent, the amount (of a reversal,
# what stays), in which currency.
Asked = tuple[str, str, int, int, str]

ACTS = frozenset(
    {"reversal", "advice", "completion", "clearing", "increment", "close"}
)  # kinds of entries that join one

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

    `whole` is False where what came before its first entry here was cut off: then the first entry
    that names an amount is believed about it, and an authorization is only added up if all of it
    came since.
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
    # Authorizations that began in what was cut, or may have.
    begun_before: set[str] = field(default_factory=set)
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
            if not self.whole and (e.absorbed or (id not in self.held_by and not judges(e))):
                self.begun_before.add(id)
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


def judges(e: Envelope) -> bool:
    """Whether it is the first of an authorization, and not one that an act came before."""
    return e.kind == "authorization"


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


def chain_rows(of: str, entries: int, digest: str, told: Told, whole: bool) -> list[Row]:
    """A chain's count and digest against the entries that are there."""
    if told.entries > entries or (whole and told.entries < entries):
        return [(f"entries{of}", entries, told.entries)]
    if whole and digest != told.digest:
        return [(f"digest{of}", digest, told.digest)]
    return []
