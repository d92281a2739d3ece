"""What the engine refuses in a store, and how gates open."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys, library
from authz.hot.errors import Refused
from authz.hot.resp import connect
from tests.support.hot import opened


def ask(url: str, question: Callable[[object], Awaitable[object]]) -> object:
    async def whole() -> object:
        client = admin.administrator(url)
        try:
            return await question(client)
        finally:
            await client.aclose()

    return asyncio.run(whole())


def test_a_store_weaker_than_configured_is_refused() -> None:
    with EmbeddedValkey.start(appendfsync="everysec") as valkey:
        ask(valkey.url, lambda client: admin.check_fit(client, "everysec"))
        ask(valkey.url, lambda client: admin.check_fit(client, "no"))
        with pytest.raises(admin.NotFit, match="appendfsync is everysec"):
            ask(valkey.url, lambda client: admin.check_fit(client, "always"))

        async def evict(client: object) -> None:
            await client.config_set("maxmemory-policy", "allkeys-lru")  # type: ignore[attr-defined]

        ask(valkey.url, evict)
        with pytest.raises(admin.NotFit, match="maxmemory-policy is allkeys-lru"):
            ask(valkey.url, lambda client: admin.check_fit(client, "no"))


def test_gates_open_once_for_a_new_store_and_never_for_an_emptied_one(fresh_redis: str) -> None:
    async def story(client: object) -> None:
        await admin.install(client)  # type: ignore[arg-type]
        assert await admin.state_of_gates(client) == "new"  # type: ignore[arg-type]
        with pytest.raises(admin.NotFit, match="empty"):
            await admin.open_gates(client, new=False, source="test")  # type: ignore[arg-type]
        await admin.open_gates(client, new=True, source="test")  # type: ignore[arg-type]
        assert await admin.state_of_gates(client) == "open"  # type: ignore[arg-type]
        with pytest.raises(admin.NotFit, match="opened before"):
            await admin.open_gates(client, new=True, source="test")  # type: ignore[arg-type]
        await client.hset(keys.control("07"), "run_id", "another")  # type: ignore[attr-defined]
        assert await admin.state_of_gates(client) == "shut"  # type: ignore[arg-type]
        await client.delete(keys.control("08"))  # type: ignore[attr-defined]
        assert await admin.state_of_gates(client) == "torn"  # type: ignore[arg-type]

    ask(fresh_redis, story)


def test_the_library_is_loaded_once_and_again_when_it_changed(fresh_redis: str) -> None:
    async def story(client: object) -> None:
        assert await admin.install(client)  # type: ignore[arg-type]
        assert not await admin.install(client)  # type: ignore[arg-type]
        await client.function_load(library.source() + "\n-- older", replace=True)  # type: ignore[attr-defined]
        assert await admin.install(client)  # type: ignore[arg-type]

    ask(fresh_redis, story)


def test_the_engines_own_user_may_do_its_work_and_little_else(tmp_path: Path) -> None:
    async def story(url: str) -> None:
        (await opened(url))._connection.close()  # type: ignore[union-attr]
        connection = await connect(url.replace("unix://", "unix://engine:@"))
        assert await connection.call(("PING",), 5) == b"PONG"
        assert await connection.call(("HGET", keys.control("07"), "layout"), 5) == b"4"
        due = ("ZRANGE", keys.expiry("07"), "-inf", 1, "BYSCORE", "LIMIT", 0, 1)
        assert await connection.call(due, 5) == []
        for forbidden in (
            ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "SET", "appendfsync", "no"),
            ("FUNCTION", "FLUSH"), ("EVAL", "return 1", "0"), ("HGET", "elsewhere", "x"),
            ("DEL", keys.control("07")), ("SHUTDOWN",), ("ACL", "LIST"), ("MONITOR",),
        ):  # fmt: skip
            with pytest.raises(Refused, match="NOPERM"):
                await connection.call(forbidden, 5)
        connection.close()
        await asyncio.sleep(0.01)

    with EmbeddedValkey.start(tmp_path / "store", acl=(library.ENGINE_ACL,)) as valkey:
        asyncio.run(story(valkey.url))


def test_a_store_has_an_id_for_good_and_an_emptied_one_has_another(fresh_redis: str) -> None:
    async def story(client: object) -> None:
        await admin.install(client)  # type: ignore[arg-type]
        await admin.open_gates(client, new=True, source="test")  # type: ignore[arg-type]
        drawn = await client.get(keys.STORE_ID)  # type: ignore[attr-defined]
        assert drawn is not None
        assert await admin.store_id(client) == drawn.decode()  # type: ignore[arg-type]
        assert await admin.store_id(client) == drawn.decode()  # type: ignore[arg-type]
        await client.flushall()  # type: ignore[attr-defined]
        assert await admin.store_id(client) != drawn.decode()  # type: ignore[arg-type]

    ask(fresh_redis, story)
