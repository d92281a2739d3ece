"""A reversal takes back what it names: an act, or the authorization, and nothing that it does not
name; in any order, beside ids that a whole life shares."""

from itertools import permutations
from typing import Any

import pytest

from iso8583.dialects import BY_NAME
from tests.support.engine import (
    NOON,
    InMemoryLink,
    World,
    advice_of,
    code,
    held,
    purchase,
    reversal,
    run,
)
from tests.support.networks import back, visa


def posted(world: World) -> int:
    """What has been posted against the opening funds of 100.00."""
    return 10_000 - int(world.hot.accounts["A1"].posted["840"])


def visa_link(world: World) -> InMemoryLink:
    return world.link(dialect=BY_NAME["visa"], network="visa")


def original_of(fields: dict[int, Any], mti: str = "0100") -> str:
    return f"{mti}{fields[11]}{fields[7]}{'':0>22}"


def more_of(bought: dict[int, Any], stan: int, amount: int) -> dict[int, Any]:
    """An increment under the same life-cycle id."""
    more = {"de62": bought[62], "de63": {1: "0002", 3: "3900"}}
    return visa(stan, amount, at_ms=NOON + 1000 * stan, **more)


def back_of(named: dict[int, Any], stan: int, mti: str = "0100") -> dict[int, Any]:
    """A reversal by a full DE 90, under the life-cycle id."""
    at_ms = NOON + 1000 * stan
    return back(named, stan, at_ms=at_ms, de90=original_of(named, mti), de62={2: named[62][2]})


@pytest.mark.parametrize("sent", [True, False], ids=["declined", "never came"])
def test_the_reversal_of_a_declined_increment_releases_nothing(sent: bool) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = visa_link(world)
        bought = visa(1, 5000)
        more = more_of(bought, 2, 9000)
        await link.say("0100", bought)
        if sent:
            assert code(await link.say("0100", more)) == "51"
        assert code(await link.say("0400", back_of(more, 3))) == "00"
        assert held(world) == 5000
        assert world.watcher.heard[-1] == ("hot_call", "unapplied")
        assert code(await link.say("0400", back_of(bought, 4))) == "00"
        assert held(world) == 0

    run(story())


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_an_increment_is_taken_back_in_any_order(order: tuple[int, ...]) -> None:
    async def story() -> None:
        world = await World().open_with(20_000)
        link = visa_link(world)
        bought = visa(1, 5000)
        one, two = more_of(bought, 2, 2000), more_of(bought, 3, 700)
        said = [("0100", bought), ("0100", one), ("0100", two), ("0400", back_of(one, 9))]
        answers = {}
        for at in order:
            answers[at] = code(await link.say(*said[at]))
        assert answers[0] == "00"
        granted = 700 if answers[2] == "00" else 0
        assert held(world) == 5000 + granted

    run(story())


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_completion_is_taken_back_in_any_order(order: tuple[int, ...]) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = visa_link(world)
        bought = visa(1, 5000)
        done = visa(2, 5000, at_ms=NOON + 2000, de62=bought[62], de63={1: "0002"})
        said = [("0100", bought), ("0220", done), ("0420", back_of(done, 3, "0220"))]
        for at in order:
            assert code(await link.say(*said[at])) in ("00", "05")
        assert (held(world), posted(world)) == (0, 0)

    run(story())


def test_the_reversal_of_a_completion_that_overtakes_it_declines_no_purchase() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = visa_link(world)
        bought = visa(1, 5000)
        done = visa(2, 5000, at_ms=NOON + 2000, de62=bought[62], de63={1: "0002"})
        await link.say("0420", back_of(done, 3, "0220"))
        assert code(await link.say("0100", bought)) == "00"
        assert held(world) == 5000

    run(story())


@pytest.mark.parametrize("later_s", [0, -1, 30])
def test_the_reversal_of_a_stand_in_by_name_takes_it_back_whatever_its_clock(later_s: int) -> None:
    async def story() -> None:
        for stan in range(1, 20):
            world = await World().open_with(10_000)
            link = world.link()
            stood_in = purchase(stan, 5000)
            await link.say("0120", stood_in)
            back = reversal(stood_in, 500 + stan, at_ms=NOON + later_s * 1000)
            await link.say("0420", back | {90: original_of(stood_in, "0120")})
            assert held(world) == 0

    run(story())


def test_a_de_90_that_is_a_second_off_is_mended_by_the_approval_code() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        answer = await link.say("0100", bought)
        late = purchase(1, 5000, at_ms=NOON + 1000)
        wrong = reversal(bought, 900, de90=original_of(late), de38=str(answer[38]))
        assert code(await link.say("0400", wrong)) == "00"
        assert held(world) == 0
        assert world.watcher.heard[-1] == ("hot_call", "reversed")

    run(story())


