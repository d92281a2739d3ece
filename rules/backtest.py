"""A policy judged over what happened: the journal's facts in order, with counters of its own.

Nothing is asked of the hot state. Each counter rises with what this replay approves and falls back
into the bucket that it rose in, when a reversal, an expiry or a withdrawal says so; so a limit
that never was in force counts as if it always had been.

What an earlier decision leaves of the funds is followed too: of each account the replay keeps how
much more, or less, it has taken than the journal has. What cannot be known is what would have come
after an approval that was never given: its hold stands to the end.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from rules.counters import (
    AMOUNT,
    DECLINES,
    Counters,
    parts_of,
    rises_by,
    share,
    spans_shards,
)
from rules.decide import conclude
from rules.facts import (
    AccountProfile,
    AuthorizationRequest,
    CardProfile,
    Limit,
    Plan,
    Purpose,
)
from rules.judge import Judge
from rules.limits import MEASURES
from rules.lists import Lists
from rules.price import Price, plan_of
from rules.reason import Reason

FUNDS = Reason.FUNDS_INSUFFICIENT
Touched = tuple[tuple[str, int], ...]  # counter, scale


class Asked(Struct, frozen=True, kw_only=True, gc=False):
    """A request as it was judged then: its facts, and what became of it."""

    message_id: str
    authorization_id: str  # "" of what was declined
    at_ms: int
    request: AuthorizationRequest
    card: CardProfile
    account: AccountProfile
    lists: Lists
    judge: Judge  # of the policy in force then
    is_increment: bool
    planned: str
    verdict: str
    detail: str
    rule: str
    refused_by: str  # the counter of the ceiling that refused, else ""
    took_minor: int  # of what was available: held and posted
    available_minor: int  # before it
    absorbed: tuple[str, ...] = ()
    seen: tuple[tuple[str, int], ...] = ()  # counters before it; where the journal has no beginning


class Moved(Struct, frozen=True, kw_only=True, gc=False):
    """An act that moved what an authorization takes, and was decided elsewhere or by time."""

    authorization_id: str
    account_id: str
    took_minor: int
    is_taken_back: bool  # a reversal, an expiry, a withdrawal; else it was told to us: it posts
    touched: Touched = ()  # what it counts under, where it stands alone
    absorbed: tuple[str, ...] = ()
    withdrew: str = ""  # the message whose answer was taken back


class Ruling(Struct, frozen=True, gc=False):
    """What the replay says of one request, beside what was said."""

    asked: Asked
    priced: Price  # by the rates and fees of the policy that was asked here
    reason: Reason
    detail: str
    rule: str  # the policy's, with the last word; of a ceiling, the limit's name
    took_minor: int
    was: Reason
    was_by: str
    by_funds: bool  # it differs because what was decided before it left other funds

    @property
    def same(self) -> bool:
        """The same answer, to the last minor unit."""
        return (self.reason, self.took_minor) == (self.was, self.asked.took_minor) and (
            self.detail == self.asked.detail
        )


class Record(Struct, gc=False):
    """What one authorization takes: in the journal, and here."""

    recorded_minor: int = 0
    here_minor: int = 0
    own: Touched = ()  # what it counts under once it is approved here
    beside: Touched = ()  # what its acts brought: it counts under that before, and once withdrawn
    is_ours: bool = False  # approved here

    @property
    def touched(self) -> Touched:
        return self.own if self.is_ours else self.beside


def asked_for(request: AuthorizationRequest) -> int:
    return request.amount_minor


def as_then(judge: Judge) -> Judge:
    return judge


class Backtest:
    """One policy over one journal. Units: minor units of each account's currency."""

    def __init__(
        self,
        draft: Callable[[Judge], Judge] = as_then,
        held_for: Callable[[AuthorizationRequest], int] = asked_for,
    ) -> None:
        self._draft = draft  # asked in place of the one that was in force then
        self._held_for = held_for
        self.counters = Counters()
        self.tried: dict[str, tuple[str, ...]] = {}  # by message: counters that its decline rose in
        self.records: dict[str, Record] = {}
        self.beyond: Counter[str] = Counter()  # by account: taken here and not in the journal

    def ask(self, a: Asked) -> Ruling:
        """Judge one request, and count it. Requests and acts come in the journal's order."""
        judge = self._draft(a.judge)
        priced, plan = planned(a, judge)
        then = plan if judge is a.judge else planned(a, a.judge)[1]
        for counter, before in a.seen:
            if counter not in self.counters:
                self.counters.begin(counter, before)
        record = self._taken_in(a.authorization_id or a.message_id, a.absorbed, a.account)
        kind, detail, total = self._verdict(a, priced, plan, then, record)
        held = kind == "held"
        took = total - record.here_minor
        if not held and a.verdict != "held":
            took = a.took_minor  # of what came before it, which no answer changes
        funds_differ = self.beyond[a.account.account_id] != 0
        reason = conclude(plan.reason, kind, detail)
        was = conclude(a.planned, a.verdict, a.detail)
        own, beside, is_ours = record.own, record.beside, record.is_ours
        if held:
            counted = tuple(
                (limit.counter, limit.scale) for limit in plan.limits if limit.scale != DECLINES
            )
            if a.is_increment:
                beside = added(beside, counted)
            else:
                own, is_ours = counted, True
        by = self._by(a, plan, kind, detail)
        self._count_decline(a, plan, kind, detail)
        self._set(
            a.authorization_id,
            a.account.account_id,
            record,
            Record(
                record.recorded_minor + a.took_minor, record.here_minor + took, own, beside, is_ours
            ),
        )
        by_funds = funds_differ and reason is not was and FUNDS in (reason, was)
        return Ruling(a, priced, reason, detail, by, took, was, self._was_by(a), by_funds)

    def move(self, m: Moved) -> None:
        """An act after, or before, its authorization."""
        for counter in self.tried.pop(m.withdrew, ()) if m.withdrew else ():
            self.counters.add(counter, -1)
        known = m.authorization_id in self.records or m.absorbed
        if not known and m.took_minor == 0:
            return
        record = self._taken_in(m.authorization_id, m.absorbed, None)
        recorded = record.recorded_minor + m.took_minor
        beside = added(record.beside, m.touched)
        if m.is_taken_back:
            # What was never approved here cannot be given back.
            here = recorded if record.here_minor else 0
        else:
            here = recorded if m.took_minor or record.here_minor else 0
        # Once its approval is withdrawn, what else was said of it stands for itself.
        is_ours = record.is_ours and m.withdrew != m.authorization_id
        after = Record(recorded, here, record.own, beside, is_ours)
        self._set(m.authorization_id, m.account_id, record, after)

    def _taken_in(
        self, id: str, absorbed: tuple[str, ...], account: AccountProfile | None
    ) -> Record:
        """The record as it was, with the tombstones that it takes in."""
        record = self.records.get(id) or Record()
        for other in absorbed:
            gone = self.records.pop(other, None) if other != id else None
            if gone is not None:
                record = Record(
                    record.recorded_minor + gone.recorded_minor,
                    record.here_minor + gone.here_minor,
                    record.own,
                    added(record.beside, gone.touched),
                    record.is_ours,
                )
        return record

    def _verdict(
        self, a: Asked, priced: Price, plan: Plan, then: Plan, record: Record
    ) -> tuple[str, str, int]:
        """Kind and detail as `authorize.lua` names them, and what is taken in all."""
        request, cost, before = priced.request, priced.settle_minor, record.here_minor
        if plan.reason != Reason.APPROVED:
            return "declined", "", before
        if cost == 0 and (full := self._first_full(own(plan), before, shares_of(record))):
            return "over_limit", full, before
        if request.purpose is Purpose.BALANCE_INQUIRY:
            return "told", a.detail, before
        if plan is then and spans_shards(a.refused_by):
            return a.verdict, a.detail, before  # what a shard had of a program's ceiling then
        if a.verdict == "reversed":
            return "reversed", "", before  # by its record, which no policy changes
        alike = (plan.hold_minor, plan.uplift_minor) == (then.hold_minor, then.uplift_minor)
        if request.sign < 0 and alike and a.verdict != "declined":
            return a.verdict, a.detail, before + a.took_minor
        if request.amount_minor == 0 or request.sign < 0:
            takes = a.took_minor if a.verdict == "held" else -credited(request)
            return "held", "", before + takes
        funds = a.available_minor - self.beyond[a.account.account_id]
        wanted = self._wanted(priced, plan)
        if alike and a.verdict == "held" and a.detail != "partial":
            wanted = a.took_minor
        if a.is_increment:
            if a.verdict != "held" and plan == then:
                # Of a declined increment the journal does not say what it belonged to.
                return a.verdict, a.detail, before
            kind, detail, total = self._standing(plan, then, record, cost, funds)
            return kind, a.detail if kind == a.verdict == "held" else detail, total
        if a.absorbed:
            if a.verdict != "held" and plan == then:
                # Nor what of it had been completed before: that is not taken once more.
                return a.verdict, a.detail, before
            if plan.hold_minor < cost:  # no part of it is offered then
                return "over_limit", str(Reason.TRANSACTION_LIMIT), before
            tried = self._standing(plan, then, record, wanted, funds)
            if tried[0] == "held" or wanted <= cost:
                return tried
            return self._standing(plan, then, record, cost, funds)
        kind, detail, fit = self._fitting(priced, plan, then, max(wanted, 0), funds)
        less = plan is then and a.detail == "partial" and 0 < a.took_minor < fit
        if less and shared(plan):
            return a.verdict, a.detail, a.took_minor
        return kind, detail, fit

    def _wanted(self, priced: Price, plan: Plan) -> int:
        cost = priced.settle_minor
        if plan.hold_minor < cost:
            return plan.hold_minor
        uplifted = cost + (0 if priced.request.posts else plan.uplift_minor)
        return max(self._held_for(priced.request) + priced.fees.total_minor, uplifted)

    def _fitting(
        self, priced: Price, plan: Plan, then: Plan, wanted: int, funds: int
    ) -> tuple[str, str, int]:
        """`fitting` of authorize.lua: the first that refuses, and how much would do. What programs'
        ceilings said then stands; a draft's are counted over all shards."""
        request, asked = priced.request, priced.settle_minor
        fit, kind, detail = wanted, "held", ""
        if plan.hold_minor < asked:
            kind, detail = "over_limit", str(Reason.TRANSACTION_LIMIT)
        for limit in (*own(plan), None, *(shared(plan) if plan is not then else ())):
            if limit is None:
                room, refusal = funds, ("no_funds", "")
            else:
                seen, known = self.counters.seen(limit)
                room, refusal = limit.ceiling - seen, ("over_limit", limit.reason)
            if limit is not None and limit.scale != AMOUNT:
                room = wanted if room >= 1 or known else 0
            if room < asked and kind == "held":
                kind, detail = refusal
            fit = min(fit, room)
        part = fit * request.transaction_minor // asked
        if kind != "held" and fit > 0 and request.partial_ok and part > 0:
            return "held", "partial", fit
        return kind, detail, fit if kind == "held" else 0

    def _standing(
        self, plan: Plan, then: Plan, record: Record, more: int, funds: int
    ) -> tuple[str, str, int]:
        """`standing` of authorize.lua: so much more on what came before it."""
        shares, total = shares_of(record), record.here_minor + more
        full = self._first_full(own(plan), total, shares)
        if full:
            return "over_limit", full, record.here_minor
        if more > 0 and more > funds:
            return "no_funds", "", record.here_minor
        full = self._first_full(shared(plan), total, shares) if plan is not then else ""
        if full:
            return "over_limit", full, record.here_minor
        return "held", "", total

    def _first_full(self, limits: Iterable[Limit], spent: int, shares: Counter[str]) -> str:
        """The first ceiling that so much does not fit under: its reason, or ""."""
        for limit in limits:
            seen, use = self.counters.use_of(limit, spent, shares)
            if use > 0 and seen + use > limit.ceiling:
                return limit.reason
        return ""

    def _count_decline(self, a: Asked, plan: Plan, kind: str, detail: str) -> None:
        """A decline rises in the counters of declines."""
        mine = rises_by(plan.limits, kind, detail)
        if not mine:
            return
        for limit in mine:
            self.counters.add(limit.counter, 1)
        self.tried[a.message_id] = tuple(limit.counter for limit in mine)

    def _set(self, id: str, account_id: str, before: Record, after: Record) -> None:
        for counter, had in shares_of(before).items():
            self.counters.add(counter, -had)
        for counter, has in shares_of(after).items():
            self.counters.add(counter, has)
        more = after.here_minor - after.recorded_minor
        self.beyond[account_id] += more - (before.here_minor - before.recorded_minor)
        if not self.beyond[account_id]:
            del self.beyond[account_id]
        if id:  # without one, nothing that is to come can name it
            self.records[id] = after

    def _by(self, a: Asked, plan: Plan, kind: str, detail: str) -> str:
        if kind != "over_limit":
            return plan.rule
        if a.refused_by and (kind, detail) == (a.verdict, a.detail):
            return limit_name(a.refused_by, a)
        for limit in plan.limits:
            if limit.reason == detail and self._refuses(limit):
                return limit_name(limit.counter, a)
        return plan.rule or detail

    def _refuses(self, limit: Limit) -> bool:
        seen, known = self.counters.seen(limit)
        return not known and limit.ceiling - seen < limit.use

    def _was_by(self, a: Asked) -> str:
        return limit_name(a.refused_by, a) if a.refused_by else a.rule


