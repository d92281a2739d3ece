"""The engine: what the stories share. It knows no wire and no socket.

`authorize(request)` and `reverse(reversal)` are called by the ISO 8583 sessions, and
by whatever else may ask later.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Protocol

from msgspec import Struct

from authz.budget import Budget
from authz.cards import Known, NearCache
from authz.catching_up import CatchingUp
from authz.clock import Clock
from authz.hot.acts import Withdraw
from authz.hot.errors import HotStateError, Refused
from authz.hot.networks import Days
from authz.hot.store import HotState
from authz.hot.totals import tally_of
from authz.judges import Judges
from authz.log_lines import Lines
from authz.quotas import Quotas
from authz.readings import Readings
from authz.shadow import Shadow
from rules.facts import Approved, AuthorizationRequest, Funds
from rules.holds import HoldRule, make_policy
from rules.judge import NO_JUDGE, POLICY, RATES, SHADOW, Judge
from rules.lists import Lists
from rules.notices import Balance
from rules.reason import Reason

DRAFT_S = 10.0  # for a draft to be compiled; one at its bound takes under one
LOG_LINES_MAX = 20  # a second: a network may send a thousand, a reader reads a few


class Settings(Struct, frozen=True, kw_only=True):
    """How the engine decides about time. Each is explained in docs/configuration.md."""

    budget_s: float = 0.200
    hot_deadline_s: float = 0.150
    answer_window_s: int = 3600
    advice_window_s: int = 604_800
    clock_skew_s: int = 300
    hold_days: int = 7
    hold_rules: tuple[HoldRule, ...] = ()
    by_file: frozenset[str] = frozenset()  # networks whose money moves with the clearing file


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """The engine's answer to one request."""

    reason: Reason
    message_id: str = ""
    approval_code: str = ""  # DE 38 of an approval
    held_minor: int = 0
    authorization_id: str = ""
    replayed: bool = False
    approved: Approved | None = None  # where it is less than was asked
    funds: Funds | None = None  # where that was asked
    balance: Balance | None = None  # where totals were
    undo: Withdraw | None = None  # of an approval: what takes it back if nobody can be told


class Spool(Protocol):
    """Where attempts go that must be withdrawn."""

    @property
    def full(self) -> bool: ...

    def note(self, act: Withdraw) -> None: ...


class Observer(Protocol):
    """Who hears what the engine does; the metrics."""

    def stage(self, name: str, seconds: float) -> None: ...
    def hot_call(self, outcome: str) -> None: ...
    def near_cache_stale(self) -> None: ...


class Panel(Protocol):
    """Optional checks beside the decision: authz/checks."""

    async def ask(
        self, request: AuthorizationRequest, known: Known, about: str, budget: Budget
    ) -> AuthorizationRequest: ...