# -- what posts, posts once, and all of it -------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
@pytest.mark.parametrize("amount", [5000, 4000])
def test_a_completion_of_what_posted_at_once_says_again_how_much(
    amount: int, order: tuple[int, ...]
) -> None:
    """Store and forward: the 0200 was not answered, and the same is told by a 0220."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        said = [("0200", bought), ("0220", advice_of(bought, 2, de4=f"{amount:012}"))]
        for at in order:
            assert code(await link.say(*said[at])) == "00"
        assert (held(world), posted(world)) == (0, amount)
        back = reversal(bought, 900, at_ms=NOON + 90_000)
        await link.say("0420", back | {90: original_of(bought, "0200")})
        assert posted(world) == 0

    run(story())


@pytest.mark.parametrize("named", [True, False], ids=["by DE 90", "by DE 37"])
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_of_a_declined_0200_there_is_nothing_to_say_again_or_to_take_back(
    order: tuple[int, ...], named: bool
) -> None:
    """What was posted by force stands alone: its reversal has to name it."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000, de14="2712")  # not the card's expiry
        forced = advice_of(bought, 2, de4=f"{4000:012}")
        back = reversal(bought, 900, at_ms=NOON + 90_000, de90="")
        if named:
            back[90] = original_of(bought, "0200")
        said = [("0200", bought), ("0220", forced), ("0420", back)]
        for at in order:
            assert code(await link.say(*said[at])) == ("54" if at == 0 else "00")
        assert (held(world), posted(world)) == (0, 4000)
        by_name = reversal(forced, 901, at_ms=NOON + 95_000, de90=original_of(forced, "0220"))
        assert code(await link.say("0420", by_name)) == "00"
        assert posted(world) == 0

    run(story())


def test_the_reversal_of_a_0200_without_funds_leaves_what_was_posted_by_force() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 15_000)
        assert code(await link.say("0200", bought)) == "51"
        assert code(await link.say("0220", advice_of(bought, 2, de71="0001", de72="0002"))) == "00"
        back = reversal(bought, 900, at_ms=NOON + 90_000, de90="")
        assert code(await link.say("0420", back)) == "00"
        assert world.watcher.heard[-1] == ("hot_call", "unapplied")
        assert posted(world) == 15_000

    run(story())


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_last_of_three_shipments_may_come_first(order: tuple[int, ...]) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 6000)
        said = [("0100", bought)] + [
            ("0220", advice_of(bought, 10 + n, de4=f"{1500:012}", de71=f"{n:04}", de72="0003"))
            for n in (1, 2, 3)
        ]
        for count, at in enumerate(order, 1):
            assert code(await link.say(*said[at])) == "00"
            if 0 in order[:count] and count < 4:
                assert held(world) == 6000 - 1500 * (count - 1)
        assert (held(world), posted(world)) == (0, 4500)

    run(story())


def test_more_completions_than_a_record_has_room_for_all_post() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        await link.say("0100", bought)
        for n in range(130):
            part = advice_of(bought, 10 + n, de4=f"{10:012}", de71="0001", de72="0002")
            assert code(await link.say("0220", part)) == "00"
        assert posted(world) == 1300

    run(story())


def test_two_crowds_that_meet_in_one_authorization_lose_nothing() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        for n in range(100):
            by_time = advice_of(bought, 10 + n, de4=f"{10:012}", de90=original_of(bought))
            by_rrn = advice_of(bought, 310 + n, de4=f"{10:012}")
            await link.say("0220", by_time)
            await link.say("0220", by_rrn)
        assert posted(world) == 2000
        await link.say("0100", bought)
        assert posted(world) == 2000

    run(story())


# -- what was asked for, and what was declined ---------------------------------------------


def test_an_increment_in_another_currency_is_a_part_of_what_was_billed() -> None:
    async def story() -> None:
        world = await World().open_with(30_000)
        link = world.link()
        euros = purchase(1, 10_000, de49="978", de6=f"{12_000:012}", de51="840")
        await link.say("0100", euros)
        more = purchase(2, 6000, at_ms=NOON + 9000, de90=original_of(euros))
        assert code(await link.say("0100", more)) == "00"
        assert held(world) == 18_000, "of 150.00 euros"
        stays = reversal(euros, 900, de95=f"{7500:012}{'':0>30}")
        await link.say("0400", stays)
        assert held(world) == 9000

    run(story())


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
def test_an_advice_that_it_was_declined_there_takes_our_approval_back(
    order: tuple[int, ...],
) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        told = advice_of(bought, 2, de39="05", de90=original_of(bought))
        said = [("0100", bought), ("0120", told)]
        for at in order:
            assert code(await link.say(*said[at])) in ("00", "05")
        assert held(world) == 0
        assert code(await link.say("0100", purchase(3, 5000, de37=bought[37]))) == "00"
        weak = advice_of(purchase(3, 5000), 4, de39="05", de37=bought[37])
        assert code(await link.say("0120", weak)) == "00"
        assert held(world) == 5000, "by DE 37 it may mean another try"

    run(story())
