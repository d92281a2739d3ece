"""authz exceptions: completions that went too far, and increments as they are shown."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.engine import Settings
from iso8583.dialects import BY_NAME
from rules.holds import HoldRule
from tests.support.engine import World, advice_of, code, purchase
from tests.support.hot import opened
from tests.support.networks import back, visa


def said(store: str, *words: str) -> Any:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    result = CliRunner().invoke(cli.main, [*words, "--redis", store, "--json"], env=env)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def store(fresh_redis: str) -> str:
    """A1 with 100.00: a dinner of 50.00 is completed with 61.00, and 30.00 more were refused."""

    async def scenario() -> None:
        state = await opened(fresh_redis)
        now_ms = 1000 * int((await state._connection.call((b"TIME",), 5))[0])  # type: ignore[union-attr]
        world = World(state, Settings(hold_rules=(HoldRule(days=7, tolerance_percent=20),)))
        now_ms += 60_000  # no deadline of ours passes while this is told
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await world.open_with(10_000, daily_amount_minor=7900)
        link = world.link()
        dinner = purchase(1, 5000, at_ms=now_ms)
        assert code(await link.say("0100", dinner)) == "00"
        more = purchase(2, 3000, at_ms=now_ms, de90=f"0100{dinner[11]}{dinner[7]}{'':0>22}")
        assert code(await link.say("0100", more)) == "61"
        bill = advice_of(dinner, 3, at_ms=now_ms, de4=f"{6100:012}")
        assert code(await link.say("0220", bill)) == "00"
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return fresh_redis


def test_a_completion_that_went_too_far_is_shown(store: str) -> None:
    [one] = said(store, "exceptions")["exceptions"]
    assert (one["verdict"], one["stan"], one["amount_minor"]) == ("beyond", "000003", 6100)


def test_an_increment_that_was_refused_says_why(store: str) -> None:
    [one] = said(store, "show", "message", "--stan", "000002", "--account", "A1")["messages"]
    assert (one["kind"], one["mti"], one["reason"]) == ("increment", "0100", "daily_amount_limit")
    assert one["held_after_minor"] == 5000


def test_who_decided_an_advice_is_said(store: str) -> None:
    [bill] = said(store, "show", "message", "--stan", "000003", "--account", "A1")["messages"]
    assert (bill["decided_by"], bill["taken_for"]) == ("merchant", "completion")


def test_a_reversal_of_what_has_not_come_is_shown_until_it_comes(fresh_redis: str) -> None:
    """The life-cycle id finds the authorization, and DE 90 names a completion."""

    def exceptions() -> list[str]:
        env = {"AUTHZ_REDIS_FSYNC": "off"}
        words = ["exceptions", "--redis", fresh_redis, "--json"]
        result = CliRunner().invoke(cli.main, words, env=env)
        found = json.loads(result.stdout) if result.exit_code == 0 else {"exceptions": []}
        return [one["verdict"] for one in found["exceptions"]]

    async def scenario() -> list[list[str]]:
        state = await opened(fresh_redis)
        now_ms = 1000 * int((await state._connection.call((b"TIME",), 5))[0])  # type: ignore[union-attr]
        now_ms += 60_000  # no deadline of ours passes while this is told
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await world.open_with(10_000)
        link = world.link(dialect=BY_NAME["visa"], network="visa")
        bought = visa(1, 5000, at_ms=now_ms)
        done = visa(2, 5000, at_ms=now_ms + 1000, de62=bought[62], de63={1: "0002"})
        named = f"0220{done[11]}{done[7]}{'':0>22}"
        away = back(done, 3, at_ms=now_ms + 2000, de90=named, de62={2: bought[62][2]})
        assert code(await link.say("0100", bought)) == "00"
        assert code(await link.say("0420", away)) == "00"
        before = await asyncio.to_thread(exceptions)
        assert code(await link.say("0220", done)) == "00"
        after = await asyncio.to_thread(exceptions)
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return [before, after]

    assert asyncio.run(scenario()) == [["unapplied"], []]
