"""What a run of `authz bench load` comes to: its report, as figures under names that stay."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from statistics import median
from typing import Any

from hdrh.histogram import HdrHistogram
from msgspec import Struct

from authz.app.heartbeat import Stall
from bench.drive import BUDGET_S, Timed
from bench.machine import cores

BUSY_SHARE = 0.95  # of all cores: from here on, a stall is our own doing
SLOWEST_US = 60_000_000  # what a histogram has room for; whatever is slower counts as this
GENERATOR_SHARE = 0.9  # of a core: from here on, the generator itself may be what is slow
LATE_SHARE = 0.01  # of the messages that leave late though we leave cores free: likewise
OTHERS_SHARE = 0.1  # of all cores, by processes that are not ours: what made them late
QUANTILES = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")


class Used(Struct, frozen=True):
    """Processor seconds, by whom; of processes that nobody tells of, none."""

    generator: float
    engine: float
    store: float
    elapsed_s: float
    everybody: float = 0.0  # all processes of the machine; 0 where nobody tells
    stolen: float = 0.0  # from this machine, by the one below
    writer: float = 0.0
    postgres: float = 0.0
    harness: float = 0.0  # what watches the run: the journal's lag, four times a second

    @property
    def others_share(self) -> float:
        """Of all cores, by processes that are not ours: what a figure must be read with."""
        return max(0.0, self.everybody - self.ours) / self.elapsed_s / cores()

    @property
    def share(self) -> float:
        """Of all cores, by us."""
        return self.ours / self.elapsed_s / cores()

    @property
    def ours(self) -> float:
        return sum(self.by_process().values())

    def by_process(self) -> dict[str, float]:
        return {
            "generator": self.generator, "engine": self.engine, "store": self.store,
            "writer": self.writer, "postgres": self.postgres, "harness": self.harness,
        }  # fmt: skip


def figures(report: Timed, stalls: Sequence[Stall], used: Used, warm_up_s: float) -> dict[str, Any]:
    """The JSON answer, as far as the run itself tells it.

    Quantiles are those of the messages due after the warm-up; everything else counts it in.
    """
    ours = used.share > BUSY_SHARE
    begun = (report.begun or min(report.dues, default=0.0)) + warm_up_s
    measured, undisturbed = Counter[int](), Counter[int]()  # answers by µs
    unattributed = 0
    for due, latency_s in zip(report.dues, report.latencies_s):
        stalled = not ours and overlaps(stalls, due, due + latency_s)
        if latency_s > BUDGET_S and not stalled:
            unattributed += 1
        if due >= begun:
            measured[round(latency_s * 1e6)] += 1
            if not stalled:
                undisturbed[round(latency_s * 1e6)] += 1
    histogram, unstalled = histogram_of(measured), histogram_of(undisturbed)
    answered = max(1, report.answered)
    return report.summary() | {
        "p50_ms": at(histogram, 50),
        "p90_ms": at(histogram, 90),
        "p99_ms": at(histogram, 99),
        "p999_ms": at(histogram, 99.9),
        "max_ms": at(histogram, 100),
        "p99_undisturbed_ms": at(unstalled, 99),
        "p999_undisturbed_ms": at(unstalled, 99.9),
        "measured": histogram.get_total_count(),
        "stalls": len(stalls),
        "longest_stall_ms": round(max((s.seconds for s in stalls), default=0.0) * 1e3, 1),
        "unattributed_over_budget": unattributed,
        "by_share": by_share(report),
        # Of all messages: a reversal that is told 91 was not taken in either.
        "no_verdict": sum(tally["no_verdict"] for tally in report.by_share.values()),
        "not_accepted": report.not_accepted,
        "unreadable": report.unreadable,
        "cuts": report.cuts,
        "generator": of_generator(report, used),
        "cores_used": {
            name: round(spent / used.elapsed_s, 3) for name, spent in used.by_process().items()
        },
    } | {
        f"{name}_us": round(spent / answered * 1e6, 1)
        for name, spent in used.by_process().items()
    } | {
        "busy_share": round(used.share, 3),
        "others_share": round(used.others_share, 3),
        "steal_share": round(used.stolen / used.elapsed_s / cores(), 4),
        "by_second": by_second(report),
        "histogram": histogram.encode().decode(),
    }  # fmt: skip


def histogram_of(by_us: Counter[int]) -> Any:
    """In µs, up to a minute, three digits."""
    histogram = HdrHistogram(1, SLOWEST_US, 3)
    for us, count in by_us.items():
        histogram.record_value(min(max(1, us), SLOWEST_US), count)
    return histogram


def by_share(report: Timed) -> dict[str, dict[str, float | int]]:
    """Each share of the mix: how many there were, per cent, and what was answered."""
    whole = max(1, report.offered)
    return {
        share: {"offered": tally.total(), "per_cent": round(tally.total() / whole * 100, 2)} | tally
        for share, tally in sorted(report.by_share.items())
    }


def of_generator(report: Timed, used: Used) -> dict[str, Any]:
    """What the card network cost, how well it kept its times, and whether it was too slow."""
    late = sorted(report.lateness_s)
    return {
        "core_share": round(used.generator / used.elapsed_s, 3),
        "late_sends": report.late_sends,
        "left_late_p50_ms": quantile_ms(late, 0.5),
        "left_late_p99_ms": quantile_ms(late, 0.99),
        "left_late_max_ms": quantile_ms(late, 1.0),
        "loop_lag_p99_ms": report.lag_p99_ms,
        "loop_lag_max_ms": report.lag_max_ms,
        "decoded": report.decoded,
        "misread": report.misread,
        "bottleneck": bottleneck(report, used),
    }


def bottleneck(report: Timed, used: Used) -> str:
    """Why the run says more of the generator than of the engine; "" where it does not.

    Late messages on a machine that we keep busy do not count: there the engine and the generator
    wait for the same cores, and what the engine takes of them is its own affair.
    """
    share = used.generator / used.elapsed_s
    if share >= GENERATOR_SHARE:
        return f"it used {share:.0%} of a core"
    if report.late_sends > LATE_SHARE * max(1, report.sent) and used.share < BUSY_SHARE:
        why = (
            f"others used {used.others_share:.0%} of all cores"
            if used.others_share > OTHERS_SHARE
            else "with cores to spare"
        )
        return f"{report.late_sends:,} of {report.sent:,} messages left over 10 ms late, {why}"
    return ""


def quantile_ms(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3, 3)


def by_second(report: Timed) -> list[tuple[int, int, float, float]]:
    """Of what fell due in each second, warm-up and all: answers, their median, the slowest; ms."""
    if not report.dues:
        return []
    first = report.begun or min(report.dues)
    seconds: dict[int, array[float]] = {}
    for due, latency_s in zip(report.dues, report.latencies_s):
        # What falls due at a second's very end is that second's.
        second = max(ceil(due - first - 1e-6) - 1, 0)
        seconds.setdefault(second, array("d")).append(latency_s * 1e3)
    return [
        (second, len(found), round(median(found), 3), round(max(found), 3))
        for second, found in sorted(seconds.items())
    ]


def at(histogram: Any, percentile: float) -> float:
    if not histogram.get_total_count():
        return 0.0
    return round(float(histogram.get_value_at_percentile(percentile)) / 1e3, 3)


def overlaps(stalls: Iterable[Stall], since: float, until: float) -> bool:
    return any(s.at_monotonic < until and since < s.at_monotonic + s.seconds for s in stalls)


# -- for people -----------------------------------------------------------------


def table(asked: str, a: dict[str, Any]) -> Iterator[str]:
    """`asked`: the rate, in words."""
    own, generator = a["engine_clock"], a["generator"]
    offered, achieved = f"{a['offered_per_s']:,.0f}", f"{a['achieved_per_s']:,.0f}"
    rows = (
        ("rate: asked; offered, achieved with warm-up", f"{asked}  {offered}  {achieved} /s"),
        ("sent, answered, unanswered", numbers(a, "sent", "answered", "unanswered")),
        ("requests approved, declined, referred", numbers(a, "approved", "declined", "referred")),
        ("no verdict (91, 96), with the warm-up", numbers(a, "no_verdict")),
        *((f"  {share}, {one['per_cent']:.1f} %", tally(one))
            for share, one in a["by_share"].items()),
        ("p50  p90  p99  p99.9  max", "  ".join(f"{a[key]:.2f}" for key in QUANTILES) + " ms"),
        ("  by the engine's clock, with the warm-up",
            "  ".join(f"{own[key]:.2f}" for key in QUANTILES) + " ms"),
        ("over 200 ms, unattributed", numbers(a, "over_budget", "unattributed_over_budget")),
        ("machine stalls, longest", f"{a['stalls']}  {a['longest_stall_ms']:.0f} ms"),
        ("CPU a message: network, engine, store",
            numbers(a, "generator_us", "engine_us", "store_us") + " µs"),
        ("  the ledger's writer, Postgres", numbers(a, "writer_us", "postgres_us") + " µs"),
        ("of all cores: ours, others'", f"{a['busy_share']:.0%}  {a['others_share']:.0%}"),
        ("memory", "  ".join(f"{name} {mb:,.0f}" for name, mb in a["memory_mb"].items()) + " MB"),
        ("the engine's garbage: pauses, all, longest", garbage(a["garbage"])),
        ("cards; in the near-cache", f"{a['cards']['cards']:,}  {a['cards']['near_cache']:,}"),
        ("left late: over 10 ms, p50  p99  max", f"{generator['late_sends']:,}  " + "  ".join(
            f"{generator[f'left_late_{key}_ms']:.2f}" for key in ("p50", "p99", "max")) + " ms"),
        ("fdatasync here: p50, p99; CPU stolen", f"{a['fdatasync_ms']['p50']:.2f}  "
            f"{a['fdatasync_ms']['p99']:.2f} ms  {a['steal_share']:.1%}"),
        ("audit", "holds" if a["audit_ok"] else f"{a['audit_differences']} differences"),
        ("journal lag at most, drained after", lag(a)),
    )  # fmt: skip
    for name, value in rows:
        yield f"{name:<44}{value}"
    if generator["bottleneck"]:
        yield f"the generator was the bottleneck: {generator['bottleneck']}"
    yield f"{a['verdict']} (exit code {a['exit_code']})"


def tally(share: dict[str, Any]) -> str:
    words = (name for name in share if name not in ("offered", "per_cent"))
    return "  ".join(f"{share[name]:,} {name.replace('_', ' ')}" for name in sorted(words))


def garbage(told: dict[str, Any]) -> str:
    return f"{told['pauses']:,}  {told['total_ms']:.1f}  {told['longest_ms']:.2f} ms"


def lag(a: dict[str, Any]) -> str:
    if a["journal_lag_max"] is None:
        return "not measured: without books"
    drained = "never" if a["drained_s"] is None else f"{a['drained_s']:.2f} s"
    return f"{a['journal_lag_max']:,} entries, {drained}"


def numbers(answer: dict[str, Any], *keys: str) -> str:
    return "  ".join(f"{answer[key]:,.0f}" for key in keys)
