"""The hot state as plain dicts: the fake that tests use, and the oracle of the functions.

It says in Python what the Lua says, and a property test holds the two together. It
keeps no keys, shards or life times: an answer is forgotten by `forget`.
"""

from collections.abc import Sequence
from copy import deepcopy

from msgspec.structs import replace

from authz.hot import keys
from authz.hot.acts import (
    Apply,
    Authorize,
    Close,
    Decision,
    Note,
    Short,
    Stale,
    Verdict,
    Withdraw,
)
from authz.hot.errors import Cold, TooLate
from authz.hot.lists import MemoryLists
from authz.hot.memory_control import MemoryControl
from authz.hot.model import (
    Account,
    Answer,
    Base,
    count_decline,
    decided,
    fits,
    has_room,
    hold,
    is_foreign,
    is_idle,
    judge,
    kept_to,
    record_of,
    said,
    take_in,
)
from authz.hot.networks import MemoryNetworks
from authz.hot.outbox import MemoryOutbox
from authz.hot.quotas import MemoryQuotas
from authz.hot.record import (
    OTHER_ACTS_MAX,
    SHIPS,
    Act,
    Given,
    Record,
    Touched,
    add_act,
    add_beside,
    add_references,
    fold,
    targets_of,
)
from authz.hot.reviews import MemoryReviews
from authz.hot.totals import MemoryTotals


