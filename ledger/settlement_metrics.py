"""What the batcher counts, under the names that docs/settlement.md explains."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from ledger.settlement import STATUSES
from ledger.settlement_read import Standing

SHOWN = STATUSES[:3]  # how many were ever reconciled is no news


class SettlementMetrics:
    """One batcher's numbers, beside those of the writer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = registry
        self._batches = Gauge(
            "authz_settlement_batches", "Batches by status.", ("status",), registry=r
        )
        self._net = Gauge(
            "authz_settlement_net_minor",
            "Not settled yet; above zero networks owe us.", ("currency",), registry=r,
        )  # fmt: skip
        self._overdue = Gauge(
            "authz_settlement_overdue_seconds",
            "Since the cut-off of the oldest batch that is open.", registry=r,
        )  # fmt: skip
        self._behind = Gauge(
            "authz_settlement_entries_not_taken", "In the books, not looked at.", registry=r
        )
        self._lines = Counter("authz_settlement_lines_total", "Put into batches.", registry=r)
        self._closed = Counter("authz_settlement_closed_total", "Batches closed.", registry=r)
        self._failures = Counter(
            "authz_settlement_failures_total", "Looks that came to nothing.", registry=r
        )
        for status in SHOWN:
            self._batches.labels(status)
        self._currencies: set[str] = set()

    def did(self, lines: int, closed: int) -> None:
        self._lines.inc(lines)
        self._closed.inc(closed)

    def failed(self) -> None:
        self._failures.inc()

    def stands(self, standing: Standing, now_ms: int) -> None:
        for status in SHOWN:
            self._batches.labels(status).set(standing.batches[status])
        self._currencies |= standing.net_minor.keys()
        for currency in self._currencies:
            self._net.labels(currency).set(standing.net_minor.get(currency, 0))
        oldest = standing.oldest_open_closes_at_ms
        self._overdue.set(max(now_ms - oldest, 0) / 1000 if oldest is not None else 0)
        self._behind.set(standing.entries_not_taken)
