"""A draft policy beside the live one: it judges what was judged, after the answer, and only counts.

What it is asked is kept until the loop has had time to send answers, and is bounded: where more
comes than it can judge, it is the draft that misses some, and that is counted. It judges on facts:
its rules, not its limits, whose counters it does not have (`authz rules backtest` has them).
"""

import asyncio
from collections import deque
from collections.abc import Callable

from rules.facts import AccountProfile, AuthorizationRequest, CardProfile
from rules.judge import Judge
from rules.lists import Lists
from rules.price import plan_of
from rules.reason import Reason

WAITING_MAX = 1000  # 1 MB of requests; at a draft of 1,000 rules, 0.1 s of work
AT_ONCE = 20  # judgements in one turn of the loop: 2 ms of 1,000 rules, 0.2 ms of 50
LATER_S = 0.002  # answers of this turn are with their transports by then

OUTCOMES = ("approve", "decline", "newly_declined", "newly_approved", "missed")
NO_RULE = "none"

Told = tuple[AuthorizationRequest, CardProfile, AccountProfile, Lists, str]


def unheard(rule: str, outcome: str) -> None:
    """Where nobody counts."""


class Shadow:
    """The draft, and what waits for it."""

    def __init__(self) -> None:
        self.judge: Judge | None = None
        self.count: Callable[[str, str], None] = unheard  # by the draft's rule, and OUTCOMES
        self._waiting: deque[Told] = deque()
        self._is_called = False

    def replace(self, judge: Judge | None) -> None:
        """Another draft, or none; what waits is judged by nobody."""
        self.judge = judge
        self._waiting.clear()

    def note(
        self,
        request: AuthorizationRequest,
        card: CardProfile,
        account: AccountProfile,
        lists: Lists,
        planned: str,
    ) -> None:
        """One request that the live policy has judged: its plan's reason."""
        if len(self._waiting) >= WAITING_MAX:
            self.count(NO_RULE, "missed")
            return
        self._waiting.append((request, card, account, lists, planned))
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_later(LATER_S, self.work)

    def work(self) -> None:
        """Judge some of what waits, and come again for the rest."""
        self._is_called = False
        if self.judge is None:
            return
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._judge(self.judge, self._waiting.popleft())
        if self._waiting:
            self._is_called = True
            asyncio.get_running_loop().call_later(LATER_S, self.work)

    def _judge(self, judge: Judge, told: Told) -> None:
        request, card, account, lists, planned = told
        _, plan = plan_of(request, card, account, lists, judge)
        rule = plan.rule or NO_RULE
        here, live = plan.reason == Reason.APPROVED, planned == Reason.APPROVED
        self.count(rule, "approve" if here else "decline")
        if here != live:
            self.count(rule, "newly_approved" if here else "newly_declined")