class MemoryHotState(
    MemoryControl,
    MemoryLists,
    MemoryNetworks,
    MemoryOutbox,
    MemoryQuotas,
    MemoryReviews,
    MemoryTotals,
):
    """The oracle. Time stands at `now_ms` until a test moves it."""

    def __init__(self, now_ms: int = 0) -> None:
        super().__init__()
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.cards: dict[str, tuple[int, bytes, str]] = {}
        self.directory: dict[str, tuple[str, str]] = {}
        self.answers: dict[str, Answer] = {}
        self.journal: list[tuple[str, str, int]] = []  # kind, message id, held delta
        self.open = True

    async def authorize(self, act: Authorize, timeout_s: float = 0) -> Verdict | Stale | Short:
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
            return said(own.given, act.message_id, replayed=True, record=own)
        stale = self._fence(account, act.card_id, act)
        if stale is not None:
            return stale

        record = record_of(act)
        tombstones: list[str] = []
        if not act.inquires:
            exact = {*act.references[: act.exact]}
            tombstones = account.tombstones(act.references, act.sent_at, exact)
            if own is not None and act.message_id not in tombstones:
                tombstones.append(act.message_id)
            if own is not None and not fits(record, own):
                return Verdict(kind="mismatch", replayed=True)
        # Nothing is touched before the verdict: the act may still be refused.
        base, taken = Base(), []
        for id in tombstones:
            other = account.records[id]
            if fits(record, other) and has_room(record, other):
                take_in(record, other, base)
                taken.append(id)
        kind, detail, short = decided(account, act, record, base, bool(tombstones))
        if short and not act.last_word:
            return Short(tuple(short))
        account.tick(act.limits, act.sent_at)
        if kind == "told":
            given = Given(act.fingerprint, kind, detail, act.planned, 0, [act.attempt])
            self.journal.append(("authorization", act.message_id, 0))
            self._give(act.message_id, given, "", (act.tally, act.currency))
            self.count(act.tally, act.currency, act.sign, 0, 1, True)
            return said(given, "")
        tried = count_decline(account, act.limits, kind, detail, act.sent_at)
        record.holds, record.posted = fold(record)
        given = Given(act.fingerprint, kind, detail, act.planned, 0, [act.attempt])
        if kind == "held":
            given.held = record.holds
        else:
            record.approved = 0
            if kind != "reversed":
                record.posts = 0  # nothing that a completion would say again
            record.holds, record.posted = fold(record)
        moved = (record.holds - base.hold) * act.sign
        self.journal.append(("authorization", act.message_id, moved))
        posted_delta = (base.posted - record.posted) * act.sign
        self.count(act.tally, act.currency, act.sign, posted_delta, 1, kind == "held")
        if kind != "held" and not tombstones:
            self._give(act.message_id, given, "", tried=tried)
            return self.reviewed(act, given, said(given, ""))
        record.given, record.tried = given, tried
        account.settle(record, act.message_id, taken, base, act.sent_at)
        return self.reviewed(act, given, said(given, act.message_id, record=record))

    async def apply(self, act: Apply, timeout_s: float = 0) -> Verdict | Stale | Short:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        account, one, decision = self._account(act.account_id), act.act, act.decision
        if decision is not None:
            stale = self._fence(account, act.card_id, decision)
            if stale is not None:
                return stale
        references = tuple(reference for _, reference in act.references)
        id, rung, matched, tombstones, exactly = account.find(act)
        joins = bool(id) and not matched
        id = id or (tombstones or [act.message_id])[0]
        # A copy: an increment may still be refused.
        record = deepcopy(account.records.get(id)) or Record(card=act.card_id)
        reversal = one.kind in ("full", "part")
        if reversal and matched and not exactly:
            one = replace(one, names="")  # found by another word: its DE 90 names nothing
        foreign = matched and is_foreign(record, one)
        other_money = (record.currency, record.sign) != (act.currency, act.sign)
        if not reversal and record.currency and other_money:
            if act.message_id in account.records:
                return Verdict(kind="mismatch", replayed=True)
            id, matched, joins, tombstones, rung = act.message_id, False, False, [], ""
            record = Record(card=act.card_id)
        if one.kind in SHIPS and len(record.acts) >= OTHER_ACTS_MAX:
            # No room for one more completion there: it posts all the same, and stands alone.
            id, matched, joins, tombstones, rung = act.message_id, False, False, [], ""
            references = (one.names,)
            record = deepcopy(account.records.get(id)) or Record(card=act.card_id)
        base = Base()
        base.add(record)
        taken = []
        for other in tombstones:
            mine = account.records[other]
            if other != id and fits(record, mine) and has_room(record, mine):
                take_in(record, account.records[other], base)
                taken.append(other)
        there = any(k.message_id == act.message_id and k.kind != "void" for k in record.acts)
        kept = add_act(record.acts, one)
        if not reversal:
            if not record.currency:
                record.currency, record.sign = act.currency, act.sign
            for touched in act.touched:
                add_beside(record, touched)
            record.expires = max(record.expires, act.expires_at)
        record.holds, record.posted = fold(record)
        now_s = one.sent_at if decision is not None else 0
        if decision is not None:
            kind, detail, short = judge(account, record, base, decision, one)
            if short and not act.last_word:
                return Short(tuple(short))
            account.tick(decision.limits, now_s)
            if kind == "held" and not kept:
                kind = "declined"
            if kind != "held":
                return self._refuse(act, decision, account, kind, detail)
        free = account.free_of_others(references, id) if matched else references
        add_references(record, free)
        account.settle(record, id, taken, base, now_s)
        kind = "reversed" if reversal else "applied"
        if not (matched or joins):
            kind = "unmatched"
        elif matched and kind == "applied" and act.terms is not None:
            kind = kept_to(act.terms, record, one)
        idle = kind == "reversed" and is_idle(record, base, one)
        if foreign or not kept or idle:
            kind = "unapplied"
        given = Given(act.fingerprint, kind, rung, "", base.hold - record.holds, [act.attempt])
        if decision is not None:
            moved = record.holds - base.hold
            given = Given(act.fingerprint, "held", "", decision.planned, moved, [act.attempt])
        tally = (act.tally, record.currency) if decision is not None else ("", "")
        self._give(act.message_id, given, id, tally)
        posted_delta = (base.posted - record.posted) * record.sign
        self.count(act.tally, record.currency, record.sign, posted_delta, 1, kept and not there)
        self.journal.append((act.kind, act.message_id, (record.holds - base.hold) * record.sign))
        return said(given, id)

    async def close(self, act: Close, timeout_s: float = 0) -> tuple[str, int]:
        self._enter(0)
        account = self.accounts.get(act.account_id)
        record = account.records.get(act.authorization_id) if account else None
        if account is None or record is None or record.holds == 0:
            return "gone", 0
        if act.kind == "expired" and record.expires * 1000 > self.now_ms:
            return "open", 0
        base = Base()
        base.add(record)
        add_act(record.acts, Act(act.kind, act.act_id, act.at))
        record.holds, record.posted = fold(record)
        account.settle(record, act.authorization_id, [], base, 0)
        self.journal.append(("close", act.act_id, (record.holds - base.hold) * record.sign))
        return "closed", base.hold - record.holds

    async def due(
        self, shard: str, now_s: int, count: int, timeout_s: float = 0
    ) -> list[tuple[str, str]]:
        due = [
            (end, account_id, id)
            for account_id, account in self.accounts.items()
            if keys.shard_of(account_id) == shard
            for id, end in account.expiry.items()
            if end <= now_s
        ]
        return [(account_id, id) for _, account_id, id in sorted(due)[:count]]

    async def note(self, act: Note, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        given = Given(act.fingerprint, act.verdict, act.detail, act.planned, 0, [act.attempt])
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
        id, increment = answer.id, None
        if record is None and account is not None and given.kind == "held":
            increment = account.records.get(id)
        tally, currency = answer.tally
        if record is not None:
            tally, currency = record.tally, record.currency
        tried = record.tried if record is not None else answer.tried
        if account is not None:
            for one in tried:
                account.used.add(one.counter, -1, one.ends, one.size)
        answer.given, answer.id, answer.tally, answer.tried = Given(), "", ("", ""), []
        self.drop_review(act.account_id, act.message_id)
        base, released = Base(), False
        if account is not None and increment is not None:
            record = increment
            base.add(record)
            record.acts = [
                Act("void", one.message_id, one.sent_at, 0, one.amount_in, 0, one.names)
                if one.message_id == act.message_id
                else one
                for one in record.acts
            ]
            record.holds, record.posted = fold(record)
            released = (record.holds, record.posted) != (base.hold, base.posted)
            account.settle(record, id, [], base, 0)
            if not record.original and all(one.kind == "void" for one in record.acts):
                account.drop(record, id)
        elif account is not None and record is not None:
            base.add(record)
            record.asked, record.asked_in, record.approved, record.original = 0, "", 0, ""
            record.posts, record.given, record.touched, record.tally = 0, Given(), [], ""
            record.tried = []
            record.holds, record.posted = fold(record)
            released = (record.holds, record.posted) != (base.hold, base.posted)
            account.settle(record, act.message_id, [], base, 0)
            targets = targets_of(record.acts)
            names = [name for name in record.references if name in targets]
            record.references = [name for name in record.references if name not in targets]
            account.drop(record, act.message_id)
            if record.acts:
                record.references, record.sent = names, 0
                account.records[act.message_id] = record
        left_held = record.holds if record is not None else 0
        sign, left_posted = (record.sign, record.posted) if record is not None else (1, 0)
        counts = given.kind in ("held", "told")
        self.count(tally, currency, sign, (base.posted - left_posted) * sign, -1, counts)
        self.journal.append(("withdrawal", act.message_id, left_held - base.hold))
        return "released" if released else "forgotten"

    def forget(self, message_id: str) -> None:
        """The answer's life is over."""
        self.answers.pop(message_id, None)

    # -- parts ------------------------------------------------------------------

    def _enter(self, deadline_ms: int) -> None:
        if not self.open:
            raise Cold
        if deadline_ms and self.now_ms > deadline_ms:
            raise TooLate

    def _fence(self, account: Account, card_id: str, plan: Authorize | Decision) -> Stale | None:
        card = self.cards.get(card_id)
        if card is None:
            raise Cold
        old = (plan.account_version, plan.card_version) != (account.version, card[0])
        if old or plan.lists_version < self.judged_by.version:
            return Stale(account.version, account.profile, card[0], card[1], self.judged_by.version)
        return None

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

    def _refuse(
        self, act: Apply, decision: Decision, account: Account, kind: str, detail: str
    ) -> Verdict:
        given = Given(act.fingerprint, kind, detail, decision.planned, 0, [act.attempt])
        tried = count_decline(account, decision.limits, kind, detail, act.act.sent_at)
        self._give(act.message_id, given, "", tried=tried)
        self.journal.append((act.kind, act.message_id, 0))
        return self.reviewed(act, given, said(given, ""))

    def _give(
        self,
        message_id: str,
        given: Given,
        id: str,
        tally: tuple[str, str] = ("", ""),
        tried: Sequence[Touched] = (),
    ) -> None:
        old = self.answers.get(message_id, Answer())
        self.answers[message_id] = Answer(given, id, old.withdrawn, tally, list(tried))
