"""authz hold, as a caller sees it."""

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.audit import audit_store
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot.acts import Authorize
from authz.privacy import Pan, PanKeys
from ledger.journal import AuthorizationBody, CloseBody, encode_body, read_entry
from rules.facts import AccountProfile, AccountState
from tests.support.hot import opened

PAN = "4000000000000001"
KEYS = PanKeys(b"k" * 32)
CARD = KEYS.card_id(Pan(PAN))
BODY = AuthorizationBody(
    "generic", "k", "purchase", 1000, "840", 1000, "840", "5411", "m", "t", "a", "US", "051", "",
    "000001", "", 1_790_000_000, "approved", (), 0,
)  # fmt: skip


def run(url: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["hold", "release", *words, "--redis", url], env=env)


@pytest.fixture
def store(fresh_redis: str) -> str:
    """Account A1 with 50.00 US dollars, of which m1 holds 10.00."""

    async def scenario() -> None:
        state = await opened(fresh_redis)
        profile = AccountProfile("A1", "default", "840", 0, "UTC", AccountState.ACTIVE)
        await put_accounts(state, [NewAccount(profile=profile, opening_minor=5000)], "test")
        card = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, KEYS, [card], "test")
        act = Authorize(
            account_id="A1", card_id=CARD, account_version=1, card_version=1, lists_version=0,
            message_id="m1", fingerprint="f", attempt="t", deadline_ms=0, planned="approved",
            hold_minor=1000, asked_minor=1000, asked_currency="840", currency="840",
            credit_line_minor=0, limits=(), references=("x1",), sent_at=1_790_000_000,
            expires_at=1_990_600_000, answer_ttl_s=3600, body=encode_body(BODY),
        )  # fmt: skip
        assert (await state.authorize(act, 5)).kind == "held"  # type: ignore[union-attr]
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return fresh_redis


def newest(url: str) -> Any:
    async def read() -> Any:
        client = admin.administrator(url)
        [[id, fields]] = await client.xrevrange(keys.journal(keys.shard_of("A1")), count=1)
        await client.aclose()
        return read_entry(id, fields)

    return asyncio.run(read())


@pytest.mark.parametrize("where", [(), ("--account", "A1")])
def test_a_named_person_releases_a_hold_and_the_journal_knows_who(
    store: str, where: tuple[str, ...]
) -> None:
    words = ("m1", "--by", "J. Doe", "--because", f"asked for card {PAN}", *where)
    result = run(store, *words)
    said = "authorization m1 of account A1: 10.00 USD released\n"
    assert (result.exit_code, result.stdout) == (0, said)
    entry = newest(store)
    assert (entry.envelope.kind, entry.envelope.verdict) == ("close", "released")
    assert entry.envelope.held_delta == -1000
    assert isinstance(entry.body, CloseBody)
    assert entry.body.source == "J. Doe: asked for card 400000******0001"
    assert asyncio.run(audit_store(store)).ok
    assert "holds nothing" in run(store, *words).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("m9", "--by", "x"), 1, "No such"),
        (("m1",), 2, "--by"),
        (("m1", "--by", " "), 2, "names a person"),
        ((PAN, "--by", "x"), 2, "card number"),
    ],
)
def test_what_is_refused(store: str, words: tuple[str, ...], code: int, said: str) -> None:
    result = run(store, *words)
    assert result.exit_code == code
    assert said in result.output
    assert PAN not in result.output
