"""authz show: a day of one account, as a person reads it."""

import asyncio
import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.control import Identity, freeze_card
from authz.hot import admin
from tests.support.engine import PAN, World, advice_of, code, purchase, reversal
from tests.support.hot import opened


def run(store: str, *words: str) -> str:
    result = CliRunner().invoke(
        cli.main, ["show", *words, "--redis", store], env={"AUTHZ_REDIS_FSYNC": "off"}
    )
    assert result.exit_code == 0, result.output
    assert PAN not in result.output
    return result.stdout


def act(store: str, stan: int) -> tuple[dict[str, Any], str]:
    """One act as data, and its line in the table."""
    words = ("message", "--stan", str(stan), "--account", "A1")
    [found] = json.loads(run(store, *words, "--json"))["messages"]
    return found, run(store, *words).splitlines()[2]


@pytest.fixture
def store(fresh_redis: str) -> str:
    async def story() -> None:
        hot, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        world = await World(hot).open_with(10_000, daily_amount_minor=9000)
        now = world.clock._now_ms = (await client.time())[0] * 1000 + 5000
        link = world.link()
        hotel = purchase(1, 4000, at_ms=now)
        named = f"0100{hotel[11]}{hotel[7]}{'':0>22}"
        for mti, fields, expected in [
            ("0100", hotel, "00"),
            ("0100", purchase(2, 1000, at_ms=now, de90=named), "00"),
            ("0100", purchase(3, 6000, at_ms=now, de60="000000000100"), "10"),
            ("0100", purchase(4, 0, at_ms=now, de3="300000"), "00"),
            ("0400", reversal(purchase(3, 6000, at_ms=now), 5, at_ms=now), "00"),
            ("0200", purchase(6, 1500, at_ms=now), "00"),
            ("0220", advice_of(hotel, 7, at_ms=now, de4=f"{2000:012}", de71="0001", de72="0002"),
             "00"),
            ("0500", {7: hotel[7], 11: "000008", 49: "840", 76: f"{2:010}", 88: f"{3600:016}"},
             "00"),
        ]:  # fmt: skip
            assert code(await link.say(mti, fields)) == expected, (mti, fields[11])
        await freeze_card(hot, Identity("key", "C1", "A1"), frozen=True, source="authz card freeze")
        await client.aclose()
        hot._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(story())
    return fresh_redis


def test_what_posted_has_its_column(store: str) -> None:
    found, line = act(store, 6)
    assert (found["held_delta_minor"], found["posted_delta_minor"]) == (0, -1500)
    assert re.search(r" 0\.00 USD +-15\.00 USD ", line)
    found, line = act(store, 7)
    assert (found["held_delta_minor"], found["posted_delta_minor"]) == (-2000, -2000)
    assert found["taken_for"] == "completion in part"


def test_an_inquiry_is_told_as_money(store: str) -> None:
    found, line = act(store, 4)
    assert (found["ledger_minor"], found["available_minor"]) == (10_000, 1000)
    assert "ledger 100.00 USD, available 10.00 USD" in line


def test_a_part_says_what_was_in_the_way_of_the_whole(store: str) -> None:
    found, line = act(store, 3)
    assert (found["approved_minor"], found["limited_by"]) == (4000, "daily_amount_limit")
    assert "partial: 40.00 USD, daily_amount_limit" in line


def test_a_card_that_was_frozen_says_by_whom(store: str) -> None:
    assert re.search(r" card .* frozen .* by authz card freeze ", run(store, "account", "A1"))
    [newest] = json.loads(run(store, "account", "A1", "--acts", "1", "--json"))["latest_acts"]
    assert (newest["verdict"], newest["state"]) == ("moved", "frozen")


def test_an_account_lists_its_cards(store: str) -> None:
    assert re.search(
        r"^cards\n +card id +state +expiry\n +C1 +frozen +\d{4}$", run(store, "account", "A1"), re.M
    )


def test_an_authorization_with_increments_and_completions(store: str) -> None:
    found, _ = act(store, 1)
    text = run(store, "authorization", found["authorization_id"], "--account", "A1")
    assert re.search(r"^state +posted in part$", text, re.M)
    assert re.search(r"^approved +40\.00 USD$", text, re.M)
    assert re.search(r"^increments +10\.00 USD, asked for on top", text, re.M)
    assert "expires at" in text
    closed, _ = act(store, 3)
    text = run(store, "authorization", closed["authorization_id"], "--account", "A1")
    assert "expires at" not in text
    assert re.search(r"^state +reversed$", text, re.M)


def test_both_sides_of_a_reconciliation(store: str) -> None:
    words = ("message", "--stan", "8")
    [found] = json.loads(run(store, *words, "--json"))["messages"]
    assert (found["mti"], found["network"]) == ("0500", "generic")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["business_date"])
    differ = {one["total"]: one for one in found["totals"] if one["differs"]}
    assert differ == {
        "debits_minor": {
            "total": "debits_minor", "network": 3600, "ours": 3500, "differs": True,
        },
    }  # fmt: skip
    text = run(store, *words)
    assert re.search(r"^STAN 000008: generic, business date \d{4}-\d\d-\d\d$", text, re.M)
    assert re.search(r"^ +debits number +2 +2$", text, re.M)
    assert re.search(r"^ +debits +36\.00 USD +35\.00 USD +differs$", text, re.M)
    assert re.search(r"^ +net +- +-35\.00 USD$", text, re.M)
