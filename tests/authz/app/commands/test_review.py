"""authz review and authz card except, as a caller sees them; tests/scenarios/test_referral.py has
what engines make of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.app.commands.review import as_text
from authz.app.reviewing import age
from authz.audit import audit_store
from authz.hot.acts import Authorize
from authz.privacy import Pan, PanKeys
from ledger.journal import AuthorizationBody, encode_body
from rules.exceptions import EXCEPTIONS_MAX
from tests.support.hot import opened

PAN = "4000000000000001"
KEY = "ab" * 32
KEYS = PanKeys(bytes.fromhex(KEY))
CARD = KEYS.card_id(Pan(PAN))


def body(merchant: str = "M1", name: str = "SHOP") -> bytes:
    return encode_body(
        AuthorizationBody(
            "generic", KEYS.card_key(Pan(PAN)), "purchase", 1000, "840", 1100, "978", "5411",
            merchant, "t", "a", "US", "051", "2812", "000001", "", 1_790_000_000, "referred", (),
            0, rule="large", policy="1", merchant_name=name,
        )
    )  # fmt: skip


def run(url: str, *words: str, given: str = "") -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": KEY}
    result = CliRunner().invoke(cli.main, [*words, "--redis", url], input=given, env=env)
    assert PAN not in result.output
    return result


@pytest.fixture
def store(fresh_redis: str, tmp_path: Path) -> str:
    """Account A1 with a frozen card; m1 was referred, and m2 that names no merchant."""
    (tmp_path / "accounts.csv").write_text("account_id,currency\nA1,USD\n")
    (tmp_path / "cards.csv").write_text(f"pan,account_id,expiry,status\n{PAN},A1,2812,frozen\n")
    files = [str(tmp_path / name) for name in ("accounts.csv", "cards.csv")]
    assert run(fresh_redis, "load", "--new-store", *files).exit_code == 0

    async def referred() -> None:
        state = await opened(fresh_redis)
        for id, facts in (("m1", body()), ("m2", body("", f"SHOP\x1b {PAN}"))):
            act = Authorize(
                account_id="A1", card_id=CARD, account_version=1, card_version=1, lists_version=0,
                message_id=id, fingerprint="f", attempt="t", deadline_ms=0, planned="referred",
                hold_minor=1000, asked_minor=1000, asked_currency="840", currency="840",
                credit_line_minor=0, limits=(), references=(), sent_at=1_790_000_000,
                expires_at=1_990_600_000, answer_ttl_s=3600, body=facts, review="referred",
            )  # fmt: skip
            assert (await state.authorize(act, 5)).review == "opened"  # type: ignore[union-attr]
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(referred())
    return fresh_redis


def test_what_is_listed_and_shown(store: str) -> None:
    listed = run(store, "review", "list").stdout
    assert "10.00 USD  SHOP" in listed
    assert "SHOP? 400000******0001" in listed
    assert listed.endswith("2 cases waiting\n")
    assert "2 cases waiting, 1 not shown" in run(store, "review", "list", "--most", "1").stdout
    listings = [
        json.loads(run(store, "review", "list", "--json", *where).stdout)["reviews"]
        for where in ((), ("-",))
    ]
    ours, theirs = [[case | {"age": ""} for case in cases] for cases in listings]
    assert ours == theirs, "but for their age"
    shown_case = json.loads(run(store, "review", "show", "m1", "--json").stdout)
    assert ours[0] == shown_case | {"age": ""}
    shown = run(store, "review", "show", "m1").stdout
    for word in ("11.00 EUR", "10.00 USD", "large", "M1", CARD, "2026-09-21T"):
        assert word in shown
    assert "2812" not in shown
    assert KEYS.card_key(Pan(PAN)) not in shown


def test_an_approval_says_what_it_allows(store: str) -> None:
    result = run(store, "review", "approve", "m1", "--hours", "2", "--by", "J. Doe")
    assert f"approved: card {CARD}, exception " in result.stdout
    # Five percent more than what was asked: it was converted.
    assert "once, at M1, up to 10.50 USD, until 20" in result.stdout
    assert "the card is frozen, so nothing passes yet" in result.stdout
    result = run(store, "review", "approve", "m2", "--amount", "700")
    assert "once, where no merchant is named, up to 7.00 USD" in result.stdout
    shown = run(store, "show", "account", "A1").stdout
    assert "by review m1: J. Doe" in shown
    assert run(store, "review", "list").stdout == "0 cases waiting\n"
    assert asyncio.run(audit_store(store)).ok


def test_a_card_with_too_many_exceptions(store: str) -> None:
    for n in range(EXCEPTIONS_MAX):
        said = run(store, "card", "except", "-", "--merchant", f"X{n}", given=PAN + "\n")
        assert f"card {CARD}, exception" in said.stdout
        assert f"as often as asked, at X{n}, any amount, until" in said.stdout
    for words in (("card", "except", CARD, "--merchant", "X9"), ("review", "approve", "m1")):
        refused = run(store, *words)
        assert (refused.exit_code, "The card has 8 exceptions" in refused.stderr) == (1, True)
    assert "2 cases waiting" in run(store, "review", "list").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("review", "show", "m9"), 1, "No case of that id."),
        (("review", "approve", "m9"), 1, "No case of that id."),
        (("review", "decline", "m9"), 1, "No case of that id."),
        (("review", "approve", PAN), 2, "card number"),
        (("review", "approve", "m1", "--hours", "0"), 2, "--hours"),
        (("review", "approve", "m1", "--amount", "-1"), 2, "--amount"),
        (("card", "except", CARD), 2, "--merchant"),
        (("card", "except", CARD, "--merchant", "M", "--end", "x"), 2, "--merchant"),
        (("card", "except", CARD, "--merchant", "M" * 16), 2, "DE 42"),
        (("card", "except", CARD, "--merchant", " "), 2, "DE 42"),
        (("card", "except", PAN, "--merchant", "M"), 2, "authz card except - <"),
        (("card", "except", "nobody", "--merchant", "M"), 1, "No such card."),
        (("card", "except", CARD, "--end", "x"), 1, "no such exception: authz show card"),
    ],
)
def test_what_is_refused(store: str, words: tuple[str, ...], code: int, said: str) -> None:
    result = run(store, *words)
    assert (result.exit_code, said in result.output) == (code, True), result.output


def test_a_number_of_no_card_of_ours(store: str) -> None:
    words = ("card", "except", "-", "--merchant", "M")
    assert "No such card." in run(store, *words, given="4000000000000009\n").stderr


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (172_800, "2 d")],
)
def test_ages(seconds: int, said: str) -> None:
    assert age(seconds) == said


def test_what_found_no_room_is_told() -> None:
    found: dict[str, Any] = {"reviews": [], "waiting": 0, "not_opened": 2}
    assert as_text(found)[1].startswith("2 referrals opened no case")
