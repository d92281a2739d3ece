"""What an engine does where a program's quota is short: how often it asks, and when it gives up."""

from typing import Any

from authz.hot import keys
from authz.hot.acts import Lease
from authz.hot.errors import NoReply
from tests.scenarios.test_policy import change
from tests.support.engine import OTHER_PAN, World, account, card, code, purchase, run

POLICY = (
    '[[limit]]\nname = "all"\nper = "program"\nmeasure = "amount"\nceiling = 5000\nwindow = "day"\n'
)
ELSEWHERE = next(f"B{n}" for n in range(99) if keys.shard_of(f"B{n}") != keys.shard_of("A1"))


async def town() -> World:
    world = World()
    await world.open_with(1_000_000)
    await world.put_account(account(ELSEWHERE), 1_000_000)
    await world.put_card(card("C2", ELSEWHERE), OTHER_PAN)
    change(world, POLICY)
    return world


class Counting:
    """Counts the calls of one method, and may break them."""

    def __init__(self, hot: Any, name: str, breaks: int = 0) -> None:
        self.calls, self.breaks, self._method = 0, breaks, getattr(hot, name)
        setattr(hot, name, self)

    async def __call__(self, *said: Any) -> Any:
        self.calls += 1
        found = await self._method(*said)
        if self.calls <= self.breaks:
            raise NoReply("the reply is lost")
        return found


def test_the_other_shards_are_asked_once_a_second() -> None:
    async def story() -> None:
        world = await town()
        link, asked = world.link(), Counting(world.hot, "give_back")
        leased = Counting(world.hot, "lease")
        assert code(await link.say("0100", purchase(1, 5000))) == "00"
        assert (asked.calls, leased.calls) == (0, 1)
        for stan in range(2, 9):
            assert code(await link.say("0100", purchase(stan, 1, de2=OTHER_PAN))) == "61"
        assert (asked.calls, leased.calls) == (1, 3)
        world.clock.advance(1.1)
        assert code(await link.say("0100", purchase(9, 1, de2=OTHER_PAN))) == "61"
        assert (asked.calls, leased.calls) == (2, 5)

    run(story())


def test_what_others_take_each_time_is_told_91_and_nothing_is_held() -> None:
    async def story() -> None:
        world = await town()
        grant = world.hot.grant

        async def taken(shard: str, act: Lease, some: int, timeout_s: float) -> bool:
            given = await grant(shard, act, some, timeout_s)
            world.hot.leased[act.counter] -= await world.hot.give_back("none", act)
            return bool(given)

        world.hot.grant = taken
        assert code(await world.link().say("0100", purchase(1, 1000))) == "91"
        assert ("hot_call", "short") in world.watcher.heard
        world.hot.grant = grant
        assert code(await world.link().say("0100", purchase(1, 1000))) == "00"

    run(story())


def test_a_reply_that_is_lost_on_the_way_loses_quota_and_never_more() -> None:
    for name, left in (("lease", 4000), ("grant", 5000), ("give_back", 0)):

        async def story(name: str = name, left: int = left) -> None:
            world = await town()
            link = world.link()
            if name == "give_back":
                # All is in a shard that does not use it.
                assert code(await link.say("0100", purchase(1, 5000))) == "00"
                [quota] = world.hot.quotas_in(keys.shard_of("A1")).of.values()
                quota.used = 0
            Counting(world.hot, name, breaks=1)
            said = code(await link.say("0100", purchase(2, 1000, de2=OTHER_PAN)))
            assert said == "91", name
            world.clock.advance(1.1)
            [granted] = world.hot.leased.values()
            used = sum(q.used for s in world.hot.quotas.values() for q in s.of.values())
            assert used == 0
            said = code(await link.say("0100", purchase(3, left + 1, de2=OTHER_PAN)))
            assert said == "61", name
            if left:
                said = code(await link.say("0100", purchase(4, left, de2=OTHER_PAN)))
                assert said == "00", name

        run(story())
