"""authz authorize --dry-run: it says what the engine then answers, and changes nothing."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.judgement import put_lists, put_policy
from authz.privacy import Pan
from tests.support.engine import KEYS, OTHER_PAN, PAN, World, account, code, purchase
from tests.support.hot import opened

POLICY = (
    """
version = "7"
[[rule]]
name = "no vices"
when = { mcc = ["7995"] }
outcome = "decline"
[[rule]]
name = "ask"
when = { amount_from = 4000, mcc = ["5732"] }
outcome = "refer"
[[limit]]
name = "a day"
measure = "amount"
ceiling = 6000
window = "day"
[[exchange.none]]
""".replace("[[exchange.none]]\n", "")
    + """
[[fee]]
name = "abroad"
kind = "cross_border"
home = ["US"]
bp = 1000
"""
)
KEY = (b"a key for tests only, 32 bytes!!" * 2).hex()  # that of KEYS
DE = "X".ljust(38) + "DE"

# What is asked, as options and as a message, and DE 39.
CASES = [
    ("10", [], {}, "00"),
    ("10", ["--mcc", "7995"], {"de18": "7995"}, "05"),
    ("40", ["--mcc", "5732"], {"de18": "5732"}, "01"),
    ("39.99", ["--mcc", "5732"], {"de18": "5732"}, "00"),
    ("60.01", [], {}, "61"),
    ("60.01", ["--partial"], {"de60": "000000000100"}, "10"),
    ("60", ["--country", "DE"], {"de43": DE}, "61"),  # its fee is over the day's limit
    ("50", ["--country", "DE"], {"de43": DE}, "00"),
    ("10", ["--merchant", "NOBODY"], {"de42": "NOBODY".ljust(15)}, "57"),
    ("10", ["--currency", "EUR"], {"de49": "978"}, "57"),
    ("10", ["--currency", "EUR", "--billed", "11"],
     {"de49": "978", "de6": f"{1100:012}", "de51": "840"}, "00"),
    ("0", [], {}, "00"),
]  # fmt: skip


def asked(store: str, amount: str, *words: str, card: str = "", stdin: str = "") -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": KEY}
    currency = () if "--currency" in words else ("--currency", "USD")
    line = ["authorize", "--dry-run", card, amount, *currency, *words, "--redis", store]
    return CliRunner().invoke(cli.main, line, env=env, input=stdin)


async def everything(url: str) -> dict[bytes, bytes]:
    client = admin.administrator(url)
    keys = [key async for key in client.scan_iter(count=1000)]
    found = {key: await client.dump(key) or b"" for key in keys}
    await client.aclose()
    return found


@pytest.fixture
def store(fresh_redis: str) -> tuple[str, str]:
    """A store with a policy and two cards, and the first one's id."""

    async def scenario() -> str:
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        await put_accounts(
            state, [NewAccount(profile=account(one), opening_minor=10_000) for one in ("A1", "A2")],
            "test",
        )  # fmt: skip
        cards = [
            NewCard(pan=Pan(PAN), account_id="A1", expiry="2812"),
            NewCard(pan=Pan(OTHER_PAN), account_id="A2", expiry="2812"),
        ]
        await put_cards(state, KEYS, cards, "test")
        await put_lists(client, [("merchant", "NOBODY")], "test")
        await put_policy(client, POLICY, "test")
        card_id = (await state.look_up(KEYS.card_key(Pan(PAN)), 1.0) or ("", ""))[1]
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        return card_id

    return fresh_redis, asyncio.run(scenario())


@pytest.mark.parametrize(("amount", "words", "fields", "answer"), CASES)
def test_it_says_what_is_answered_then(
    store: tuple[str, str], amount: str, words: list[str], fields: dict[str, str], answer: str
) -> None:
    url, card = store

    before = asyncio.run(everything(url))
    result = asked(url, amount, *words, "--json", card=card)
    assert result.exit_code == (0 if answer in ("00", "10") else 4), result.output
    told = json.loads(result.stdout)
    assert told["response_code"] == answer
    assert asyncio.run(everything(url)) == before, "nothing is changed"
    assert asked(url, amount, *words, card=card).exit_code == result.exit_code, "in words, too"

    said = asyncio.run(sent(url, minor_of(amount), fields))
    assert said == answer
    if answer in ("00", "10"):
        env = {"AUTHZ_REDIS_FSYNC": "off"}
        line = ["show", "account", "A1", "--json", "--redis", url]
        looked = CliRunner().invoke(cli.main, line, env=env)
        assert json.loads(looked.stdout)["held_minor"] == told["funds"]["would_hold_minor"]


