"""An engine that has just begun learns the store's cards before they pay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from authz import warming
from authz.cards import NearCache
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot.errors import NotConnected
from authz.privacy import Pan
from authz.warming import Warming
from rules.facts import AccountProfile, AccountState
from tests.support.engine import KEYS, World, card, code, purchase
from tests.support.hot import opened

CARDS = 150  # more than are looked up at once, or looked through in one look at the store
PANS = [Pan(f"999999000000{number:04}") for number in range(CARDS)]


class Gate:
    """What says whether the store may be asked."""

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready


async def world_of(cards: int, bound: int = 1000) -> World:
    """An engine that knows none of the cards that its store has."""
    world = await World().open_with(1_000_000)
    for number in range(cards):
        await world.put_card(card(f"C{number}"), pan=PANS[number].reveal())
    world.engine.cards = NearCache(bound)
    return world


def known(cards: NearCache) -> list[bool]:
    return [KEYS.card_key(pan) in cards for pan in PANS]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def while_it_runs(task: Warming, story: Callable[[], Awaitable[None]]) -> None:
    running = asyncio.ensure_future(task.run())
    try:
        await story()
    finally:
        running.cancel()


def test_a_card_that_was_learnt_pays_without_being_looked_up() -> None:
    async def story() -> None:
        world = await world_of(CARDS)
        cards = world.engine.cards
        await Warming(world.engine, Gate()).learn()
        assert all(known(cards))
        assert cards.warm
        asked = purchase(1, 10) | {2: PANS[7].reveal()}
        assert code(await world.link().say("0100", asked)) == "00"
        assert (cards.hits, cards.misses) == (1, 0)

    asyncio.run(story())


def test_no_more_are_learnt_than_there_is_room_for() -> None:
    async def story() -> None:
        world = await world_of(CARDS, bound=20)
        await Warming(world.engine, Gate()).learn()
        assert len(world.engine.cards) == sum(known(world.engine.cards)) == 20
        assert world.engine.cards.warm

    asyncio.run(story())


def test_a_store_that_is_not_ready_is_not_asked_and_one_that_was_rebuilt_is_asked_anew() -> None:
    async def story() -> None:
        world, gate = await world_of(CARDS), Gate(ready=False)
        cards = world.engine.cards

        async def life() -> None:
            await asyncio.sleep(3 * warming.LOOK_S)
            assert len(cards) == 0
            gate.ready = True
            await until(lambda: cards.warm)
            assert all(known(cards))
            world.engine.forget()
            assert len(cards) == 0
            await until(lambda: cards.warm)
            assert all(known(cards))

        await while_it_runs(Warming(world.engine, gate), life)

    asyncio.run(story())


def test_a_lost_store_ends_the_learning_and_not_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "AGAIN_S", 0.01)

    async def story() -> None:
        world = await world_of(CARDS)
        cards, looks = world.engine.cards, list[str]()
        hot: Any = world.hot
        whole = hot.look_up

        async def lost(card_key: str, timeout_s: float) -> Any:
            looks.append(card_key)
            if 20 < len(looks) <= 40:
                raise NotConnected("not connected")
            return await whole(card_key, timeout_s)

        hot.look_up = lost
        await while_it_runs(Warming(world.engine, Gate()), lambda: until(lambda: cards.warm))
        assert all(known(cards))
        assert len(looks) < 2 * CARDS  # what was learnt before is not asked for again

    asyncio.run(story())


def test_what_is_forgotten_meanwhile_is_learnt_anew() -> None:
    async def story() -> None:
        world = await world_of(CARDS)
        cards, hot = world.engine.cards, world.hot
        whole = hot.look_up

        async def forgetting(card_key: str, timeout_s: float) -> Any:
            if len(cards) == 50:
                world.engine.forget()
            return await whole(card_key, timeout_s)

        hot.look_up = forgetting
        await Warming(world.engine, Gate()).learn()
        assert not cards.warm  # the first fifty are not there any more
        hot.look_up = whole
        await Warming(world.engine, Gate()).learn()
        assert cards.warm
        assert all(known(cards))

    asyncio.run(story())


def test_a_card_that_cannot_be_read_keeps_no_other_from_being_learnt() -> None:
    async def story() -> None:
        world = await world_of(CARDS)
        version, _, account_id = world.hot.cards["C5"]
        world.hot.cards["C5"] = (version, b"no profile", account_id)
        await Warming(world.engine, Gate()).learn()
        assert [n for n, there in enumerate(known(world.engine.cards)) if not there] == [5]
        assert world.engine.cards.warm

    asyncio.run(story())


def test_the_cards_of_a_real_store_whatever_else_is_in_it(fresh_redis: str) -> None:
    async def story() -> None:
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        accounts = (
            AccountProfile(f"A{n}", "default", "840", 0, "UTC", AccountState.ACTIVE)
            for n in range(CARDS)
        )
        await put_accounts(state, (NewAccount(profile=a, opening_minor=100) for a in accounts), "t")
        new = (
            NewCard(pan=pan, account_id=f"A{n}", expiry="2812") for n, pan in enumerate(PANS)
        )  # fmt: skip
        await put_cards(state, KEYS, new, "t")
        await client.set(keys.answer("07", "m1"), "x")
        await client.set(keys.directory("of another kind"), "x")
        await client.hset("authz:pan:{\udcff}".encode(errors="surrogateescape"), "card", "x")
        await client.delete(keys.account("A3"))  # lost: found when it pays, and no sooner
        world = World(hot=state)
        cards = world.engine.cards
        try:
            await Warming(world.engine, Gate()).learn()
            assert [n for n, there in enumerate(known(cards)) if not there] == [3]
            assert len(cards) == CARDS - 1
            found = cards.get(KEYS.card_key(PANS[8]))
            assert found is not None
            assert (found.account.account_id, found.card.expiry) == ("A8", "2812")
        finally:
            state._connection.close()  # type: ignore[union-attr]
            await client.aclose()
            await asyncio.sleep(0)

    asyncio.run(story())
