"""No online approval goes above funds or a limit: many askers, several engines, one real store."""

import asyncio
import random

from authz.cards import NearCache
from authz.clock import SystemClock
from authz.engine import Engine, Settings
from authz.hot import admin
from authz.hot.keys import account as account_key
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from tests.support.engine import PAN, SpoolInMemory, Watcher, World, card, code, purchase, reversal
from tests.support.hot import opened

FUNDS, DAILY_COUNT, DAILY_AMOUNT = 100_000, 40, 60_000


async def engines(url: str, count: int) -> tuple[World, list[Engine]]:
    """Engines that share nothing but the store, each over a connection of its own."""
    first = await opened(url)
    world = World(first)
    world.clock = SystemClock()  # type: ignore[assignment]
    run_id, found = first.run_id, []
    for n in range(count):
        hot = RedisHotState()
        hot.attach(await connect(url), run_id)
        found.append(
            Engine(
                hot, NearCache(100), world.clock, SpoolInMemory(), Watcher(),
                Settings(budget_s=30, hot_deadline_s=20), f"e{n}",
            )
        )  # fmt: skip
    return world, found


async def close(world: World, found: list[Engine]) -> None:
    for hot in (world.hot, *(engine.hot for engine in found)):
        hot._connection.close()
    await asyncio.sleep(0.01)


def test_a_storm_of_askers_never_spends_more_than_there_is(fresh_redis: str) -> None:
    async def storm() -> None:
        world, found = await engines(fresh_redis, 3)
        await world.open_with(FUNDS)
        links = [world.link(engine) for engine in found]
        now, dice = world.clock.now_ms(), random.Random(7)
        amounts = [dice.randrange(100, 3000) for _ in range(600)]

        async def ask(n: int) -> int:
            answer = await links[n % 3].say("0100", purchase(n, amounts[n], at_ms=now))
            return amounts[n] if code(answer) == "00" else 0

        spent = sum(await asyncio.gather(*(ask(n) for n in range(600))))
        assert spent <= FUNDS
        assert spent > FUNDS - max(amounts), "money was left that somebody was refused"
        client = admin.administrator(fresh_redis)
        assert int(await client.hget(account_key("A1"), "held:840")) == spent
        await client.aclose()
        await close(world, found)

    asyncio.run(storm())


def test_a_storm_with_limits_and_reversals_ends_where_its_parts_say(fresh_redis: str) -> None:
    async def storm() -> None:
        world, found = await engines(fresh_redis, 3)
        await world.open_with(10**9, daily_count=DAILY_COUNT, daily_amount_minor=DAILY_AMOUNT)
        links = [world.link(engine) for engine in found]
        now, dice = world.clock.now_ms(), random.Random(11)
        open_now: dict[int, int] = {}

        async def live(n: int) -> None:
            amount = dice.randrange(100, 4000)
            asked = purchase(n, amount, at_ms=now)
            link = dice.choice(links)
            answers = await asyncio.gather(
                link.say("0100", asked), dice.choice(links).say("0101", asked)
            )
            assert len({code(a) for a in answers}) == 1
            if code(answers[0]) == "00":
                open_now[n] = amount
                if dice.random() < 0.5:
                    back = reversal(asked, stan=5000 + n, at_ms=now)
                    await dice.choice(links).say("0400", back)
                    del open_now[n]

        for start in range(1, 401, 50):  # a STAN of zeros names nothing
            await asyncio.gather(*(live(n) for n in range(start, start + 50)))
            assert len(open_now) <= DAILY_COUNT
            assert sum(open_now.values()) <= DAILY_AMOUNT
        client = admin.administrator(fresh_redis)
        fields = await client.hgetall(account_key("A1"))
        used = [int(value) for name, value in fields.items() if name.startswith(b"u:")]
        assert sorted(filter(None, used)) == sorted(
            v for v in (len(open_now), sum(open_now.values())) if v
        )
        await client.aclose()
        await close(world, found)

    asyncio.run(storm())


def test_one_message_a_thousand_times_on_fifty_links_is_one_hold(fresh_redis: str) -> None:
    async def storm() -> None:
        world, found = await engines(fresh_redis, 2)
        await world.open_with(FUNDS)
        asked = purchase(1, 700, at_ms=world.clock.now_ms())
        links = [world.link(found[n % 2]) for n in range(50)]
        answers = await asyncio.gather(
            *(links[n % 50].say("0100" if n % 3 else "0101", asked) for n in range(1000))
        )
        assert len({(a[38], a[39]) for a in answers}) == 1
        client = admin.administrator(fresh_redis)
        assert int(await client.hget(account_key("A1"), "held:840")) == 700
        await client.aclose()
        await close(world, found)

    asyncio.run(storm())


def test_a_card_is_frozen_for_every_engine_by_the_very_next_message(fresh_redis: str) -> None:
    from rules.facts import CardState

    async def story() -> None:
        world, found = await engines(fresh_redis, 3)
        await world.open_with(FUNDS)
        links = [world.link(engine) for engine in found]
        now = world.clock.now_ms()
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(n, 10, at_ms=now))) == "00"
        await world.put_card(card(state=CardState.STOLEN), pan=PAN)
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(10 + n, 10, at_ms=now))) == "43"
        await close(world, found)

    asyncio.run(story())
