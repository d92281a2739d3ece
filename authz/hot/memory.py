"""The hot state as plain dicts: the fake that tests use, and the oracle of the functions.

It says in Python what the Lua says, and a property test holds the two together. It
keeps no keys, shards or life times: an answer is forgotten by `forget`.
"""

from dataclasses import dataclass, field
from fractions import Fraction

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

SEVERAL = "*"
OTHERS = "*"  # a holder that nobody can strike off
ATTEMPTS_MAX = 16
ALL = -1


@dataclass
class Account:
    version: int
    profile: bytes
    posted: dict[str, int]
    held: dict[str, int]
    records: dict[str, "Record"] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    expiry: dict[str, int] = field(default_factory=dict)


@dataclass
class Record:
    """An authorization and its acts; a tombstone while `original` is empty."""

    asked: int = 0
    approved: int = 0
    currency: str = ""
    card: str = ""
    expires: int = 0
    original: str = ""
    acts: list[tuple[str, str, int, int]] = field(default_factory=list)
    touched: list[tuple[str, int]] = field(default_factory=list)
    held: int = 0

    def fold(self) -> int:
        """What is held after all acts: a function of the set of them, whatever their order."""
        held = self.approved
        for kind, _, _, remaining in self.acts:
            if kind == "full":
                return 0
            if remaining < self.asked:
                # round() of a Fraction is half to even.
                held = min(held, round(Fraction(remaining * self.approved, self.asked)))
        return held


@dataclass
class Answer:
    fingerprint: str = ""
    verdict: Verdict | None = None
    holders: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)


def share(held: int, scale: int) -> int:
    """What a record adds to a counter while it holds that much."""
    return held if scale == 1 else int(held > 0)


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
        old = (act.account_version, act.card_version) != (account.version, card[0])
        if old or act.lists_version < self.blocked[0]:
            return Stale(account.version, account.profile, card[0], card[1], self.blocked[0])

        id = self._climb(account, act.references)[1]
        record = account.records[id] if id else None
        if act.message_id in account.records or (record and record.original == act.message_id):
            return Verdict(kind="mismatch", replayed=True)
        if record is not None and record.original:
            id, record = "", None  # another authorization shares the reference
        effective, kind, detail = act.hold_minor, "held", ""
        if act.planned != "approved":
            kind = "declined"
        elif record is not None:
            record.asked, record.approved = act.asked_minor, act.hold_minor
            effective = record.fold()
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
            effective = 0

        if kind == "held" or record is not None:
            record = record if record is not None else Record()
            id = id or act.message_id
            record.asked = act.asked_minor
            record.approved = act.hold_minor if kind == "held" else 0
            record.currency, record.card, record.expires = (
                act.currency,
                act.card_id,
                act.expires_at,
            )
            record.original, record.held = act.message_id, effective
            record.touched = (
                [(limit.counter, limit.scale) for limit in act.limits] if kind == "held" else []
            )
            account.records[id] = record
            self._refer(account, act.references, id)
        if effective > 0:
            assert record is not None
            self._move(account, record, 0, effective)
            account.expiry[id] = act.expires_at
        verdict = Verdict(
            kind=kind,
            planned=act.planned,
            detail=detail,
            held_minor=effective,
            authorization_id=id,
        )
        self._give(act.message_id, act.fingerprint, act.attempt, verdict)
        self.journal.append(("authorization", act.message_id, effective))
        return verdict

    async def reverse(self, act: Reverse, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        account = self._account(act.account_id)
        references = tuple(reference for _, reference in act.references)
        found, id = self._climb(account, references)
        id = id or act.message_id
        record = account.records.setdefault(id, Record(card=act.card_id))
        matched = record.original != ""
        if all(known != act.message_id for _, known, _, _ in record.acts):
            kind = "full" if act.remaining_minor == ALL else "part"
            record.acts.append((kind, act.message_id, act.sent_at, max(act.remaining_minor, 0)))
        before, after = record.held, record.fold() if matched else 0
        if after != before:
            self._move(account, record, before, after)
            if after == 0:
                del account.expiry[id]
        record.held = after
        if not matched:
            self._refer(account, references, id)
        verdict = Verdict(
            kind="reversed" if matched else "unmatched",
            detail=next((rung for rung, reference in act.references if reference == found), ""),
            held_minor=before - after,
            authorization_id=id,
        )
        self._give(act.message_id, act.fingerprint, act.attempt, verdict)
        self.journal.append(("reversal", act.message_id, after - before))
        return verdict

    async def note(self, act: Note, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        verdict = Verdict(kind=act.verdict, planned=act.planned)
        self._give(act.message_id, act.fingerprint, act.attempt, verdict)
        self.journal.append(("note", act.message_id, 0))
        return verdict

    async def withdraw(self, act: Withdraw, timeout_s: float = 0) -> str:
        self._enter(0)
        answer = self.answers.setdefault(act.message_id, Answer())
        mine = act.attempt in answer.holders
        if not (mine and len(answer.holders) == 1):
            if mine:
                answer.holders.remove(act.attempt)
            if act.attempt not in answer.withdrawn:
                answer.withdrawn.append(act.attempt)
            return "marked" if answer.verdict is None else "kept"
        assert answer.verdict is not None
        id, released = answer.verdict.authorization_id, 0
        account = self.accounts.get(act.account_id)
        record = account.records.get(id) if account and id else None
        if account is not None and record is not None and record.original == act.message_id:
            released = record.held
            if released:
                self._move(account, record, released, 0)
                del account.expiry[id]
            record.asked, record.approved, record.original = 0, 0, ""
            record.held, record.touched = 0, []
            if not record.acts:
                del account.records[id]
                for reference in act.references:
                    if account.references.get(reference) == id:
                        del account.references[reference]
        self.answers[act.message_id] = Answer(withdrawn=[*answer.withdrawn, act.attempt])
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
        if answer.verdict is None:
            return None
        if answer.fingerprint != fingerprint:
            return Verdict(kind="mismatch", replayed=True)
        if attempt not in answer.holders:
            if len(answer.holders) < ATTEMPTS_MAX:
                answer.holders.append(attempt)
            else:
                answer.holders[-1] = OTHERS
        v = answer.verdict
        return Verdict(
            kind=v.kind,
            planned=v.planned,
            detail=v.detail,
            held_minor=v.held_minor,
            authorization_id=v.authorization_id,
            replayed=True,
        )

    def _give(self, message_id: str, fingerprint: str, attempt: str, verdict: Verdict) -> None:
        old = self.answers.get(message_id, Answer())
        self.answers[message_id] = Answer(fingerprint, verdict, [attempt], old.withdrawn)

    def _climb(self, account: Account, references: tuple[str, ...]) -> tuple[str, str]:
        for reference in references:
            id = account.references.get(reference, SEVERAL)
            if id in account.records:
                return reference, id
        return "", ""

    def _refer(self, account: Account, references: tuple[str, ...], id: str) -> None:
        for reference in references:
            known = account.references.get(reference, id)
            gone = known != SEVERAL and known not in account.records
            account.references[reference] = id if known == id or gone else SEVERAL

    def _move(self, account: Account, record: Record, before: int, after: int) -> None:
        account.held[record.currency] += after - before
        for counter, scale in record.touched:
            use = account.used.get(counter, 0) + share(after, scale) - share(before, scale)
            account.used[counter] = use
            if use == 0:
                del account.used[counter]
