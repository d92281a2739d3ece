"""authz show: what is shown, and that a card number is neither asked for nor shown."""

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.app.commands.show import command, read_since
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot.acts import Apply, Authorize, Note
from authz.hot.record import Act
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
            one = (
                Act("part", "r1", 1_790_000_100, 400, "414")
                if n == 1
                else Act("full", "r2", 1_790_000_100)
            )
            reverse = Apply(
                kind="reversal", account_id="A1", card_id=CARD, message_id=f"r{n}",
                fingerprint="f", attempt="t", deadline_ms=0, act=one,
                references=(("de90", f"x{n}"),), answer_ttl_s=3600, body=encode_body(body),
            )  # fmt: skip
            await state.apply(reverse, 5)
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
            "currency": "414",
            "held_minor": 400,
            "expires_at": "2026-09-28T12:53:20+00:00",
        }
    ]
    text = run(store, "account", "A1").stdout
    assert re.search(r"^available +6\.600 KWD$", text, re.M)
    assert f"{CARD}/day_count/20261121" in text


@pytest.mark.parametrize("where", [(), ("--account", "A1")])
def test_a_card_by_its_id(store: str, where: tuple[str, ...]) -> None:
    found = shown(store, "card", CARD, *where)
    assert (found["account_id"], found["state"], found["daily_count"]) == ("A1", "active", 3)
    assert [each["authorization_id"] for each in found["open"]] == ["m1"]
    assert list(found["counters"].values()) == [1]
    assert "pan" not in found


def test_a_card_by_its_number_from_standard_input(store: str) -> None:
    found = shown(store, "card", "-", given=f"{PAN}\n")
    assert (found["pan"], found["card_id"]) == ("400000******0001", CARD)
    missing = run(store, "card", "-", given="4000000000000002\n")
    assert (missing.exit_code, missing.stderr) == (1, "Error: No such card.\n")
    assert run(store, "card", "-", given="hello\n").exit_code == 2
    assert run(store, "card", "-", given=f"{PAN}\n", key="").exit_code == 2


GROUPED = "4000-0000-0000-0001"


@pytest.mark.parametrize(
    "words",
    [
        ("card", PAN), ("card", GROUPED), ("card", GROUPED.replace("-", " ")), ("account", PAN),
        ("authorization", PAN), ("card", "c0", "--account", GROUPED),
    ],
)  # fmt: skip
def test_a_card_number_as_an_argument_is_refused_unshown(
    store: str, words: tuple[str, ...]
) -> None:
    result = run(store, *words)
    assert GROUPED not in result.output
    assert (result.exit_code, "standard input" in result.stderr) == (2, True)


@pytest.mark.parametrize("where", [(), ("--account", "A1")])
def test_an_authorization_with_its_acts_and_entries(store: str, where: tuple[str, ...]) -> None:
    found = shown(store, "authorization", "m1", *where)
    assert (found["state"], found["approved_minor"], found["held_minor"]) == ("held", 1000, 400)
    assert [act["message_id"] for act in found["acts"]] == ["r1"]
    told = [(e["kind"], e["verdict"], e["held_after_minor"]) for e in found["entries"]]
    assert told == [("authorization", "held", 1000), ("reversal", "reversed", 400)]
    assert found["entries"][0]["merchant_id"] == "M1"
    assert found["journal_read_whole"]
    text = run(store, "authorization", "m1").stdout
    assert re.search(r"^ +held after +1\.000 KWD$", text, re.M)


def test_a_tombstone_says_what_it_is(store: str) -> None:
    assert shown(store, "authorization", "r2")["state"] == "tombstone"


@pytest.mark.parametrize("what", [("account", "A1"), ("card", CARD), ("card", "-")])
def test_the_latest_acts(store: str, what: tuple[str, str]) -> None:
    found = shown(store, *what, given=f"{PAN}\n")
    acts = [(act["mti"], act["stan"], act["verdict"]) for act in found["latest_acts"]]
    lives = [("", "", "created")] * (2 if what[0] == "account" else 1)
    assert acts == [("0400", "2", "unmatched"), ("0400", "2", "reversed"),
                    ("0100", "000001", "held"), *lives]  # fmt: skip
    assert not found["older_left_out"]
    text = run(store, *what, given=f"{PAN}\n").stdout
    assert re.search(r"^ +\S+ +authorization +0100 +000001 +R1 +1\.000 KWD +held +approved", text,
                     re.M)  # fmt: skip


