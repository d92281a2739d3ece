"""The promise of latency, measured from outside: an engine, a card network, an open loop.

A store, an engine in a process of its own, and a card network in another, over real TCP links; and,
unless they are left out, books: the ledger's writer drains the journal into a Postgres meanwhile.
The loop is open, and latency counts from when a message should have left: a stall of the
engine shows in every message that fell due while it lasted, and what the generator itself
is late counts against us too. Where it was what was slow, the run says so, and proves nothing.

A heartbeat process beside them tells the machine's stalls apart. An answer over the budget
is attributed if a stall fell into its time, unless we kept every core busy ourselves: then
the stall is ours.
"""

import sys
from array import array
from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from time import process_time
from typing import Any

import uvloop
from msgspec import Struct

from authz.app.heartbeat import Heartbeat, Stall
from authz.simulator.messages import Event
from bench import load_figures
from bench.drive import BUDGET_S, Timed, drive, on_the_beat, steady
from bench.load_figures import QUANTILES, Used, figures, lag, numbers
from bench.machine import (
    busy_seconds,
    cpu_seconds,
    family_seconds,
    fdatasync_ms,
    publish,
    steal_seconds,
    this_machine,
)
from bench.mix import Mix
from bench.scratch import scratch
from bench.stand import DRAWN, DURABILITY, Stand, stand

__all__ = [
    "BUDGET_S", "FAILED", "INCONCLUSIVE", "OK", "QUANTILES", "Order", "Timed", "Used", "drive",
    "figures", "lag", "measure", "numbers", "observe", "run", "table", "verdict",
]  # fmt: skip

WARM_UP_S = 2.0  # sent before the clock starts: caches, plans, connections
OK, FAILED, INCONCLUSIVE = 0, 1, 3


class Ramp(Struct, frozen=True):
    """Messages a second: from one rate to another, evenly over the run. The warm-up has the first.

    As it is asked for: "500:4000".
    """

    start: float
    end: float

    def __str__(self) -> str:
        return f"{self.start:g}:{self.end:g}"


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    rate: float = 1000.0  # messages a second; of a ramp, the mean
    seconds: float = 30.0
    cards: int = 10_000
    links: int = 4
    seed: int = 1
    dialect: str = "iso87_ascii"  # in the framing and with the network that go with it
    p99_ms: float = 10.0  # what the SLA of the design allows, and so the next
    p999_ms: float = 50.0
    warm_up_s: float = WARM_UP_S
    books: bool = True  # the ledger's writer and its Postgres beside it
    rules: int = 0  # of a policy in force, with five velocity limits
    mix: Mix = Mix()
    ramp: Ramp | None = None

    def dues(self) -> "array[float]":
        """When each message should leave: seconds from the beginning of the warm-up."""
        if self.ramp is None:
            return steady(round(self.rate * (self.seconds + self.warm_up_s)), self.rate)
        start, gain = self.ramp.start, (self.ramp.end - self.ramp.start) / self.seconds
        warm = round(start * self.warm_up_s)
        mean = (self.ramp.start + self.ramp.end) / 2
        dues = steady(warm, start)
        for number in range(round(mean * self.seconds)):
            # start * t + gain * t² / 2 messages have fallen due t seconds after the warm-up.
            root = sqrt(max(0.0, start * start + 2 * gain * number))
            dues.append(on_the_beat(self.warm_up_s + 2 * number / (start + root)))
        return dues