class Engine:
    """State shared by the stories of `authorize.py` and `reverse.py`."""

    def __init__(
        self,
        hot: HotState,
        cards: NearCache,
        clock: Clock,
        spool: Spool,
        observer: Observer,
        settings: Settings,
        name: str,
    ) -> None:
        self.hot = hot
        self.cards = cards
        self.clock = clock
        self.spool = spool
        self.observer = observer
        self.settings = settings
        self.judge = NO_JUDGE
        self.judges = Judges()
        self.catching_up = CatchingUp(hot, self._judge_of, self._judge_by)
        self.shadow = Shadow()
        self.checks: Panel | None = None
        self.days: dict[str, Days | None] = {}  # by network; None: it never cut over
        self.holds = make_policy(settings.hold_rules, settings.hold_days)
        self.readings = Readings(hot)
        self.quotas = Quotas(clock)
        self.lines = Lines(clock, LOG_LINES_MAX)  # in the log, about what networks say
        self.store_offset_ms = 0  # the store's clock less ours, measured on each connect
        self._name = name  # unlike any other engine's, and any earlier run's
        self._attempts = count(1)
        self._has_begun = False  # all that was in force was read once
        self._drafted_by = ("", "")  # the texts of a draft and of rates
        self._drafting: asyncio.Task[None] | None = None

    def attempt(self) -> str:
        """A name for one asking of the hot state: what `withdraw` takes back."""
        return f"{self._name}-{next(self._attempts)}"

    def now_ms(self) -> int:
        """The date by the store's clock: one for all engines that share it."""
        return self.clock.now_ms() + self.store_offset_ms

    def budget(self, received: float) -> Budget:
        return Budget(self.clock, received, self.settings.hot_deadline_s)

    def in_window(self, sent_at: int, window_s: int) -> bool:
        """Whether a repeat of a message of that time could still be told from a new one."""
        age_s = self.now_ms() // 1000 - sent_at
        return -self.settings.clock_skew_s <= age_s <= window_s

    def too_old(self, sent_at: int, window_s: int) -> bool:
        """Whether a message of that time is older than its window, for what may come from ahead."""
        return self.now_ms() // 1000 - sent_at > window_s

    def answer_ttl_s(self, window_s: int) -> int:
        """How long an answer is kept: past the last moment at which its repeat is let in."""
        return window_s + 2 * self.settings.clock_skew_s

    def moves_by_file(self, network: str) -> bool:
        """Whether its online messages only hold, and its clearing file posts."""
        return network in self.settings.by_file

    @property
    def linger_s(self) -> int:
        """How long after a window a message may still be answered that looks at it."""
        return self.answer_ttl_s(self.settings.answer_window_s)

    async def known(self, card_key: str, budget: Budget) -> Known | None:
        """The card, from memory or from the hot state; None where it is not ours."""
        known = self.cards.get(card_key)
        if known is None:
            known = await self.cards.find(self.hot, card_key, budget)
        return known

    @property
    def lists(self) -> Lists:
        return self.catching_up.lists

    @lists.setter
    def lists(self, lists: Lists) -> None:
        self.catching_up.lists = lists

    async def refresh_lists(self, budget: Budget, version: int = 0) -> None:
        """Judge by that version of lists, policy and rates at least; 0: by what is in force now.

        While a policy is compiled the old one stays, with the old version: what is planned by it is
        stale to the store, and waits here too. Raises: HotStateError.
        """
        await self.catching_up.up_to(version, budget.left_s, asked=True)

    def forget(self) -> None:
        """All that was learnt of the store: it was rebuilt, perhaps without its last moments.

        Nothing is decided meanwhile: it is not connected, and reads all anew before it is ready.
        """
        self.cards.clear()
        self.days.clear()
        self.catching_up.forget()
        self._judge_by(NO_JUDGE, {})
        self._has_begun = False

    async def keep_up(self, timeout_s: float) -> None:
        """The same, however far behind it is, in no request's time. Raises: HotStateError."""
        try:
            await self.catching_up.up_to(0, lambda: timeout_s, asked=False)
        except Refused:
            # A policy that cannot be read is not begun with. Whoever judges by an earlier one goes
            # on: the store fences its requests, and each tries again.
            if not self._has_begun:
                raise
        self._has_begun = True

    async def judge_by(self, texts: dict[str, str], budget: Budget) -> None:
        """Raises: HotStateError, and nothing is changed."""
        self._judge_by(await self._judge_of(texts, budget.left_s), texts)

    async def _judge_of(self, texts: dict[str, str], left_s: Callable[[], float]) -> Judge:
        return await self.judges.of((texts.get(POLICY, ""), texts.get(RATES, "")), left_s)

    def _judge_by(self, judge: Judge, texts: dict[str, str]) -> None:
        self.judge = judge
        self._draft((texts.get(SHADOW, ""), texts.get(RATES, "")))

    def _draft(self, texts: tuple[str, str]) -> None:
        """Let this draft judge beside the policy from when it is compiled; nobody waits for it."""
        if texts == self._drafted_by:
            return
        self._drafted_by = texts
        self.shadow.replace(None)
        try:
            judge = self.judges.at_hand(texts)
        except Refused:
            return  # of another version of ours; nothing hangs on a draft
        if judge is None:
            self._drafting = asyncio.get_running_loop().create_task(self._compile_draft(texts))
        elif texts[0]:
            self.shadow.replace(judge)

    async def _compile_draft(self, texts: tuple[str, str]) -> None:
        try:
            judge = await self.judges.of(texts, lambda: DRAFT_S)
        except HotStateError:
            return
        if texts == self._drafted_by:
            self.shadow.replace(judge)

    def today(self) -> int:
        """The calendar's day by the store's clock, UTC, counted from 1970."""
        return self.now_ms() // 86_400_000

    async def day_of(self, network: str, budget: Budget) -> int:
        """The business day in force. From memory, but for the first time. Raises: HotStateError."""
        if network not in self.days:
            self.learn_days(network, await self.hot.days(network, budget.left_s()))
        days = self.days[network]
        return self.today() if days is None else days.in_force

    def tally(self, network: str, kind: str = "") -> str:
        """What an act is counted under, by the day in force; `day_of` was asked before."""
        days = self.days[network]
        return tally_of(network, self.today() if days is None else days.in_force, kind)

    async def refresh_days(self, budget: Budget) -> None:
        """Look which business days are in force, of the networks that were heard of here.

        Raises: HotStateError.
        """
        for network in tuple(self.days):
            self.learn_days(network, await self.hot.days(network, budget.left_s()))

    def learn_days(self, network: str, days: Days | None) -> None:
        """What was read before a change may be told after it, so what is newer stands. Only a
        person sets a day back, and that is newer."""
        known = self.days.get(network)
        if known is None or (days is not None and age(days) > age(known)):
            self.days[network] = days

    def no_verdict(self, trouble: HotStateError, act: Withdraw | None) -> Outcome:
        """Say "ask again", and see to it that nothing is left behind.

        `act` is what takes the attempt back; None where there is nothing to take back.
        """
        self.observer.hot_call(type(trouble).__name__)
        if trouble.may_have_run and act is not None:
            self.spool.note(act)
        return Outcome(reason=Reason.UNAVAILABLE)


def age(days: Days) -> tuple[int, int]:
    return days.moves, days.in_force
