"""How many messages a second keep the SLA; and how many the machine could do at all.

*Capacity* is found by bisection: probes of one rate each against one standing engine, with books
beside it; then a longer one confirms. A probe that the machine's own stalls broke is done again.

*Limit* is what no engine around the function could exceed here: the same authorization function,
called by a bare pipelined client with the store alone on the machine, at the same depth in flight.
Their ratio says what all the rest costs: codec, sessions, decision, network, books, generator.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from bench import load
from bench.hot import Round, make_acts, one_round, open_accounts, quantile, under_policy
from bench.load import FAILED, INCONCLUSIVE, OK, Order, figures, observe, verdict
from bench.machine import publish, this_machine
from bench.mix import Mix
from bench.scratch import scratch
from bench.stand import DURABILITY, LIMITS, Stand, naive_stand, stand

LOWEST_PER_S, HIGHEST_PER_S = 50.0, 50_000.0
FULL_DEPTH = 64  # in flight: the server never waits for its client
WARM_UP_CALLS = 5_000
DOUBTS = 2  # rates in turn that hold below one that failed
AGAIN_MAX = 2  # such rates are asked again; more would make the search as long as it is unlucky
LIMIT_S = 3.0  # of calls in each of two rounds


class Search(Struct, frozen=True, kw_only=True):
    """What is asked for."""

    p99_ms: float = 10.0  # the SLA of the design; none unanswered, none unattributed over 200 ms
    p999_ms: float = 50.0
    start: float = 2000.0  # messages a second; doubled or halved until one holds and one does not
    steps: int = 4  # of bisection after that: 1/16 of the interval is left
    probe_s: float = 8.0
    confirm_s: float = 30.0
    cards: int = 10_000
    links: int = 4
    seed: int = 1
    dialect: str = "iso87_ascii"
    books: bool = True
    rules: int = 0
    naive: bool = False  # the engine that a team would write first, in the same run

    def order(self, rate: float, seconds: float) -> Order:
        return Order(
            rate=rate, seconds=seconds, cards=self.cards, links=self.links, seed=self.seed,
            dialect=self.dialect, p99_ms=self.p99_ms, p999_ms=self.p999_ms, books=self.books,
        )  # fmt: skip


class Probe(Struct, frozen=True, kw_only=True):
    """One rate, tried."""

    rate: float
    holds: bool
    why: str
    figures: dict[str, Any] = field(default_factory=dict)


Trial = Callable[[float, float], Awaitable[Probe]]  # of a rate, for so many seconds


def run(search: Search, json_path: str | None) -> int:
    """Search, print, and return the exit code: 0 a capacity was found and confirmed, 1 not.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    with scratch() as folder:
        answer = uvloop.run(measure(search, folder))
    publish(answer, table(answer), json_path)
    return int(answer["exit_code"])


async def measure(search: Search, folder: Path) -> dict[str, Any]:
    async with stand(
        folder, cards=search.cards, seed=search.seed, dialect=search.dialect, books=search.books,
        rules=search.rules, mix=Mix(),
    ) as stood:  # fmt: skip

        async def trial(rate: float, seconds: float) -> Probe:
            return await probe(search, stood, rate, seconds)

        probes = await bisect(search, trial)
        best = max((p.rate for p in probes if p.holds), default=0.0)
        confirmed, longer = await confirm(search, trial, best)
        audited, version = await stood.audit(), await stood.version()
    seen = longer[-1].figures if longer else {}
    depth = in_flight(confirmed, seen.get("p50_ms", 0.0))
    naive = await measure_naive(search, folder) if search.naive else []
    naive_per_s = max((p.rate for p in naive if p.holds), default=0.0)
    limit = await bare(depth, search.p99_ms, search.rules)
    full = await bare(FULL_DEPTH, search.p99_ms, search.rules)
    return {
        "capacity_per_s": confirmed,
        "limit_per_s": round(limit["per_s"], 1),
        "ratio_to_limit": round(confirmed / limit["per_s"], 3),
        "full_per_s": round(full["per_s"], 1),
        "ratio_to_full": round(confirmed / full["per_s"], 3),
        "naive_per_s": naive_per_s if search.naive else None,
        "ratio_to_naive": round(confirmed / naive_per_s, 2) if naive_per_s else None,
        "naive_probes": [to_builtins(probe) for probe in naive],
        "limit": limit,
        "full": full,
        "depth": depth,
        "confirmed": seen,
        "probes": [to_builtins(probe) for probe in (*probes, *longer)],
        "audit_ok": audited.ok,
        "durability": DURABILITY,
        "asked": search,
        "machine": this_machine(seed=search.seed, valkey=version, durability=DURABILITY),
        "exit_code": OK if confirmed and audited.ok else FAILED,
    }


