"""FLUSHALL under a running engine: the books give the hot state back, and life goes on."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.clock import SystemClock
from authz.hot import admin, keys
from authz.privacy import PanKeys
from authz.simulator.link import Link
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event, reversal
from authz.simulator.network import run
from authz.simulator.population import make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from tests.support.books import begin, drain
from tests.support.scene import SECRET, Scene

MESSAGES = 300


def of_books(folder: Path, dsn: str, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command between this store and these books."""
    return subprocess.run(
        [
            sys.executable, "-m", "authz", *words, "--redis", url, "--postgres", dsn,
            "--pan-key-file", str(folder / "pan.key"),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_reversal_of_what_was_approved_before_the_flush(
    tmp_path: Path, fresh_postgres: str
) -> None:
    async def held_in_all(url: str) -> int:
        client = admin.administrator(url)
        try:
            held = 0
            async for key in client.scan_iter("authz:{*}:account:*"):
                for name, value in (await client.hgetall(key)).items():
                    if name.startswith(b"held:"):
                        held += int(value)
            return held
        finally:
            await client.aclose()

    async def story() -> None:
        scene = Scene(tmp_path)
        try:
            url, clock = scene.valkey.url, SystemClock()
            today = datetime.now(UTC).date()
            population = make_population(3, 200, today)
            store = Store(url, as_engine(url), scene.valkey, fresh=True)
            async with opened(store, "test") as state:
                await load_population(state, PanKeys(bytes.fromhex(SECRET)), population, "test")
            await asyncio.to_thread(scene.engine.wait_until_ready)
            link = Link("127.0.0.1", scene.port, clock)
            await link.open()
            events = list(
                islice(Traffic(population, make_merchants(3), 3, first_day=today), MESSAGES)
            )
            before = await run(events, [link], 150, MESSAGES / 150, clock)
            assert before.answered == MESSAGES
            await begin(fresh_postgres)
            assert (await drain(url, fresh_postgres)).parked == 0
            held = await held_in_all(url)
            assert held > 0

            client = admin.administrator(url)
            assert await client.get(keys.BY_FILE) == b"", "the engine did not say what it posts"
            await client.flushall()
            await client.aclose()
            rebuilt = await asyncio.to_thread(
                of_books, tmp_path, fresh_postgres, url, "rebuild", "--json", "-"
            )
            assert rebuilt.returncode == 0, rebuilt.stderr
            assert await held_in_all(url) == held
            equal = await asyncio.to_thread(
                of_books, tmp_path, fresh_postgres, url, "reconcile", "--json", "-"
            )
            assert equal.returncode == 0, equal.stderr
            assert json.loads(equal.stdout)["ok"]

            # The same engine, never started again, knows the store and takes one back.
            approved = next(e for e in events if is_held(e, before, events))
            taken = reversal(approved, "0400", "999999")
            for _ in range(100):
                if b'"ready":true' in scene.engine.ask("/health"):
                    break
                await asyncio.sleep(0.1)
            after = await run([taken], [link], 10, 0.1, clock)
            await link.close()
            assert [verdict[:2] for verdict in after.answers.values()] == ["00"]
            assert held - await held_in_all(url) == billed(approved)
            assert (await drain(url, fresh_postgres)).parked == 0
            equal = await asyncio.to_thread(
                of_books, tmp_path, fresh_postgres, url, "reconcile", "--json", "-"
            )
            assert equal.returncode == 0, equal.stderr
        finally:
            scene.stop()

    asyncio.run(story())


def is_held(event: Event, report: Report, events: list[Event]) -> bool:
    """Whether it was approved, nothing of the traffic takes it back, and its STAN is its alone."""
    sent = event.elements
    key = f"0100 {sent[7]} {sent[11]} {sent[32]}"
    return (
        event.mti == "0100"
        and report.answers.get(key, "").startswith("00")
        and sum(other.elements[11] == sent[11] for other in events) == 1
        and not any(other.about is event or other.again is event for other in events)
    )


def billed(event: Event) -> int:
    return int(event.elements.get(6, event.elements[4]))
