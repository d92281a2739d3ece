"""authz explain: exactly the versions that were judged by; increments, what was no question, and
what a person sees of it."""

import asyncio
import json
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest
from click.testing import CliRunner, Result

from authz import judgement
from authz.app import cli
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.judgement import put_lists, put_policy
from authz.privacy import Pan
from ledger.journal import read_entry
from tests.support.engine import (
    KEYS,
    OTHER_PAN,
    PAN,
    World,
    account,
    advice_of,
    code,
    purchase,
    reversal,
)
from tests.support.hot import opened

POLICY = """
version = "1"
[[rule]]
name = "large"
when = { amount_from = 3000 }
outcome = "cap"
amount = 3000
[[limit]]
name = "month"
measure = "amount"
ceiling = 6000
window = "month"
"""
PARTIAL = "000000000100"  # DE 60


def asked(store: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["explain", *words, "--redis", store], env=env)


def explained(store: str, id: str) -> Any:
    result = asked(store, id, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def told(fresh_redis: str) -> tuple[str, dict[str, str]]:
    """A store, and the ids of what was said to it, by name."""

    async def scenario() -> dict[str, str]:
        state = await opened(fresh_redis)
        client = admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(state, [NewAccount(profile=account(), opening_minor=9000)], "test")
        new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, KEYS, [new], "test")
        await put_policy(client, POLICY, "test")
        link, ids = world.link(), {}

        async def say(name: str, mti: str, fields: dict[int, str], answer: str) -> dict[int, str]:
            known = await journalled()
            assert code(await link.say(mti, fields)) == answer, name
            [ids[name]] = {id for id in await journalled() if id not in known}
            return fields

        async def journalled() -> list[str]:
            found = []
            for shard in keys.ALL_SHARDS:
                for row in await client.xrange(keys.journal(shard)):
                    e = read_entry(*row).envelope
                    if e.kind not in ("lists", "judgement", "gate"):
                        found.append(e.message_id)
            return found

        first = await say("first", "0100", purchase(1, 1000, at_ms=now_ms), "00")
        original = f"0100{first[11]}{first[7]}{'':0>22}"
        more = purchase(2, 3001, at_ms=now_ms + 1000, de90=original)
        await say("capped increment", "0100", more, "61")
        more = purchase(3, 500, at_ms=now_ms + 1000, de90=original)
        await say("increment", "0100", more, "00")
        part = purchase(4, 4000, at_ms=now_ms, de60=PARTIAL)
        await say("part", "0100", part, "10")
        other = purchase(5, 10, at_ms=now_ms, de2=OTHER_PAN)
        await say("not ours", "0100", other, "14")
        back = await say("gone", "0100", purchase(6, 10, at_ms=now_ms), "00")
        await say("reversal", "0400", reversal(back), "00")
        await say("advice", "0120", advice_of(purchase(7, 10, at_ms=now_ms), 8), "00")

        # A load under way: its home has it, and an engine has read it before the gates know.
        with patch.object(judgement, "tell_gates", AsyncMock(return_value=1)):
            await put_lists(client, [("country", "US")], "test")
        await world.engine.keep_up(1)
        await say("ahead", "0100", purchase(9, 10, at_ms=now_ms, de43=f"{'SHOP':<38}US"), "57")
        await put_lists(client, [], "test")
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return ids

    return fresh_redis, asyncio.run(scenario())


def test_a_plan_from_lists_that_its_gate_had_not_heard_of(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    said = explained(store, ids["ahead"])
    assert (said["answer"], said["judgement_version"], said["same"]) == ("country_blocked", 2, True)
    assert explained(store, ids["first"])["judgement_version"] == 1


def test_increments_parts_and_cards_that_are_not_ours(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    for name, answer in (
        ("first", "approved"), ("increment", "approved"), ("capped increment", "transaction_limit"),
        ("part", "approved"), ("gone", "approved"), ("not ours", "card_unknown"),
    ):  # fmt: skip
        said = explained(store, ids[name])
        assert (said["answer"], said["same"]) == (answer, True), name
    assert explained(store, ids["part"])["funds"]["limited_by"] == "transaction_limit"
    assert "no request of that id on this account" in asked(
        store, ids["not ours"], "--account", "A1"
    ).output.lower()  # fmt: skip


def test_what_is_no_question_is_called_so(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    for name in ("reversal", "advice"):
        result = asked(store, ids[name])
        assert result.exit_code == 1
        assert name in result.output
        assert "no question" in result.output


def test_what_was_cut_away_is_named(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told

    async def cut() -> None:
        client = admin.administrator(store)
        for journal in map(keys.journal, (keys.shard_of("A1"), keys.HOME)):
            for row in await client.xrange(journal):
                if read_entry(*row).envelope.kind in ("card", "lists", "judgement"):
                    await client.xdel(journal, row[0])
        await client.aclose()

    asyncio.run(cut())
    result = asked(store, ids["first"])
    assert result.exit_code == 1
    assert "does not have what it was judged by: card version 1, judgement 1" in result.output


def test_a_person_sees_money_and_a_row_for_each_check(told: tuple[str, dict[str, str]]) -> None:
    store, ids = told
    result = asked(store, ids["part"])
    assert result.exit_code == 0
    for words in ("40.00 USD, no ceiling", "large", "60.00 USD", "30.00 USD"):
        assert words in result.output, result.output
    assert "minor" not in result.output
    assert PAN not in result.output
