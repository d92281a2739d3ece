"""What is measured, standing: a store, cards, an engine, and books beside them. All of it is gone
afterwards, however it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from authz.app.books_beside import Booked, BooksBeside
from authz.app.child import EngineProcess
from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import AuditReport, audit_store
from authz.clock import SystemClock, utc
from authz.hot import library
from authz.privacy import PanKeys
from authz.simulator.link import manners_in
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from bench.machine import valkey_version

DURABILITY: Literal["always"] = "always"  # the product's default: durable before answered


class Stand:
    """The servers of a run, and the traffic that is made for them."""

    def __init__(
        self, valkey: EmbeddedValkey, engine: EngineProcess, books: BooksBeside | None,
        traffic: Iterator[Event],
    ) -> None:  # fmt: skip
        self.valkey, self.engine, self.books = valkey, engine, books
        self._traffic = traffic

    def events(self, count: int) -> list[Event]:
        """So many more. Made before they are sent: making costs as much as sending."""
        return list(islice(self._traffic, count))

    async def own_clock(self) -> dict[str, float]:
        """Latencies as the engine has them, of all since it began."""
        found: dict[str, float] = msgspec.json.decode(
            await asyncio.to_thread(self.engine.ask, "/latency")
        )
        return found

    async def drain(self) -> Booked | None:
        """Wait until the journal is in the books, and look at them."""
        if self.books is None:
            return None
        return await self.books.look(await self.books.drained())

    async def audit(self) -> AuditReport:
        return await audit_store(self.valkey.url)

    async def version(self) -> str:
        return await valkey_version(self.valkey.url)


@asynccontextmanager
async def stand(
    folder: Path, *, cards: int, seed: int, dialect: str, books: bool
) -> AsyncIterator[Stand]:
    """Everything started and loaded, the loading drained.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    secret = secrets.token_bytes(32)
    key_file = folder / "pan.key"
    write_privately(key_file, secret.hex() + "\n")
    today = utc(SystemClock().now_ms()).date()
    population = make_population(seed, cards, today)
    traffic = Traffic(population, make_merchants(seed), seed, first_day=today)
    with EmbeddedValkey.start(
        folder / "store", appendfsync=DURABILITY, acl=(library.ENGINE_ACL,)
    ) as valkey:
        engine_url = as_engine(valkey.url)
        async with opened(Store(valkey.url, engine_url, valkey, fresh=True), "bench") as state:
            await load_population(state, PanKeys(secret), population, "bench")
        spoken = manners_in(dialect)
        engine = EngineProcess(
            folder, "--redis", valkey.url, "--pan-key-file", str(key_file),
            "--dialect", dialect, "--framing", spoken.framing.name, "--network", spoken.network,
        )  # fmt: skip
        beside = BooksBeside(folder, valkey.url) if books else None
        try:
            engine.wait_until_ready()
            if beside is not None:
                await beside.started()
                await beside.drained()  # the loading of the cards is not what is measured
                beside.lag_max = 0
            yield Stand(valkey, engine, beside, iter(traffic))
        finally:
            engine.stop()
            if beside is not None:
                await beside.close()
