"""Latency under trouble: a steady load, and one trouble in its middle; scene after scene.

All scenes run against the same standing engine with its store and books. First a closed loop says
what everything on this machine can do together, the capacity; the steady load is a share of it, and
the overload twice of it. After each scene the books are drained and the hot state is audited.
"""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct

from authz.app.heartbeat import Heartbeat, Stall
from authz.clock import SystemClock
from authz.hot.admin import administrator
from authz.simulator.messages import Event
from bench.collecting import PROGRAM
from bench.load import BUDGET_S, FAILED, INCONCLUSIVE, OK
from bench.machine import cores, fdatasync_ms, publish, steal_seconds, this_machine
from bench.open_loop import Closed, Sent, Wire, frames_of, open_wires, send_at, times_of
from bench.scenes import SCENES, Facts, Ground, Scene
from bench.scratch import scratch
from bench.slow_link import SlowLink
from bench.stand import DURABILITY, Stand, stand
from bench.trouble_figures import Window, figures
from bench.trouble_words import table

CLOSED_DEPTH = 64  # in flight: the store shares its fsync among them, and nobody is told 91
FIRST_CLOSED = 1500  # messages of the first closed loop: caches, plans, connections
SERVED_LEAST = 0.8  # of the capacity, by verdicts, at twice of it


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    scenes: tuple[str, ...] = tuple(SCENES)
    rate: float = 0.0  # messages a second of the steady load; 0: a share of the capacity
    share: float = 0.6
    warm_up_s: float = 1.0
    calm_s: float = 4.0  # before each trouble, and after it
    lasts_s: float = 2.0  # the load goes on for so long beside a trouble, as a rule
    overload_s: float = 10.0
    capacity_s: float = 3.0  # of the closed loop
    cards: int = 10_000
    links: int = 4
    seed: int = 1
    p99_ms: float = 10.0  # the SLA: what a second must keep to count as recovered
    books: bool = True
    rules: int = 50


