"""SIGKILL in mid-load, to the engine and to Redis: nothing acknowledged is lost.

The simulator plays the network throughout: it reconnects, and repeats what got no answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.audit import audit_store
from authz.clock import SystemClock
from authz.hot import admin
from authz.privacy import PanKeys
from authz.simulator.link import Link, Manners
from authz.simulator.merchants import make_merchants
from authz.simulator.network import run
from authz.simulator.population import make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from tests.support.scene import SECRET, Scene, acknowledged, in_the_journal

RATE, SECONDS = 400.0, 5.0
MANNERS = Manners(answer_timeout_s=1.0, repeats_max=20, reconnect_max_s=0.2)


async def survive(folder: Path, harm: Callable[[Scene], Awaitable[None]]) -> Report:
    scene = Scene(folder)
    try:
        clock, today = SystemClock(), datetime.now(UTC).date()
        population = make_population(3, 500, today)
        store = Store(scene.valkey.url, as_engine(scene.valkey.url), scene.valkey, fresh=True)
        async with opened(store, "test") as state:
            await load_population(state, PanKeys(bytes.fromhex(SECRET)), population, "test")
        await asyncio.to_thread(scene.engine.wait_until_ready)
        traffic = Traffic(population, make_merchants(3), 3, first_day=today)
        events = list(islice(traffic, int(RATE * SECONDS)))
        links = [Link("127.0.0.1", scene.port, clock, MANNERS) for _ in range(2)]
        for link in links:
            await link.open()
        report = Report()
        sending = asyncio.create_task(run(events, links, RATE, SECONDS, clock, report=report))
        await asyncio.sleep(1.5)
        await harm(scene)
        await sending
        for link in links:
            await link.close()
        await asyncio.sleep(1.0)  # for the spool of withdrawals
        audit = await audit_store(scene.valkey.url)
        assert audit.ok, audit.differences[:10]
        lost = acknowledged(report) - await in_the_journal(scene.valkey.url)
        assert not lost, f"{len(lost)} acknowledged approvals are lost"
        assert report.conflicts == 0, report.conflicting[:5]
        return report
    finally:
        scene.stop()


HARM = {
    "the engine": [Scene.kill_engine],
    "Redis": [Scene.kill_valkey],
    "Redis, then the engine": [Scene.kill_valkey, Scene.kill_engine],
}


@pytest.mark.parametrize("who", HARM)
def test_nothing_acknowledged_is_lost_when_somebody_is_killed(who: str, tmp_path: Path) -> None:
    async def harm(scene: Scene) -> None:
        for kill in HARM[who]:
            await kill(scene)
            await asyncio.sleep(0.3)

    report = asyncio.run(survive(tmp_path, harm))
    assert report.unanswered == 0
    assert report.answered + report.unsent == report.offered
    assert len(acknowledged(report)) > RATE * SECONDS * 0.2  # also on a machine that is busy


def test_a_store_that_was_emptied_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """After FLUSHALL every balance is gone: nothing may be approved, and nothing declined."""

    async def flush(scene: Scene) -> None:
        client = admin.administrator(scene.valkey.url)
        await client.flushall()
        await client.aclose()

    async def story() -> Report:
        scene = Scene(tmp_path)
        try:
            clock, today = SystemClock(), datetime.now(UTC).date()
            population = make_population(3, 50, today)
            store = Store(scene.valkey.url, as_engine(scene.valkey.url), scene.valkey, fresh=True)
            async with opened(store, "test") as state:
                await load_population(state, PanKeys(bytes.fromhex(SECRET)), population, "test")
            await asyncio.to_thread(scene.engine.wait_until_ready)
            link = Link("127.0.0.1", scene.port, clock, MANNERS)
            await link.open()
            await flush(scene)
            traffic = Traffic(population, make_merchants(3), 3, first_day=today)
            events = [event for event in islice(traffic, 300) if event.mti == "0100"]
            report = await run(events, [link], 200, 5, clock)
            await link.close()
            assert b'"ready":false' in scene_health(scene)
            return report
        finally:
            scene.stop()

    report = asyncio.run(story())
    assert {code for _, code in report.codes} == {"91"}


def scene_health(scene: Scene) -> bytes:
    from urllib.error import HTTPError

    try:
        return scene.engine.ask("/health")
    except HTTPError as error:
        return error.read()