async def measure_naive(search: Search, folder: Path) -> list[Probe]:
    """The same search for bench/naive. Not confirmed: what it holds for a moment is its to have."""
    async with naive_stand(folder, cards=search.cards, seed=search.seed) as stood:

        async def trial(rate: float, seconds: float) -> Probe:
            return await probe(search, stood, rate, seconds)

        print("naive", file=sys.stderr)
        return await bisect(replace(search, start=search.start / 8), trial)


async def bisect(search: Search, trial: Trial) -> list[Probe]:
    """Double or halve to an interval, then halve that so many times. A rate that failed may have
    met a bad moment of the machine's: where all below it holds, it is asked again."""
    rate, probes = search.start, [await trial(search.start, search.probe_s)]
    step = 2.0 if probes[0].holds else 0.5
    while probes[-1].holds == probes[0].holds and LOWEST_PER_S < rate < HIGHEST_PER_S:
        rate *= step
        probes.append(await trial(rate, search.probe_s))
    if probes[-1].holds == probes[0].holds:
        return probes
    low, high = sorted((probes[-1].rate, probes[-2].rate))
    again = held = 0
    for _ in range(search.steps):
        rate = round((low + high) / 2)
        probes.append(await trial(rate, search.probe_s))
        low, high = (rate, high) if probes[-1].holds else (low, rate)
        held = held + 1 if probes[-1].holds else 0
        if held == DOUBTS and again < AGAIN_MAX:
            again, held = again + 1, 0
            probes.append(await trial(high, search.probe_s))
            if probes[-1].holds:
                above = [p.rate for p in probes if not p.holds and p.rate > high]
                low, high = high, min(above, default=2 * high)
    return probes


async def confirm(search: Search, trial: Trial, best: float) -> tuple[float, list[Probe]]:
    """The longer run; once more at seven tenths of the rate, where it does not hold."""
    tried: list[Probe] = []
    for share in (1.0, 0.7) if best else ():
        tried.append(await trial(best * share, search.confirm_s))
        if tried[-1].holds:
            return tried[-1].rate, tried
    return 0.0, tried


async def probe(search: Search, stood: Stand, rate: float, seconds: float) -> Probe:
    order = search.order(rate, seconds)
    for last in (False, True):
        events = stood.events(len(order.dues()))
        if stood.books is not None:
            stood.books.lag_max = 0
        report, used, stalls = await observe(order, events, stood)
        drained_s = await stood.drained()
        found = figures(report, stalls, used, order.warm_up_s) | {
            "audit_ok": True, "books_faults": [], "drained_s": drained_s,
            "journal_lag_max": stood.books.lag_max if stood.books is not None else None,
        }  # fmt: skip
        code, why = verdict(found, search.p99_ms, search.p999_ms)
        if last or not worth_repeating(search, found, code, seconds):
            break
    print(f"  {rate:8,.0f} /s  {'holds' if code == OK else 'no':<6}{why}", file=sys.stderr)
    found.pop("histogram")
    return Probe(rate=rate, holds=code == OK, why=why, figures=found)


