"""The stories of ISO 8583:1987, told by a network of 1993: the same holds, other words."""

from collections.abc import Awaitable, Callable

import pytest

from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.engine import NOON, InMemoryLink, World, code, held, run
from tests.support.iso93 import advice_1993, purchase_1993, reversal_1993

Story = Callable[[World, InMemoryLink], Awaitable[None]]


def play(story: Story, opening: int = 10_000, **link: object) -> None:
    async def whole() -> None:
        world = await World().open_with(opening)
        speaks = {"dialect": BY_NAME["iso93_ascii"], "network": "iso93"}
        await story(world, world.link(**(speaks | link)))

    run(whole())


def test_a_purchase_is_approved_and_its_repeat_hears_the_same() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        first = await link.say("1100", purchase_1993(1, 4000))
        again = await link.say("1101", purchase_1993(1, 4000))

        assert (first.mti, code(first), len(str(first[38]))) == ("1110", "000", 6)
        assert first == again
        assert held(world) == 4000
        assert not {22, 24, 26, 35, 43} & set(first)

    play(story)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"de4": f"{10_001:012}"}, "116"),
        ({"de2": "9999990000000028"}, "111"),
        ({"de14": "2711"}, "101"),
        ({"de26": ""}, "904"),
        ({"de3": "400000"}, "902"),
    ],
)
def test_a_decline_has_three_digits(changes: dict[str, str], answer: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert code(await link.say("1100", purchase_1993(1, 4000, **changes))) == answer
        assert held(world) == 0

    play(story)


@pytest.mark.parametrize("mti", ["1400", "1401", "1420", "1421"])
def test_a_reversal_finds_its_purchase_by_de_56(mti: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000)
        await link.say("1100", bought)
        # Nothing else that it says would find it.
        said = await link.say(mti, reversal_1993(bought, de37="", de41="", de42=""))
        assert (said.mti, code(said)) == ("1410" if mti[2] == "0" else "1430", "400")
        assert held(world) == 0

    play(story)


def test_a_reversal_that_comes_first_is_waited_for() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000)
        assert code(await link.say("1420", reversal_1993(bought))) == "400"
        assert code(await link.say("1100", bought)) == "100"
        assert held(world) == 0

    play(story)


def test_part_of_a_purchase_is_taken_back() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000)
        await link.say("1100", bought)
        part = reversal_1993(bought, de24="401", de4=f"{1500:012}", de30=f"{4000:012}{0:012}")
        for mti in ("1420", "1421"):
            assert code(await link.say(mti, part)) == "400"
            assert held(world) == 1500

    play(story)


def funds(world: World) -> int:
    return int(world.hot.accounts["A1"].posted["840"])


def told_by(of: dict[int, str], mti: str) -> str:
    """DE 56 that names this message."""
    return f"{mti}{of[11]}{of[12]}{len(of[32]):02}{of[32]}"


@pytest.mark.parametrize("early", [True, False])
def test_a_stand_in_and_its_purchase_make_one_hold_in_either_order(early: bool) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000)
        told = advice_1993(bought, 700, de39="000")
        said = [("1100", bought, "000"), ("1120", told, "900"), ("1121", told, "900")]
        for mti, fields, answer in [*said[1:], said[0]] if early else said:
            heard = await link.say(mti, fields)
            assert (heard.mti, code(heard)) == (f"1{mti[1]}{int(mti[2]) + 1}0", answer)
        assert held(world) == 4000

    play(story)


def test_a_stand_in_that_declined_holds_nothing() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        told = advice_1993(purchase_1993(1, 4000), 700, de39="116")
        assert code(await link.say("1120", told)) == "900"
        assert held(world) == 0

    play(story)


def test_a_financial_request_posts_at_once_and_is_taken_back_by_de_56() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000, de24="200")
        for mti in ("1200", "1201"):
            said = await link.say(mti, bought)
            assert (said.mti, code(said)) == ("1210", "000")
        assert (held(world), funds(world)) == (0, 6000)
        assert code(await link.say("1200", purchase_1993(2, 6001))) == "116"

        back = reversal_1993(bought, de37="", de41="", de42="", de56=told_by(bought, "1200"))
        assert code(await link.say("1420", back)) == "400"
        assert (held(world), funds(world)) == (0, 10_000)

    play(story)


@pytest.mark.parametrize("early", [True, False])
def test_a_completion_posts_ends_the_hold_and_is_taken_back(early: bool) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000)
        done = advice_1993(bought, 700, de4=f"{4500:012}", de24="201", de30=f"{4000:012}{0:012}")
        said = [("1100", bought, "000"), ("1220", done, "900")]
        for mti, fields, answer in said[:: -1 if early else 1]:
            heard = await link.say(mti, fields)
            assert (heard.mti, code(heard)) == (f"1{mti[1]}{int(mti[2]) + 1}0", answer)
        assert (held(world), funds(world)) == (0, 5500)

        back = reversal_1993(
            done, 901, at_ms=NOON + 90_000, de37="", de41="", de42="", de56=told_by(done, "1220")
        )
        assert code(await link.say("1420", back)) == "400"
        assert (held(world), funds(world)) == (0, 10_000)

    play(story)


@pytest.mark.parametrize("early", [True, False])
def test_a_supplementary_authorization_raises_the_hold(early: bool) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = purchase_1993(1, 4000, de24="101")
        more = advice_1993(bought, 700, de4=f"{1500:012}", de24="104")
        said = [("1100", bought), ("1100", more)]
        for mti, fields in said[:: -1 if early else 1]:
            assert code(await link.say(mti, fields)) == "000"
        assert held(world) == 5500
        assert code(await link.say("1100", advice_1993(bought, 701, de24="105"))) == "000"
        assert held(world) == 9500
        assert code(await link.say("1100", advice_1993(bought, 702, de24="187"))) == "116"

        assert code(await link.say("1420", reversal_1993(bought, de37=""))) == "400"
        assert held(world) == 0

    play(story)


def test_a_balance_inquiry_and_a_payment_to_the_card() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("1100", purchase_1993(1, 4000))
        said = await link.say("1100", purchase_1993(2, 0, de3="310000", de24="108"))
        assert code(said) == "000"
        assert said[54] == f"0001840C{10_000:012}0002840C{6000:012}"
        assert code(await link.say("1200", purchase_1993(3, 700, de3="260000"))) == "000"
        assert funds(world) == 10_700

    play(story)


def test_an_approval_of_less_has_an_action_code_of_its_own() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        said = await link.say("1100", purchase_1993(1, 12_000))
        assert (code(said), said[4]) == ("002", f"{10_000:012}")
        assert said[54] == f"0057840C{12_000:012}"

    play(story, partial_approval=True)


@pytest.mark.parametrize("mti", ["0100", "1300", "2100"])
def test_what_is_not_of_this_version_or_known_is_a_format_error(mti: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert code(await link.say(mti, purchase_1993(1))) == "904"
        assert held(world) == 0

    play(story)


def test_sign_on_echo_and_sign_off_by_function_code() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        async def manage(function: str) -> Message:
            fields = {7: "0322120000", 11: "000001", 12: "260322120000", 24: function}
            return await link.say("1804", fields)

        assert code(await link.say("1100", purchase_1993(1))) == "904"
        for function, answer in (("831", "800"), ("801", "800"), ("999", "904")):
            said = await manage(function)
            assert (said.mti, code(said), said[24]) == ("1814", answer, function)
        assert code(await link.say("1100", purchase_1993(1))) == "000"
        await manage("802")
        assert code(await link.say("1100", purchase_1993(2))) == "904"

    play(story, sign_on_required=True)
