"""The promise of latency, measured from outside: an engine, a card network, an open loop.

A store, an engine in a process of its own, and the simulator's network over real TCP links; and,
unless they are left out, books: the ledger's writer drains the journal into a Postgres meanwhile.
The loop is open, and latency counts from when a message should have left: a stall of the
engine shows in every message that fell due while it lasted, and what the generator itself
is late counts against us too.

A heartbeat process beside them tells the machine's stalls apart. An answer over the budget
is attributed if a stall fell into its time, unless we kept every core busy ourselves: then
the stall is ours.
"""

import gc
import signal
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import uvloop
from hdrh.histogram import HdrHistogram
from msgspec import Struct, field

from authz.app.heartbeat import Heartbeat, Stall
from authz.clock import SystemClock
from authz.simulator import network
from authz.simulator.link import Link, manners_in
from authz.simulator.messages import Event
from authz.simulator.report import Report
from bench.machine import (
    busy_seconds,
    cores,
    cpu_seconds,
    family_seconds,
    fdatasync_ms,
    publish,
    steal_seconds,
    this_machine,
)
from bench.stand import DURABILITY, Stand, stand

WARM_UP_S = 2.0  # sent before the clock starts: caches, plans, connections
BUDGET_S = 0.200
BUSY_SHARE = 0.95  # of all cores: from here on, a stall is our own doing
OK, FAILED, INCONCLUSIVE = 0, 1, 3


class Timed(Report, kw_only=True):
    """A report that also keeps when each answered message was due."""

    dues: "array[float]" = field(default_factory=lambda: array("d"))

    def record(self, key: str, mti: str, code: str, approval: str, due: float, now: float) -> None:
        self.dues.append(due)
        Report.record(self, key, mti, code, approval, due, now)


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    rate: float
    seconds: float = 30.0
    cards: int = 10_000
    links: int = 4
    seed: int = 1
    dialect: str = "iso87_ascii"  # in the framing and with the network that go with it
    p99_ms: float = 20.0  # what the SLA allows
    warm_up_s: float = WARM_UP_S
    books: bool = True  # the ledger's writer and its Postgres beside it
    rules: int = 0  # of a policy in force, with five velocity limits


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
        return self.generator + self.engine + self.store + self.writer + self.postgres


