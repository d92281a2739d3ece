"""What is measured, standing: a store, cards, an engine, and books beside them. All of it is gone
afterwards, however it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import msgspec

from authz.app.books import FOR_BOOKS
from authz.app.books_beside import DRAIN_S, Booked, BooksBeside
from authz.app.child import OURS, Child, EngineProcess, announcement
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import AuditReport, audit_store
from authz.clock import SystemClock, utc
from authz.hot import admin, library
from authz.judgement import put_policy
from authz.privacy import PanKeys
from authz.simulator.calibration import ACTIVITY
from authz.simulator.cards import Population
from authz.simulator.link import manners_in
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from bench.decide import policy_of
from bench.engine_numbers import Numbers
from bench.machine import CHECKOUT, family_mb, rss_mb, valkey_version
from bench.mix import WITHOUT_ADVICES, Following, Mix

# How cards are drawn for a purchase (authz/simulator/shopping.py): a few pay often, all may.
DRAWN = (
    f"by how often each pays ({len(ACTIVITY)} classes, {ACTIVITY[0][1]:g} to {ACTIVITY[-1][1]:g} "
    f"purchases a day) and what it likes at that hour; evenly within a class"
)
LIMITS = 5  # velocity limits of a policy that is measured under load
LEARNT_PER_S = 500  # cards by the engine, on a slow day
LEARNT_LOOK_S = 0.2
LOADED_PER_S = 2_000  # cards into the books, on a slow day; a card is two entries
DURABILITY: Literal["always"] = "always"  # the product's default: durable before answered


class Stand:
    """The servers of a run, and the traffic that is made for them."""

    def __init__(
        self, valkey: EmbeddedValkey, engine: Child, books: BooksBeside | None,
        traffic: Iterator[Event],
    ) -> None:  # fmt: skip
        self.valkey, self.engine, self.books = valkey, engine, books
        self._traffic = traffic
        self._draining: asyncio.Future[float | None] | None = None

    def events(self, count: int) -> list[Event]:
        """So many more. Made before they are sent: making costs as much as sending."""
        return list(islice(self._traffic, count))

    async def own_clock(self) -> dict[str, float]:
        """Latencies as the engine has them, of all since it began."""
        found: dict[str, float] = msgspec.json.decode(
            await asyncio.to_thread(self.engine.ask, "/latency")
        )
        return found

    async def numbers(self) -> Numbers:
        """The engine's own, of all since it began."""
        return Numbers.of((await asyncio.to_thread(self.engine.ask, "/metrics")).decode())

    async def warmed(self, within_s: float) -> None:
        """Until the engine has learnt the cards, as after every start. Raises: RuntimeError."""
        until = monotonic() + within_s
        while not (await self.numbers()).warm:
            if monotonic() > until:
                raise RuntimeError("the engine did not learn the store's cards")
            await asyncio.sleep(LEARNT_LOOK_S)

    def memory_mb(self) -> dict[str, float]:
        """Of each process; of Postgres, all of them, what they share counted once."""
        found = {"engine": rss_mb(self.engine.pid), "store": rss_mb(self.valkey.pid)}
        if self.books is not None:
            postgres, writer = self.books.pids
            found |= {"postgres": family_mb(postgres), "writer": rss_mb(writer)}
        return found

    def begin_to_drain(self) -> None:
        """The last answer is here: from now on it counts how long the books still take."""
        if self.books is not None:
            self._draining = asyncio.ensure_future(self.books.drained())

    async def drained(self) -> float | None:
        """Seconds from the last answer until the journal was in the books; None: too many."""
        if self.books is None:
            return None
        if self._draining is None:
            self.begin_to_drain()
        assert self._draining is not None
        waiting, self._draining = self._draining, None
        return await waiting

    async def drain(self) -> Booked | None:
        """Wait until the journal is in the books, and look at them."""
        return None if self.books is None else await self.books.look(await self.drained())

    async def close(self) -> None:
        """Nothing of ours waits any longer, however the run ended."""
        if self._draining is not None:
            self._draining.cancel()
            with suppress(asyncio.CancelledError):
                await self._draining

    async def audit(self) -> AuditReport:
        return await audit_store(self.valkey.url)

    async def version(self) -> str:
        return await valkey_version(self.valkey.url)