def planned(a: Asked, judge: Judge) -> tuple[Price, Plan]:
    return plan_of(a.request, a.card, a.account, a.lists, judge, in_part=a.is_increment)


def limit_name(counter: str, a: Asked) -> str:
    """ "cash a day" of "C1/cash a day/amount/20261121": subjects may hold a slash."""
    program = counter.partition("/")[0] if spans_shards(counter) else ""
    for subject in (program or a.card.limit_subject, f"@{a.account.account_id}"):
        if counter.startswith(f"{subject}/"):
            counter = counter.removeprefix(f"{subject}/")
            break
    name, _, measure = parts_of(counter)[0].rpartition("/")[0].rpartition("/")
    return name if measure in MEASURES else f"{name}/{measure}".removeprefix("/")


def own(plan: Plan) -> list[Limit]:
    """The ceilings of card and account."""
    return [limit for limit in plan.limits if not spans_shards(limit.counter)]


def shared(plan: Plan) -> list[Limit]:
    """Those of the program, which are asked last."""
    return [limit for limit in plan.limits if spans_shards(limit.counter)]


def credited(request: AuthorizationRequest) -> int:
    """What a credit makes available at once; others do when they are completed."""
    return request.amount_minor if request.posts else 0


def shares_of(record: Record) -> Counter[str]:
    shares: Counter[str] = Counter()
    for counter, scale in record.touched:
        shares[counter] += share(record.here_minor, scale)
    return shares


def added(touched: Touched, more: Touched) -> Touched:
    return touched + tuple(one for one in more if one not in touched)
