"""authz rules backtest: over recorded traffic the policy in force says what it said."""

import asyncio
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.clock import utc
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.judgement import put_lists, put_policy, put_rates
from authz.privacy import Pan
from rules.facts import CardState
from rules.fx import Rates, write_rates
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

HEAD = """
version = "{version}"
[[rule]]
name = "no vices"
when = {{ mcc = ["7995"] }}
outcome = "decline"
[[rule]]
name = "tips"
when = {{ mcc = ["5812"] }}
outcome = "uplift"
percent = 20
[[rule]]
name = "small abroad"
when = {{ country = ["FR"] }}
outcome = "cap"
amount = 3000
[[limit]]
name = "a day"
measure = "amount"
ceiling = {ceiling}
window = "day"
[[limit]]
name = "often_never"
per = "account"
measure = "count"
ceiling = {often}
window = "hour"
"""
PRICES = """
[exchange]
max_age_days = 4
markup_bp = 150
base = "EUR"
date = "{date}"
rates = {{ USD = "{usd}" }}
[[fee]]
name = "abroad"
kind = "cross_border"
bp = 100
fixed = 30
home = ["US"]
"""
ABROAD = "SHOP".ljust(25) + "PARIS".ljust(13) + "FR"
PARTIAL = "000000000100"
KINDS: list[dict[str, str]] = [
    {}, {"de18": "7995"}, {"de18": "5812"}, {"de43": ABROAD},
    {"de43": ABROAD, "de60": PARTIAL}, {"de60": PARTIAL},
    {"de49": "978"}, {"de43": ABROAD, "de49": "978"},
]  # fmt: skip


def asked(store: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["rules", "backtest", *words, "--redis", store], env=env)


def replayed(store: str, *words: str) -> Any:
    result = asked(store, *words, "--json", "-")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def recorded(fresh_redis: str) -> tuple[str, dict[str, int]]:
    """A store, and how often each answer was given. Two policies and more come and go."""

    async def scenario() -> dict[str, int]:
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(
            state,
            [NewAccount(profile=account("A1"), opening_minor=110_000),
             NewAccount(profile=account("A2", credit_line_minor=500), opening_minor=9000)],
            "test",
        )  # fmt: skip
        cards = [
            NewCard(pan=Pan(PAN), account_id="A1", expiry="2812", daily_count=60),
            NewCard(pan=Pan(OTHER_PAN), account_id="A2", expiry="2812"),
        ]
        await put_cards(state, KEYS, cards, "test")
        link, answers, stan = world.link(), dict[str, int](), 0

        async def ask(mti: str, fields: dict[int, str]) -> None:
            said = code(await link.say(mti, fields))
            answers[said] = answers.get(said, 0) + (mti in ("0100", "0200"))

        async def some(amounts: range) -> None:
            nonlocal stan
            for n, amount in enumerate(amounts):
                stan += 2
                changes: dict[str, str] = {"de2": OTHER_PAN} if n % 3 == 2 else {}
                changes |= KINDS[n % len(KINDS)]
                bought = purchase(stan, amount, at_ms=now_ms, **changes)
                if n % 11 == 10:
                    await ask("0400", reversal(bought, stan + 1, at_ms=now_ms))
                await ask("0200" if n % 13 == 12 else "0100", bought)
                if n % 4 == 0:
                    rest = {"de95": f"{amount // 2:012}{'':0>30}"} if n % 8 == 0 else {}
                    await ask("0400", reversal(bought, stan + 1, at_ms=now_ms, **rest))
                elif n % 5 == 0:
                    await ask("0220", advice_of(bought, stan + 1, at_ms=now_ms))
                elif n % 7 == 0:
                    original = f"0100{bought[11]}{bought[7]}{bought[32]:0>11}{'':0>11}"
                    more = purchase(stan + 1, 700, at_ms=now_ms, **changes, de90=original)
                    await ask("0100", more)

        await some(range(500, 4000, 300))
        policy = HEAD.format(version="1", ceiling=15_000, often=7)
        await put_policy(client, policy, "test")
        await some(range(900, 6000, 200))
        await put_lists(client, [("merchant", "NOBODY")], "test")
        day = utc(now_ms).date().isoformat()
        rates = Rates(base="EUR", date=day, source="ecb", rates={"USD": "1.0999"})
        priced = HEAD.format(version="2", ceiling=40_000, often=16)
        await put_policy(client, priced + PRICES.format(date=day, usd="1.1578"), "test")
        await some(range(300, 6000, 250))
        await put_rates(client, write_rates(rates), "test")
        own = HEAD.format(version="3", ceiling=90_000, often=16)
        await put_policy(client, own + "[exchange]\nmax_age_days = 4\n", "test")
        await some(range(100, 9000, 300))
        frozen = [NewCard(pan=Pan(OTHER_PAN), account_id="A2", expiry="2812",
                          state=CardState.FROZEN)]  # fmt: skip
        await put_cards(state, KEYS, frozen, "test")
        await some(range(100, 900, 100))
        await ask("0100", purchase(9000, 100, at_ms=now_ms, de2="9999990000000036"))
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)
        return answers

    return fresh_redis, asyncio.run(scenario())


