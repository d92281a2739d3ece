"""Engines and lists: in force from the next message, however far behind, at every version exact."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from authz import catching_up, judgement
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.engine import Engine
from authz.hot import keys
from authz.hot.errors import TooLate
from authz.hot.lists import PLAIN, body_of, field_of, pack_rows
from authz.judgement import add_entries, put_lists, put_policy, remove_entries
from authz.privacy import Pan
from ledger.journal import Change
from rules.facts import CardProfile, CardState
from tests.authz.test_control import run
from tests.rules.test_judge import request
from tests.support.engine import (
    KEYS,
    PAN,
    World,
    account,
    code,
    purchase,
)

SHOP = "MERCHANT0000001"
BLOCK_SHOP = field_of("block", "merchant", SHOP)
NOBODY = CardProfile("C0", "A0", "S0", "2912", CardState.ACTIVE)


async def world_of(state: Any, client: Any) -> tuple[World, int]:
    """An engine over that store, with one card; and the store's time."""
    now_ms = 1000 * int((await client.time())[0]) + 60_000  # its clock stands still
    world = World(state)
    world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
    await put_accounts(state, [NewAccount(profile=account(), opening_minor=10**6)], "test")
    await put_cards(state, KEYS, [NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")], "test")
    return world, now_ms


def blocked(engine: Engine, merchant: str) -> bool:
    said = engine.lists.look(request(merchant_id=merchant), NOBODY)
    return said is not None and said.blocks


def test_an_entry_is_in_force_from_the_next_message_on_every_engine(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, now_ms = await world_of(state, client)
        links = [world.link(), world.link(world.another_engine(name="e2"))]
        stan = 0

        async def answers() -> list[str]:
            nonlocal stan
            found = []
            for link in links:
                stan += 1
                found.append(code(await link.say("0100", purchase(stan, 100, at_ms=now_ms))))
            return found

        assert await answers() == ["00", "00"]
        await add_entries(client, {BLOCK_SHOP: PLAIN}, "test")
        assert await answers() == ["57", "57"]
        await add_entries(client, {field_of("allow", "account", "A1"): PLAIN}, "test")
        assert await answers() == ["00", "00"]
        await remove_entries(client, [field_of("allow", "account", "A1")], "test")
        assert await answers() == ["57", "57"]
        await put_policy(client, 'version = "1"', "test")
        await remove_entries(client, [BLOCK_SHOP], "test")
        assert await answers() == ["00", "00"]

    run(fresh_redis, scenario)


def test_a_timed_block_begins_and_ends_by_the_messages_own_time(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, now_ms = await world_of(state, client)
        at = now_ms // 1000
        await add_entries(client, {BLOCK_SHOP: (("", "", at - 10, at + 10),)}, "test")
        link, said = world.link(), []
        for n, sent in enumerate((at - 11, at - 10, at, at + 9, at + 10), 1):
            said.append(code(await link.say("0100", purchase(n, 100, at_ms=sent * 1000))))
        assert said == ["00", "57", "57", "57", "00"]

    run(fresh_redis, scenario)


def test_an_engine_that_is_behind_takes_in_every_change_and_nothing_twice(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, _ = await world_of(state, client)
        for n in range(30):
            await put_lists(client, [("merchant", f"M{n}"), ("merchant", "KEPT")], "test")
        reads = AsyncMock(wraps=state.list_page)
        monkeypatch.setattr(state, "list_page", reads)
        await world.engine.refresh_lists(world.engine.budget(world.clock.monotonic()))
        assert (world.engine.lists.version, len(world.engine.lists)) == (30, 2)
        assert blocked(world.engine, "M29")
        assert not blocked(world.engine, "M28")
        reads.assert_not_called()

    run(fresh_redis, scenario)


def test_in_a_request_no_more_is_read_than_fits_into_it(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(state: Any, client: Any) -> None:
        monkeypatch.setattr(catching_up, "IN_A_REQUEST", 3)
        world, _ = await world_of(state, client)
        engine = world.engine
        for n in range(4):
            await put_lists(client, [("merchant", f"M{n}")], "test")
        with pytest.raises(TooLate):
            await engine.refresh_lists(engine.budget(world.clock.monotonic()), 4)
        assert engine.lists.version == 0
        await engine.keep_up(5)
        assert (engine.lists.version, blocked(engine, "M3")) == (4, True)
        await client.hdel(keys.CHANGES, "6")
        await put_lists(client, [("merchant", "M5")], "test")
        await put_lists(client, [("merchant", "M6")], "test")
        await client.hdel(keys.CHANGES, "5")
        with pytest.raises(TooLate):
            await engine.refresh_lists(engine.budget(world.clock.monotonic()), 6)
        await engine.keep_up(5)
        assert (engine.lists.version, blocked(engine, "M6")) == (6, True)

    run(fresh_redis, scenario)


async def quickly(client: Any, run_id: str, first: int, last: int) -> None:
    """So many versions, each of which blocks another merchant and frees the one before it."""
    for start in range(first, last + 1, 500):
        async with client.pipeline(transaction=False) as pipeline:
            for version in range(start, min(start + 500, last + 1)):
                new, old = f"block/merchant/M{version}", f"block/merchant/M{version - 1}"
                change = Change((), ((new, None, PLAIN), (old, PLAIN, None)))
                pipeline.fcall(
                    "authz_change_judgement", 5, keys.control(keys.HOME), keys.journal(keys.HOME),
                    keys.JUDGEMENT, keys.LISTS, keys.CHANGES, run_id, version - 1, version,
                    body_of(version, "test", change), 2, 2, "n:block/merchant", 1,
                    new, pack_rows(PLAIN), old,
                )  # fmt: skip
            said = {reply[1] for reply in await pipeline.execute()}
            assert said == {b"moved"}


def test_an_engine_that_is_5000_versions_behind_reads_everything_anew(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, _ = await world_of(state, client)
        engine = world.engine
        await put_lists(client, [("merchant", "M0")], "test")
        await client.hset(keys.JUDGEMENT, "n:block/merchant", 1)
        await engine.keep_up(5)
        await quickly(client, state.run_id, 2, 5001)
        assert await client.hlen(keys.CHANGES) == 1000
        # Others change it while it is read.
        page, more = state.list_page, [5101, 5201]

        async def while_others_write(*words: Any) -> Any:
            found = await page(*words)
            if more:
                last = more.pop(0)
                await quickly(client, state.run_id, last - 99, last)
            return found

        with patch.object(state, "list_page", while_others_write):
            await engine.keep_up(5)
        assert (engine.lists.version, len(engine.lists)) == (5101, 2)
        await judgement.tell_gates(client, state.run_id, 5101, "test")
        assert blocked(engine, "M5101")
        assert not blocked(engine, "M5001")

    run(fresh_redis, scenario)


def test_a_million_in_small_steps_is_finished_by_another_run(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that dies between two of its versions; the gates may not have heard of the last."""
    monkeypatch.setattr(judgement, "CHUNK", 7)
    monkeypatch.setattr(judgement, "PAUSE_S", 0)
    wanted = {field_of("block", "merchant", f"M{n}"): PLAIN for n in range(100)}

    async def scenario(state: Any, client: Any) -> None:
        world, _ = await world_of(state, client)
        was_taken, calls = judgement.was_taken, 0

        async def dies(*words: Any) -> bool:
            nonlocal calls
            calls += 1
            if calls == 6:
                raise OSError("killed")
            return await was_taken(*words)

        with patch.object(judgement, "was_taken", dies), pytest.raises(OSError, match="killed"):
            await add_entries(client, wanted, "test")
        version, changed = await add_entries(client, wanted, "test")
        assert changed == 100 - 5 * 7
        assert await add_entries(client, wanted, "test") == (version, 0)
        gates = {await client.hget(keys.control(shard), "lists") for shard in keys.ALL_SHARDS}
        assert gates == {str(version).encode()}
        await world.engine.keep_up(5)
        assert (len(world.engine.lists), world.engine.lists.version) == (100, version)
        await judgement.replace_entries(client, {BLOCK_SHOP: PLAIN}, "test")
        await world.engine.keep_up(5)
        assert (len(world.engine.lists), blocked(world.engine, SHOP)) == (1, True)

    run(fresh_redis, scenario)


def test_a_policy_that_cannot_be_read_stops_the_engine_where_it_stands(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, now_ms = await world_of(state, client)
        engine, link = world.engine, world.link()
        await put_lists(client, [("merchant", "M1")], "test")
        await engine.keep_up(5)
        await put_lists(client, [("merchant", "M2")], "test")
        await put_policy(client, "no policy at all", "test")
        await put_lists(client, [("merchant", "M3")], "test")
        await engine.keep_up(5)
        assert (engine.lists.version, blocked(engine, "M2")) == (2, True)
        assert code(await link.say("0100", purchase(1, 100, at_ms=now_ms))) == "91"
        await put_policy(client, 'version = "2"', "test")
        assert code(await link.say("0100", purchase(2, 100, at_ms=now_ms))) == "00"
        assert (engine.lists.version, engine.judge.version) == (5, "2")

    run(fresh_redis, scenario)


def test_many_who_ask_at_once_read_once(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        world, _ = await world_of(state, client)
        engine = world.engine
        version, _ = await put_lists(client, [("merchant", "M1")], "test")
        reads = AsyncMock(wraps=state.changes)
        with patch.object(state, "changes", reads):
            budget = engine.budget(world.clock.monotonic())
            await asyncio.gather(*(engine.refresh_lists(budget, version) for _ in range(50)))
        assert reads.call_count == 1

    run(fresh_redis, scenario)
