"""authz explain and the backtest: the lists of exactly the version that a decision names, while
entries come and go; what blocked, what lifted, and that nothing did."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot.lists import PLAIN, field_of
from authz.judgement import add_entries, put_policy, remove_entries
from authz.privacy import Pan
from ledger.journal import read_entry
from tests.support.engine import KEYS, PAN, World, account, code, purchase
from tests.support.hot import opened

SHOP = field_of("block", "merchant", "MERCHANT0000001")
ALLOWED = field_of("allow", "account", "A1")
BIN = field_of("block", "bin", PAN[:6])
ELSEWHERE = field_of("block", "country", "KP")

# What is changed, the answer then, and what is seen of merchant and BIN.
STORY: list[tuple[list[str], list[str], str, str, str]] = [
    ([], [], "00", "MERCHANT0000001, no entry", "999999, no entry"),
    ([SHOP], [], "57", "MERCHANT0000001, block list", ""),
    ([ALLOWED], [], "00", "not asked: the account is allowed", "not asked: the account is"),
    ([], [ALLOWED], "57", "MERCHANT0000001, block list", ""),
    ([ELSEWHERE], [SHOP], "00", "no entry", "no entry"),
    ([BIN], [], "62", "no entry", "999999, block list"),
    ([], [BIN], "00", "no entry", "no entry"),
]


def asked(store: str, *words: str) -> Result:
    return CliRunner().invoke(
        cli.main, [*words, "--redis", store], env={"AUTHZ_REDIS_FSYNC": "off"}
    )


@pytest.fixture
def told(fresh_redis: str) -> tuple[str, list[str]]:
    """A store, and the ids of the story's requests in order."""

    async def scenario() -> list[str]:
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(state, [NewAccount(profile=account(), opening_minor=10**6)], "test")
        card = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, KEYS, [card], "test")
        await put_policy(client, 'version = "1"', "test")
        link, ids = world.link(), list[str]()
        for n, (put, removed, answer, _, _) in enumerate(STORY, 1):
            await add_entries(client, dict.fromkeys(put, PLAIN), "test")
            await remove_entries(client, removed, "test")
            assert code(await link.say("0100", purchase(n, 100, at_ms=now_ms))) == answer, n
            for row in await client.xrange(keys.journal(keys.shard_of("A1"))):
                e = read_entry(*row).envelope
                if e.kind == "authorization" and e.message_id not in ids:
                    ids.append(e.message_id)
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return ids

    return fresh_redis, asyncio.run(scenario())


def test_each_decision_is_explained_by_the_lists_of_its_time(told: tuple[str, list[str]]) -> None:
    store, ids = told
    for id, (_, _, answer, merchant, bin) in zip(ids, STORY, strict=True):
        result = asked(store, "explain", id, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["same"] is True, answer
        saw: dict[str, str] = {one["check"]: one["saw"] for one in found["checks"]}
        assert merchant in saw["merchant_blocked"]
        assert bin in saw.get("bin_blocked", "")
        assert f"lists {found['judgement_version']}" in saw["merchant_blocked"]


def test_the_backtest_steps_through_every_version(told: tuple[str, list[str]]) -> None:
    store, ids = told
    result = asked(store, "rules", "backtest", "--json", "-")
    assert result.exit_code == 0, result.output
    found: Any = json.loads(result.stdout)
    assert str(len(ids)) in result.stdout
    assert found


def test_it_is_told_though_the_beginning_was_cut_away(told: tuple[str, list[str]]) -> None:
    """Of the shard that has the lists: changes since a decision are all that it takes."""
    store, ids = told

    async def cut() -> None:
        client = admin.administrator(store)
        for row in (await client.xrange(keys.journal(keys.HOME)))[:5]:
            await client.xdel(keys.journal(keys.HOME), row[0])
        await client.aclose()

    asyncio.run(cut())
    assert json.loads(asked(store, "explain", ids[-1], "--json").stdout)["same"] is True
    gone = asked(store, "explain", ids[0], "--json")
    assert (gone.exit_code, "judgement 1" in gone.output) == (1, True)