def test_so_many_acts_as_wanted(store: str) -> None:
    found = shown(store, "account", "A1", "--acts", "2")
    assert ([act["verdict"] for act in found["latest_acts"]], found["older_left_out"]) == (
        ["unmatched", "reversed"],
        True,
    )
    assert "latest_acts" not in shown(store, "account", "A1", "--acts", "0")
    assert run(store, "account", "A1", "--acts", "1001").exit_code == 2


def test_what_was_approved_is_counted_apart_from_early_reversals(store: str) -> None:
    for found in (shown(store, "account", "A1"), shown(store, "card", CARD)):
        assert (found["approved_authorizations"], found["early_reversals"]) == (1, 1)


NAMED = [
    ("--stan", "000001"), ("--stan", "1"), ("--rrn", "R1"), ("--stan", "1", "--rrn", "R1"),
    ("--stan", "1", "--account", "A1"), ("--stan", "1", "--card", CARD),
    ("--stan", "1", "--card", "-"), ("--stan", "1", "--since", "2026-01-01T00:00"),
]  # fmt: skip


@pytest.mark.parametrize("named", NAMED, ids=" ".join)
def test_a_message_by_what_it_carried(store: str, named: tuple[str, ...]) -> None:
    found = shown(store, "message", *named, given=f"{PAN}\n")
    (act,) = found["messages"]
    assert (act["message_id"], act["reason"], act["account_id"]) == ("m1", "approved", "A1")
    assert not found["older_left_out"]
    text = run(store, "message", *named, given=f"{PAN}\n").stdout
    assert re.search(
        r" R1 +1\.000 KWD +held +approved .* 1\.000 KWD +0\.000 KWD +m1 +m1 +A1 +c", text
    )


NOT_NAMED = [
    ("--stan", "000009"), ("--rrn", "R9"), ("--stan", "1", "--rrn", "R9"),
    ("--stan", "1", "--account", "A9"), ("--stan", "1", "--card", "-"),
    ("--stan", "1", "--since", "9999-01-01"),
]  # fmt: skip


@pytest.mark.parametrize("named", NOT_NAMED, ids=" ".join)
def test_a_message_that_is_not_there(store: str, named: tuple[str, ...]) -> None:
    result = run(store, "message", *named, given="4000000000000002\n")
    assert (result.exit_code, result.stderr[:24]) == (1, "Error: No such message; ")
    assert "are in the engine's log" in result.stderr


def test_what_a_card_that_is_not_ours_was_told(store: str) -> None:
    stranger = Pan("4000000000000002")
    body = msgspec.structs.replace(AUTHORIZATION, card_key=KEYS.card_key(stranger), stan="000077")

    async def decline() -> None:
        state = await opened(store)
        note = Note(
            shard_of=body.card_key, message_id="m7", fingerprint="f", attempt="t", deadline_ms=0,
            verdict="declined", planned="card_unknown", answer_ttl_s=60,
            body=encode_body(msgspec.structs.replace(body, planned="card_unknown")),
        )  # fmt: skip
        await state.note(note, 5)
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(decline())
    found = shown(store, "message", "--stan", "77", "--card", "-", given="4000000000000002\n")
    (act,) = found["messages"]
    assert (act["kind"], act["reason"], act["account_id"]) == ("note", "card_unknown", "")
    assert body.card_key not in repr(found)


