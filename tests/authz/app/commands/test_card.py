"""authz card, as a caller sees it; what the engine makes of it is in tests/scenarios."""

import asyncio
from pathlib import Path

import msgspec
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
        (("freeze", PAN), "", 2, "standard input: authz card freeze - <"),
        (("unfreeze", PAN), "", 2, "standard input: authz card unfreeze - <"),
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


def config_that_tells(tmp_path: Path) -> str:
    file = tmp_path / "authz.toml"
    file.write_text("[[link]]\nnetwork = 'visa'\nfile_update = 'E2'\n")
    return str(file)


def test_a_card_that_is_named_by_its_number_is_announced_once(store: str, tmp_path: Path) -> None:
    told = ("--config", config_that_tells(tmp_path))
    news = "1 network will be told\n"
    for what, said, last in (
        ("freeze", "is frozen", news), ("freeze", "was frozen", ""),
        ("unfreeze", "is active", news),
    ):  # fmt: skip
        result = run(store, "card", what, "-", *told, given=PAN + "\n")
        assert result.stdout == f"card {CARD} of account A1 {said}\n{last}"
    listed = run(store, "card", "announcements", *told).stdout
    assert f"visa  {CARD}  delete  waiting  tries 0" in listed
    assert listed.endswith("1 word to be told\n")
    [row] = msgspec.json.decode(run(store, "card", "announcements", "--json", *told).stdout)
    assert (row["network"], row["code"], row["last_answer"]) == ("visa", "delete", "")
    assert "sealed" not in row
    assert asyncio.run(audit_store(store)).ok


def test_by_its_id_alone_a_card_is_frozen_and_its_network_not_told(
    store: str, tmp_path: Path
) -> None:
    told = ("--config", config_that_tells(tmp_path))
    result = run(store, "card", "freeze", CARD, *told)
    assert "is frozen\nnot announced to visa" in result.stdout
    assert run(store, "card", "announcements", *told).stdout == "0 words to be told\n"
    # Said once more with the number, it is news to the network, and to nobody else.
    again = run(store, "card", "freeze", "-", *told, given=PAN + "\n")
    assert again.stdout.endswith("was frozen\n1 network will be told\n")


def test_frozen_by_its_number_and_let_go_on_by_its_id(store: str, tmp_path: Path) -> None:
    """The block that waits is not told any more, also where the configuration lost its network."""
    told = ("--config", config_that_tells(tmp_path))
    run(store, "card", "freeze", "-", *told, given=PAN + "\n")
    result = run(store, "card", "unfreeze", CARD)
    assert result.stdout == f"card {CARD} of account A1 is active\n1 network will be told\n"
    [row] = msgspec.json.decode(run(store, "card", "announcements", "--json").stdout)
    assert (row["network"], row["code"], row["state"]) == ("visa", "delete", "waiting")
    assert asyncio.run(audit_store(store)).ok


def test_a_person_drops_what_waits(store: str, tmp_path: Path) -> None:
    told = ("--config", config_that_tells(tmp_path))
    run(store, "card", "freeze", "-", *told, given=PAN + "\n")
    drop = ("card", "announcements", "--drop", CARD)
    for words, code, said in (
        (drop, 2, "--by, which names a person"),
        ((*drop, "--by", " "), 2, "--by, which names a person"),
        (("card", "announcements", "--by", "jdoe"), 2, "go with --drop"),
        (("card", "announcements", "--drop", PAN, "--by", "jdoe"), 2, "standard input"),
        ((*drop, "--by", "jdoe", "--network", "mastercard"), 0, "nothing waits to be told"),
        ((*drop, "--by", f"jdoe {PAN}"), 0, f"card {CARD}: visa will not be told\n"),
        ((*drop, "--by", "jdoe"), 0, "nothing waits to be told"),
    ):
        result = run(store, *words)
        assert (result.exit_code, said in result.output) == (code, True), result.output
    assert run(store, "card", "announcements").stdout == "0 words to be told\n"
    assert asyncio.run(audit_store(store)).ok


def test_a_load_announces_what_it_blocks(store: str, tmp_path: Path) -> None:
    told = ("--config", config_that_tells(tmp_path))
    rows = tmp_path / "cards.csv"
    assert "words" not in run(store, "load", str(rows)).stdout
    for queued in ("1 word to networks queued", ""):
        assert queued in run(store, "load", str(rows), *told).stdout
    assert "1 word to be told" in run(store, "card", "announcements", *told).stdout
    rows.write_text(f"pan,account_id,expiry,status\n{OTHER},A1,2812,active\n")
    assert "1 word to networks queued" in run(store, "load", str(rows), *told).stdout
    assert "  delete  waiting" in run(store, "card", "announcements", *told).stdout


def test_announcements_of_no_store_are_told_as_such(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "AUTHZ_PAN_KEY": KEY}
    data = ("--data-dir", str(tmp_path / "none"))
    result = CliRunner().invoke(cli.main, ["card", "announcements", *data], env=env)
    assert (result.exit_code, "There is no store" in result.stderr) == (1, True)