def run(order: Order, json_path: str | None) -> int:
    """Measure, print, and return the exit code: 0 SLA met, 1 not, 3 inconclusive.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    print(
        f"{order.ramp or f'{order.rate:,.0f}'} messages a second for {order.seconds:g} s, "
        f"{order.warm_up_s:g} s of warm-up before; cards and servers first.",
        file=sys.stderr,
    )
    with scratch() as folder:
        answer = uvloop.run(measure(order, folder))
    publish(answer, table(order, answer), json_path)
    return int(answer["exit_code"])


async def measure(order: Order, folder: Path) -> dict[str, Any]:
    """Store, cards, engine, network, books, audit."""
    async with stand(
        folder, cards=order.cards, seed=order.seed, dialect=order.dialect, books=order.books,
        rules=order.rules, mix=order.mix,
    ) as stood:  # fmt: skip
        events = stood.events(len(order.dues()))
        before = await stood.numbers()
        report, used, stalls = await observe(order, events, stood)
        drained = await stood.drain()
        own_clock, after = await stood.own_clock(), await stood.numbers()
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
        "stages_us": after.stages_us,
        "garbage": after.garbage_since(before),
        "cards": {"cards": order.cards, "drawn": DRAWN} | after.near_cache,
        "memory_mb": memory | {"generator": report.memory_mb},
        "fdatasync_ms": fdatasync_ms(folder),
        "machine": this_machine(seed=order.seed, valkey=version, durability=DURABILITY),
        "asked": order,
    }
    answer["exit_code"], answer["verdict"] = verdict(answer, order.p99_ms, order.p999_ms)
    return answer


async def observe(
    order: Order, events: Sequence[Event], stood: Stand
) -> tuple[Timed, Used, list[Stall]]:
    """The run itself, with everybody's processor time and the machine's stalls."""
    pids = [stood.engine.pid, stood.valkey.pid, stood.books.pids[1] if stood.books else 0]
    postgres = stood.books.pids[0] if stood.books else 0
    heartbeat, seen, stalls = Heartbeat(), list[tuple[float, ...]](), list[Stall]()

    def spent() -> tuple[float, ...]:
        theirs = (cpu_seconds(pid) or 0.0 if pid else 0.0 for pid in pids)
        database = family_seconds(postgres) if postgres else 0.0
        return process_time(), *theirs, database, busy_seconds() or 0.0, steal_seconds()

    def begins() -> None:
        heartbeat.start()
        seen.append(spent())

    def ends() -> None:
        seen.append(spent())
        stalls.extend(heartbeat.stop())
        stood.begin_to_drain()

    try:
        report = await drive(
            events, "127.0.0.1", stood.engine.port, order.rate, order.links, order.dialect,
            order.dues(), begins, ends,
        )  # fmt: skip
    finally:
        if heartbeat.running:
            heartbeat.stop()
    harness, theirs, store, writer, database, everybody, stolen = (
        after - at for at, after in zip(*seen)
    )
    used = Used(
        generator=report.cpu_s, engine=theirs, store=store, elapsed_s=report.elapsed_s,
        everybody=everybody, stolen=stolen, writer=writer, postgres=database, harness=harness,
    )  # fmt: skip
    return report, used, stalls


def verdict(answer: dict[str, Any], p99_ms: float, p999_ms: float) -> tuple[int, str]:
    """The exit code, and why."""
    if not answer["audit_ok"]:
        return FAILED, f"the audit found {answer['audit_differences']} differences"
    if answer["books_faults"]:
        return FAILED, "; ".join(answer["books_faults"])
    for key, what in (
        ("conflicts", "repeats with another verdict than the first"),
        ("not_accepted", "reversals, advices or completions that were not accepted"),
        ("unmatched", "answers to nothing that was asked"),
        ("unreadable", "answers that were no messages"),
    ):
        if answer[key]:
            return FAILED, f"{answer[key]} {what}"
    code, why = verdict_on_time(answer, p99_ms, p999_ms)
    slow = answer["generator"]["bottleneck"]
    if code == FAILED and slow:
        return INCONCLUSIVE, f"{why}, but the generator was the bottleneck: {slow}"
    return code, why


def verdict_on_time(answer: dict[str, Any], p99_ms: float, p999_ms: float) -> tuple[int, str]:
    """Whether everybody was answered, and soon enough."""
    for key, what in (
        ("unanswered", "requests without an answer"),
        ("unsent", "messages that no link would take"),
        ("unattributed_over_budget", "answers over 200 ms with no stall of the machine beside"),
    ):
        if answer[key]:
            return FAILED, f"{answer[key]} {what}"
    # A 91 is an answer, but an engine that says nothing else keeps no promise worth having.
    if answer["no_verdict"]:
        code = INCONCLUSIVE if answer["stalls"] else FAILED
        return code, f"{answer['no_verdict']:,} messages answered without a verdict (91, 96)"
    for key, allowed, what in (("p99", p99_ms, "p99"), ("p999", p999_ms, "p99.9")):
        if answer[f"{key}_ms"] > allowed:
            why = f"{what} over {allowed:g} ms"
            if answer[f"{key}_undisturbed_ms"] <= allowed:
                return INCONCLUSIVE, f"{why}, but for {answer['stalls']} machine stalls"
            return FAILED, why
    return OK, f"p99 within {p99_ms:g} ms, p99.9 within {p999_ms:g}"


def table(order: Order, answer: dict[str, Any]) -> Iterator[str]:
    asked = f"{order.rate:,.0f}" if order.ramp is None else f"{order.ramp}, so {order.rate:,.0f}"
    return load_figures.table(asked, answer)
