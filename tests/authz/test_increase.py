"""More on an authorization: told once, judged anew where facts moved, taken back where unheard."""

from typing import Any

import pytest

from authz.hot.acts import Stale
from authz.hot.errors import Cold, NoReply, TooLate
from tests.support.engine import NOON, World, card, code, held, purchase, run


def more_of(stan: int, amount: int, of: int = 1, **changes: str) -> dict[int, str]:
    original = f"0100{of:06}{purchase(of)[7]}{'':0>22}"
    return purchase(stan, amount, at_ms=NOON + 30_000 + stan, de90=original, **changes)


async def opened() -> World:
    world = await World().open_with(10_000)
    assert code(await world.link().say("0100", purchase(1, 3000))) == "00"
    return world


def test_it_adds_to_what_is_held_once() -> None:
    async def story() -> None:
        world = await opened()
        for mti in ("0100", "0101", "0101"):
            assert code(await world.link().say(mti, more_of(2, 500))) == "00"
            assert held(world) == 3500
        assert code(await world.link().say("0100", more_of(3, 6501))) == "51"
        assert held(world) == 3500

    run(story())


@pytest.mark.parametrize(("trouble", "withdrawn"), [(NoReply, 1), (Cold, 0), (TooLate, 0)])
def test_without_a_verdict_it_is_91_and_only_what_may_have_run_is_taken_back(
    trouble: type[Exception], withdrawn: int
) -> None:
    async def story() -> None:
        world = await opened()

        async def silent(*said: Any) -> None:
            raise trouble

        world.hot.apply = silent
        assert code(await world.link().say("0100", more_of(2, 500))) == "91"
        assert len(world.spool.acts) == withdrawn
        assert held(world) == 3000

    run(story())


@pytest.mark.parametrize(("times", "answer", "calls"), [(1, "00", 2), (2, "91", 2)])
def test_a_plan_from_old_facts_is_made_once_more_and_then_given_up(
    times: int, answer: str, calls: int
) -> None:
    async def story() -> None:
        world = await opened()
        apply, heard = world.hot.apply, list[Any]()

        async def moved(act: Any, timeout_s: float) -> Any:
            heard.append(act)
            if len(heard) <= times:
                version, profile, _ = world.hot.cards["C1"]
                account = world.hot.accounts["A1"]
                return Stale(account.version, account.profile, version, profile, 0)
            return await apply(act, timeout_s)

        world.hot.apply = moved
        assert code(await world.link().say("0100", more_of(2, 500))) == answer
        assert len(heard) == calls
        assert (("hot_call", "stale_twice") in world.watcher.heard) == (times == 2)
        assert held(world) == (3500 if answer == "00" else 3000)

    run(story())


def test_it_is_declined_on_facts_like_any_other() -> None:
    async def story() -> None:
        world = await opened()
        await world.put_card(card(state="frozen"))
        assert code(await world.link().say("0100", more_of(2, 500))) == "62"
        assert code(await world.link().say("0100", more_of(3, 500, de2="9999990000000028"))) == "14"
        world.spool.full = True
        assert code(await world.link().say("0100", more_of(4, 500))) == "91"
        assert code(await world.link().say("0100", more_of(5, 500, de7="0320000000"))) == "12"
        assert held(world) == 3000

    run(story())
