"""How long answers took: a histogram whose error is relative, in pure Python.

A value is kept as its seven leading bits, in nanoseconds: 64 buckets for each doubling,
so a quantile is at most 1/64 (1.6 %) off at 1 µs and at 60 s alike. The same idea as
HdrHistogram, whose package would add a compiled dependency to the engine.
"""

from collections.abc import Iterable
from math import ceil

import msgspec

SUB_BITS = 6
SUB_BUCKETS = 1 << SUB_BITS  # per doubling
LOWEST_NS = 1_000  # 1 µs: what is faster counts as that
HIGHEST_NS = 60_000_000_000  # 60 s: what is slower counts as that; `max` stays exact


def bucket_of(ns: int) -> int:
    shift = ns.bit_length() - SUB_BITS - 1
    return (shift << SUB_BITS) + (ns >> shift)


def upper_edge_s(bucket: int) -> float:
    """The end of a bucket: a quantile is never told better than it was."""
    shift = (bucket >> SUB_BITS) - 1
    return (((bucket & (SUB_BUCKETS - 1)) + SUB_BUCKETS + 1) << shift) / 1e9


BUCKETS = bucket_of(HIGHEST_NS) + 1  # about 2,000, 16 kB of a list


class LatencyRecorder:
    """Counts durations. One thread; one recorder for each worker, merged when asked."""

    __slots__ = ("_budget_s", "_counts", "_max_s", "_over_budget")

    def __init__(self, budget_s: float = 0.2) -> None:
        self._budget_s = budget_s
        self._counts = [0] * BUCKETS
        self._max_s = 0.0
        self._over_budget = 0  # exact: counted, not read from buckets

    def record(self, seconds: float) -> None:
        ns = int(seconds * 1e9)
        if ns < LOWEST_NS:
            ns = LOWEST_NS
        elif ns > HIGHEST_NS:
            ns = HIGHEST_NS
        # `bucket_of`, written out: a call would cost as much as all the rest.
        shift = ns.bit_length() - 7
        self._counts[(shift << 6) + (ns >> shift)] += 1
        if seconds > self._max_s:
            self._max_s = seconds
        if seconds > self._budget_s:
            self._over_budget += 1

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def over_budget(self) -> int:
        return self._over_budget

    def quantile(self, q: float) -> float:
        """Seconds that a share `q` of all answers took at most; 0.0 when there were none."""
        return self._quantiles((q,))[0]

    def summary(self) -> dict[str, float | int]:
        """Under the names that `--json` answers keep."""
        p50, p90, p99, p999 = self._quantiles((0.5, 0.9, 0.99, 0.999))
        return {
            "count": self.count,
            "p50_ms": round(p50 * 1e3, 4),
            "p90_ms": round(p90 * 1e3, 4),
            "p99_ms": round(p99 * 1e3, 4),
            "p999_ms": round(p999 * 1e3, 4),
            "max_ms": round(self._max_s * 1e3, 4),
            "over_budget": self._over_budget,
        }

    def merge(self, other: "LatencyRecorder") -> None:
        """Take another recorder's counts in, as if all had been recorded here."""
        assert other._budget_s == self._budget_s, "two budgets cannot be counted together"
        self._counts = [mine + more for mine, more in zip(self._counts, other._counts)]
        self._max_s = max(self._max_s, other._max_s)
        self._over_budget += other._over_budget

    def dump(self) -> bytes:
        """Everything, for another process to `parse` and `merge`."""
        filled = [(at, count) for at, count in enumerate(self._counts) if count]
        return msgspec.msgpack.encode((self._budget_s, self._max_s, self._over_budget, filled))

    @classmethod
    def parse(cls, dumped: bytes) -> "LatencyRecorder":
        kind = tuple[float, float, int, list[tuple[int, int]]]
        budget_s, max_s, over_budget, filled = msgspec.msgpack.decode(dumped, type=kind)
        recorder = cls(budget_s)
        recorder._max_s, recorder._over_budget = max_s, over_budget
        for at, count in filled:
            recorder._counts[at] = count
        return recorder

    def _quantiles(self, shares: Iterable[float]) -> list[float]:
        """Quantiles of ascending shares, in one walk."""
        total = self.count
        found = []
        seen, bucket = 0, -1
        for share in shares:
            assert 0 <= share <= 1, share
            rank = max(1, ceil(share * total))
            while seen < rank and bucket + 1 < BUCKETS:
                bucket += 1
                seen += self._counts[bucket]
            found.append(min(upper_edge_s(bucket), self._max_s) if total else 0.0)
        return found
