"""The writer's look at its own books: equal chains, wherever it stands, and those that are not."""

import asyncio
from typing import Any

import pytest

from authz.app import chain_watch
from authz.app.chain_watch import ChainWatch, Looked, compare_all
from authz.hot import admin, keys
from ledger.metrics import Metrics
from tests.support.books import Crowd, begin, books, drain, owned


async def compared(url: str, dsn: str) -> Looked:
    client = admin.administrator(url)
    try:
        async with books(dsn) as connection:
            return await compare_all(client, connection)
    finally:
        await client.aclose()


def numbers(metrics: Metrics) -> dict[str, float]:
    lines = metrics.text().decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("authz_ledger_reconcile")]
    return {name.removeprefix("authz_ledger_reconcile_"): float(value) for name, value in pairs}


def test_equal_while_the_writer_is_behind_and_money_moves(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        await crowd.approve(100)
        await drain(fresh_redis, fresh_postgres)
        looking = asyncio.ensure_future(compared(fresh_redis, fresh_postgres))
        while not looking.done():
            await crowd.approve(20)
        assert await looking == Looked(1064, 0, [])  # a thousand accounts, and the gates

    asyncio.run(story())


def test_what_differs_is_counted_and_named(
    fresh_redis: str, fresh_postgres: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(10)
        await drain(fresh_redis, fresh_postgres)
        client, metrics = admin.administrator(fresh_redis), Metrics()
        async with books(fresh_postgres) as connection:
            ids = [r[0] for r in await connection.fetch("SELECT account_id FROM account LIMIT 3")]
            await owned(
                connection, f"UPDATE account SET digest = 'x' WHERE account_id = '{ids[0]}'"
            )
        await client.hincrby(keys.account(ids[1]), "entries", 1)
        await client.hset(keys.account(ids[2]), "digest", "y")
        await client.hset(keys.control("07"), "digest", "z")
        looked = await compared(fresh_redis, fresh_postgres)
        assert sorted(looked.differing) == sorted(["", *ids])
        watch = ChainWatch(fresh_redis, fresh_postgres, metrics, 0.01, lambda: True)
        running = asyncio.ensure_future(watch.run())
        while numbers(metrics)["time_seconds"] == 0:
            await asyncio.sleep(0.02)
        running.cancel()
        told = numbers(metrics)
        assert told["differences"] == 4
        assert told['accounts{what="compared"}'] == 1064
        await client.aclose()

    asyncio.run(story())


def test_a_writer_that_is_far_behind_leaves_them_to_the_next_time(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_watch, "TAIL_MAX", 5)
    monkeypatch.setattr(chain_watch, "PAGE", 3)

    async def story() -> Any:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        await crowd.approve(10)
        await drain(fresh_redis, fresh_postgres)
        await crowd.approve(1000)
        return await compared(fresh_redis, fresh_postgres)

    looked = asyncio.run(story())
    assert looked.left_out > 900
    assert looked.left_out + looked.accounts == 1064
    assert looked.differing == []


def test_servers_that_are_away_change_no_number(fresh_postgres: str, tmp_path: Any) -> None:
    metrics = Metrics()
    before = numbers(metrics)
    for url, dsn in (
        (f"unix://{tmp_path}/none", fresh_postgres),
        (f"unix://{tmp_path}/none", "postgresql://127.0.0.1:1/x"),
    ):
        asyncio.run(ChainWatch(url, dsn, metrics, 1, lambda: True).look())
    assert numbers(metrics) == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_that_is_being_rebuilt_changes_no_number(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    """Its accounts are not there yet; that is no difference, an hour long."""
    compare = chain_watch.compare_all

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(10)
        await drain(fresh_redis, fresh_postgres)
        client, metrics = admin.administrator(fresh_redis), Metrics()
        before = numbers(metrics)
        await client.delete(*[keys.account(f"A{n:09}") for n in range(1000)])
        await client.set(keys.REBUILDING, 1)

        async def and_finished(*of: Any) -> Looked:
            looked = await compare(*of)
            assert len(looked.differing) == 1000
            if finished:
                await client.delete(keys.REBUILDING)
                await client.set(keys.REBUILT, 1)
            return looked

        monkeypatch.setattr(chain_watch, "compare_all", and_finished)
        await ChainWatch(fresh_redis, fresh_postgres, metrics, 1, lambda: True).look()
        assert numbers(metrics) == before
        await client.aclose()

    asyncio.run(story())
