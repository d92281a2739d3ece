"""authz show: what is shown, and that a card number is neither asked for nor shown."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app.commands.show import command
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot.acts import Authorize, Reverse
from authz.privacy import Pan, PanKeys
from ledger.journal import AuthorizationBody, ReversalBody, encode_body
from rules.facts import AccountProfile, AccountState, Limit
from tests.support.hot import opened

PAN = "4000000000000001"
KEYS = PanKeys(bytes.fromhex("ab" * 32))
CARD = KEYS.card_id(Pan(PAN))
AUTHORIZATION = AuthorizationBody(
    "generic", KEYS.card_key(Pan(PAN)), "purchase", 1000, "414", 1000, "414", "5411", "M1", "T1",
    "A", "US", "051", "", "000001", "R1", 1_790_000_000, "approved", (), 0,
)  # fmt: skip


def run(url: str, *arguments: str, given: str = "", key: str = "ab" * 32) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": key}
    result = CliRunner().invoke(command, [*arguments, "--redis", url], input=given, env=env)
    assert PAN not in result.output
    assert KEYS.card_key(Pan(PAN)) not in result.output
    return result


def shown(url: str, *arguments: str, given: str = "") -> Any:
    result = run(url, *arguments, "--json", given=given)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def store(fresh_redis: str) -> str:
    """Account A1 in KWD with 5.000, its card, m1 holding 0.400 of 1.000, and a tombstone r2."""

    async def scenario() -> None:
        state = await opened(fresh_redis)
        profile = AccountProfile("A1", "gold", "414", 2000, "Asia/Kuwait", AccountState.ACTIVE)
        await put_accounts(state, [NewAccount(profile=profile, opening_minor=5000)], "test")
        card = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812", daily_count=3)
        await put_cards(state, KEYS, [card], "test")
        limit = Limit("daily_count_limit", f"{CARD}/day_count/20261121", 1, 3, 0)
        act = Authorize(
            account_id="A1", card_id=CARD, account_version=1, card_version=1, lists_version=0,
            message_id="m1", fingerprint="f", attempt="t", deadline_ms=0, planned="approved",
            hold_minor=1000, asked_minor=1000, asked_currency="414", currency="414",
            credit_line_minor=2000,
            limits=(limit,), references=("x1",), sent_at=1_790_000_000, expires_at=1_790_600_000,
            answer_ttl_s=3600, body=encode_body(AUTHORIZATION),
        )  # fmt: skip
        assert (await state.authorize(act, 5)).kind == "held"
        for n, remaining in ((1, 400), (2, -1)):
            body = ReversalBody("generic", "0400", "k", 1000, "414", remaining, "2", "", 0, ())
            reverse = Reverse(
                account_id="A1", card_id=CARD, message_id=f"r{n}", fingerprint="f", attempt="t",
                deadline_ms=0, remaining_minor=remaining, currency="414",
                references=(("de90", f"x{n}"),),
                sent_at=1_790_000_100, answer_ttl_s=3600, body=encode_body(body),
            )  # fmt: skip
            await state.reverse(reverse, 5)
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return fresh_redis


def test_an_account(store: str) -> None:
    found = shown(store, "account", "A1")
    assert (found["posted_minor"], found["held_minor"], found["available_minor"]) == (
        5000,
        400,
        6600,
    )
    assert found["counters"] == {f"{CARD}/day_count/20261121": 1}
    assert found["open"] == [
        {
            "authorization_id": "m1",
            "card_id": CARD,
            "held_minor": 400,
            "expires_at": "2026-09-28T12:53:20+00:00",
        }
    ]
    text = run(store, "account", "A1").stdout
    assert "available          6.600 KWD\n" in text
    assert f"{CARD}/day_count/20261121" in text


@pytest.mark.parametrize("where", [(), ("--account", "A1")])
def test_a_card_by_its_id(store: str, where: tuple[str, ...]) -> None:
    found = shown(store, "card", CARD, *where)
    assert (found["account_id"], found["state"], found["daily_count"]) == ("A1", "active", 3)
    assert (found["open"], list(found["counters"].values())) == (1, [1])
    assert "pan" not in found


def test_a_card_by_its_number_from_standard_input(store: str) -> None:
    found = shown(store, "card", "-", given=f"{PAN}\n")
    assert (found["pan"], found["card_id"]) == ("400000******0001", CARD)
    missing = run(store, "card", "-", given="4000000000000002\n")
    assert (missing.exit_code, missing.stderr) == (1, "Error: No such card.\n")
    assert run(store, "card", "-", given="hello\n").exit_code == 2
    assert run(store, "card", "-", given=f"{PAN}\n", key="").exit_code == 2


def test_a_card_number_as_an_argument_is_refused_unshown(store: str) -> None:
    result = run(store, "card", PAN)
    assert (result.exit_code, "standard input" in result.stderr) == (2, True)


@pytest.mark.parametrize("where", [(), ("--account", "A1")])
def test_an_authorization_with_its_acts_and_entries(store: str, where: tuple[str, ...]) -> None:
    found = shown(store, "authorization", "m1", *where)
    assert (found["state"], found["approved_minor"], found["held_minor"]) == ("open", 1000, 400)
    assert [act["message_id"] for act in found["acts"]] == ["r1"]
    told = [(e["kind"], e["verdict"], e["held_after_minor"]) for e in found["entries"]]
    assert told == [("authorization", "held", 1000), ("reversal", "reversed", 400)]
    assert found["entries"][0]["merchant_id"] == "M1"
    assert found["journal_read_whole"]
    text = run(store, "authorization", "m1").stdout
    assert "held after        1.000 KWD\n" in text


def test_a_tombstone_says_what_it_is(store: str) -> None:
    assert shown(store, "authorization", "r2")["state"] == "reversed before it came"


MISSING = [
    ("account", "A9"), ("card", "c0"), ("card", "*"), ("card", "c0", "--account", "A1"),
    ("authorization", "m9"), ("authorization", "m9", "--account", "A1"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", MISSING)
def test_what_is_not_there(store: str, arguments: tuple[str, ...]) -> None:
    result = run(store, *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No such")


def test_a_search_has_an_end(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authz.app.looking.SEARCH_MAX", 0)
    result = run(store, "card", CARD)
    assert (result.exit_code, "--account" in result.stderr) == (1, True)
    monkeypatch.setattr("authz.app.looking.JOURNAL_MAX", 0)
    assert not shown(store, "authorization", "m1", "--account", "A1")["journal_read_whole"]
