"""The hot state as plain dicts: the fake that tests use, and the oracle of the functions.

It says in Python what the Lua says, and a property test holds the two together. It
keeps no keys, shards or life times: an answer is forgotten by `forget`.
"""

from dataclasses import dataclass, field

from authz.hot.acts import (
    Authorize,
    Note,
    PutAccount,
    PutCard,
    Reverse,
    Stale,
    Verdict,
    Withdraw,
)
from authz.hot.errors import Cold, TooLate
from authz.hot.record import Act, Given, Record, add_act, add_references, fold, share

SEVERAL = "*"
NAMED_MAX = 8
OTHERS = "*"  # a holder that nobody can strike off
ATTEMPTS_MAX = 16
ALL = -1


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

    def authorizations(self, reference: str) -> list[str]:
        return [id for id in self.named(reference) if self.records[id].original]

    def tombstones(self, references: tuple[str, ...], mine: str) -> list[str]:
        """Those that mean `mine`: no other authorization shares the reference with them."""
        found = set()
        for reference in references:
            if self.authorizations(reference) in ([], [mine]):
                found |= {id for id in self.named(reference) if not self.records[id].original}
        return sorted(found)


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


class MemoryHotState:
    """The oracle. Time stands at `now_ms` until a test moves it."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.cards: dict[str, tuple[int, bytes, str]] = {}
        self.directory: dict[str, tuple[str, str]] = {}
        self.blocked: tuple[int, frozenset[tuple[str, str]]] = (0, frozenset())
        self.answers: dict[str, Answer] = {}
        self.journal: list[tuple[str, str, int]] = []  # kind, message id, held delta
        self.open = True

    async def authorize(self, act: Authorize, timeout_s: float = 0) -> Verdict | Stale:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        account, card = self._account(act.account_id), self.cards.get(act.card_id)
        if card is None:
            raise Cold
        own = account.records.get(act.message_id)
        if own is not None and own.original:
            if own.given.fingerprint != act.fingerprint:
                return Verdict(kind="mismatch", replayed=True)
            hold(own.given.holders, act.attempt)
            return said(own.given, act.message_id, replayed=True)
        old = (act.account_version, act.card_version) != (account.version, card[0])
        if old or act.lists_version < self.blocked[0]:
            return Stale(account.version, account.profile, card[0], card[1], self.blocked[0])

        record = Record(
            asked=act.asked_minor,
            asked_in=act.asked_currency,
            approved=act.hold_minor,
            currency=act.currency,
            card=act.card_id,
            expires=act.expires_at,
            original=act.message_id,
            references=list(act.references),
        )
        tombstones = account.tombstones(act.references, act.message_id)
        if own is not None and act.message_id not in tombstones:
            tombstones.append(act.message_id)
        # Nothing is touched before the verdict: the act may still be refused.
        for id in tombstones:
            add_references(record, account.records[id].references)
            for other in account.records[id].acts:
                add_act(record.acts, other)
        effective, kind, detail = act.hold_minor, "held", ""
        if act.planned != "approved":
            kind = "declined"
        elif tombstones:
            effective = fold(record)
            if effective == 0 and act.hold_minor > 0:
                kind = "reversed"
        if kind == "held":
            for limit in act.limits:
                use = min(limit.use, effective) if limit.scale == 1 else limit.use
                if account.used.get(limit.counter, 0) + use > limit.ceiling:
                    kind, detail = "over_limit", limit.reason
                    break
        if kind == "held" and act.hold_minor > 0:
            posted = account.posted.get(act.currency, 0)
            held = account.held.get(act.currency, 0)
            if effective > posted - held + act.credit_line_minor:
                kind = "no_funds"
        if kind != "held":
            effective, record.approved = 0, 0
        else:
            record.touched = [(limit.counter, limit.scale) for limit in act.limits]

        given = Given(act.fingerprint, kind, detail, act.planned, effective, [act.attempt])
        self.journal.append(("authorization", act.message_id, effective))
        if kind != "held" and not tombstones:
            self._give(act.message_id, given, "")
            return said(given, "")
        record.given, record.holds = given, effective
        self._settle(account, record, act.message_id, tombstones)
        if effective > 0:
            self._move(account, record, 0, effective)
            account.expiry[act.message_id] = act.expires_at
        return said(given, act.message_id)

    async def reverse(self, act: Reverse, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        account = self._account(act.account_id)
        id, rung = "", ""
        for name, reference in act.references:
            found = account.authorizations(reference)
            if len(found) == 1:
                id, rung = found[0], name
                break
        matched = id != ""
        references = tuple(reference for _, reference in act.references)
        tombstones = account.tombstones(references, id)
        if act.message_id in account.records and act.message_id not in tombstones:
            tombstones.append(act.message_id)
        id = id or (tombstones or [act.message_id])[0]
        record = account.records.get(id) or Record(card=act.card_id)
        for other in tombstones:
            if other != id:
                add_references(record, account.records[other].references)
                for one in account.records[other].acts:
                    add_act(record.acts, one)
        whole = act.remaining_minor == ALL
        kept = add_act(
            record.acts,
            Act(
                "full" if whole else "part",
                act.message_id,
                act.sent_at,
                0 if whole else act.remaining_minor,
                "" if whole else act.currency,
            ),
        )
        foreign = (
            matched and not whole and act.currency not in ("", record.asked_in, record.currency)
        )
        before, after = record.holds, fold(record) if matched else 0
        if after != before:
            self._move(account, record, before, after)
            if after == 0:
                del account.expiry[id]
        record.holds = after
        add_references(record, references)
        self._settle(account, record, id, tombstones)
        kind = "unapplied" if foreign or not kept else "reversed" if matched else "unmatched"
        given = Given(act.fingerprint, kind, rung, "", before - after, [act.attempt])
        self._give(act.message_id, given, id)
        self.journal.append(("reversal", act.message_id, after - before))
        return said(given, id)

    async def note(self, act: Note, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        given = Given(act.fingerprint, act.verdict, "", act.planned, 0, [act.attempt])
        self._give(act.message_id, given, "")
        self.journal.append(("note", act.message_id, 0))
        return said(given, "")

    async def withdraw(self, act: Withdraw, timeout_s: float = 0) -> str:
        self._enter(0)
        answer = self.answers.setdefault(act.message_id, Answer())
        account = self.accounts.get(act.account_id)
        record = account.records.get(act.message_id) if account else None
        if record is not None and record.original != act.message_id:
            record = None
        given = record.given if record is not None else answer.given
        if act.attempt not in answer.withdrawn:
            answer.withdrawn.append(act.attempt)
        if given.holders != [act.attempt]:
            if act.attempt in given.holders:
                given.holders.remove(act.attempt)
            return "kept" if given.kind else "marked"
        answer.given, answer.id = Given(), ""
        released = 0
        if account is not None and record is not None:
            released = record.holds
            if released:
                self._move(account, record, released, 0)
                del account.expiry[act.message_id]
            if record.acts:
                account.records[act.message_id] = Record(
                    card=record.card, references=record.references, acts=record.acts
                )
            else:
                del account.records[act.message_id]
                for reference in record.references:
                    named = account.references[reference]
                    left = [id for id in named.split() if id != act.message_id]
                    if named != SEVERAL:
                        account.references[reference] = " ".join(left)
                        if not left:
                            del account.references[reference]
        self.journal.append(("withdrawal", act.message_id, -released))
        return "released" if released else "forgotten"

    async def look_up(self, card_key: str, timeout_s: float = 0) -> tuple[str, str] | None:
        return self.directory.get(card_key)

    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float = 0
    ) -> tuple[int, bytes, int, bytes]:
        account, card = self._account(account_id), self.cards[card_id]
        return account.version, account.profile, card[0], card[1]

    async def lists(self, timeout_s: float = 0) -> tuple[int, frozenset[tuple[str, str]]]:
        return self.blocked

    async def put_account(self, act: PutAccount, timeout_s: float = 0) -> str:
        self._enter(0)
        account = self.accounts.get(act.account_id)
        if account is None:
            self.accounts[act.account_id] = Account(
                1, act.profile, {act.currency: act.opening_minor}, {act.currency: 0}
            )
            return "created"
        if account.profile == act.profile:
            return "same"
        if act.currency not in account.posted:
            return "currency_fixed"
        account.version, account.profile = account.version + 1, act.profile
        return "moved"

    async def put_card(self, act: PutCard, timeout_s: float = 0) -> str:
        self._enter(0)
        if act.account_id not in self.accounts:
            return "no_account"
        old = self.cards.get(act.card_id)
        if old and old[1] == act.profile:
            return "same"
        self.cards[act.card_id] = (old[0] + 1 if old else 1, act.profile, act.account_id)
        return "moved" if old else "created"

    async def put_directory(
        self, card_key: str, account_id: str, card_id: str, timeout_s: float = 0
    ) -> None:
        self.directory[card_key] = (account_id, card_id)

    def forget(self, message_id: str) -> None:
        """The answer's life is over."""
        self.answers.pop(message_id, None)

    # -- parts ------------------------------------------------------------------

    def _enter(self, deadline_ms: int) -> None:
        if not self.open:
            raise Cold
        if deadline_ms and self.now_ms > deadline_ms:
            raise TooLate

    def _account(self, account_id: str) -> Account:
        if account_id not in self.accounts:
            raise Cold
        return self.accounts[account_id]

    def _replay(self, message_id: str, fingerprint: str, attempt: str) -> Verdict | None:
        answer = self.answers.get(message_id)
        if answer is None:
            return None
        if attempt in answer.withdrawn:
            raise TooLate
        if not answer.given.kind:
            return None
        if answer.given.fingerprint != fingerprint:
            return Verdict(kind="mismatch", replayed=True)
        hold(answer.given.holders, attempt)
        return said(answer.given, answer.id, replayed=True)

    def _give(self, message_id: str, given: Given, id: str) -> None:
        old = self.answers.get(message_id, Answer())
        self.answers[message_id] = Answer(given, id, old.withdrawn)

    def _settle(self, account: Account, record: Record, id: str, absorbed: list[str]) -> None:
        """The record stands, its references name it, and what it took in is gone."""
        gone = [other for other in absorbed if other != id]
        for other in gone:
            del account.records[other]
        account.records[id] = record
        for reference in record.references:
            named = account.references.get(reference, "")
            if named != SEVERAL:
                ids = sorted({*named.split(), id} - set(gone))
                account.references[reference] = SEVERAL if len(ids) > NAMED_MAX else " ".join(ids)

    def _move(self, account: Account, record: Record, before: int, after: int) -> None:
        account.held[record.currency] += after - before
        for counter, scale in record.touched:
            use = account.used.get(counter, 0) + share(after, scale) - share(before, scale)
            account.used[counter] = use
            if use == 0:
                del account.used[counter]


def said(given: Given, id: str, *, replayed: bool = False) -> Verdict:
    return Verdict(
        kind=given.kind,
        planned=given.planned,
        detail=given.detail,
        held_minor=given.held,
        authorization_id=id,
        replayed=replayed,
    )
