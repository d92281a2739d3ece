"""authz explain: what was seen then, not what stands there now."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.clock import utc
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.judgement import put_lists, put_policy, put_rates
from authz.privacy import Pan
from rules.facts import AccountState, CardState
from tests.support.engine import KEYS, PAN, World, account, code, purchase
from tests.support.hot import opened

POLICY = """
version = "7"
[[rule]]
name = "watch"
when = { mcc = ["5411"] }
outcome = "flag"
[[rule]]
name = "no vices"
when = { mcc = ["7995"] }
outcome = "decline"
[[limit]]
name = "a day"
measure = "amount"
ceiling = 6000
window = "day"
[[fee]]
name = "abroad"
kind = "cross_border"
home = ["US"]
bp = 1000
[exchange]
"""
RATES = '{"base":"EUR","date":"DATE","source":"ecb","rates":{"USD":"1.1"}}'
ABROAD = "X".ljust(38) + "DE"  # DE 43


def asked(store: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["explain", *words, "--redis", store], env=env)


def explained(store: str, id: str) -> Any:
    result = asked(store, id, "--account", "A1", "--replay", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def told(fresh_redis: str) -> tuple[str, dict[str, str]]:
    """A store, and the ids of: an approval, a limit met, a rule, no funds, a frozen card."""

    async def scenario() -> dict[str, str]:
        state = await opened(fresh_redis)
        client = admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(state, [NewAccount(profile=account(), opening_minor=5500)], "test")
        new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, KEYS, [new], "test")
        await put_policy(client, POLICY, "test")
        today = utc(now_ms).date().isoformat()
        await put_rates(client, RATES.replace("DATE", today), "test")
        link, ids = world.link(), {}

        async def ask(name: str, stan: int, amount: int, answer: str, **changes: str) -> None:
            said = await link.say("0100", purchase(stan, amount, at_ms=now_ms, **changes))
            assert code(said) == answer, name
            words = ["show", "message", "--stan", str(stan), "--account", "A1", "--json"]
            shown = await asyncio.to_thread(
                CliRunner().invoke, cli.main, [*words, "--redis", fresh_redis],
                env={"AUTHZ_REDIS_FSYNC": "off"},
            )  # fmt: skip
            [message] = json.loads(shown.stdout)["messages"]
            ids[name] = message["message_id"]

        await ask("approved", 1, 5000, "00")
        await ask("limit", 2, 1001, "61")
        await ask("rule", 3, 10, "05", de18="7995")
        await ask("funds", 4, 501, "51")
        await ask("abroad", 6, 100, "00", de49="978", de43=ABROAD)
        await ask("billed", 8, 100, "00", de49="978", de51="840", de6=f"{120:012}", de10="61200000")
        await ask("no_rate", 7, 100, "57", de49="826")
        await put_cards(state, KEYS, [NewCard(pan=Pan(PAN), account_id="A1", expiry="2812",
                                              state=CardState.FROZEN)], "test")  # fmt: skip
        await ask("frozen", 5, 10, "62")
        # None of this matters to what was decided before.
        await put_policy(client, "", "test")
        await put_lists(client, [("country", "US")], "test")
        closed = account(state=AccountState.CLOSED)
        await put_accounts(state, [NewAccount(profile=closed, opening_minor=0)], "test")
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return ids

    return fresh_redis, asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "answer", "last", "rule"),
    [
        ("approved", "approved", "no vices", ""),
        ("limit", "amount_limit", "no vices", ""),
        ("rule", "rule_declined", "no vices", "no vices"),
        ("funds", "funds_insufficient", "no vices", ""),
        ("frozen", "card_frozen", "card_frozen", ""),
    ],
)
def test_each_check_up_to_the_first_no(
    told: tuple[str, dict[str, str]], name: str, answer: str, last: str, rule: str
) -> None:
    store, ids = told
    said = explained(store, ids[name])
    assert (said["answer"], said["same"], said["rule"]) == (answer, True, rule)
    assert said["checks"][-1]["check"] == last
    assert [check["says"] for check in said["checks"][:-1]] == ["no objection"] * (
        len(said["checks"]) - 1
    )
    assert said["policy"] == "7"
    assert 0 < said["decide_us"] < 10_000
    assert all(0 <= check["us"] < 10_000 for check in said["checks"])
    assert sum(check["us"] for check in said["checks"]) > 0


def test_counters_and_funds_are_those_of_the_moment(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    approved, limit, funds = (explained(store, ids[n]) for n in ("approved", "limit", "funds"))
    [row] = approved["ceilings"]
    assert (row["before_minor"], row["after_minor"], row["ceiling_minor"]) == (0, 5000, 6000)
    assert approved["flags"] == ["watch"]
    assert approved["funds"]["available_before_minor"] == 5500
    assert approved["funds"]["available_after_minor"] == 500
    [row] = limit["ceilings"]
    assert (row["before_minor"], row["after_minor"], row["says"]) == (5000, 5000, "amount_limit")
    assert funds["funds"]["says"] == "funds_insufficient"


def test_what_it_costs_is_told_with_its_rate(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    said = explained(store, ids["abroad"])
    assert said["same"]
    price = said["price"]
    assert (price["settle_minor"], price["settle_currency"]) == (121, "840")
    assert (price["fee_minor"], price["cross_border_fee_minor"]) == (11, 11)
    assert (price["rate"], price["rate_source"]) == ("1.1", "ecb")
    assert price["rate_date"].startswith("20")
    assert said["funds"]["asked_minor"] == 121
    text = asked(store, ids["abroad"], "--account", "A1").output
    assert "1.21 USD" in text
    billed = explained(store, ids["billed"])["price"]
    assert (billed["settle_minor"], billed["fee_minor"]) == (120, 0)
    assert (billed["rate"], billed["rate_source"], billed["rate_date"]) == ("1.2", "network", "")
    without = explained(store, ids["no_rate"])
    assert (without["answer"], without["same"]) == ("rate_unavailable", True)
    assert without["checks"][-1]["check"] == "rate_unavailable"


def test_the_audit_agrees_with_what_was_held(told: tuple[str, dict[str, str]]) -> None:
    store, _ = told
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    result = CliRunner().invoke(cli.main, ["reconcile", "--redis", store], env=env)
    assert result.exit_code == 0, result.output


def test_what_is_not_there_is_told(told: tuple[str, dict[str, str]]) -> None:
    store, _ = told
    result = asked(store, "nobody", "--account", "A1")
    assert result.exit_code == 1
    assert "no request of that id" in result.output.lower()
    assert asked(store, PAN, "--account", "A1").exit_code == 2
