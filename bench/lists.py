"""What a million list entries cost: in the store, in an engine, and by the look-up.

Loaded as `authz lists load` loads them, into a store of our own; then an engine in a process of its
own reads them as it does when it starts, while a clock beside it watches for how long its loop
stands still. Memory is what the server used more, and what the engine's process did.
"""

import asyncio
import gc
import os
import resource
from collections.abc import Iterator
from multiprocessing import get_context
from random import Random
from time import monotonic, perf_counter_ns
from typing import Any

import uvloop
from msgspec.structs import replace

from authz.app.embedded.valkey import EmbeddedValkey
from authz.cards import NearCache
from authz.clock import SystemClock
from authz.engine import Engine, Settings
from authz.hot import admin, keys
from authz.hot.acts import Withdraw
from authz.hot.lists import field_of
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.judgement import add_entries
from bench.decide import purchases
from bench.machine import publish, this_machine, valkey_version
from rules.facts import AuthorizationRequest, CardProfile, CardState
from rules.lists import BLOCK, Lists

ENTRIES = 1_000_000
TARGET_BYTES = 150_000_000  # of the store, and of an engine
TARGET_NS = 1000  # for a look-up
LOOKS = 200_000
FRESH = 100  # requests that are made before they are looked up
REASON, AUTHOR = "chargebacks", "fraud team"
CARD = CardProfile("c0", "A0", "c0", "3012", CardState.ACTIVE)


class NoSpool:
    """Nothing is withdrawn here."""

    full = False

    def note(self, act: Withdraw) -> None:
        raise AssertionError


class NoObserver:
    def stage(self, name: str, seconds: float) -> None: ...
    def hot_call(self, outcome: str) -> None: ...
    def near_cache_stale(self) -> None: ...


def run(json_path: str | None, entries: int = ENTRIES, seed: int = 1) -> dict[str, Any]:
    """Load, read, look up; print a table, return it."""
    with EmbeddedValkey.start(appendfsync="no") as server:
        store, version = uvloop.run(load(server.url, entries))
        with get_context("spawn").Pool(1) as pool:
            engine = pool.apply(read, (server.url, entries, seed))
    answer = {
        "entries": entries,
        **store,
        **engine,
        "target_bytes": TARGET_BYTES,
        "target_ns": TARGET_NS,
        "machine": this_machine(seed=seed, valkey=version, durability="no"),
    }
    publish(answer, table(answer), json_path)
    return answer


def value(number: int) -> str:
    return f"M{number:014d}"  # a DE 42 of full length


async def load(url: str, entries: int) -> tuple[dict[str, Any], str]:
    client = admin.administrator(url)
    try:
        await client.config_set("auto-aof-rewrite-percentage", 0)
        await admin.install(client)
        await admin.open_gates(client, new=True, source="bench")
        before = await used_memory(client)
        row = ((REASON, AUTHOR, 0, 0),)
        started = monotonic()
        wanted = {field_of(BLOCK, "merchant", value(n)): row for n in range(entries)}
        version, _ = await add_entries(client, wanted, "bench")
        seconds = monotonic() - started
        grown = await used_memory(client) - before
        lists = int(await client.memory_usage(keys.LISTS, samples=2000) or 0)
        changes = int(await client.memory_usage(keys.CHANGES, samples=0) or 0)
        return {
            "load_s": seconds,
            "versions": version,
            "store_bytes": grown,
            "of_these": {"entries": lists, "latest_changes": changes,
                         "journal_of_all_shards": grown - lists - changes},
        }, await valkey_version(url)  # fmt: skip
    finally:
        await client.aclose()


async def used_memory(client: Any) -> int:
    return int((await client.info("memory"))["used_memory"])


def read(url: str, entries: int, seed: int) -> dict[str, Any]:
    """In an engine's process: what it grew by, and how long it took."""
    return uvloop.run(reading(url, entries, seed))


async def reading(url: str, entries: int, seed: int) -> dict[str, Any]:
    client = admin.administrator(url)
    run_id = await admin.run_id(client)
    await client.aclose()
    connection, hot = await connect(url), RedisHotState()
    hot.attach(connection, run_id)
    engine = Engine(hot, NearCache(10), SystemClock(), NoSpool(), NoObserver(), Settings(), "bench")
    gc.collect()
    before, stall_s = resident(), 0.0

    async def watch() -> None:
        nonlocal stall_s
        last = monotonic()
        while True:
            await asyncio.sleep(0.001)
            stall_s, last = max(stall_s, monotonic() - last - 0.001), monotonic()

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0.01)
    started = monotonic()
    await engine.catching_up.up_to(0, lambda: 30.0, asked=False)
    seconds = monotonic() - started
    watching.cancel()
    connection.close()
    gc.collect()
    grown = resident() - before
    assert len(engine.lists) == entries
    hit, miss = look_ups(engine.lists, entries, seed)
    return {
        "read_s": seconds,
        "longest_stall_ms": stall_s * 1000,
        "engine_bytes": grown,
        "engine_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before,
        "look_up_ns": {"listed": hit, "not_listed": miss, "no_lists": empty(seed)},
    }


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def look_ups(lists: Lists, entries: int, seed: int) -> tuple[float, float]:
    """Nanoseconds for one that is listed, and for one that is not; each another merchant."""
    dice = Random(seed)
    there = [value(dice.randrange(entries)) for _ in range(LOOKS)]
    return timed(lists, there), timed(lists, [f"N{n:014d}" for n in range(LOOKS)])


def empty(seed: int) -> float:
    return timed(Lists(), [value(n) for n in range(LOOKS)])


def timed(lists: Lists, merchants: list[str]) -> float:
    """Each request was made a moment ago, as by an engine, so it is in the processor's cache; the
    entries are where they are: some of a hundred megabytes."""
    best = float("inf")
    for _ in range(3):
        spent = 0
        for start in range(0, len(merchants), FRESH):
            requests = [asked(merchant) for merchant in merchants[start : start + FRESH]]
            started = perf_counter_ns()
            for request in requests:
                lists.look(request, CARD)
            spent += perf_counter_ns() - started
        best = min(best, spent / len(merchants))
    return best


def asked(merchant: str) -> AuthorizationRequest:
    return replace(ONE, merchant_id=merchant)


ONE = purchases(1)[0]


def table(answer: dict[str, Any]) -> Iterator[str]:
    mega = 1e6
    yield f"{answer['entries']:,} entries of the block list: merchants, with a reason and an author"
    rows = [
        ("store, entries and all that is kept of them, MB", answer["store_bytes"] / mega),
        *((f"  {name.replace('_', ' ')}, MB", size / mega)
          for name, size in answer["of_these"].items()),
        ("engine, MB", answer["engine_bytes"] / mega),
        ("look-up of one that is listed, ns", answer["look_up_ns"]["listed"]),
        ("look-up of one that is not, ns", answer["look_up_ns"]["not_listed"]),
        ("look-up where nothing is listed, ns", answer["look_up_ns"]["no_lists"]),
        ("load, s", answer["load_s"]),
        ("reading by an engine that starts, s", answer["read_s"]),
        ("  its loop stood still at the longest, ms", answer["longest_stall_ms"]),
    ]  # fmt: skip
    for name, number in rows:
        yield f"{name:<52}{number:>10,.1f}"
