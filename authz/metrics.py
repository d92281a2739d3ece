"""What the engine counts, under the names that docs/metrics.md explains.

Everything is bound when the engine starts: on the hot path there is no `labels()`, only
table look-ups. Every label has a closed table of values; what is in none of them counts
as "other", so no peer can add a series, and none can hold card data.

What is counted for every message is counted by collectors of our own (authz/series.py). Like all of
`Metrics` they belong to the thread of the event loop.
"""

from collections.abc import Callable, Iterable, Iterator
from platform import python_version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from authz.checks.link import OUTCOMES as CHECK_OUTCOMES
from authz.dialer import OUTCOMES, STATES
from authz.garbage import GENERATIONS, PAUSE_EDGES
from authz.series import Counts, Histograms
from rules.reason import Reason, answer_of

OTHER = "other"
MTIS_1987 = (
    "0100", "0101", "0120", "0121", "0200", "0201", "0220", "0221",
    "0400", "0401", "0420", "0421", "0800", "0801", "0820", "0821", "0620", "0621",
    "0500", "0501", "0520", "0521",
)  # fmt: skip
MTIS_1993 = (
    "1100", "1101", "1120", "1121", "1200", "1201", "1220", "1221",
    "1400", "1401", "1420", "1421", "1804", "1805", "1820", "1824", "1620", "1621",
    "1500", "1501", "1520", "1521",
)  # fmt: skip
MTIS = (*MTIS_1987, *MTIS_1993, OTHER)
STAGES = ("decode", "checks", "decide", "hot", "encode", OTHER)
# Verdicts of the hot state by their own names, then the ways to get none.
HOT_CALLS = {
    "held": "held",
    "declined": "declined",
    "over_limit": "over_limit",
    "no_funds": "no_funds",
    "reversed": "reversed",
    "unmatched": "unmatched",
    "applied": "applied",
    "unapplied": "unapplied",
    "declined_elsewhere": "declined_elsewhere",
    "in_balance": "in_balance",
    "out_of_balance": "out_of_balance",
    "noted": "noted",
    "moved": "moved",
    "same": "same",
    "older": "older",
    "mismatch": "mismatch",
    "stale_twice": "stale_twice",
    "short": "short",
    "NotConnected": "not_connected",
    "Busy": "busy",
    "Cold": "cold",
    "Full": "full",
    "TooLate": "too_late",
    "Refused": "refused",
    "NoReply": "no_reply",
    "OutOfStep": "out_of_step",
    OTHER: OTHER,
}
HOLDS_ENDED = ("closed", "open", "gone", "failed", OTHER)
WITHDRAWALS = ("released", "forgotten", "kept", "marked", OTHER)
ANNOUNCEMENTS = ("sent", "acknowledged", "refused", "gone", "unreadable", "failed", OTHER)
BAD_INPUT = (
    "framing",
    "decode",
    "over_long",
    "half_frame",
    "no_sign_on",
    "unanswerable",
    "rejected",
    "not_signed_on",
    "unknown_mti",
    "bad_element",
    "bad_part",
    "unsupported",
    "unwritable",
    "too_old",
    "management",
    "unexpected_response",
    "echo_unanswered",
    "sign_on_refused",
    "sign_on_unanswered",
    "slow_reader",
    "too_many_links",
    OTHER,
)
# Numbers that somebody else keeps, read at the scrape only.
WATCHED: dict[str, tuple[type[GaugeMetricFamily | CounterMetricFamily], str]] = {
    "hot_up": (GaugeMetricFamily, "1 while the hot state answers and its gates are open."),
    "in_flight": (GaugeMetricFamily, "Requests asked of the engine, without an answer yet."),
    "in_flight_limit": (GaugeMetricFamily, "How many may be asked at once."),
    "held_back": (GaugeMetricFamily, "Messages read that wait for room."),
    "gc_pause_longest_seconds": (GaugeMetricFamily, "The longest collection since the start."),
    "links": (GaugeMetricFamily, "Connections of card networks."),
    "near_cache_hits": (CounterMetricFamily, "Cards found in memory."),
    "near_cache_misses": (CounterMetricFamily, "Cards looked up in the hot state."),
    "near_cache_cards": (GaugeMetricFamily, "Cards in memory."),
    "near_cache_warm": (GaugeMetricFamily, "1 once the store's cards were learnt after a start."),
    "announcements_pending": (GaugeMetricFamily, "Words on cards that networks have to hear."),
    "reviews_waiting": (GaugeMetricFamily, "Referrals that wait for a person."),
    "reviews_opened": (CounterMetricFamily, "Referrals that a case was opened for."),
    "reviews_not_opened": (CounterMetricFamily, "Referrals without one, for want of room."),
    "reviews_approved": (CounterMetricFamily, "Cases that a person approved."),
    "reviews_declined": (CounterMetricFamily, "Cases that a person declined."),
    "reviews_ended": (CounterMetricFamily, "Cases that nobody decided in time."),
    "spool_pending": (GaugeMetricFamily, "Withdrawals not yet answered."),
}
# In seconds. 10 ms, 50 ms and 200 ms are the SLA: shares at them are exact.
ANSWER_EDGES = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.5, 1.0)
STAGE_EDGES = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.05, 0.15)


