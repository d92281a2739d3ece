"""The demo: a store, a population, an engine, a card network, books and an audit; from nothing.

The engine, the ledger's writer and the servers are processes of their own. This one is the card
network.
"""

import asyncio
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from authz.app.books_beside import Booked, BooksBeside
from authz.app.child import EngineProcess
from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.heartbeat import Heartbeat, Stall
from authz.app.output import counted
from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import AuditReport, audit_store
from authz.clock import SystemClock, utc
from authz.hot import library
from authz.privacy import PanKeys
from authz.simulator.link import Link
from authz.simulator.merchants import make_merchants
from authz.simulator.network import run
from authz.simulator.population import make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic

LINKS = 4


class Settings(msgspec.Struct, frozen=True):
    cards: int
    rate: float
    seconds: float
    seed: int


class Result(msgspec.Struct):
    """What a demo came to."""

    report: Report  # what the network saw
    latency: dict[str, float]  # by the engine's clock, from its /latency
    reasons: Counter[tuple[str, str]]  # answer and reason, from its /metrics
    audit: AuditReport
    stalls: list[Stall]  # the machine's own, over 50 ms
    first_answer_s: float
    books: Booked
    reversals: int = 0  # answered beside the authorizations, repeats among them

    @property
    def repeats(self) -> int:
        """Of the answers to authorizations, those that were owed once already."""
        different = sum(key[1] == "1" for key in self.report.answers)
        return sum(self.reasons.values()) - different

    def failures(self) -> list[str]:
        """Which promises did not hold; none is what everybody wants to see."""
        found = []
        if self.report.unanswered or self.report.unsent:
            found.append(f"{self.report.unanswered + self.report.unsent} requests had no answer")
        if self.latency["over_budget"]:
            found.append(f"{self.latency['over_budget']:.0f} answers came over the budget")
        if self.report.conflicts:
            found.append(f"{self.report.conflicts} repeats got another answer than the first")
        if not self.audit.ok:
            found.append(f"the audit found {counted(self.audit.found, 'difference')}")
        return found + self.books.failures(self.audit.authorizations)

    def exit_code(self) -> int:
        """0 all held, 1 not, 3 inconclusive: only time was broken, and the machine stalled."""
        if not self.failures():
            return 0
        booked = not self.books.failures(self.audit.authorizations)
        right = self.audit.ok and booked and not self.report.conflicts
        return 3 if right and self.stalls else 1

    def as_json(self) -> dict[str, object]:
        seen = self.report.summary()
        names = ("offered_per_s", "achieved_per_s", "sent", "answered", "unanswered")
        judged = ("approved", "declined", "referred", "conflicts")
        return (
            {name: seen[name] for name in names}
            | {"over_budget": self.latency["over_budget"], "stalls": len(self.stalls)}
            | {name: self.latency[name] for name in self.latency if name.endswith("_ms")}
            | {name: seen[name] for name in judged}
            | {
                "repeats": self.repeats,
                "reversals": self.reversals,
                "reasons": {reason: count for (_, reason), count in self.reasons.most_common()},
                "audit_ok": self.audit.ok,
                "accounts": self.audit.accounts,
                "authorizations": self.audit.authorizations,
                "journal_lag_max": self.books.lag_max,
                "drained_s": rounded(self.books.drained_s),
                "books_ok": self.books.verified.ok,
                "postings": self.books.verified.postings,
                "durability": "appendfsync always",
                "first_answer_s": round(self.first_answer_s, 3),
            }
        )


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


Progress = Callable[[Report, str], Awaitable[None]]


