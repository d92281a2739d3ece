"""Stories that Visa, Mastercard and Postilion tell in their own elements."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from rules.facts import CardState
from rules.lists import ALWAYS, BLOCK
from tests.support.engine import InMemoryLink, World, card, code, held, run
from tests.support.networks import (
    NAMED_BY,
    PURCHASE,
    ZERO_FILLED,
    Fields,
    back,
    follow,
    mastercard,
    postilion,
    trace,
    visa,
)

Story = Callable[[World, InMemoryLink], Awaitable[None]]
PUMP = {"de18": "5542"}
each_network = pytest.mark.parametrize("network", ["visa", "mastercard", "postilion"])
each_way = pytest.mark.parametrize("way", NAMED_BY)


def play(network: str, story: Story, opening: int = 10_000, **limits: Any) -> None:
    async def whole() -> None:
        world = await World().open_with(opening, **limits)
        await story(world, world.link(dialect=BY_NAME[network], network=network))

    run(whole())


def posted(world: World) -> int:
    """What has left the account."""
    return 10_000 - int(world.hot.accounts["A1"].posted["840"])


async def say(link: InMemoryLink, mti: str, fields: Fields) -> Message:
    return await link.say(mti, fields)


@each_network
def test_the_same_bytes_get_the_same_bytes_and_a_repeat_the_same_verdict(network: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = PURCHASE[network](1, 4000)
        raw = encode("0100", bought, link.settings.dialect)
        first, again = await link.send(raw), await link.send(raw)
        assert first == again
        told = decode(first[0], link.settings.dialect)
        repeat = await link.say("0101", bought)
        assert (repeat[38], repeat[39]) == (told[38], told[39]) == (told[38], "00")
        assert held(world) == 4000

    play(network, story)


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
@pytest.mark.parametrize("zeros", [True, False], ids=["zero-filled DE 90", "no DE 90"])
@each_way
def test_a_reversal_by_the_life_cycle_id_alone(
    way: str, zeros: bool, early: bool, times: int
) -> None:
    network = way.split()[0]

    async def story(world: World, link: InMemoryLink) -> None:
        bought = PURCHASE[network](1, 4000)
        more = NAMED_BY[way](bought) | ({"de90": ZERO_FILLED} if zeros else {})
        other = PURCHASE[network](2, 3000)
        for number, value in {62: {2: "2" * 15}, 63: "MCCOTHER1   ", 127: {2: "K2"}}.items():
            if number in other and (number != 63 or network == "mastercard"):
                other[number] = value
        assert code(await link.say("0100", other)) == "00"

        if not early:
            assert code(await link.say("0100", bought)) == "00"
        for turn in range(times):
            said = await link.say("0401" if turn else "0400", back(bought, **more))
            assert (said.mti, code(said)) == ("0410", "00")
        if early:
            assert code(await link.say("0100", bought)) == "05"
        assert held(world) == 3000  # the other one is nobody's business here

    play(network, story)


def test_visas_reversal_may_have_the_stan_and_reference_of_its_purchase() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        bought = visa(1, 4000)
        await link.say("0100", bought)
        full = {"de37": bought[37], "de41": bought[41], "de42": bought[42]}
        original = f"0100{bought[11]}{bought[7]}{bought[32]:0>11}{0:011}"
        reasons = {"de62": {2: bought[62][2]}, "de63": {1: "0002", 3: "2502"}}
        gone = back(bought, 1, de90=original, **full, **reasons)
        for mti in ("0400", "0401"):
            assert code(await link.say(mti, gone)) == "00"
        assert held(world) == 0

    play("visa", story)


@each_way
def test_part_of_it_is_taken_back_under_the_same_id(way: str) -> None:
    network = way.split()[0]
    remains = f"{1500:012}"
    form = {"visa": remains + f"{1500:012}C00000000C00000000"}.get(network, remains + "0" * 30)

    async def story(world: World, link: InMemoryLink) -> None:
        bought = PURCHASE[network](1, 4000)
        await link.say("0100", bought)
        part = back(bought, **NAMED_BY[way](bought), de90=ZERO_FILLED, de95=form)
        for mti in ("0420", "0421"):
            said = await link.say(mti, part)
            assert (code(said), said[90], said[95]) == ("00", ZERO_FILLED, form)
            assert held(world) == 1500

    play(network, story)


@pytest.mark.parametrize(
    ("state", "codes"),
    [
        (CardState.FROZEN, {"visa": "78", "mastercard": "62", "postilion": "62"}),
        (CardState.CLOSED, {"visa": "46", "mastercard": "14", "postilion": "14"}),
        (CardState.LOST, {"visa": "41", "mastercard": "41", "postilion": "41"}),
    ],
)
@each_network
def test_a_decline_in_the_networks_own_code(
    network: str, state: CardState, codes: dict[str, str]
) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await world.put_card(card(state=state))
        said = await link.say("0100", PURCHASE[network](1, 4000))
        assert code(said) == codes[network]
        assert 38 not in said

    play(network, story)


BROKEN = [
    ("visa", 62, b"\x40" + bytes(7) + b"\x03", None),
    ("visa", 60, b"\x41\x00\x00\x00\x00\xa0", None),
    ("visa", 95, "x" * 42, None),
    ("mastercard", 48, "R61991".encode("cp037"), "048"),
    ("mastercard", 61, "00X4004", "061"),
    ("postilion", 127, b"\x40" + bytes(7) + b"99K", None),
]


@pytest.mark.parametrize(("network", "number", "value", "named"), BROKEN)
def test_what_is_broken_inside_is_a_format_error(
    network: str, number: int, value: Any, named: str | None
) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        mti = "0400" if number == 95 else "0100"
        broken = PURCHASE[network](1, 4000) | {number: value}
        said = await link.say(mti, dict(sorted(broken.items())))
        assert code(said) == "30"
        assert said.get(44) == named if network != "visa" else mti == "0400" or said[44] == "5"
        assert held(world) == 0

    play(network, story)


def test_a_terminal_that_takes_less_gets_what_there_is() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        said = await link.say("0100", visa(1, 12_000, de60=bytes.fromhex("410000000001")))
        assert (code(said), said[4], held(world)) == ("10", f"{10_000:012}", 10_000)
        assert said[54, 1, 5] == f"{12_000:012}"

    play("visa", story)

    async def another(world: World, link: InMemoryLink) -> None:
        asked = mastercard(1, 12_000, de48={"tcc": "R", "61": {1: "1"}})
        said = await link.say("0100", asked)
        assert (code(said), said[4], held(world)) == ("10", f"{10_000:012}", 10_000)

    play("mastercard", another)


def test_visa_asks_for_more_under_the_same_identifier() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        first = visa(1, 4000, de60=bytes.fromhex("410000000002"))
        more = visa(2, 1500, de63={1: "0002", 3: "3900"}, de37="000000000009")
        for mti, fields in (("0100", first), ("0100", more), ("0101", more)):
            assert code(await link.say(mti, fields)) == "00"
        assert held(world) == 5500
        assert len(world.hot.accounts["A1"].records) == 1
        await link.say("0400", back(first, **NAMED_BY["visa"](first)))
        assert held(world) == 0

    play("visa", story)


def test_mastercard_asks_for_more_of_a_preauthorization() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        estimate = {"de61": "0000004000300840"}
        first = mastercard(1, 4000, **estimate)
        again = {"de48": {"tcc": "R", "63": trace(first)}, **estimate}
        more = mastercard(2, 1500, "NEXT01", **again)
        for fields in (first, more):
            assert code(await link.say("0100", fields)) == "00"
        assert held(world) == 5500
        assert len(world.hot.accounts["A1"].records) == 1

    play("mastercard", story)


def test_a_series_makes_an_authorization_each_time() -> None:
    """Each names the first one in 48.63, and none is more of it."""

    async def story(world: World, link: InMemoryLink) -> None:
        first = mastercard(1, 1000)
        await link.say("0100", first)
        for stan in (2, 3):
            more = {"de48": {"tcc": "R", "63": trace(first)}, "de61": "0004000000300840"}
            next_one = mastercard(stan, 1000, f"NEXT{stan:02}", **more)
            assert code(await link.say("0100", next_one)) == "00"
        assert (held(world), len(world.hot.accounts["A1"].records)) == (3000, 3)

    play("mastercard", story)


@pytest.mark.parametrize(
    ("network", "holds", "leaves"), [("visa", 2500, 0), ("mastercard", 2500, 0),
                                     ("postilion", 0, 2500)],
)  # fmt: skip
@pytest.mark.parametrize("early", [True, False], ids=["early", "late"])
def test_a_pump_tells_what_the_tank_took(
    network: str, holds: int, leaves: int, early: bool
) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        asked = PURCHASE[network](1, 9000, **PUMP)
        named = NAMED_BY[network](asked)
        told = follow(asked, 700, de4=f"{2500:012}", **named)
        said = [("0100", asked), ("0120", told), ("0121", told)]
        for mti, fields in [*said[1:], said[0]] if early else said:
            assert code(await link.say(mti, fields)) == "00"
        assert (held(world), posted(world)) == (holds, leaves)

    play(network, story)


def test_visa_ships_in_three_parts() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        asked = visa(1, 9000)
        await link.say("0100", asked)
        for number, holds, leaves in ((1, 7000, 2000), (2, 5000, 4000), (3, 0, 6000)):
            payment = {2: asked[62][2], 11: f"{number:02}", 12: "03"}
            part = follow(asked, 700 + number, de4=f"{2000:012}", de62=payment)
            assert code(await link.say("0220", part)) == "00"
            assert (held(world), posted(world)) == (holds, leaves)

    play("visa", story)


def test_postilion_completes_by_the_original_key() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        asked = postilion(1, 9000)
        await link.say("0100", asked)
        done = follow(asked, 700, de4=f"{8000:012}", **NAMED_BY["postilion"](asked))
        assert code(await link.say("0220", done)) == "00"
        assert (held(world), posted(world)) == (0, 8000)

    play("postilion", story)


@pytest.mark.parametrize(("country", "answer"), [("USA", "00"), ("SAU", "57")])
def test_a_blocked_country_is_the_one_that_mastercard_wrote(country: str, answer: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        world.engine.lists.put(BLOCK, "country", "SA", ALWAYS)
        place = "GROCER".ljust(22) + " " + "SOMEWHERE".ljust(13) + " " + country
        assert code(await link.say("0100", mastercard(1, 100, de43=place))) == answer

    play("mastercard", story)
