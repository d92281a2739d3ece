"""An engine put together: it ends when it is told to, however early that comes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from authz.app.announce import CannotListen
from authz.app.compose import ended, running
from authz.app.store import Store
from authz.config import Config, load_config
from authz.hot import admin
from tests.support.hot import opened

TRIES = 15
ENOUGH_S = 5.0  # many times what an end takes


def config(tmp_path: Path, **flags: object) -> Config:
    given = {
        "link.port": 0, "metrics.port": 0, "engine.state_dir": tmp_path / "state",
        "embedded.data_dir": tmp_path / "data",
    } | {name.replace("__", "."): value for name, value in flags.items()}  # fmt: skip
    return load_config(None, {"HOME": str(tmp_path)}, given)


def try_often(url: str, story: Callable[[Store], Awaitable[None]]) -> None:
    async def whole() -> None:
        (await opened(url))._connection.close()  # type: ignore[union-attr]
        client = admin.administrator(url)
        store = Store(url, url, None, False, await admin.store_id(client))
        await client.aclose()
        for _ in range(TRIES):
            async with asyncio.timeout(ENOUGH_S):
                await story(store)

    uvloop.run(whole())


def test_a_metrics_port_that_is_taken_ends_the_engine(fresh_redis: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = config(tmp_path, metrics__port=taken.getsockname()[1])

        async def story(store: Store) -> None:
            with pytest.raises(CannotListen, match="metrics port"):
                async with running(found, store):
                    pass

        try_often(fresh_redis, story)


def test_a_stop_within_milliseconds_of_the_start_is_a_stop(
    fresh_redis: str, tmp_path: Path
) -> None:
    pauses = iter(range(TRIES))

    async def story(store: Store) -> None:
        async with running(config(tmp_path), store):
            await asyncio.sleep(next(pauses) / 3000)

    try_often(fresh_redis, story)


def test_a_task_that_lets_a_cancel_pass_is_told_again_and_not_for_ever() -> None:
    async def deaf(heard: list[int], until: int) -> None:
        while len(heard) < until:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard.append(1)

    async def whole() -> None:
        some, many = list[int](), list[int]()
        tasks = [asyncio.create_task(deaf(some, 2)), asyncio.create_task(deaf(many, 99))]
        await asyncio.sleep(0)
        await ended(tasks, within_s=0.5)
        assert tasks[0].done()
        assert not tasks[1].done()
        many += [1] * 99  # the next one ends it

    asyncio.run(whole())
