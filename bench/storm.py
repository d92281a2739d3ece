"""An overload on purpose: every link writes thousands of requests at once, and then listens.

No loop, open or closed: all is there at the first moment, several times what the engine
answers in its budget. What matters is what each request hears, and when. Two clocks tell
of it: the engine's, from the last byte read (the promise), and the network's, from the
write (what TCP held back for the engine included).
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop
from msgspec import Struct

from authz.app.child import EngineProcess
from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import audit_store
from authz.clock import SystemClock, utc
from authz.hot import library
from authz.privacy import PanKeys
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import stamp
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from bench.load import FAILED, INCONCLUSIVE, OK
from bench.machine import publish, this_machine, valkey_version
from bench.scratch import scratch
from bench.stand import DURABILITY
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
ANSWER_MAX = 4096  # bytes; no answer of the engine is half as long
SILENCE_S = 10.0  # without any answer: what is open then stays unanswered
BUDGET_S = 0.200


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a run."""

    links: int = 8
    each: int = 4000  # 0100s that a link writes at once
    cards: int = 10_000
    seed: int = 1


class Volley(asyncio.Protocol):
    """One link: signs on, writes everything, and hears what comes."""

    def __init__(self, clock: SystemClock) -> None:
        self.codes: Counter[str] = Counter()
        self.waits_s: list[float] = []  # from the write to each answer
        self.lost = False
        self._clock = clock
        self._wrote = 0.0
        self._reader = FRAMING.reader(ANSWER_MAX)
        self._signed_on = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def sign_on(self) -> None:
        assert self._transport is not None
        now = utc(self._clock.now_ms()).strftime("%m%d%H%M%S")
        body = encode("0800", {7: now, 11: "000001", 70: "001"}, DIALECT)
        self._transport.write(FRAMING.pack(body))
        await asyncio.wait_for(self._signed_on.wait(), SILENCE_S)

    def fire(self, data: bytes) -> None:
        assert self._transport is not None
        self._wrote = self._clock.monotonic()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        now = self._clock.monotonic()
        for item in self._reader.feed(data):
            if not isinstance(item, Frame):
                continue
            message = decode(item.body, DIALECT)
            if message.mti == "0810":
                self._signed_on.set()
            elif message.mti == "0110":
                self.codes[str(message[39])] += 1
                self.waits_s.append(now - self._wrote)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def run(order: Order, json_path: str | None) -> int:
    """Measure, print, and return the exit code: 0 the promise held, 1 it did not.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    with scratch() as folder:
        answer = uvloop.run(measure(order, folder))
    publish(answer, table(order, answer), json_path)
    return int(answer["exit_code"])


async def measure(order: Order, folder: Path) -> dict[str, Any]:
    """Store, cards, engine, volleys, audit; all of it gone afterwards, however it ends."""
    secret = secrets.token_bytes(32)
    key_file = folder / "pan.key"
    write_privately(key_file, secret.hex() + "\n")
    today = utc(SystemClock().now_ms()).date()
    population = make_population(order.seed, order.cards, today)
    with EmbeddedValkey.start(
        folder / "store", appendfsync=DURABILITY, acl=(library.ENGINE_ACL,)
    ) as valkey:
        store = Store(valkey.url, as_engine(valkey.url), valkey, fresh=True)
        async with opened(store, "bench") as state:
            await load_population(state, PanKeys(secret), population, "bench")
        engine = EngineProcess(folder, "--redis", valkey.url, "--pan-key-file", str(key_file))
        try:
            await asyncio.to_thread(engine.wait_until_ready)
            traffic = Traffic(population, make_merchants(order.seed), order.seed, first_day=today)
            said = await volleys(order, volley_bytes(order, traffic), engine.port)
            own_clock = msgspec.json.decode(await asyncio.to_thread(engine.ask, "/latency"))
        finally:
            engine.stop()
        audited = await audit_store(valkey.url)
        version = await valkey_version(valkey.url)
    answer = said | {
        "audit_ok": audited.ok,
        "engine_clock": own_clock,
        "machine": this_machine(seed=order.seed, valkey=version, durability=DURABILITY),
        "asked": order,
    }
    answer["exit_code"], answer["verdict"] = verdict(answer)
    return answer


def volley_bytes(order: Order, traffic: Traffic) -> list[bytes]:
    """For each link, its requests: authorizations only, each its own, all well-formed."""
    now = utc(SystemClock().now_ms()).strftime("%m%d%H%M%S")
    wanted = (event for event in traffic if event.mti == "0100" and event.again is None)
    out = []
    for _ in range(order.links):
        some = islice(wanted, order.each)
        out.append(
            b"".join(FRAMING.pack(encode(e.mti, dict(stamp(e, now)), DIALECT)) for e in some)
        )
    return out


async def volleys(order: Order, data: list[bytes], port: int) -> dict[str, Any]:
    """All at once, and what came back."""
    clock, loop = SystemClock(), asyncio.get_running_loop()
    links = [Volley(clock) for _ in data]
    for link in links:
        await loop.create_connection(lambda link=link: link, "127.0.0.1", port)  # type: ignore[misc]
        await link.sign_on()
    began = clock.monotonic()
    for link, each in zip(links, data):
        link.fire(each)
    total = order.links * order.each
    heard, heard_at = 0, began
    while heard < total and clock.monotonic() - heard_at < SILENCE_S:
        await asyncio.sleep(0.02)
        now_heard = sum(len(link.waits_s) for link in links)
        if now_heard != heard:
            heard, heard_at = now_heard, clock.monotonic()
    for link in links:
        link.close()
    codes: Counter[str] = sum((link.codes for link in links), Counter())
    waits = sorted(wait for link in links for wait in link.waits_s)
    return {
        "sent": total,
        "answered": heard,
        "approved": codes["00"],
        "told_91": codes["91"],
        "other": heard - codes["00"] - codes["91"],
        "links_lost": sum(link.lost for link in links),
        "total_s": round(heard_at - began, 3),
        "within_budget_of_the_write": sum(wait <= BUDGET_S for wait in waits),
        "wait_p50_s": at(waits, 0.5),
        "wait_max_s": at(waits, 1.0),
    }


def at(waits: list[float], share: float) -> float:
    return round(waits[min(int(len(waits) * share), len(waits) - 1)], 3) if waits else 0.0


def verdict(answer: dict[str, Any]) -> tuple[int, str]:
    """The exit code, and why."""
    if not answer["audit_ok"]:
        return FAILED, "the audit found differences"
    if answer["answered"] != answer["sent"]:
        return FAILED, f"{answer['sent'] - answer['answered']} requests without an answer"
    late = round(answer["engine_clock"]["over_budget"])
    if late:
        # The machine is kept busy on purpose, so no stall of its own can be told apart.
        return INCONCLUSIVE if late <= answer["sent"] // 1000 else FAILED, f"{late} answers late"
    return OK, "every request answered within its budget"


def table(order: Order, a: dict[str, Any]) -> Iterable[str]:
    own = a["engine_clock"]
    rows: Iterator[tuple[str, str]] = iter(
        (
            ("links, requests each", f"{order.links}  {order.each:,}"),
            ("answered of sent", f"{a['answered']:,} of {a['sent']:,} in {a['total_s']} s"),
            ("approved, 91, other", f"{a['approved']:,}  {a['told_91']:,}  {a['other']:,}"),
            ("over 200 ms by the engine's clock", f"{own['over_budget']:,.0f}"),
            ("  p50  p99  max", f"{own['p50_ms']}  {own['p99_ms']}  {own['max_ms']} ms"),
            ("within 200 ms of the write", f"{a['within_budget_of_the_write']:,}"),
            ("  p50  max", f"{a['wait_p50_s']}  {a['wait_max_s']} s"),
            ("audit", "holds" if a["audit_ok"] else "differs"),
        )
    )
    for name, value in rows:
        yield f"{name:<42}{value}"
    yield f"{a['verdict']} (exit code {a['exit_code']})"
