"""P7: holds end by themselves, by the date that they carry, in bounded work."""

import asyncio

from authz.expire import AT_ONCE, Expiry
from authz.hot.acts import Close
from authz.hot.errors import Refused
from authz.hot.record import fold
from tests.support.engine import World, advice_of, code, held, purchase, run, used

WEEK_S = 7 * 86_400


class AlwaysReady:
    ready = True


def expiry_of(world: World, told: list[str]) -> Expiry:
    return Expiry(world.engine, AlwaysReady(), told.append)


def later(world: World, seconds: int) -> None:
    world.clock.advance(seconds)
    world.hot.now_ms += seconds * 1000


def test_a_hold_ends_by_its_date_and_its_counters_fall_back() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000)
        link, told = world.link(), list[str]()
        assert code(await link.say("0100", purchase(1, 6000))) == "00"
        expiry = expiry_of(world, told)
        later(world, WEEK_S - 1)
        assert (await expiry.tick(), held(world)) == (0, 6000)
        later(world, 1)
        assert (await expiry.tick(), held(world), used(world)) == (1, 0, {})
        assert (await expiry.tick(), told) == (0, ["closed"])

    run(story())


def test_a_completion_after_the_expiry_still_posts() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        asked = purchase(1, 6000)
        await link.say("0100", asked)
        later(world, WEEK_S)
        await expiry_of(world, []).tick()
        late = advice_of(asked, 700, at_ms=world.clock.now_ms())
        assert code(await link.say("0220", late)) == "00"
        assert (held(world), world.hot.accounts["A1"].posted["840"]) == (0, 4000)
        [record] = world.hot.accounts["A1"].records.values()
        assert fold(record) == (0, 6000)

    run(story())


def test_a_tick_ends_a_bounded_number() -> None:
    async def story() -> None:
        world = await World().open_with(1_000_000)
        link = world.link()
        for n in range(AT_ONCE + 3):
            await link.say("0100", purchase(n + 1, 100))
        later(world, WEEK_S)
        expiry = expiry_of(world, [])
        assert [await expiry.tick() for _ in range(3)] == [AT_ONCE, 3, 0]
        assert held(world) == 0

    run(story())


def test_one_that_cannot_be_ended_keeps_no_other() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link, told = world.link(), list[str]()
        for n in (1, 2, 3):
            await link.say("0100", purchase(n, 1000))
        broken = next(iter(world.hot.accounts["A1"].records))
        close = world.hot.close

        async def refusing(act: Close, timeout_s: float = 0) -> tuple[str, int]:
            if act.authorization_id == broken:
                raise Refused("a record that nobody can read")
            return await close(act, timeout_s)

        world.hot.close = refusing
        later(world, WEEK_S)
        assert (await expiry_of(world, told).tick(), held(world)) == (2, 1000)
        assert sorted(told) == ["closed", "closed", "failed"]

    run(story())


def test_two_engines_end_a_hold_once() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        await world.link().say("0100", purchase(1, 6000))
        later(world, WEEK_S)
        one, two = expiry_of(world, []), expiry_of(world, [])
        assert sum(await asyncio.gather(one.tick(), two.tick())) == 1
        assert [kind for kind, *_ in world.hot.journal].count("close") == 1

    run(story())
