"""The keeper: ready only while the gates are open for this run of the store."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from authz.clock import SystemClock
from authz.hot import admin, keys
from authz.hot import keeper as keeper_module
from authz.hot.errors import NotConnected
from authz.hot.keeper import Keeper
from authz.hot.store import RedisHotState
from tests.support.hot import opened


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def keep(
    url: str,
    story: Callable[[Keeper, RedisHotState, list[str]], Awaitable[None]],
    when_ready: Callable[[], None] = lambda: None,
) -> None:
    async def whole() -> None:
        hot, audits = RedisHotState(), []

        async def reopen(run_id: str) -> str:
            audits.append(run_id)
            client = admin.administrator(url)
            try:
                await admin.open_gates(client, new=False, source="test")
            except admin.NotFit as error:
                return str(error)
            finally:
                await client.aclose()
            return ""

        async def on_ready(offset_ms: int) -> None:
            assert abs(offset_ms) < 1000
            when_ready()

        keeper = Keeper(url, hot, SystemClock(), reopen, on_ready)
        task = asyncio.create_task(keeper.run())
        try:
            await story(keeper, hot, audits)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.01)

    asyncio.run(whole())


def test_a_store_that_was_never_opened_is_waited_for(fresh_redis: str) -> None:
    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: "empty" in keeper.why_not)
        assert not keeper.ready
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]
        await until(lambda: keeper.ready)
        assert audits == []

    keep(fresh_redis, story)


def test_another_run_of_the_store_is_audited_first(
    fresh_redis: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]
        client = admin.administrator(fresh_redis)
        for shard in keys.ALL_SHARDS:
            await client.hset(keys.control(shard), "run_id", "an earlier one")
        await client.aclose()

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: keeper.ready)
        assert audits == [hot.run_id]

    asyncio.run(prepare())
    keep(fresh_redis, story)
    # Nothing that an operator must look at: it is so after each `authz load`.
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "restarted" in line]
    assert told
    assert not any("warning" in line for line in told)


def test_an_audit_that_found_something_keeps_its_reason_and_is_not_run_at_each_look(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.01)
    monkeypatch.setattr(keeper_module, "AUDIT_AGAIN_S", (0.2, 0.4))

    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]
        client = admin.administrator(fresh_redis)
        for shard in keys.ALL_SHARDS:
            await client.hset(keys.control(shard), "run_id", "an earlier one")
        await client.aclose()

    reasons: list[str] = []

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        honest = keeper._reopen

        async def found_something(run_id: str) -> str:
            audits.append(run_id)
            return "the audit found 2 differences"

        keeper._reopen = found_something
        await until(lambda: "2 differences" in keeper.why_not)
        for _ in range(50):
            reasons.append(keeper.why_not)
            await asyncio.sleep(0.01)
        assert set(reasons) == {"the gates are not open: the audit found 2 differences"}
        assert 2 <= len(audits) <= 3
        keeper._reopen = honest  # it was mended
        await until(lambda: keeper.ready)

    asyncio.run(prepare())
    keep(fresh_redis, story)
    assert "".join(capsys.readouterr()).count("2 differences") == 1


def test_a_flush_closes_the_gates(fresh_redis: str) -> None:
    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: keeper.ready)
        client = admin.administrator(fresh_redis)
        await client.flushall()
        await client.aclose()
        await until(lambda: not keeper.ready)
        assert "empty" in keeper.why_not
        assert audits == []

    asyncio.run(prepare())
    keep(fresh_redis, story)


def test_a_lost_connection_is_made_again(fresh_redis: str) -> None:
    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: keeper.ready)
        client = admin.administrator(fresh_redis)
        await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await client.aclose()
        await until(lambda: not keeper.ready)
        await until(lambda: keeper.ready)

    asyncio.run(prepare())
    keep(fresh_redis, story)


def test_no_store_is_said_and_tried_again() -> None:
    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: "cannot be reached" in keeper.why_not)
        assert not keeper.ready

    keep("unix:///nowhere/at/all.sock", story)


class Faults:
    """So many unexpected exceptions, then none. Their texts could hold anything."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise RuntimeError("9999990000000010")


def test_the_keeper_outlives_what_nobody_expected(
    fresh_redis: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    faults = Faults(2)

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: "RuntimeError" in keeper.why_not)
        assert not keeper.ready
        await until(lambda: keeper.ready)
        assert faults.left == 0
        assert hot.connected

    asyncio.run(prepare())
    keep(fresh_redis, story, faults)
    out = "".join(capsys.readouterr())
    assert "keeper_failed" in out
    assert "9999990000000010" not in out


def test_a_connection_that_was_lost_is_let_go_of(fresh_redis: str) -> None:
    """Nothing is sent to where nobody watches: the next call is refused, and did not run."""

    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        await until(lambda: keeper.ready)
        keeper._url = "unix:///nowhere/at/all.sock"
        lost = hot._connection
        assert lost is not None
        lost.close()
        await until(lambda: "cannot be reached" in keeper.why_not)
        assert not keeper.ready
        assert hot._connection is None
        with pytest.raises(NotConnected):
            await hot.standing(1.0)
        keeper._url = fresh_redis
        await until(lambda: keeper.ready)
        assert hot._connection not in (None, lost)

    asyncio.run(prepare())
    keep(fresh_redis, story)


def test_a_store_whose_cards_are_under_another_key_is_not_asked(fresh_redis: str) -> None:
    """Every card would be unknown there, and declined for good."""

    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        client = admin.administrator(fresh_redis)
        keeper._pan_check = "1ours"
        await until(lambda: keeper.ready)  # it has no cards yet
        await client.set(keys.PAN_KEY, "1others")
        await until(lambda: "the PAN key is not the one" in keeper.why_not)
        assert not keeper.ready
        assert not hot.connected
        await client.set(keys.PAN_KEY, "1ours")
        await until(lambda: keeper.ready)
        await client.aclose()

    asyncio.run(prepare())
    keep(fresh_redis, story)


def test_another_store_behind_the_same_address_is_not_asked(fresh_redis: str) -> None:
    """Its profiles may have the versions that we remember of ours, and other contents."""

    async def prepare() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

    async def story(keeper: Keeper, hot: RedisHotState, audits: list[str]) -> None:
        client = admin.administrator(fresh_redis)
        keeper._store_id = await admin.store_id(client)
        await until(lambda: keeper.ready)
        await client.flushall()
        await admin.open_gates(client, new=True, source="test")
        assert await admin.store_id(client) != keeper._store_id
        await until(lambda: "not the store" in keeper.why_not)
        assert not keeper.ready
        assert not hot.connected
        await client.set(keys.STORE_ID, keeper._store_id)
        await until(lambda: keeper.ready)
        await client.aclose()

    asyncio.run(prepare())
    keep(fresh_redis, story)


def test_it_ends_in_whatever_moment_it_is_cancelled(fresh_redis: str) -> None:
    """Also in the turn of the loop in which what it waits for is there."""

    async def whole() -> None:
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]
        for turns in range(60):
            hot = RedisHotState()

            async def nothing(_: object) -> str:
                return ""

            keeper = Keeper(fresh_redis, hot, SystemClock(), nothing, nothing)  # type: ignore[arg-type]
            task = asyncio.create_task(keeper.run())
            for _ in range(turns):
                await asyncio.sleep(0)
            keeper._lost.set()  # a cancel and a result in one turn
            task.cancel()
            done, _ = await asyncio.wait((task,), timeout=2)
            assert done, f"cancelled after {turns} turns it goes on"

    asyncio.run(whole())
