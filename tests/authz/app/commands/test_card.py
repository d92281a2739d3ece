"""authz card, as a caller sees it; what the engine makes of it is in tests/scenarios."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.audit import audit_store
from authz.privacy import Pan, PanKeys

PAN, OTHER = "4000000000000001", "4000000000000002"
KEY = "ab" * 32
TURNS = (("freeze", "is frozen"), ("freeze", "was frozen"), ("unfreeze", "is active"))
CARD = PanKeys(bytes.fromhex(KEY)).card_id(Pan(PAN))


def run(url: str, *words: str, given: str = "") -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": KEY}
    result = CliRunner().invoke(cli.main, [*words, "--redis", url], input=given, env=env)
    assert PAN not in result.output
    return result


@pytest.fixture
def store(fresh_redis: str, tmp_path: Path) -> str:
    (tmp_path / "accounts.csv").write_text("account_id,currency\nA1,USD\n")
    (tmp_path / "cards.csv").write_text(
        f"pan,account_id,expiry,per_transaction,status\n{PAN},A1,2812,10,\n{OTHER},A1,2812,,lost\n"
    )
    files = [str(tmp_path / name) for name in ("accounts.csv", "cards.csv")]
    assert run(fresh_redis, "load", "--new-store", *files).exit_code == 0
    return fresh_redis


@pytest.mark.parametrize(("word", "given"), [(CARD, ""), ("-", PAN + "\n")])
def test_freeze_and_unfreeze(store: str, word: str, given: str) -> None:
    for what, said in TURNS:
        result = run(store, "card", what, word, given=given)
        assert (result.exit_code, result.stdout) == (0, f"card {CARD} of account A1 {said}\n")
    assert "10.00 USD" in run(store, "show", "card", CARD).stdout
    assert asyncio.run(audit_store(store)).ok


@pytest.mark.parametrize(
    ("words", "given", "code", "said"),
    [
        (("freeze", "nobody"), "", 1, "No such card."),
        (("freeze", "*"), "", 1, "No such card."),
        (("freeze", "-"), "4000000000000009\n", 1, "No such card."),
        (("unfreeze", "-"), OTHER + "\n", 1, "The card is lost"),
        (("freeze", PAN), "", 2, "standard input"),
        (("freeze", "-"), "hello\n", 2, "no card number"),
    ],
)
def test_what_is_refused(
    store: str, words: tuple[str, ...], given: str, code: int, said: str
) -> None:
    result = run(store, "card", *words, given=given)
    assert (result.exit_code, said in result.stderr) == (code, True)


def test_a_store_that_was_flushed_takes_no_changes(fresh_redis: str) -> None:
    result = run(fresh_redis, "card", "freeze", CARD)
    assert (result.exit_code, "The store is empty" in result.stderr) == (1, True)