def test_what_was_in_force_says_what_it_said(recorded: tuple[str, dict[str, int]]) -> None:
    store, answers = recorded
    assert {"00", "10", "05", "51", "61", "65", "62", "14"} <= answers.keys(), answers
    told = replayed(store)
    report = told["report"]
    assert report["requests"] == sum(answers.values())
    assert report["same"] == report["requests"], report
    assert report["not_judged"] == 1
    assert told["read"]["whole"]
    assert (told["read"]["skipped"], told["read"]["unreadable"]) == (0, 0)
    words = asked(store)
    assert words.exit_code == 0, words.output
    assert PAN not in words.output + json.dumps(told)


def test_a_draft_is_told_by_rule_with_labels(
    recorded: tuple[str, dict[str, int]], tmp_path: Any
) -> None:
    store, answers = recorded
    draft, labels = tmp_path / "draft.toml", tmp_path / "labels.csv"
    draft.write_text(
        'version = "d"\n[[rule]]\nname = "no food"\nwhen = { mcc = ["5812"] }\n'
        'outcome = "decline"\n'
    )
    labels.write_text("rrn,is_fraud\n" + "".join(f"{n:012},{n % 3 % 2}\n" for n in range(1, 60)))
    report = replayed(store, str(draft), "--labels", str(labels))["report"]
    assert set(report["declined_by"]) <= {"no food", "funds_insufficient", "currency_mismatch"}
    assert report["declined_by"]["no food"]["count"] > 1
    assert {"no vices", "a day"} <= set(report["approved_by"])
    total = report["newly_declined"]
    assert total["count"] == sum(one["count"] for one in report["declined_by"].values())
    assert total["amounts_minor"]["840"] > 0
    assert report["fraud"] > 0
    assert report["labelled"] > report["fraud"]
    assert asked(store, str(draft)).exit_code == 0, "another answer is what is asked for"


def test_the_page_needs_nothing_else(recorded: tuple[str, dict[str, int]], tmp_path: Any) -> None:
    store, _ = recorded
    draft, labels, file = (tmp_path / name for name in ("d.toml", "l.csv", "r.html"))
    draft.write_text(
        'version = "d"\n[[rule]]\nname = "no food"\nwhen = { mcc = ["5812"] }\n'
        'outcome = "decline"\n'
    )
    labels.write_text("rrn,is_fraud\n" + "".join(f"{n:012},{n % 3 % 2}\n" for n in range(1, 60)))
    said = asked(store, str(draft), "--labels", str(labels), "--html", str(file))
    assert said.exit_code == 0, said.output
    text = file.read_text()
    root = ElementTree.fromstring(
        text.replace("<!doctype html>", "")
        .replace('<meta charset="utf-8">', "")
        .replace('<meta name="viewport" content="width=device-width">', "")
    )
    assert {"svg", "table", "rect"} <= {node.tag for node in root.iter()}
    assert "no food" in text
    for never in ("<script", "http:", "https:", "url(", PAN):
        assert never not in text


def test_nothing_is_reported_outside_the_time_asked_for(
    recorded: tuple[str, dict[str, int]],
) -> None:
    store, _ = recorded
    assert replayed(store, "--from", "2100-01-01")["report"]["requests"] == 0
    early = replayed(store, "--to", "2000-01-01")
    assert (early["report"]["requests"], early["read"]["entries"]) == (0, 0)
    assert asked(store, "--from", "noon").exit_code == 2
    assert asked(store, "--from", "2026-11-22", "--to", "2026-11-21").exit_code == 2
    assert replayed(store, "--entries-max", "100")["read"]["bounded"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "rrn,is_fraud\n1,yes\n", "rrn,is_fraud\n,1\n"])
def test_labels_that_are_none(fresh_redis: str, tmp_path: Any, text: str) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text)
    result = asked(fresh_redis, "--labels", str(labels))
    assert result.exit_code == 1
    assert "labels.csv" in result.output
