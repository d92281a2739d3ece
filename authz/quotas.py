"""Quotas of a program's ceilings: what an engine does where one is too small in an account's shard.

It leases more from the centre, gives it to the shard, and asks again. Where the centre has too
little left, what other shards do not use is taken back first, at most once a second for each
counter; else the request is answered with what there is. So a ceiling is never exceeded, and met
early by no more than what came free in other shards within that second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from msgspec.structs import replace

from authz.budget import Budget
from authz.clock import Clock
from authz.hot import keys
from authz.hot.acts import Apply, Authorize, Lease, Missing, Short, Stale, Verdict
from authz.hot.quotas import OLD
from authz.hot.store import HotState
from rules.facts import EXACT_MAX, Limit

AGAIN_S = 1.0  # after which the other shards may be asked once more
COUNTERS_MAX = 10_000  # remembered; 64 limits of 100 programs, and some of windows before
TRIES = 4  # others take what was granted, now and then; not four times within one budget

Act = TypeVar("Act", Authorize, Apply)


class Quotas:
    """What an engine remembers of them: when it last asked the other shards, and what was left."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dry: dict[tuple[str, int], Dry] = {}  # by counter and ceiling

    async def ask_again(
        self,
        hot: HotState,
        act: Act,
        limits: tuple[Limit, ...],
        lists_version: int,
        short: Short,
        ask: Callable[[Act, float], Awaitable[Verdict | Stale | Short]],
        budget: Budget,
    ) -> Verdict | Stale | Short:
        """The answer to an act whose shard was short. Short: it could not be told in time, since
        others took each time what was granted. Raises: HotStateError."""
        for _ in range(TRIES):
            shard = keys.shard_of(act.account_id)
            enough = True
            for missing in short.missing:
                lease = lease_of(limits[missing.place], missing, lists_version, act)
                enough &= await self._granted(hot, shard, lease, budget)
            if not enough:
                act = replace(act, last_word=True)
            answer = await ask(act, budget.left_s())
            if not isinstance(answer, Short):
                return answer
            short = answer
        return short

    async def _granted(self, hot: HotState, shard: str, lease: Lease, budget: Budget) -> bool:
        """Whether the shard has been given at least what will do."""
        some, left = await self._leased(hot, shard, lease, budget)
        if some:
            await hot.grant(shard, lease, some, budget.left_s())
        return some > 0 or left == OLD  # the shard will say so too

    async def _leased(
        self, hot: HotState, shard: str, lease: Lease, budget: Budget
    ) -> tuple[int, int]:
        dry = self._dry.get((lease.counter, lease.ceiling))
        if dry is not None and self._recent(dry) and dry.left < lease.least:
            return 0, dry.left
        some, left = await hot.lease(lease, budget.left_s())
        if some or left == OLD:
            return some, left
        dry = self._remembered((lease.counter, lease.ceiling))
        async with dry.asking:  # others wait for what comes back
            back, asks = 0, not self._recent(dry)
            if asks:
                dry.asked_at = self._clock.monotonic()
                back = await hot.give_back(shard, lease, budget.left_s())
            some, left = await hot.lease(replace(lease, back=back), budget.left_s())
            dry.left = EXACT_MAX if left == OLD else left
        return some, left

    def _recent(self, dry: "Dry") -> bool:
        return self._clock.monotonic() - dry.asked_at < AGAIN_S

    def _remembered(self, place: tuple[str, int]) -> "Dry":
        if place not in self._dry:
            if len(self._dry) >= COUNTERS_MAX:
                self._dry.clear()
            self._dry[place] = Dry()
        return self._dry[place]


class Dry:
    """A counter of which the centre had too little left."""

    def __init__(self) -> None:
        self.asked_at = -inf  # the other shards
        self.left = EXACT_MAX
        self.asking = asyncio.Lock()


def lease_of(limit: Limit, missing: Missing, lists_version: int, act: Authorize | Apply) -> Lease:
    return Lease(
        counter=limit.counter,
        ceiling=limit.ceiling,
        ends=limit.until,
        sent_at=act.sent_at if isinstance(act, Authorize) else act.act.sent_at,
        lists_version=lists_version,
        least=missing.least,
        wanted=max(missing.wanted, missing.least),
        deadline_ms=act.deadline_ms,
    )