def run(order: Order, json_path: str | None) -> int:
    """Measure, print, and return the exit code: 0 every scene held, 1 not, 3 the machine stalled.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    with scratch() as folder:
        answer = uvloop.run(measure(order, folder))
    publish(answer, table(answer), json_path)
    return int(answer["exit_code"])


async def measure(order: Order, folder: Path) -> dict[str, Any]:
    collected = folder / "collected"
    async with stand(
        folder, cards=order.cards, seed=order.seed, dialect="iso87_ascii", books=order.books,
        rules=order.rules, program=(*PROGRAM, str(collected)),
    ) as stood, SlowLink(stood.engine.port) as slow_link:  # fmt: skip
        ground = Ground(stood, folder, collected, slow_link, order.overload_s)
        await rewrite_by_hand_only(stood)
        theatre = Theatre(order, ground)
        await theatre.capacity(FIRST_CLOSED)
        capacity = await theatre.capacity()
        scenes = {}
        for name in order.scenes:
            scenes[name] = await theatre.play(SCENES[name], order.rate or order.share * capacity)
        version = await stood.version()
    answer: dict[str, Any] = {
        "capacity_per_s": round(capacity, 1),
        "rate": round(order.rate or order.share * capacity, 1),
        "scenes": scenes,
        "fdatasync_ms": fdatasync_ms(folder),
        "asked": order,
        "durability": DURABILITY,
        "machine": this_machine(seed=order.seed, valkey=version, durability=DURABILITY),
    }
    answer["exit_code"], answer["verdict"] = verdict(scenes)
    return answer


async def rewrite_by_hand_only(stood: Stand) -> None:
    """The append-only file is rewritten in the scene that asks for it, and in no other."""
    client = administrator(stood.valkey.url)
    try:
        await client.config_set("auto-aof-rewrite-percentage", 0)
    finally:
        await client.aclose()


class Theatre:
    """Plays scenes, one after the other."""

    def __init__(self, order: Order, ground: Ground) -> None:
        self.order, self.ground = order, ground
        self.clock = SystemClock()
        self.measured = 0.0  # capacity, a second

    def authorizations(self, count: int) -> list[Event]:
        found: list[Event] = []
        while len(found) < count:
            more = self.ground.stood.events(count)
            found += [e for e in more if e.mti == "0100" and e.again is None]
        return found[:count]

    async def capacity(self, count: int = 0) -> float:
        """Verdicts a second in a closed loop, all servers and ourselves at work."""
        count = count or max(round(self.measured * self.order.capacity_s), 1)
        frames = frames_of(self.authorizations(count), self.clock)
        wires = await self.wires()
        try:
            sent = await Closed(frames, self.clock).run(wires, CLOSED_DEPTH)
        finally:
            await close(wires)
        took_s = sent.last_heard - sent.dues[0]
        verdicts = sum(code not in ("", "91", "96") for code in sent.codes)
        self.measured = verdicts / took_s
        return self.measured

    async def wires(self, proxied: bool = False) -> list[Wire]:
        ports = [self.ground.stood.engine.port] * self.order.links
        if proxied:
            ports[0] = self.ground.slow_link.port
        return await open_wires(ports, self.clock)

    async def play(self, scene: Scene, rate: float) -> dict[str, Any]:
        """One scene, and whether all that is promised still holds after it."""
        order, stood = self.order, self.ground.stood
        if scene.books and stood.books is None:
            return {"title": scene.title, "skipped": "there are no books to trouble"}
        capacity = await self.capacity() if scene.overload else self.measured
        parts = [(order.warm_up_s + order.calm_s, rate), (order.lasts_s + order.calm_s, rate)]
        if scene.overload:
            parts[1:] = [(order.overload_s, 2 * capacity), (order.calm_s, rate)]
        times = times_of(parts)
        frames = frames_of(self.authorizations(len(times)), self.clock)
        if stood.books is not None:
            await stood.books.drained()
        late = (await stood.own_clock())["over_budget"]
        wires = await self.wires(proxied=scene.slow_link)
        try:
            sent, window, facts, stalls, stolen = await self.observe(scene, times, frames, wires)
            lost = sum(wire.lost for wire in wires)
        finally:
            await close(wires)
        drained = await stood.drain()
        audited, own = await stood.audit(), await stood.own_clock()
        if scene.overload:
            capacity = (capacity + await self.capacity()) / 2
        found = figures(sent, window, order.warm_up_s, order.p99_ms, apart=scene.slow_link)
        found |= {
            "title": scene.title, "what": scene.what, "facts": facts, "rate": round(rate, 1),
            "capacity_per_s": round(capacity, 1) if scene.overload else None,
            "served_share": round(found["during"]["per_s"] / capacity, 3)
            if scene.overload and capacity else None,
            "engine_over_budget": round(own["over_budget"] - late),
            "links_lost": lost,
            "stalls": len(stalls),
            "longest_stall_ms": round(max((s.seconds for s in stalls), default=0.0) * 1e3, 1),
            "steal_share": round(stolen, 4),
            "drained_s": drained.drained_s if drained else None,
            "books_faults": drained.failures(audited.authorizations) if drained else [],
            "audit_ok": audited.ok,
        }  # fmt: skip
        found["faults"] = faults_of(found)
        return found

    async def observe(
        self, scene: Scene, times: Sequence[float], frames: list[bytes], wires: list[Wire]
    ) -> tuple[Sent, Window, Facts, list[Stall], float]:
        """The load with its trouble; and the machine's stalls, and the share it was robbed of."""
        heartbeat = Heartbeat()
        heartbeat.start()
        # A collection in mid-run would be the generator's own stall.
        gc.collect()
        gc.freeze()
        gc.disable()
        began, stolen = self.clock.monotonic(), steal_seconds()
        trouble = asyncio.ensure_future(self.trouble(scene))
        try:
            sent = await send_at(times, frames, wires, self.clock)
            window, facts = await trouble
            elapsed_s = self.clock.monotonic() - began
        finally:
            trouble.cancel()
            gc.enable()
            gc.unfreeze()
            stalls = heartbeat.stop()
        return sent, window, facts, stalls, (steal_seconds() - stolen) / elapsed_s / cores()

    async def trouble(self, scene: Scene) -> tuple[Window, Facts]:
        await asyncio.sleep(self.order.warm_up_s + self.order.calm_s)
        began = self.clock.monotonic()
        facts = await scene.make(self.ground)
        return Window(began, self.clock.monotonic()), facts


async def close(wires: Sequence[Wire]) -> None:
    await asyncio.gather(*(wire.close() for wire in wires))


def faults_of(a: dict[str, Any]) -> list[str]:
    """What is promised whatever happens, and was not kept."""
    found = list(a["books_faults"])
    if not a["audit_ok"]:
        found.append("the audit found differences")
    if a["unanswered"]:
        found.append(f"{a['unanswered']} messages without an answer")
    if a["extra"]:
        found.append(f"{a['extra']} answers too many")
    if a["links_lost"]:
        found.append(f"{a['links_lost']} links lost")
    return found


def verdict(scenes: dict[str, dict[str, Any]]) -> tuple[int, str]:
    """The exit code, and why: of the first scene that broke a promise."""
    doubt = ""
    for name, a in scenes.items():
        if "skipped" in a:
            continue
        if a["faults"]:
            return FAILED, f"{name}: {'; '.join(a['faults'])}"
        # A 91 in time keeps the promise. A few late ones on a machine that is kept busy say little.
        late, served = a["over_budget"], a["served_share"]
        why = "" if not late else f"{name}: {late} answers over {BUDGET_S * 1e3:.0f} ms"
        failed = late > a["sent"] // 1000
        if served is not None and served < SERVED_LEAST:
            why, failed = f"{name}: {served:.0%} of the capacity was served", True
        if failed and not a["stalls"]:
            return FAILED, why
        doubt = doubt or why
    if doubt:
        return INCONCLUSIVE, f"{doubt}: few, or the machine stalled beside"
    return OK, "every scene: all answered within the budget, audit and books hold"
