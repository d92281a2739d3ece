"""What the engine counts, under the names that docs/metrics.md explains.

Everything is bound when the engine starts: on the hot path there is no `labels()`, only
table look-ups. Every label has a closed set of values, and none can hold card data.

The two histograms on the hot path are our own collector: one bisection and two additions,
0.3 µs, where `Histogram.observe` walks its buckets under locks for 1.1 µs. Like all of
`Metrics` they belong to the thread of the event loop.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from platform import python_version
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from iso8583.errors import Problem
from rules.reason import Reason, answer_of

Stage = Literal["frame", "decode", "to_request", "cards", "decide", "hot", "to_response", "encode"]
HotOutcome = Literal[
    "ok", "stale", "not_connected", "busy", "cold", "full", "too_late", "refused", "no_reply"
]
Withdrawal = Literal["released", "forgotten", "kept", "marked", "unanswered"]
# Besides the codec's own problems: what a session finds wrong.
SessionFault = Literal[
    "over_long",
    "half_frame",
    "not_signed_on",
    "unknown_mti",
    "missing_field",
    "bad_field",
    "unexpected_response",
    "link_full",
    "links_full",
    "other",
]
Watched = Literal["in_flight", "links", "near_cache_cards", "spool_pending"]

# MTIs by name; a peer may send any four digits, and each would be a series of its own.
MTIS = ("0100", "0101", "0400", "0401", "0420", "0421", "0800", "0801")
OTHER = "other"
# In seconds. 10 ms, 50 ms and 200 ms are the SLA: shares at them are exact.
ANSWER_EDGES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0)
STAGE_EDGES = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.05, 0.15)


class Series:
    """One histogram: counts by bucket, and their sum."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges  # seconds, each bucket's upper end; a last bucket takes the rest
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.total += seconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Cumulative, as the exposition wants them."""
        seen = 0
        for edge, count in zip((*self.edges, float("inf")), self.counts):
            seen += count
            yield floatToGoString(edge), seen


class Histograms(Collector):
    """Series of one name, told apart by one label or by none."""

    def __init__(
        self, name: str, text: str, edges: tuple[float, ...], label: str, values: Iterable[str]
    ) -> None:
        self._name, self._text = name, text
        self._labels = [label] if label else []
        self.series = {value: Series(edges) for value in values}

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for value, series in self.series.items():
            labels = [value] if self._labels else []
            family.add_metric(labels, list(series.buckets()), series.total)
        yield family


class Metrics:
    """One engine process's numbers. Without a registry it makes its own, as tests need it."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, version: str = "", budget_s: float = 0.2
    ) -> None:
        # A start time for each counter would double what a scrape has to write.
        disable_created_metrics()
        self.registry = registry = registry or CollectorRegistry()
        self._budget_s = budget_s

        requests = Counter(
            "authz_requests_total",
            "Requests answered.",
            ("mti", "answer", "reason"),
            registry=registry,
        )
        self._requests = {
            (mti, reason): requests.labels(mti, answer_of(reason).value, reason.value).inc
            for mti in (*MTIS, OTHER)
            for reason in Reason
        }
        answers = Histograms(
            "authz_answer_seconds", "Last byte read to answer handed over.", ANSWER_EDGES, "", [""]
        )
        stages = Histograms(
            "authz_stage_seconds", "Time in each stage.", STAGE_EDGES, "stage", get_args(Stage)
        )
        registry.register(answers)
        registry.register(stages)
        self._answer = answers.series[""].observe
        self._stages = {name: series.observe for name, series in stages.series.items()}

        def counter(name: str, text: str) -> Callable[[], None]:
            return Counter(f"authz_{name}_total", text, registry=registry).inc

        def counters(
            name: str, text: str, label: str, values: Iterable[str]
        ) -> dict[str, Callable[[], None]]:
            family = Counter(f"authz_{name}_total", text, (label,), registry=registry)
            return {value: family.labels(value).inc for value in values}

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"authz_{name}", text, registry=registry)

        self._over_budget = counter("over_budget", "Answers given after the budget.")
        self._withdrawals = counters(
            "withdrawals",
            "Acts taken back after no reply in time.",
            "outcome",
            get_args(Withdrawal),
        )
        self._hot_calls = counters(
            "hot_calls", "Calls to the hot state.", "outcome", get_args(HotOutcome)
        )
        self._bad_input = counters(
            "bad_input",
            "Input that could not be taken as it came.",
            "kind",
            (*(problem.value for problem in Problem), *get_args(SessionFault)),
        )
        self.near_cache_hit = counter("near_cache_hits", "Cards found in memory.")
        self.near_cache_miss = counter("near_cache_misses", "Cards read from the hot state.")
        self.near_cache_stale = counter("near_cache_stale", "Plans made again: profile had moved.")
        self.frame = counter("frames", "Frames received, keep-alives among them.")
        self._hot_up = gauge("hot_up", "1 while the hot state is connected and its gates open.")
        self._watched = {
            "in_flight": gauge("in_flight", "Requests being decided."),
            "links": gauge("links", "Connections of card networks."),
            "near_cache_cards": gauge("near_cache_cards", "Cards in memory."),
            "spool_pending": gauge("spool_pending", "Withdrawals not yet confirmed."),
        }
        info = Gauge("authz_build_info", "Always 1.", ("version", "python"), registry=registry)
        info.labels(version, python_version()).set(1)
        ProcessCollector(registry=registry)

    def answered(self, mti: str, reason: Reason, seconds: float) -> None:
        """One request answered. Counts what went over the budget by itself."""
        count = self._requests.get((mti, reason)) or self._requests[OTHER, reason]
        count()
        self._answer(seconds)
        if seconds > self._budget_s:
            self._over_budget()

    def stage(self, name: Stage, seconds: float) -> None:
        self._stages[name](seconds)

    def hot_call(self, outcome: HotOutcome) -> None:
        self._hot_calls[outcome]()

    def withdrawn(self, outcome: Withdrawal) -> None:
        self._withdrawals[outcome]()

    def bad_input(self, kind: Problem | SessionFault) -> None:
        self._bad_input[kind]()

    def hot_up(self, up: bool) -> None:
        self._hot_up.set(up)

    def watch(self, name: Watched, read: Callable[[], float]) -> None:
        """A number that is asked for at the scrape, and costs nothing before."""
        self._watched[name].set_function(read)

    def text(self) -> bytes:
        """The exposition, as Prometheus reads it."""
        return generate_latest(self.registry)