def test_the_ceiling_of_the_card_itself(store: str) -> None:
    """The journal has no number for it; the card has, for as long as it is the same card."""

    async def put(limit: int, act: Authorize | None = None) -> None:
        state = await opened(store)
        card = NewCard(
            pan=Pan(PAN), account_id="A1", expiry="2812", daily_count=3,
            transaction_limit_minor=limit,
        )  # fmt: skip
        await put_cards(state, KEYS, [card], "test")
        if act is not None:
            assert (await state.authorize(act, 5)).kind == "declined"
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    body = msgspec.structs.replace(AUTHORIZATION, planned="transaction_limit", stan="000005")
    declined = Authorize(
        account_id="A1", card_id=CARD, account_version=1, card_version=2, lists_version=0,
        message_id="m5", fingerprint="f", attempt="t", deadline_ms=0, planned="transaction_limit",
        hold_minor=0, asked_minor=1000, asked_currency="414", currency="414",
        credit_line_minor=2000, limits=(), references=(), sent_at=1_790_000_000,
        expires_at=1_790_600_000, answer_ttl_s=3600, body=encode_body(body),
    )  # fmt: skip
    asyncio.run(put(500, declined))
    (act,) = shown(store, "message", "--stan", "5")["messages"]
    assert (act["reason"], act["ceiling_minor"]) == ("transaction_limit", 500)
    assert "ceiling 0.500 KWD" in run(store, "message", "--stan", "5").stdout
    asyncio.run(put(900))
    (act,) = shown(store, "message", "--stan", "5")["messages"]
    assert (act["detail"], "ceiling_minor" in act) == (
        "per_transaction; the card was changed since", False,
    )  # fmt: skip


def test_a_search_for_a_message_has_an_end(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authz.app.looking.MESSAGES_MAX", 1)
    result = run(store, "message", "--stan", "1", "--account", "A1")
    assert (result.exit_code, "among the 1 newest entries" in result.stderr) == (1, True)


WRONG = [
    (), ("--stan", "1234567"), ("--stan", "12a"), ("--rrn", "1234567890123"), ("--rrn", ""),
    ("--stan", "1", "--since", "25:00"), ("--stan", "1", "--since", "yesterday"),
    ("--stan", "1", "--card", PAN), ("--stan", "1", "--account", PAN),
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=len)
def test_a_message_wrongly_named(store: str, words: tuple[str, ...]) -> None:
    assert run(store, "message", *words).exit_code == 2


NOW = datetime(2026, 11, 21, 10, 5, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:05", "2026-11-21T10:05:00+00:00"),
        ("10:06", "2026-11-20T10:06:00+00:00"),
        ("2026-11-01", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01T08:00:00+02:00", "2026-11-01T06:00:00+00:00"),
    ],
)
def test_a_time_of_day_is_the_last_one(text: str, expected: str) -> None:
    assert read_since(text, NOW) == datetime.fromisoformat(expected).timestamp() * 1000


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


def test_exceptions_are_what_no_authorization_has_come_for(store: str) -> None:
    def asked(*words: str) -> Result:
        env = {"AUTHZ_REDIS_FSYNC": "off"}
        return CliRunner().invoke(cli.main, ["exceptions", *words, "--redis", store], env=env)

    result = asked("--json")
    assert result.exit_code == 0, result.output
    [one] = json.loads(result.stdout)["exceptions"]
    assert (one["message_id"], one["verdict"], one["stan"]) == ("r2", "unmatched", "2")
    assert "unmatched" in asked("--account", "A1").stdout
    nobody = asked("--account", "B1")
    assert (nobody.exit_code, nobody.stderr) == (1, "Error: No such account.\n")
    assert asked("--acts", "0").exit_code == 2

    async def come() -> None:
        state = await opened(store)
        act = Authorize(
            account_id="A1", card_id=CARD, account_version=1, card_version=1, lists_version=0,
            message_id="m2", fingerprint="f", attempt="t", deadline_ms=0, planned="approved",
            hold_minor=1, asked_minor=1, asked_currency="414", currency="414",
            credit_line_minor=0, limits=(), references=("x2",), sent_at=1_790_000_000,
            expires_at=1_790_600_000, answer_ttl_s=3600, body=encode_body(AUTHORIZATION),
        )  # fmt: skip
        assert (await state.authorize(act, 5)).kind == "reversed"
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(come())
    assert (asked().exit_code, asked().stdout) == (0, "no exceptions\n")
    assert json.loads(asked("--json").stdout) == {"exceptions": [], "older_left_out": False}