def run(order: Order, json_path: str | None) -> int:
    """Measure, print, and return the exit code: 0 SLA met, 1 not, 3 the machine stalled.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    # SIGTERM as Ctrl-C: what we started must be stopped. (SIGKILL cannot be answered.)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="authz-bench-") as scratch:
            answer = uvloop.run(measure(order, Path(scratch)))
    finally:
        signal.signal(signal.SIGTERM, before)
    publish(answer, table(order, answer), json_path)
    return int(answer["exit_code"])


async def measure(order: Order, folder: Path) -> dict[str, Any]:
    """Store, cards, engine, network, books, audit."""
    async with stand(
        folder, cards=order.cards, seed=order.seed, dialect=order.dialect, books=order.books,
        rules=order.rules,
    ) as stood:  # fmt: skip
        events = stood.events(round(order.rate * (order.seconds + order.warm_up_s)))
        report, used, stalls = await observe(order, events, stood)
        drained = await stood.drain()
        own_clock, by_stage = await stood.own_clock(), await stood.stages()
        memory = stood.memory_mb()
        audited, version = await stood.audit(), await stood.version()
    answer = figures(report, stalls, used, order.warm_up_s) | {
        "audit_ok": audited.ok,
        "audit_differences": audited.found,
        "journal_lag_max": drained.lag_max if drained else None,
        "drained_s": drained.drained_s if drained else None,
        "books_faults": drained.failures(audited.authorizations) if drained else [],
        "durability": DURABILITY,
        "engine_clock": own_clock,
        "stages_us": by_stage,
        "memory_mb": memory,
        "fdatasync_ms": fdatasync_ms(folder),
        "machine": this_machine(seed=order.seed, valkey=version, durability=DURABILITY),
        "asked": order,
    }
    answer["exit_code"], answer["verdict"] = verdict(answer, order.p99_ms)
    return answer


async def observe(
    order: Order, events: Sequence[Event], stood: Stand
) -> tuple[Timed, Used, list[Stall]]:
    """The run itself, with everybody's processor time and the machine's stalls."""

    def spent() -> tuple[float, ...]:
        postgres, writer = stood.books.pids if stood.books is not None else (0, 0)
        pids = stood.engine.pid, stood.valkey.pid, writer
        theirs = (cpu_seconds(pid) or 0.0 if pid else 0.0 for pid in pids)
        database = family_seconds(postgres) if postgres else 0.0
        return process_time(), *theirs, database, busy_seconds() or 0.0, steal_seconds()

    heartbeat = Heartbeat()
    heartbeat.start()
    try:
        before = spent()
        report = await drive(
            events, "127.0.0.1", stood.engine.port, order.rate, order.links, order.dialect
        )
        generator, theirs, store, writer, database, everybody, stolen = (
            after - at for after, at in zip(spent(), before)
        )
    finally:
        stalls = heartbeat.stop()
    used = Used(generator, theirs, store, report.elapsed_s, everybody, stolen, writer, database)
    return report, used, stalls


async def drive(
    events: Sequence[Event], host: str, port: int, rate: float, links: int,
    dialect: str = "iso87_ascii",
) -> Timed:  # fmt: skip
    """Send these events at that rate over so many links, and wait for the answers."""
    clock = SystemClock()
    opened = [Link(host, port, clock, manners_in(dialect)) for _ in range(links)]
    try:
        for link in opened:
            await link.open()
        # What is here now stays; a collection in mid-run would be the generator's own stall.
        gc.collect()
        gc.freeze()
        gc.disable()
        report = Timed()
        await network.run(
            events, opened, rate, len(events) / rate, clock, budget_s=BUDGET_S, report=report
        )
    finally:
        gc.enable()
        gc.unfreeze()
        for link in opened:
            await link.close()
    return report


def figures(report: Timed, stalls: Sequence[Stall], used: Used, warm_up_s: float) -> dict[str, Any]:
    """The JSON answer, as far as the run itself tells it.

    Quantiles are those of the messages due after the warm-up; everything else counts it in.
    """
    ours = used.share > BUSY_SHARE
    begun = min(report.dues, default=0.0) + warm_up_s
    histogram = HdrHistogram(1, 60_000_000, 3)  # µs, up to a minute, three digits
    undisturbed = HdrHistogram(1, 60_000_000, 3)
    unattributed = 0
    for due, latency_s in zip(report.dues, report.latencies_s):
        stalled = not ours and overlaps(stalls, due, due + latency_s)
        if latency_s > BUDGET_S and not stalled:
            unattributed += 1
        if due >= begun:
            histogram.record_value(max(1, round(latency_s * 1e6)))
            if not stalled:
                undisturbed.record_value(max(1, round(latency_s * 1e6)))
    answered = max(1, report.answered)
    return report.summary() | {
        "p50_ms": at(histogram, 50),
        "p90_ms": at(histogram, 90),
        "p99_ms": at(histogram, 99),
        "p999_ms": at(histogram, 99.9),
        "max_ms": at(histogram, 100),
        "p99_undisturbed_ms": at(undisturbed, 99),
        "measured": histogram.get_total_count(),
        "stalls": len(stalls),
        "longest_stall_ms": round(max((s.seconds for s in stalls), default=0.0) * 1e3, 1),
        "unattributed_over_budget": unattributed,
        "generator_us": round(used.generator / answered * 1e6, 1),
        "engine_us": round(used.engine / answered * 1e6, 1),
        "store_us": round(used.store / answered * 1e6, 1),
        "writer_us": round(used.writer / answered * 1e6, 1),
        "postgres_us": round(used.postgres / answered * 1e6, 1),
        "busy_share": round(used.share, 3),
        "others_share": round(used.others_share, 3),
        "steal_share": round(used.stolen / used.elapsed_s / cores(), 4),
        "by_second": by_second(report),
        "histogram": histogram.encode().decode(),
    }


def by_second(report: Timed) -> list[tuple[int, int, float, float]]:
    """Of what fell due in each second, warm-up and all: answers, their median, the slowest; ms."""
    if not report.dues:
        return []
    first, seconds = min(report.dues), dict[int, list[float]]()
    for due, latency_s in zip(report.dues, report.latencies_s):
        seconds.setdefault(int(due - first), []).append(latency_s * 1e3)
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


def verdict(answer: dict[str, Any], p99_ms: float) -> tuple[int, str]:
    """The exit code, and why."""
    if not answer["audit_ok"]:
        return FAILED, f"the audit found {answer['audit_differences']} differences"
    if answer["books_faults"]:
        return FAILED, "; ".join(answer["books_faults"])
    for key, what in (
        ("unanswered", "requests without an answer"),
        ("unsent", "messages that no link would take"),
        ("conflicts", "repeats with another verdict than the first"),
        ("unattributed_over_budget", "answers over 200 ms with no stall of the machine beside"),
    ):
        if answer[key]:
            return FAILED, f"{answer[key]} {what}"
    # A 91 is an answer, but an engine that says nothing else keeps no promise worth having.
    if answer["no_verdict"]:
        code = INCONCLUSIVE if answer["stalls"] else FAILED
        return code, f"{answer['no_verdict']} authorizations answered without a verdict (91, 96)"
    if answer["p99_ms"] <= p99_ms:
        return OK, f"p99 within {p99_ms:g} ms"
    if answer["p99_undisturbed_ms"] <= p99_ms:
        return INCONCLUSIVE, f"p99 over {p99_ms:g} ms, but for {answer['stalls']} machine stalls"
    return FAILED, f"p99 over {p99_ms:g} ms"


def table(order: Order, a: dict[str, Any]) -> Iterator[str]:
    own = a["engine_clock"]
    offered, achieved = f"{a['offered_per_s']:,.0f}", f"{a['achieved_per_s']:,.0f}"
    rows = (
        ("rate: asked, offered, achieved", f"{order.rate:,.0f}  {offered}  {achieved} /s"),
        ("sent, answered, unanswered", numbers(a, "sent", "answered", "unanswered")),
        ("approved, declined, referred", numbers(a, "approved", "declined", "referred")),
        ("no verdict (91, 96)", numbers(a, "no_verdict")),
        ("p50  p90  p99  p99.9  max", "  ".join(f"{a[key]:.2f}" for key in QUANTILES) + " ms"),
        ("  by the engine's clock", "  ".join(f"{own[key]:.2f}" for key in QUANTILES) + " ms"),
        ("over 200 ms, unattributed", numbers(a, "over_budget", "unattributed_over_budget")),
        ("machine stalls, longest", f"{a['stalls']}  {a['longest_stall_ms']:.0f} ms"),
        ("CPU a message: network, engine, store",
            numbers(a, "generator_us", "engine_us", "store_us") + " µs"),
        ("  the ledger's writer, Postgres", numbers(a, "writer_us", "postgres_us") + " µs"),
        ("of all cores: ours, others'", f"{a['busy_share']:.0%}  {a['others_share']:.0%}"),
        ("late sends", numbers(a, "late_sends")),
        ("fdatasync here: p50, p99; CPU stolen", f"{a['fdatasync_ms']['p50']:.2f}  "
            f"{a['fdatasync_ms']['p99']:.2f} ms  {a['steal_share']:.1%}"),
        ("audit", "holds" if a["audit_ok"] else f"{a['audit_differences']} differences"),
        ("journal lag at most, drained after", lag(a)),
    )  # fmt: skip
    for name, value in rows:
        yield f"{name:<42}{value}"
    yield f"{a['verdict']} (exit code {a['exit_code']})"


def lag(a: dict[str, Any]) -> str:
    if a["journal_lag_max"] is None:
        return "not measured: without books"
    drained = "never" if a["drained_s"] is None else f"{a['drained_s']:.2f} s"
    return f"{a['journal_lag_max']:,} entries, {drained}"


QUANTILES = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")


def numbers(answer: dict[str, Any], *keys: str) -> str:
    return "  ".join(f"{answer[key]:,.0f}" for key in keys)