async def run_demo(settings: Settings, say: Callable[[str], None], watch: Progress) -> Result:
    """All of it, in a scratch folder that is gone afterwards.

    `say` hears each step; `watch` is run beside the traffic, with the report as it grows.
    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    clock = SystemClock()
    started = clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="authz-demo-") as scratch:
        folder = Path(scratch)
        secret = secrets.token_hex(32)
        write_privately(folder / "pan.key", secret + "\n")
        with EmbeddedValkey.start(folder / "store", acl=(library.ENGINE_ACL,)) as valkey:
            say(f"store     Valkey on a Unix socket, appendfsync always, pid {valkey.pid}")
            engine = EngineProcess(
                folder, "--redis", valkey.url, "--pan-key-file", str(folder / "pan.key")
            )
            books = BooksBeside(folder, valkey.url)
            try:
                return await _run(settings, say, watch, valkey, engine, books, secret, started)
            finally:
                await books.close()
                engine.stop()


async def _run(
    settings: Settings, say: Callable[[str], None], watch: Progress,
    valkey: EmbeddedValkey, engine: EngineProcess, books: BooksBeside, secret: str, started: float,
) -> Result:  # fmt: skip
    clock = SystemClock()
    today = utc(clock.now_ms()).date()
    store = Store(valkey.url, as_engine(valkey.url), valkey, fresh=True)
    population = make_population(settings.seed, settings.cards, today)
    count = round(settings.rate * settings.seconds)
    traffic = Traffic(
        population, make_merchants(settings.seed), settings.seed, first_day=today, per_day=count
    )
    # Made beside the loading, which mostly waits for the store; not beside the sending.
    making = asyncio.ensure_future(asyncio.to_thread(lambda: list(islice(traffic, count))))
    async with opened(store, "authz demo") as state:
        keys = PanKeys(bytes.fromhex(secret))
        accounts, cards = await load_population(state, keys, population, "authz demo")
    say(f"cards     {cards.created:,} on {accounts.created:,} accounts")
    events = await making
    engine.wait_until_ready()
    say(f"engine    ISO 8583 on 127.0.0.1:{engine.port}, metrics on {engine.http_port}, "
        f"pid {engine.pid}")  # fmt: skip
    say(f"network   {LINKS} links, {settings.rate:g} messages a second for {settings.seconds:g} s, "
        f"seed {settings.seed}, pid {os.getpid()}")  # fmt: skip

    links = [Link("127.0.0.1", engine.port, clock) for _ in range(LINKS)]
    for link in links:
        await link.open()
    report = Report()
    heartbeat = Heartbeat()
    heartbeat.start()
    watching = asyncio.ensure_future(watch(report, "sending"))
    booking = asyncio.ensure_future(books.started(say))  # no answer waits for it
    first_answer = asyncio.ensure_future(_first_answer(report, clock, started))
    try:
        await run(events, links, settings.rate, settings.seconds, clock, report=report)
    finally:
        watching.cancel()
        stalls = heartbeat.stop()
        await asyncio.gather(*(link.close() for link in links))
    first_answer_s = await asyncio.wait_for(first_answer, 1.0)
    latency = msgspec.json.decode(engine.ask("/latency"), type=dict[str, float])
    exposition = engine.ask("/metrics").decode()
    await booking
    drained_s = await books.drained()
    say("audit     every account, counter and journal entry")
    audit = await audit_store(valkey.url)
    say("verify    every entry of the books, its lines and its link in the chain")
    return Result(
        report, latency, reasons_of(exposition), audit, stalls, first_answer_s,
        await books.look(drained_s), answers_to(exposition, "04"),
    )  # fmt: skip


async def _first_answer(report: Report, clock: SystemClock, started: float) -> float:
    """Seconds from the start of all this to the first answer."""
    while not report.answered:  # noqa: ASYNC110 - the report is a plain record, watched by many
        await asyncio.sleep(0.001)
    return clock.monotonic() - started


def reasons_of(exposition: str) -> Counter[tuple[str, str]]:
    """Answers to authorizations by answer and reason; those to repeats among them."""
    found: Counter[tuple[str, str]] = Counter()
    for labels, count in requests(exposition):
        if labels["mti"].startswith("01"):
            found[labels["answer"], labels["reason"]] += count
    return +found


def answers_to(exposition: str, mti: str) -> int:
    return sum(count for labels, count in requests(exposition) if labels["mti"].startswith(mti))


def requests(exposition: str) -> Iterator[tuple[dict[str, str], int]]:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == "authz_requests_total":
                yield sample.labels, int(sample.value)