def worth_repeating(search: Search, found: dict[str, Any], code: int, seconds: float) -> bool:
    """A near miss, within twice the SLA, may have met a bad moment of the host's, and the search is
    halved by it: it is tried once more. The long run that confirms what was found is not."""
    if code != FAILED or seconds > search.probe_s:
        return code == INCONCLUSIVE
    return verdict(found, 2 * search.p99_ms, 2 * search.p999_ms)[0] == OK


def in_flight(per_s: float, p50_ms: float) -> int:
    """By Little's law; upwards, since a shallower limit is a lower one and would flatter us."""
    return max(1, ceil(per_s * p50_ms / 1e3))


async def bare(depth: int, p99_ms: float, rules: int = 0) -> dict[str, Any]:
    """The function alone: as many callers as were in flight, each asking as it is answered. Under a
    policy, where there was one, of as many limits; else under two of the cards' own."""
    with EmbeddedValkey.start(appendfsync=DURABILITY) as server:
        client = admin.administrator(server.url)
        await admin.install(client)
        run_id = await admin.open_gates(client, new=True, source="bench")
        connection = await connect(server.url)
        hot = RedisHotState()
        hot.attach(connection, run_id)
        try:
            accounts, cards = await open_accounts(hot)
            judged = under_policy(cards, rules, LIMITS) if rules else (cards,)
            acts = make_acts(accounts, *judged)

            async def turn(calls: int) -> Round:
                chosen = list(islice(acts, calls))
                return await one_round(hot, client, chosen, again=False, callers=depth)

            calls = round((await turn(WARM_UP_CALLS)).per_s * LIMIT_S)
            rounds = [await turn(calls) for _ in range(2)]
        finally:
            connection.close()
            await client.aclose()
            await asyncio.sleep(0)
    latencies = sorted(latency for one in rounds for latency in one.latencies_s)
    p99 = quantile(latencies, 0.99) * 1e3
    return {
        "per_s": max(one.per_s for one in rounds),
        "p50_ms": round(quantile(latencies, 0.5) * 1e3, 3),
        "p99_ms": round(p99, 3),
        "meets_sla": p99 <= p99_ms,
        "client_us": round(min(one.client_us for one in rounds), 1),
        "server_us": round(min(one.server_us for one in rounds), 1),
    }


def table(a: dict[str, Any]) -> Iterator[str]:
    seen = a["confirmed"]
    rows = [
        ("capacity at the SLA", f"{a['capacity_per_s']:,.0f} /s"),
    ]
    for name, depth in (("limit", a["depth"]), ("full", FULL_DEPTH)):
        one = a[name]
        rows += [
            (f"the function alone, {depth} in flight", f"{one['per_s']:,.0f} /s"),
            ("  ratio of the capacity to it", f"{a['ratio_to_' + name]:.2f}"),
            ("  its p50, p99", f"{one['p50_ms']:.2f}  {one['p99_ms']:.2f} ms"),
            ("  its CPU: client, server", f"{one['client_us']:.0f}  {one['server_us']:.0f} µs"),
        ]
    if a["naive_per_s"] is not None:
        ratio = "none" if a["ratio_to_naive"] is None else f"{a['ratio_to_naive']:.1f}"
        rows.append(("the naive engine, ratio to it", f"{a['naive_per_s']:,.0f} /s  {ratio}"))
    if seen:
        rows += [
            ("confirmed: p50  p90  p99  p99.9  max",
                "  ".join(f"{seen[key]:.2f}" for key in load.QUANTILES) + " ms"),
            ("CPU a message: network, engine, store",
                load.numbers(seen, "generator_us", "engine_us", "store_us") + " µs"),
            ("  the ledger's writer, Postgres",
                load.numbers(seen, "writer_us", "postgres_us") + " µs"),
            ("journal lag at most, drained after", load.lag(seen)),
        ]  # fmt: skip
    rows.append(("audit", "holds" if a["audit_ok"] else "differs"))
    for name, value in rows:
        yield f"{name:<42}{value}"