SHADOW_RULES_MAX = 1000  # series times five; a policy has no more rules


class Watched(Collector):
    """Asks for each number when it is scraped; what nobody offered is left out."""

    def __init__(self) -> None:
        self.reads: dict[str, Callable[[], float]] = {}

    def collect(self) -> Iterator[Metric]:
        for name, read in self.reads.items():
            family, text = WATCHED[name]
            yield family(f"authz_{name}", text, value=read())


class LinkStates(Collector):
    """The state of each link that we dial: 1 for the one it is in, 0 for the others."""

    def __init__(self) -> None:
        self.reads: dict[str, Callable[[], str]] = {}  # by the link's name

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "authz_link_state", "Links that we dial, by state.", labels=("link", "state")
        )
        for name, read in self.reads.items():
            now = read()
            for state in STATES:
                family.add_metric((name, state), float(state == now))
        if self.reads:
            yield family


class Checks(Collector):
    """Optional checks: what came of the questions, and which of them are connected. Their names are
    from the configuration: no peer makes a series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "authz_checks_total", "Questions to optional checks.", ("check", "outcome"),
            registry=registry,
        )  # fmt: skip
        self._reads: dict[str, Callable[[], bool]] = {}  # by the check's name
        registry.register(self)

    def counter(self, name: str) -> Callable[[str], None]:
        counts = {outcome: self._counter.labels(name, outcome).inc for outcome in CHECK_OUTCOMES}
        return lambda outcome: counts[outcome]()

    def watch(self, name: str, is_up: Callable[[], bool]) -> None:
        self._reads[name] = is_up

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "authz_check_up", "1 while an optional check is connected.", labels=("check",)
        )
        for name, is_up in self._reads.items():
            family.add_metric((name,), float(is_up()))
        if self._reads:
            yield family


class Shadowed:
    """What a draft would have said, by its rules: their owners name them, and no peer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "authz_shadow_total",
            "What a draft policy would have said; nobody was told.",
            ("rule", "outcome"),
            registry=registry,
        )
        self._rules: set[str] = set()

    def count(self, rule: str, outcome: str) -> None:
        if rule not in self._rules and len(self._rules) >= SHADOW_RULES_MAX:
            rule = OTHER
        self._rules.add(rule)
        self._counter.labels(rule, outcome).inc()