@asynccontextmanager
async def stand(
    folder: Path, *, cards: int, seed: int, dialect: str, books: bool, rules: int = 0,
    mix: Mix | None = None, program: Sequence[str] = OURS,
) -> AsyncIterator[Stand]:  # fmt: skip
    """Everything started and loaded, the loading drained. `rules`: in force, with five limits.
    `mix`: of the traffic; without one, it is as card traffic is. `program`: runs the engine.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    secret = secrets.token_bytes(32)
    key_file = folder / "pan.key"
    write_privately(key_file, secret.hex() + "\n")
    today = utc(SystemClock().now_ms()).date()
    population = make_population(seed, cards, today)
    following = None if mix is None else lambda: Following(mix)
    traffic = Traffic(population, make_merchants(seed), seed, first_day=today, following=following)
    with EmbeddedValkey.start(
        folder / "store", appendfsync=DURABILITY, acl=(library.ENGINE_ACL,)
    ) as valkey:
        engine_url = as_engine(valkey.url)
        async with opened(Store(valkey.url, engine_url, valkey, fresh=True), "bench") as state:
            await load_population(state, PanKeys(secret), population, "bench")
        if rules:
            client = admin.administrator(valkey.url)
            await put_policy(client, policy_of(rules, LIMITS), "bench")
            await client.aclose()
        spoken = manners_in(dialect)
        engine = EngineProcess(
            folder, "--redis", valkey.url, "--pan-key-file", str(key_file),
            "--dialect", dialect, "--framing", spoken.framing.name, "--network", spoken.network,
            program=program,
        )  # fmt: skip
        beside = BooksBeside(folder, valkey.url, gives_way=True) if books else None
        try:
            engine.wait_until_ready()
            if beside is not None:
                await beside.started()
                # The loading of the cards is not what is measured.
                if await beside.drained(DRAIN_S + cards / LOADED_PER_S) is None:
                    raise RuntimeError("the cards that were loaded did not get into the books")
                await beside.settled()
                beside.lag_max = 0
            stood = Stand(valkey, engine, beside, iter(traffic))
            try:
                await stood.warmed(DRAIN_S + cards / LEARNT_PER_S)
                yield stood
            finally:
                await stood.close()
        finally:
            engine.stop()
            if beside is not None:
                await beside.close()


PEER_PYTHON = CHECKOUT / ".venv-peers" / "bin" / "python"
NAIVE = CHECKOUT / "bench" / "naive" / "engine.py"
PLENTY = 10**15  # what stands for "no limit" where everything has one


class NoPeers(Exception):
    """The interpreter of the peers is not there. The text says what makes it."""


@asynccontextmanager
async def naive_stand(folder: Path, *, cards: int, seed: int) -> AsyncIterator[Stand]:
    """The engine that a team would write first, with the same cards and the same fsync policy. It
    knows neither advices nor completions: authorizations come in their place.

    Raises: NoPeers, EmbeddedError, RuntimeError where something does not start.
    """
    if not PEER_PYTHON.exists():
        raise NoPeers("the naive engine's libraries are not installed: make peers")
    today = utc(SystemClock().now_ms()).date()
    population = make_population(seed, cards, today)
    traffic = Traffic(
        population, make_merchants(seed), seed, first_day=today,
        following=lambda: Following(WITHOUT_ADVICES),
    )  # fmt: skip
    people = folder / "people.json"
    write_privately(people, msgspec.json.encode(as_naive(population)).decode())
    with (
        EmbeddedValkey.start(folder / "naive-store", appendfsync=DURABILITY) as valkey,
        EmbeddedPostgres.start(settings=FOR_BOOKS) as postgres,
    ):
        engine = Child(
            "naive", folder, PEER_PYTHON, "-I", NAIVE, valkey.url, postgres.dsn, people,
            announcement(folder, "naive"),
        )  # fmt: skip
        try:
            await asyncio.to_thread(engine.wait_until_ready, 120.0)
            yield Stand(valkey, engine, None, iter(traffic))
        finally:
            engine.stop()


def as_naive(population: Population) -> dict[str, Any]:
    """Accounts and cards as flat hashes of text."""
    return {
        "accounts": {
            a.account_id: {
                "state": a.status, "available": str(a.opening_minor + a.credit_line_minor),
            }
            for a in population.accounts
        },
        "cards": {
            c.pan: {
                "account": c.account.account_id, "state": c.status, "expiry": c.expiry,
                "blocked": " ".join(c.blocked_mccs),
                "limit": str(c.per_transaction_minor or PLENTY),
                "daily": str(c.daily_amount_minor or PLENTY),
                "count": str(c.daily_count or PLENTY),
            }
            for c in population.cards
        },
    }  # fmt: skip
