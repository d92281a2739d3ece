"""The totals of a network's business day, as the hot state counts them: see totals.lua.

The two halves here are the rest of `store.py` and of its twin, `memory.py`.
"""

import re
from collections.abc import Awaitable
from typing import Any

import iso4217
import msgspec

from authz.hot import keys
from authz.hot.resp import Argument

KINDS = (
    "credits", "credit_reversals", "debits", "debit_reversals", "inquiries", "authorizations",
)  # fmt: skip
INQUIRIES, AUTHORIZATIONS = "inquiries", "authorizations"  # counted by the message; others by money
SCAN_STEP = 200  # fields looked through in one step: a tenth of a millisecond of the store's
OF_DAY = re.compile(rb"t:[^/]+/(\d+)/")  # a field's day
# A total's currency: ISO 4217's numbers, as totals.lua has them, and one for all others.
CURRENCIES = frozenset(f"{c.number:03}" for c in iso4217.Currency if c.number is not None)
NO_CURRENCY = "999"

Totals = dict[str, tuple[int, int]]  # by kind: how many, and how much in minor units

_pack = msgspec.msgpack.Encoder().encode


def tally_of(network: str, day: int, kind: str = "") -> str:
    """What an act is counted under."""
    return f"{network}/{day} {kind}"


class RedisTotals:
    """One part of RedisHotState."""

    _run_id: str

    async def totals(self, network: str, day: int, currency: str, timeout_s: float) -> Totals:
        """A business day's totals: one read of each shard."""
        fields = [keys.total_field(network, day, currency, kind) for kind in KINDS]
        shards = await self._call_all(
            [("HMGET", keys.control(shard), *fields) for shard in keys.ALL_SHARDS], timeout_s
        )
        sums = {kind: [0, 0] for kind in KINDS}
        for found in shards:
            for kind, value in zip(KINDS, found, strict=True):
                if value is not None:
                    count, amount = value.split()
                    sums[kind][0] += int(count)
                    sums[kind][1] += int(amount)
        return {kind: (count, amount) for kind, (count, amount) in sums.items()}

    async def forget_totals(self, shard: str, first_day: int, timeout_s: float) -> int:
        """Drop what is older, in steps that others come between. Returns how many were dropped."""
        control, cursor, dropped = keys.control(shard), b"0", 0
        while True:
            cursor, found = await self._call(
                ("HSCAN", control, cursor, "MATCH", "t:*", "COUNT", SCAN_STEP), timeout_s
            )
            days = {name: OF_DAY.match(name) for name in found[::2]}
            old = [name.decode() for name, day in days.items() if day and int(day[1]) < first_day]
            for at in range(0, len(old), SCAN_STEP):
                reply = await self._call(
                    (
                        "FCALL", "authz_forget_totals", 2, control, keys.journal(shard),
                        self._run_id, _pack((first_day, old[at : at + SCAN_STEP])),
                    ),
                    timeout_s,
                )  # fmt: skip
                self._check(reply, control)
                dropped += int(reply[2])
            if cursor == b"0":
                return dropped

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError

    async def _call_all(self, calls: list[tuple[Argument, ...]], timeout_s: float) -> list[Any]:
        raise NotImplementedError

    def _check(self, reply: Any, message_id: str) -> None:
        raise NotImplementedError


class MemoryTotals:
    """One part of MemoryHotState. It keeps no shards."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: dict[
            tuple[str, str, str], tuple[int, int]
        ] = {}  # network/day, currency, kind

    def count(
        self, tally: str, currency: str, sign: int, posted_delta: int, by: int, counts: bool
    ) -> None:
        """What an act adds; by -1, what it added is taken back."""
        prefix, _, kind = tally.partition(" ")
        if not prefix or not currency:
            return
        if currency not in CURRENCIES:
            currency = NO_CURRENCY
        if counts and kind:
            self._add(prefix, currency, kind, by, 0)
        moved = posted_delta * by
        if moved:
            came, went = ("credits", "credit_reversals")
            if sign == 1:
                came, went = ("debit_reversals", "debits")
            self._add(prefix, currency, came if moved > 0 else went, by, abs(moved) * by)

    def _add(self, prefix: str, currency: str, kind: str, count: int, amount: int) -> None:
        before = self.counted.get((prefix, currency, kind), (0, 0))
        self.counted[prefix, currency, kind] = before[0] + count, before[1] + amount

    async def totals(self, network: str, day: int, currency: str, timeout_s: float = 0) -> Totals:
        prefix = tally_of(network, day).strip()
        return {kind: self.counted.get((prefix, currency, kind), (0, 0)) for kind in KINDS}

    async def forget_totals(self, shard: str, first_day: int, timeout_s: float = 0) -> int:
        old = [place for place in self.counted if int(place[0].rpartition("/")[2]) < first_day]
        for place in old:
            del self.counted[place]
        return len(old)