class Metrics:
    """One engine process's numbers. Without a registry it makes its own, as tests need it."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, version: str = "", budget_s: float = 0.2
    ) -> None:
        # A start time for each counter would double what a scrape has to write.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry() if registry is None else registry
        self._budget_s = budget_s

        self._labels = {
            (mti, reason): (mti, answer_of(reason).value, reason.value)
            for mti in MTIS
            for reason in Reason
        }
        requests = Counts(
            "authz_requests", "Requests answered.", ("mti", "answer", "reason"),
            self._labels.values(),
        )  # fmt: skip
        self._requests = requests.counts
        hot_calls = Counts(
            "authz_hot_calls", "Acts asked of the hot state.", ("outcome",),
            ((label,) for label in HOT_CALLS.values()),
        )  # fmt: skip
        self._hot_calls = hot_calls.counts
        frames = Counts("authz_frames", "Frames received, keep-alives among them.", (), ((),))
        self._frames = frames.counts
        answers = Histograms(
            "authz_answer_seconds",
            "From the read of the last byte to the answer handed to the transport.",
            ANSWER_EDGES,
            "",
            ("",),
        )
        stages = Histograms(
            "authz_stage_seconds", "Time in each stage.", STAGE_EDGES, "stage", STAGES
        )
        pauses = Histograms(
            "authz_gc_pause_seconds", "Collections of garbage; the loop stands still meanwhile.",
            PAUSE_EDGES, "generation", GENERATIONS,
        )  # fmt: skip
        self._watched = Watched()
        self._link_states = LinkStates()
        for collector in (
            requests,
            hot_calls,
            frames,
            answers,
            stages,
            pauses,
            self._watched,
            self._link_states,
            ProcessCollector(registry=None),
        ):
            registry.register(collector)
        self._answer = answers.series[""].observe
        self._pauses = {name: series.observe for name, series in pauses.series.items()}
        self._stages = {name: series.observe for name, series in stages.series.items()}
        self._count_what_is_rare(registry)
        self.checks = Checks(registry)
        tell_build(version, registry)

    def _count_what_is_rare(self, registry: CollectorRegistry) -> None:
        """By the library's own counters."""

        def counters(
            name: str, text: str, label: str, values: Iterable[str]
        ) -> dict[str, Callable[[], None]]:
            family = Counter(f"authz_{name}_total", text, (label,), registry=registry)
            return {value: family.labels(value).inc for value in values}

        self._withdrawals = counters(
            "withdrawals", "Acts taken back that had no reply in time.", "outcome", WITHDRAWALS
        )
        self._holds_ended = counters(
            "holds_ended", "Holds whose date had come.", "outcome", HOLDS_ENDED
        )
        self._announced = counters(
            "announcements", "What networks were told of our cards.", "outcome", ANNOUNCEMENTS
        )
        self._bad_input = counters(
            "bad_input", "What peers sent that could not be taken.", "kind", BAD_INPUT
        )
        self.shadowed = Shadowed(registry).count
        self._over_budget = Counter(
            "authz_over_budget_total", "Answers given after the budget.", registry=registry
        ).inc
        self._stale = Counter(
            "authz_near_cache_stale_total",
            "Plans made again: a profile had moved.",
            registry=registry,
        ).inc
        self._dials = Counter(
            "authz_link_dials_total", "Tries to connect links that we dial.", ("link", "outcome"),
            registry=registry,
        )  # fmt: skip

    def answered(self, mti: str, reason: Reason, seconds: float) -> None:
        """One request answered. Counts by itself what went over the budget."""
        self._requests[self._labels.get((mti, reason)) or self._labels[OTHER, reason]] += 1
        self._answer(seconds)
        if seconds > self._budget_s:
            self._over_budget()

    def stage(self, name: str, seconds: float) -> None:
        (self._stages.get(name) or self._stages[OTHER])(seconds)

    def gc_pause(self, generation: str, seconds: float) -> None:
        (self._pauses.get(generation) or self._pauses["2"])(seconds)

    def hot_call(self, outcome: str) -> None:
        """By the verdict's kind, or by the name of the HotStateError."""
        self._hot_calls[(HOT_CALLS.get(outcome, OTHER),)] += 1

    def near_cache_stale(self) -> None:
        self._stale()

    def withdrawn(self, outcome: str) -> None:
        (self._withdrawals.get(outcome) or self._withdrawals[OTHER])()

    def hold_ended(self, outcome: str) -> None:
        (self._holds_ended.get(outcome) or self._holds_ended[OTHER])()

    def announced(self, outcome: str) -> None:
        (self._announced.get(outcome) or self._announced[OTHER])()

    def bad_input(self, kind: str) -> None:
        (self._bad_input.get(kind) or self._bad_input[OTHER])()

    def frames(self, count: int = 1) -> None:
        self._frames[()] += count

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """A number of WATCHED that is asked for at the scrape, and costs nothing before."""
        assert name in WATCHED, name
        self._watched.reads[name] = read

    def watch_link(self, name: str, state: Callable[[], str]) -> None:
        """A link that we dial. Its name is from the configuration: no peer makes a series."""
        self._link_states.reads[name] = state
        for outcome in OUTCOMES:
            self._dials.labels(name, outcome)

    def dialled(self, link: str, outcome: str) -> None:
        self._dials.labels(link, outcome).inc()

    def text(self) -> bytes:
        """The exposition, as Prometheus reads it. 3 ms: the largest part of a scrape."""
        return generate_latest(self.registry)


def tell_build(version: str, registry: CollectorRegistry) -> None:
    info = Gauge("authz_build_info", "Always 1.", ("version", "python"), registry=registry)
    info.labels(version, python_version()).set(1)
