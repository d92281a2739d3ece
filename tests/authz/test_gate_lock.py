"""One engine audits a restarted store at a time; one that was killed meanwhile stops nobody."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from authz import audit
from authz.hot import admin, keys
from tests.support.hot import opened


async def restarted(url: str) -> Any:
    """A client of a store whose gates were opened for an earlier run."""
    (await opened(url))._connection.close()  # type: ignore[union-attr]
    client = admin.administrator(url)
    for shard in keys.ALL_SHARDS:
        await client.hset(keys.control(shard), "run_id", "an earlier one")
    return client


class Hanging:
    """An audit that does not end, as that of an engine that was killed in it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, url: str, **_: Any) -> Any:
        self.begun.set()
        await asyncio.Event().wait()


async def not_renewed(client: Any, token: str) -> None:
    """As by an engine that was killed."""


def test_the_lock_of_a_killed_engine_ends_by_itself(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        client = await restarted(fresh_redis)
        honest: Callable[..., Any] = audit.audit_store
        hanging = Hanging()
        monkeypatch.setattr(audit, "audit_store", hanging)
        monkeypatch.setattr(audit, "LOCK_S", 1)
        monkeypatch.setattr(audit, "keep_lock", not_renewed)
        killed = asyncio.create_task(audit.audit_before_opening(client, fresh_redis, "killed"))
        await hanging.begun.wait()
        token = await client.get(keys.GATE_LOCK)
        # It has an end from the first moment: a lock that is given one later can be left without.
        assert 0 < await client.pttl(keys.GATE_LOCK) <= 1000
        monkeypatch.setattr(audit, "audit_store", honest)
        async with asyncio.timeout(20):
            report = await audit.audit_before_opening(client, fresh_redis, "next")
        assert report is not None
        assert report.ok
        assert await admin.state_of_gates(client) == "open"

        # Were it only slow: it lets go of its own lock, and of nobody else's.
        await client.set(keys.GATE_LOCK, "another's")
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        assert token != await client.get(keys.GATE_LOCK) == b"another's"
        await client.aclose()

    asyncio.run(story())


def test_a_long_audit_keeps_its_lock(fresh_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        client = await restarted(fresh_redis)
        hanging = Hanging()
        monkeypatch.setattr(audit, "audit_store", hanging)
        monkeypatch.setattr(audit, "LOCK_S", 1)
        long = asyncio.create_task(audit.audit_before_opening(client, fresh_redis, "long"))
        await hanging.begun.wait()
        token = await client.get(keys.GATE_LOCK)
        renewed = 0
        while renewed < 6:  # twice the time that it would have had
            before = await client.pttl(keys.GATE_LOCK)
            await asyncio.sleep(0.05)
            renewed += await client.pttl(keys.GATE_LOCK) > before
            assert await client.get(keys.GATE_LOCK) == token
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        assert await client.get(keys.GATE_LOCK) is None
        await client.aclose()

    asyncio.run(story())


def test_who_waits_for_the_lock_finds_the_gates_open(fresh_redis: str) -> None:
    async def story() -> None:
        client, other = await restarted(fresh_redis), admin.administrator(fresh_redis)
        reports = await asyncio.gather(
            audit.audit_before_opening(client, fresh_redis, "a"),
            audit.audit_before_opening(other, fresh_redis, "b"),
        )
        assert sorted(report is None for report in reports) == [False, True]
        assert await client.get(keys.GATE_LOCK) is None
        await client.aclose()
        await other.aclose()

    asyncio.run(story())
