"""Ceilings of whole programs, as the hot state keeps them: quotas of shards, and a centre that
grants them. The same as quotas.lua says; the two halves are the rest of `store.py` and of its twin.
"""

from asyncio import gather
from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec

from authz.hot import keys
from authz.hot.acts import Lease, Missing
from authz.hot.resp import Argument
from rules.counters import AMOUNT, DAY_S, share, spans_shards
from rules.facts import Limit

SHARE = 128  # of what is left, granted at once: twice as many as there are shards

OLD = -1  # in the place of what is left

_pack = msgspec.msgpack.Encoder().encode


def centre_of(counter: str) -> str:
    """The shard that knows how much of a program's ceilings was granted."""
    return keys.shard_of(f"program/{counter.partition('/')[0]}")


def quotas_among(limits: Iterable[Limit]) -> bool:
    return any(spans_shards(limit.counter) for limit in limits)


class RedisQuotas:
    """One part of RedisHotState."""

    _run_id: str

    async def lease(self, act: Lease, timeout_s: float) -> tuple[int, int]:
        """How much was leased, nothing where `least` was not to be had; and what is left. `OLD`: a
        newer policy is in force than the one that asks."""
        said = (
            act.counter, act.least, act.wanted, act.ceiling, act.ends, act.sent_at,
            act.lists_version, act.back, act.deadline_ms,
        )  # fmt: skip
        reply = await self._quota_call("authz_lease", centre_of(act.counter), said, timeout_s)
        return int(reply[2]), OLD if reply[1] == b"stale" else int(reply[3])

    async def grant(self, shard: str, act: Lease, some: int, timeout_s: float) -> bool:
        """Give a shard what was leased for it. Whether it could be: if not, that much is lost."""
        said = (act.counter, some, act.ceiling, act.ends, act.sent_at, act.lists_version)
        reply = await self._quota_call("authz_grant", shard, said, timeout_s)
        return bool(reply[1] == b"granted")

    async def give_back(self, shard: str, act: Lease, timeout_s: float) -> int:
        """Take back what no shard but this one uses of its quota, and of this one what was granted
        under a higher ceiling. How much came back."""
        calls = [
            self._quota(
                "authz_return", one, (act.counter, act.ceiling, int(one == shard))
            )
            for one in keys.ALL_SHARDS
        ]  # fmt: skip
        # Of those whose reply does not come it is lost; of the others it must not be.
        replies = await gather(
            *(self._call(call, timeout_s) for call in calls), return_exceptions=True
        )
        told = (reply for reply in replies if isinstance(reply, list))
        return sum(int(reply[2]) for reply in told if reply[1] == b"returned")

    async def _quota_call(self, function: str, shard: str, said: Any, timeout_s: float) -> Any:
        reply = await self._call(self._quota(function, shard, said), timeout_s)
        self._check(reply, said[0])
        return reply

    def _quota(self, function: str, shard: str, said: Any) -> tuple[Argument, ...]:
        touched = keys.control(shard), keys.journal(shard)
        return ("FCALL", function, 2, *touched, self._run_id, _pack(said))

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError

    def _check(self, reply: Any, message_id: str) -> None:
        raise NotImplementedError


class Quota(msgspec.Struct):
    """Of one counter in one shard."""

    granted: int = 0
    used: int = 0
    under: int = 0  # granted under this ceiling or a lower one
    ends: int = 0


class Quotas:
    """Those of one shard."""

    def __init__(self) -> None:
        self.of: dict[str, Quota] = {}
        self.clock = 0  # what has ended by then does not move any more

    def room(self, limit: Limit) -> int:
        """What may still be used here; less than nothing, where more posted than was granted."""
        quota = self.of.get(limit.counter, Quota())
        if 0 < quota.ends <= self.clock:
            return 0
        room = quota.granted - quota.used
        return room if quota.under <= limit.ceiling else min(room, 0)

    def tick(self, sent_at: int) -> None:
        """A request of that time is judged by them: none asks for what ended."""
        if any(quota.ends for quota in self.of.values()):
            self.clock = max(self.clock, sent_at // DAY_S * DAY_S)

    def add(self, counter: str, change: int, ends: int) -> None:
        if 0 < ends <= self.clock or (counter not in self.of and change <= 0):
            return
        quota = self.of.setdefault(counter, Quota(ends=ends))
        quota.used = max(quota.used + change, 0)

    def lacking(
        self, limits: tuple[Limit, ...], need: int, least: int, shares: dict[str, int] | None = None
    ) -> tuple[list[Missing], list[tuple[str, int]]]:
        """What is missing of so much, if `least` would do; and of each limit its reason and room.
        With `shares`, what a record has already: then `need` is all that is spent under it."""
        short: list[Missing] = []
        rooms: list[tuple[str, int]] = []
        for place, limit in enumerate(limits):
            if not spans_shards(limit.counter):
                continue
            room = self.room(limit)
            if shares is not None:
                use = share(need, limit.scale) - shares.get(limit.counter, 0)
                if use > max(room, 0):
                    short.append(Missing(place, use - room, use - room))
                    rooms.append((limit.reason, -1))
            elif limit.scale == AMOUNT:
                if room < need:
                    short.append(Missing(place, need - room, max(1, least - room)))
                rooms.append((limit.reason, room))
            else:
                if room < 1:
                    short.append(Missing(place, 1 - room, 1 - room))
                rooms.append((limit.reason, need if room >= 1 else 0))
        return short, rooms


class MemoryQuotas:
    """One part of MemoryHotState."""

    blocked: tuple[int, frozenset[tuple[str, str]]]

    def __init__(self) -> None:
        super().__init__()
        self.quotas: dict[str, Quotas] = {}  # by shard
        self.leased: dict[str, int] = {}  # by counter: what was granted in all

    def _enter(self, deadline_ms: int) -> None:
        raise NotImplementedError

    def quotas_in(self, shard: str) -> Quotas:
        return self.quotas.setdefault(shard, Quotas())

    async def lease(self, act: Lease, timeout_s: float = 0) -> tuple[int, int]:
        self._enter(act.deadline_ms)
        before = max(self.leased.get(act.counter, 0) - act.back, 0)
        left, some = max(act.ceiling - before, 0), 0
        if act.lists_version < self.blocked[0]:
            left = OLD
        elif left >= act.least:
            some = min(left, max(act.wanted, left // SHARE))
        self.leased[act.counter] = before + some
        return some, left - some

    async def grant(self, shard: str, act: Lease, some: int, timeout_s: float = 0) -> bool:
        self._enter(0)
        quotas = self.quotas_in(shard)
        if act.lists_version < self.blocked[0] or 0 < act.ends <= quotas.clock:
            return False
        quota = quotas.of.setdefault(act.counter, Quota(ends=act.ends))
        quota.granted, quota.under = quota.granted + some, act.ceiling
        return True

    async def give_back(self, shard: str, act: Lease, timeout_s: float = 0) -> int:
        self._enter(0)
        back = 0
        for one, quotas in self.quotas.items():
            quota = quotas.of.get(act.counter, Quota())
            idle = quota.granted - quota.used
            if 0 < quota.ends <= quotas.clock:
                continue
            if idle > 0 and (one != shard or quota.under > act.ceiling):
                quota.granted, back = quota.used, back + idle
        return back
