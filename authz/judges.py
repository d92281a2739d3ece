"""Policies made into judges beside the event loop: one at a time, each once, for all who wait.

A policy at its bound takes a quarter of a second, during which links would not be read. So a
thread does it. The interpreter lets one of two run at a time: while one compiles it changes over
more often, since each callback of the loop waits for its turn.
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable

from authz.hot.errors import Refused, TooLate
from rules.fx import RatesError
from rules.judge import NO_JUDGE, Judge, make_judge
from rules.policy_text import PolicyError

USUAL_S = sys.getswitchinterval()  # 5 ms: a request of some ten callbacks would take 50
QUICK_S = 0.0002
# Characters of a policy that is compiled where it stands, in some 5 ms: a thread would not be
# done sooner, and who waits for it is nearer to the next version.
SMALL_MAX = 2048
KEPT_MAX = 2  # the policy in force and a draft beside it; 10 MB each at the bound

Texts = tuple[str, str]  # of policy and rates


class Judges:
    """The judges of the latest texts."""

    def __init__(self) -> None:
        self._made: OrderedDict[Texts, Judge | str] = OrderedDict()  # or why it cannot be read
        self._making: asyncio.Task[None] | None = None

    async def of(self, texts: Texts, left_s: Callable[[], float]) -> Judge:
        """The judge of these texts, waited for within the budget of whoever asks.

        Raises: TooLate; Refused, where they cannot be read: they were checked before they were
        stored, so by another version of ours.
        """
        while (judge := self.at_hand(texts)) is None:
            if self._making is None:
                self._making = asyncio.get_running_loop().create_task(self._make(texts))
            done, _ = await asyncio.wait((self._making,), timeout=left_s())
            if not done:
                raise TooLate("the policy in force is still being compiled")
        return judge

    def at_hand(self, texts: Texts) -> Judge | None:
        """It, where it is compiled already or in no time. Raises: Refused."""
        if not texts[0]:
            return NO_JUDGE
        if texts not in self._made:
            if len(texts[0]) > SMALL_MAX:
                return None
            self._keep(texts, made(texts))
        self._made.move_to_end(texts)
        judge = self._made[texts]
        if isinstance(judge, str):
            raise Refused(f"the policy in force cannot be read: {judge}")
        return judge

    async def _make(self, texts: Texts) -> None:
        sys.setswitchinterval(QUICK_S)
        try:
            self._keep(texts, await asyncio.to_thread(made, texts))
        finally:
            sys.setswitchinterval(USUAL_S)
            self._making = None

    def _keep(self, texts: Texts, judge: Judge | str) -> None:
        self._made[texts] = judge
        if len(self._made) > KEPT_MAX:
            self._made.popitem(last=False)


def made(texts: Texts) -> Judge | str:
    """The judge, or why there is none."""
    try:
        return make_judge(*texts)
    except (PolicyError, RatesError) as error:
        return str(error)
