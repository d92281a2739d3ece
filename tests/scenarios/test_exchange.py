"""Amounts of other currencies and the fees beside them: what is held, posted, kept and told."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.hot import admin
from authz.judgement import texts_in_force
from tests.support.engine import (
    NOON,
    World,
    advice_of,
    code,
    held,
    purchase,
    reversal,
    run,
)  # fmt: skip

EUR, PARTIAL = {"de49": "978"}, "000000000100"
HEAD = 'version = "1"\n'


def exchange(date: str = "2026-03-21", usd: str = "1.10", **keys: str) -> str:
    lines = {"base": '"EUR"', "date": f'"{date}"', "max_age_days": "4",
             "rates": f'{{ USD = "{usd}", JPY = "160", KWD = "0.34" }}'} | keys  # fmt: skip
    return "[exchange]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def fee(kind: str, **keys: str) -> str:
    lines = {"name": f'"{kind}{len(keys)}"', "kind": f'"{kind}"'} | keys
    return "[[fee]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def change(world: World, policy: str, rates: str = "") -> None:
    version, _ = world.hot.blocked
    entries = {("policy", HEAD + policy)} | ({("rates", rates)} if rates else set())
    world.hot.blocked = version + 1, frozenset(entries)


async def priced(policy: str, opening: int = 100_000, **limits: Any) -> World:
    world = await World().open_with(opening, **limits)
    change(world, policy)
    return world


ABROAD = fee("cross_border", bp="100", home='["DE"]')
FOREIGN = fee("foreign_currency", bp="200", min="50", max="500")
ATM = fee("atm", fixed="300")
MINE = fee("cross_border", bp="0", home='["DE"]', scope='{ card = "C1" }')  # an exemption


@pytest.mark.parametrize(
    ("policy", "changes", "answer", "holds"),
    [
        (exchange(), EUR, "00", 5500),
        (exchange(), {}, "00", 5000),
        (exchange(), {"de49": "392"}, "00", 3438),  # JPY 5000: 34.375
        (exchange(), {"de49": "414"}, "00", 1618),  # KWD 5.000: 16.1764…
        (exchange(), {"de49": "826"}, "57", 0),  # no rate
        (exchange(date="2026-03-18"), EUR, "00", 5500),  # as old as it may be
        (exchange(date="2026-03-17"), EUR, "57", 0),
        (exchange(usd="1.10", spread_bp="50", markup_bp="150"), EUR, "00", 5610),
        (exchange(markup_bp="150", programs="{ test = { markup_bp = 0 } }"), EUR, "00", 5500),
        (exchange(), EUR | {"de6": f"{6000:012}", "de51": "840"}, "00", 6000),  # the network's
        (exchange(), EUR | {"de6": f"{6000:012}", "de51": "826"}, "57", 0),  # into a third
        (ABROAD, {}, "00", 5050),
        (ABROAD, {"de43": "x".ljust(38) + "DE"}, "00", 5000),
        (ABROAD, EUR, "57", 0),  # fees alone convert nothing
        (exchange() + ABROAD + FOREIGN, EUR, "00", 5500 + 55 + 110),
        (exchange() + FOREIGN, EUR | {"de4": f"{1000:012}"}, "00", 1100 + 50),
        (exchange() + FOREIGN, EUR | {"de4": f"{50_000:012}"}, "00", 55_000 + 500),
        (exchange() + FOREIGN, EUR | {"de6": f"{6000:012}", "de51": "840"}, "00", 6120),
        (ATM, {"de3": "010000", "de18": "6011"}, "00", 5300),
        (ATM, {"de3": "010000", "de18": "6010"}, "00", 5000),
        (ATM, {"de4": f"{0:012}"}, "00", 0),
        (fee("atm", fixed="300", when='{ country = ["DE"] }'), {"de18": "6011"}, "00", 5000),
        (ABROAD + MINE, {}, "00", 5000),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_held(policy: str, changes: dict[str, str], answer: str, holds: int) -> None:
    async def story() -> None:
        world = await priced(policy)
        link = world.link()
        said = await link.say("0100", purchase(1, 5000, **changes))
        assert (code(said), held(world)) == (answer, holds)
        change(world, exchange(usd="2"))
        assert (await link.say("0101", purchase(1, 5000, **changes))).values == said.values
        assert held(world) == holds, "what was said stands, whatever rates are now"

    run(story())


def test_loaded_rates_hold_where_a_policy_has_none_of_its_own() -> None:
    async def story() -> None:
        world = await World().open_with(100_000)
        link = world.link()
        rates = '{"base":"EUR","date":"2026-03-20","source":"ecb","rates":{"USD":"1.25"}}'
        change(world, "[exchange]\n", rates)
        assert code(await link.say("0100", purchase(1, 1000, **EUR))) == "00"
        assert held(world) == 1250
        change(world, "[exchange]\n")
        assert code(await link.say("0100", purchase(2, 1000, **EUR))) == "57"

    run(story())


@pytest.mark.parametrize(("left", "holds"), [(2500, 2832), (1, 1)])
def test_a_partial_reversal_leaves_its_part_of_amount_and_fees(left: int, holds: int) -> None:
    async def story() -> None:
        world = await priced(exchange() + ABROAD + FOREIGN)  # 55.00 + 1.65
        link = world.link()
        asked = purchase(1, 5000, **EUR)
        await link.say("0100", asked)
        assert code(await link.say("0400", reversal(asked, de95=f"{left:012}{'':0>30}"))) == "00"
        assert held(world) == holds  # 2832.5 and 1.133, half to even
        assert code(await link.say("0400", reversal(asked, 901))) == "00"
        assert held(world) == 0

    run(story())


def test_a_completion_is_billed_by_the_rates_of_its_own_day() -> None:
    async def story() -> None:
        world = await priced(exchange() + ABROAD)
        link = world.link()
        asked = purchase(1, 5000, **EUR)
        await link.say("0100", asked)
        assert held(world) == 5555
        change(world, exchange(usd="1.2") + ABROAD)
        completion = advice_of(asked, 3)
        assert code(await link.say("0220", completion)) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 100_000 - 6060
        assert held(world) == 0
        change(world, exchange(usd="3"))
        assert code(await link.say("0221", completion)) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 100_000 - 6060

    run(story())


def test_an_advice_without_a_rate_is_taken_in_as_it_was_told() -> None:
    async def story() -> None:
        world = await priced(exchange(date="2026-01-01"))
        link = world.link()
        assert code(await link.say("0220", advice_of(purchase(1, 5000, **EUR), 3))) == "00"
        assert world.hot.accounts["A1"].posted["978"] == -5000
        assert world.hot.accounts["A1"].posted["840"] == 100_000

    run(story())


def test_an_increment_adds_its_share_of_fees_and_no_fixed_part() -> None:
    async def story() -> None:
        world = await priced(exchange() + fee("foreign_currency", bp="100", fixed="100"))
        link = world.link()
        first = purchase(1, 5000, **EUR)
        await link.say("0100", first)
        assert held(world) == 5500 + 155
        more = purchase(
            2, 1000, at_ms=NOON + 1000, de90=f"0100{first[11]}{first[7]}{'':0>22}", **EUR
        )
        assert code(await link.say("0100", more)) == "00"
        assert held(world) == 5655 + 1100 + 11

    run(story())


def test_approved_in_part_leaves_room_for_its_fees() -> None:
    async def story() -> None:
        world = await priced(exchange() + ABROAD, opening=2000)
        said = await world.link().say("0100", purchase(1, 5000, de60=PARTIAL, **EUR))
        assert (code(said), said[4]) == ("10", f"{1800:012}")  # 20.00 of 55.55: EUR 18.00
        assert held(world) == 2000
        world = await priced(ABROAD, opening=2000)
        billed = {"de6": f"{5500:012}", "de51": "840"} | EUR
        said = await world.link().say("0100", purchase(1, 5000, de60=PARTIAL, **billed))
        assert (said[4], said[6]) == (f"{1800:012}", f"{1980:012}"), "the network bills no fee"

    run(story())


def test_a_cap_is_of_the_amount_and_takes_its_part_of_the_fees() -> None:
    async def story() -> None:
        cap = '[[rule]]\nname = "c"\noutcome = "cap"\namount = 4000\n'
        world = await priced(cap + ABROAD)
        said = await world.link().say("0100", purchase(1, 5000, de60=PARTIAL))
        assert (code(said), said[4], held(world)) == ("10", f"{4000:012}", 4040)
        world = await priced(cap + ABROAD)
        assert code(await world.link().say("0100", purchase(1, 4000))) == "00"
        assert held(world) == 4040

    run(story())


def test_an_uplift_stands_beside_the_fees_and_needs_no_funds() -> None:
    async def story() -> None:
        uplift = '[[rule]]\nname = "u"\noutcome = "uplift"\npercent = 20\n'
        for opening, holds in ((100_000, 6050), (5500, 5500), (5050, 5050)):
            world = await priced(uplift + ABROAD, opening)
            assert code(await world.link().say("0100", purchase(1, 5000))) == "00"
            assert held(world) == holds
        world = await priced(uplift + ABROAD, 5049)
        assert code(await world.link().say("0100", purchase(1, 5000))) == "51"

    run(story())


def test_each_of_several_completions_pays_its_share_and_the_last_the_fixed_part() -> None:
    async def story() -> None:
        world = await priced(exchange() + fee("foreign_currency", bp="100", fixed="100"))
        link = world.link()
        asked = purchase(1, 5000, **EUR)
        await link.say("0100", asked)
        for stan, amount, number in ((2, 2000, 1), (3, 3000, 2)):
            part = advice_of(asked, stan, de4=f"{amount:012}", de71=f"{number:04}", de72="0002")
            assert code(await link.say("0220", part)) == "00"
        posted = world.hot.accounts["A1"].posted["840"]
        assert posted == 100_000 - (2200 + 22) - (3300 + 33 + 100)
        assert held(world) == 0

    run(story())


def test_a_refund_is_billed_with_the_spread_alone_and_without_fees() -> None:
    async def story() -> None:
        world = await priced(exchange(spread_bp="100", markup_bp="200") + ABROAD + FOREIGN)
        refund = purchase(1, 5000, de3="200000", **EUR)
        assert code(await world.link().say("0200", refund)) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 100_000 + 5445

    run(story())


def test_a_daily_amount_counts_fees_too() -> None:
    async def story() -> None:
        world = await priced(exchange() + ABROAD, daily_amount_minor=5555)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 5000, **EUR))) == "00"
        world = await priced(exchange() + ABROAD, daily_amount_minor=5554)
        assert code(await world.link().say("0100", purchase(1, 5000, **EUR))) == "61"

    run(story())


# -- the command, on a store -------------------------------------------------------------------

BANK = """Date,USD,JPY,CYP,GBP,
2026-03-19,1.0500,160.10,N/A,0.83000,
2026-03-20,1.1000,160.25,N/A,0.84000,
"""


def asked(*words: str) -> Result:
    return CliRunner().invoke(cli.main, ["rules", *words], env={"AUTHZ_REDIS_FSYNC": "off"})


def test_rates_are_put_in_force_beside_the_policy(fresh_redis: str, tmp_path: Any) -> None:
    policy, bank, bad = (tmp_path / name for name in ("p.toml", "bank.csv", "bad.csv"))
    policy.write_text(HEAD + '[exchange]\ncurrencies = ["GBP"]\n' + ABROAD)
    bank.write_text(BANK)
    bad.write_text(BANK.replace(",0.84000", ",N/A"))
    store = ("--redis", fresh_redis)

    async def begin() -> tuple[str, str]:
        client = admin.administrator(fresh_redis)
        await admin.install(client)
        await admin.open_gates(client, new=True, source="test")
        await client.aclose()
        return "", ""

    async def texts() -> tuple[str, str]:
        client = admin.administrator(fresh_redis)
        found = await texts_in_force(client)
        await client.aclose()
        return found

    asyncio.run(begin())
    early = asked("load", str(policy), *store)
    assert (early.exit_code, early.output) == (
        1, "Error: p.toml: exchange.currencies: no rate for GBP: authz rules rates loads some\n"
    )  # fmt: skip
    assert asyncio.run(texts()) == ("", "")
    said = asked("rates", str(bank), *store)
    assert said.output == "3 rates of 2026-03-20, ecb: in force, judgement 1\n"
    assert asked("load", str(policy), *store).exit_code == 0
    wrong = asked("rates", str(bad), *store)
    assert (wrong.exit_code, wrong.output) == (
        1, "Error: bad.csv: exchange.currencies: no rate for GBP\n"
    )  # fmt: skip
    text, rates = asyncio.run(texts())
    assert text == policy.read_text()
    assert json.loads(rates) == {
        "base": "EUR", "date": "2026-03-20", "source": "ecb",
        "rates": {"USD": "1.1000", "JPY": "160.25", "GBP": "0.84000"},
    }  # fmt: skip
    assert "were in force already" in asked("rates", str(bank), *store).output
    assert "# beside it: 3 rates of 2026-03-20, ecb\n" in asked("show", *store).output
    assert asked("diff", str(policy), *store).output == "no difference\n"
