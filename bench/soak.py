"""Hours in minutes: does anything grow that should not?

One steady load on one standing engine, looked at every few seconds: memory, open files, keys, sizes
and latency. Each figure gets a slope, by least squares over the second half of the run: caches fill
in the first.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct
from redis.asyncio import Redis

from authz.clock import SystemClock
from authz.hot.admin import administrator
from authz.simulator import network
from authz.simulator.link import Link, manners_in
from authz.simulator.report import NO_VERDICT
from bench.load import BUDGET_S, FAILED, INCONCLUSIVE, OK, Timed
from bench.machine import publish, this_machine
from bench.scratch import scratch
from bench.stand import DURABILITY, Stand, stand
from ledger.database import connect

LOOK_S = 5.0
CHUNK_S = 30.0  # of traffic made at a time: making it all would be a memory of its own
# MB an hour that a process may gain in the second half. Near-caches fill, allocators keep pages.
GROWTH_MAX_MB_H = {"engine": 60.0, "writer": 60.0}
LOOKS_LEAST = 60  # five minutes: what a process gains in less is no growth, but how it began


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    minutes: float = 10.0
    rate: float = 500.0
    cards: int = 10_000
    links: int = 4
    seed: int = 1
    dialect: str = "iso87_ascii"
    books: bool = True


Look = dict[str, float]  # by name; "at_s" is when
QUIET = "nothing grows that should not"
TOO_SHORT = f"too short to tell what grows: {LOOKS_LEAST * LOOK_S / 60:g} minutes at least"


def run(order: Order, json_path: str | None) -> int:
    """Measure, print, and return the exit code. Raises: EmbeddedError, RuntimeError."""
    print(
        f"{order.rate:,.0f} messages a second for {order.minutes:g} min, looked at every "
        f"{LOOK_S:g} s; cards and servers first.",
        file=sys.stderr,
    )
    with scratch() as folder:
        answer = uvloop.run(measure(order, folder))
    publish(answer, table(answer), json_path)
    return int(answer["exit_code"])


async def measure(order: Order, folder: Path) -> dict[str, Any]:
    clock = SystemClock()
    async with stand(
        folder, cards=order.cards, seed=order.seed, dialect=order.dialect, books=order.books
    ) as stood:
        links = [
            Link("127.0.0.1", stood.engine.port, clock, manners_in(order.dialect))
            for _ in range(order.links)
        ]
        for link in links:
            await link.open()
        report, looks = Timed(), list[Look]()
        failed = list[str]()
        looking = asyncio.ensure_future(look_on(stood, report, looks, failed, clock))
        seconds = order.minutes * 60
        try:
            events = chunks(stood, order.rate)
            await network.run(
                events, links, order.rate, seconds, clock, budget_s=BUDGET_S, report=report
            )
        finally:
            looking.cancel()
            for link in links:
                await link.close()
        drained = await stood.drain()
        audited, version = await stood.audit(), await stood.version()
    slopes = {name: slope(looks, name) for name in looks[-1] if name != "at_s"} if looks else {}
    enough = len(looks) >= LOOKS_LEAST
    faults = faults_of(slopes, audited.ok, report, failed, enough)
    if drained is not None and drained.drained_s is None:
        faults.append("the journal did not get into the books")
    return report.summary() | {
        "minutes": order.minutes,
        "slopes_per_h": slopes,
        "first": looks[0] if looks else {},
        "last": looks[-1] if looks else {},
        "looks": looks,
        "drained_s": drained.drained_s if drained else None,
        "audit_ok": audited.ok,
        "faults": faults,
        "asked": order,
        "durability": DURABILITY,
        "machine": this_machine(seed=order.seed, valkey=version, durability=DURABILITY),
        "verdict": "; ".join(faults) or (QUIET if enough else TOO_SHORT),
        "exit_code": FAILED if faults else OK if enough else INCONCLUSIVE,
    }


def chunks(stood: Stand, rate: float) -> Iterator[Any]:
    while True:
        yield from stood.events(max(round(rate * CHUNK_S), 1))


async def look_on(
    stood: Stand, report: Timed, looks: list[Look], failed: list[str], clock: SystemClock
) -> None:
    """A row every few seconds, until cancelled; or why there is none, in `failed`."""
    client = administrator(stood.valkey.url)
    started, seen = clock.monotonic(), 0
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            row: Look = {"at_s": round(clock.monotonic() - started, 1)}
            try:
                row |= await of_servers(stood, client)
            except Exception as error:  # a soak that went blind must not pass for a quiet one
                failed.append(type(error).__name__)
                continue
            latencies = sorted(report.latencies_s[seen:])
            seen += len(latencies)
            if latencies:
                row["p50_ms"] = round(latencies[len(latencies) // 2] * 1e3, 3)
                row["p99_ms"] = round(latencies[len(latencies) * 99 // 100] * 1e3, 3)
            row["messages"] = report.answered
            looks.append(row)
    finally:
        await client.aclose()


async def of_servers(stood: Stand, client: Redis) -> Look:
    row = {f"{name}_mb": mb for name, mb in stood.memory_mb().items()}
    row["engine_files"] = open_files(stood.engine.pid)
    row |= await of_store(client)
    if stood.books is not None:
        row |= await of_books(stood)
    return row


async def of_store(client: Redis) -> Look:
    memory = await client.info("memory")
    return {
        "store_used_mb": round(memory["used_memory"] / 1e6, 1),
        "fragmentation": float(memory["mem_fragmentation_ratio"]),
        "keys": float(await client.dbsize()),
    }


async def of_books(stood: Stand) -> Look:
    assert stood.books is not None
    connection = await connect(stood.books.dsn, name="authz bench")
    try:
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return {"database_mb": round(size / 1e6, 1), "writer_files": open_files(stood.books.pids[1])}


def open_files(pid: int) -> float:
    try:
        return float(len(os.listdir(f"/proc/{pid}/fd")))
    except OSError:
        return 0.0


def slope(looks: Sequence[Look], name: str) -> float:
    """How much a figure gains in an hour, over the second half; least squares."""
    half = [row for row in looks[len(looks) // 2 :] if name in row]
    if len(half) < 2:
        return 0.0
    xs, ys = [row["at_s"] for row in half], [row[name] for row in half]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    below = sum((one - x) ** 2 for one in xs)
    return round(sum((a - x) * (b - y) for a, b in zip(xs, ys)) / below * 3600, 2) if below else 0.0


def faults_of(
    slopes: dict[str, float], audit_ok: bool, report: Timed, failed: Sequence[str], enough: bool
) -> list[str]:
    """`enough`: it was looked at for long enough to tell what grows."""
    found = [
        f"the {name} gains {slopes[f'{name}_mb']:.0f} MB an hour"
        for name, most in GROWTH_MAX_MB_H.items()
        if slopes.get(f"{name}_mb", 0.0) > most and enough
    ]
    if slopes.get("engine_files", 0.0) > 1:
        found.append("the engine opens files and keeps them")
    if not audit_ok:
        found.append("the audit found differences")
    if report.unanswered or report.unsent or report.conflicts:
        found.append("requests without an answer, or with two")
    if report.answers_like(NO_VERDICT):
        found.append(f"{report.answers_like(NO_VERDICT):,} requests told 91 or 96")
    if report.over_budget:
        found.append(f"{report.over_budget:,} answers over {BUDGET_S * 1e3:.0f} ms")
    if failed:
        found.append(f"looks that failed: {len(failed)} ({', '.join(sorted(set(failed)))})")
    if not slopes:
        found.append("nothing was seen")
    return found


def table(a: dict[str, Any]) -> Iterator[str]:
    first, last = a["first"], a["last"]
    yield f"{'':<18}{'at first':>14}{'at last':>14}{'an hour':>14}"
    for name, gain in a["slopes_per_h"].items():
        yield f"{name:<18}{first.get(name, 0):>14,.2f}{last.get(name, 0):>14,.2f}{gain:>+14,.2f}"
    yield f"{a['answered']:,} of {a['sent']:,} answered in {a['minutes']:g} min"
    yield f"{a['verdict']} (exit code {a['exit_code']})"