async def sent(url: str, amount_minor: int, fields: dict[str, str]) -> str:
    """DE 39 of what an engine says to it, now."""
    state, client = await opened(url), admin.administrator(url)
    world = World(state)
    now_ms = 1000 * int((await client.time())[0]) + 60_000
    world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
    said = code(await world.link().say("0100", purchase(1, amount_minor, at_ms=now_ms, **fields)))
    await client.aclose()
    state._connection.close()  # type: ignore[union-attr]
    return said


def minor_of(amount: str) -> int:
    return round(float(amount) * 100)


def test_what_was_used_up_is_seen(store: tuple[str, str]) -> None:
    url, card = store

    assert asyncio.run(sent(url, 5000, {})) == "00"
    told = json.loads(asked(url, "10.01", "--json", card=card).stdout)
    (ceiling,) = told["ceilings"]
    assert told["answer"] == "amount_limit"
    assert (ceiling["before_minor"], ceiling["use_minor"], ceiling["ceiling_minor"]) == (
        5000, 1001, 6000,
    )  # fmt: skip
    assert told["funds"]["available_minor"] == 5000
    assert asked(url, "10", card=card).exit_code == 0
    tomorrow = ("--at", "2100-01-01T00:00:00")
    assert json.loads(asked(url, "60", *tomorrow, "--json", card=card).stdout)["answer"] == (
        "card_expired"
    )


@pytest.mark.parametrize(
    ("amount", "words", "card", "says"),
    [
        ("ten", [], "C", "amount: not an amount"),
        ("1.001", [], "C", "more than the 2 decimals"),
        ("1", ["--currency", "XXQ"], "C", "currency: not an ISO 4217"),
        ("1", ["--country", "XX"], "C", "value: not an ISO 3166"),
        ("1", ["--mcc", "grocery"], "C", "mcc: not a merchant category code"),
        ("1", ["--at", "noon"], "C", "--at: not a time"),
        ("1", ["--channel", "pigeon"], "C", "Invalid value for '--channel'"),
        ("1", [], PAN, "A card number is read from standard input"),
        ("1", ["--merchant", PAN], "C", "A card number is read from standard input"),
    ],
)
def test_what_cannot_be_asked(
    store: tuple[str, str], amount: str, words: list[str], card: str, says: str
) -> None:
    result = asked(store[0], amount, *words, card=card)
    assert result.exit_code == 2
    assert says in result.output
    assert PAN not in result.output


def test_no_such_card_and_no_word(store: tuple[str, str]) -> None:
    assert asked(store[0], "1", card="nobody").exit_code == 1
    assert asked(store[0], "1", "--account", "A2", card=store[1]).exit_code == 1
    by_number = asked(store[0], "1", card="-", stdin=PAN + "\n")
    assert by_number.exit_code == 0, by_number.output
    assert PAN not in by_number.output
    line = ["authorize", "C1", "1", "--currency", "USD", "--redis", store[0]]
    assert "--dry-run" in CliRunner().invoke(cli.main, line).output


def test_an_exception_is_seen_and_not_used_up(store: tuple[str, str]) -> None:
    url, card = store
    words = ["--mcc", "5732", "--merchant", "M1"]
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    assert asked(url, "50", *words, card=card).exit_code == 4
    line = ["card", "except", card, "--merchant", "M1", "--hours", "1", "--uses", "1"]
    line += ["--amount", "6000", "--by", "jdoe", "--redis", url]
    made = CliRunner().invoke(cli.main, line, env=env)
    assert made.exit_code == 0, made.output
    for _ in range(2):
        told = json.loads(asked(url, "50", *words, "--json", card=card).stdout)
        assert told["answer"] == "approved"
    fields = {"de18": "5732", "de42": "M1".ljust(15)}
    assert asyncio.run(sent(url, 5000, fields)) == "00"
    assert json.loads(asked(url, "50", *words, "--json", card=card).stdout)["answer"] == "referred"
