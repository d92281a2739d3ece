"""What the writer counts, under the names that docs/ledger.md explains. No label holds anything
that came from a message."""

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from ledger.clearing.outcome import Outcome

FAILURES = ("postgres", "redis", "refused", "parked")
# A full batch takes a quarter of a second on two cores; ten are a disk that does not keep up.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ENTRIES = (1, 10, 100, 500, 1000, 2000, 4000, 8000, 16_000)


class Metrics:
    """One writer's numbers; hears its lanes. Belongs to the thread of its event loop."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = r = CollectorRegistry() if registry is None else registry
        self._entries = Counter("authz_ledger_entries_total", "Entries written.", registry=r)
        self._postings = Counter("authz_ledger_postings_total", "Lines written.", registry=r)
        self._parked = Counter("authz_ledger_parked_total", "Entries parked.", registry=r)
        self._batch = Histogram(
            "authz_ledger_batch_entries", "Entries in a batch.", buckets=ENTRIES, registry=r
        )
        self._seconds = Histogram(
            "authz_ledger_batch_seconds", "A batch, from its reading to its acknowledgement.",
            buckets=SECONDS, registry=r,
        )  # fmt: skip
        failures = Counter(
            "authz_ledger_failures_total", "What stopped a lane for a while.", ("of",), registry=r
        )
        self._failures = {name: failures.labels(name).inc for name in FAILURES}
        self._lag = Gauge(
            "authz_ledger_lag_entries", "Journalled, and not in the books.", registry=r
        )
        self._lag_s = Gauge(
            "authz_ledger_lag_seconds", "How long the oldest of them has waited.", registry=r
        )
        self._owned = Gauge("authz_ledger_shards_owned", "Shards that we write.", registry=r)
        self._open = Gauge("authz_ledger_parked_open", "Parked, and not resolved.", registry=r)
        self._cleared = Gauge(
            "authz_clearing_items", "Records of clearing files that wait for a person.",
            ("outcome",), registry=r,
        )  # fmt: skip
        self._by_lane: dict[int, int] = {}

    entries = 0  # written so far

    def wrote(self, entries: int, postings: int, parked: int, seconds: float) -> None:
        self.entries += entries
        self._entries.inc(entries)
        self._postings.inc(postings)
        self._parked.inc(parked)
        self._batch.observe(entries)
        self._seconds.observe(seconds)

    def failed(self, what: str) -> None:
        self._failures[what]()

    def owns(self, lane: int, shards: int) -> None:
        self._by_lane[lane] = shards
        self._owned.set(sum(self._by_lane.values()))

    def stands(self, entries: int, seconds: float, parked_open: int) -> None:
        """As the watch of the writer found it last."""
        self._lag.set(entries)
        self._lag_s.set(seconds)
        self._open.set(parked_open)

    def cleared(self, waiting: Mapping[str, int]) -> None:
        """How many records of clearing files wait for a person, by outcome."""
        for outcome in Outcome:
            self._cleared.labels(outcome).set(waiting.get(outcome, 0))

    def text(self) -> bytes:
        return generate_latest(self.registry)
