"""authz clear and what it leaves in authz exceptions, as a person runs them."""

import asyncio
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.config import load_config
from ledger.clearing.csv_file import write_csv
from ledger.clearing.ipm_writer import write_ipm
from ledger.clearing.record import ClearedItem, Kind
from tests.support.books import begin, drain
from tests.support.engine import PAN
from tests.support.office import NOBODYS, record

KEY = "5a" * 32
TODAY = date(2026, 11, 20)
POLICY = """
version = "1"
[[limit]]
name = "a day"
measure = "amount"
ceiling = 100000
window = "day"
"""
Run = Callable[..., Result]


@pytest.fixture
def run(fresh_redis: str, fresh_postgres: str, tmp_path: Path) -> Run:
    """A command at a store with one card, and at books; both are there already."""
    env = {
        "AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": KEY, "AUTHZ_CLEARING_BY_FILE": "generic",
        "AUTHZ_REDIS_URL": fresh_redis, "AUTHZ_POSTGRES_URL": fresh_postgres,
    }  # fmt: skip

    def run(*words: str, **other: str) -> Result:
        return CliRunner().invoke(cli.main, [*words], env=env | other)

    (tmp_path / "accounts.csv").write_text("account_id,currency,opening_funds\nA1,USD,1000.00\n")
    (tmp_path / "cards.csv").write_text(f"pan,account_id,expiry,status\n{PAN},A1,2812,active\n")
    asyncio.run(begin(fresh_postgres))
    files = [str(tmp_path / name) for name in ("accounts.csv", "cards.csv")]
    assert run("load", "--new-store", *files).exit_code == 0
    return run


def a_file(folder: Path, *items: ClearedItem, name: str = "day.csv") -> str:
    path = folder / name
    with path.open("w", newline="") as stream:
        write_csv(items, stream, business_date=TODAY)
    return str(path)


def posted(run: Run) -> int:
    found = json.loads(run("show", "account", "A1", "--json").stdout)
    assert isinstance(found["posted_minor"], int)
    return found["posted_minor"]


def test_a_file_is_posted_once_and_its_outcomes_are_shown(run: Run, tmp_path: Path) -> None:
    path = a_file(
        tmp_path,
        record(1, 2500),
        record(2, 700, pan=NOBODYS),
        record(3, 300, kind=Kind.REFUND),
    )
    dry = run("clear", path, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "presentment" in dry.output
    assert "clearing.by_file: generic. The purchases of others are only compared" in dry.output
    assert "Nothing was moved" in dry.output
    assert posted(run) == 100_000

    done = run("clear", path, "--json", "-")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {row["outcome"]: row["amount_minor"] for row in found["outcomes"]} == {
        "forced": 2500, "unmatched": 700, "refunded": 300,
    }  # fmt: skip
    assert (found["status"], found["done_before"], found["items"]) == ("done", "", 3)
    assert posted(run) == 100_000 - 2500 + 300

    again = run("clear", path)
    assert again.exit_code == 0
    assert "was done before" in again.output
    assert "forced     1        25.00 USD" in again.output
    assert posted(run) == 97_800
    for result in (dry, done, again):
        assert PAN not in result.output
        assert NOBODYS not in result.output


def test_what_waits_for_a_person_is_listed_until_somebody_has_seen_to_it(
    run: Run, tmp_path: Path
) -> None:
    path = a_file(tmp_path, record(1, 2500), record(2, 700, pan=NOBODYS))
    assert run("clear", path).exit_code == 0
    found = json.loads(run("exceptions", "--json").stdout)
    assert found["exceptions"] == []  # what the journal tells of them is left to the books
    listed = {row["outcome"]: row for row in found["clearing"]}
    assert listed.keys() == {"forced", "unmatched"}
    assert listed["forced"]["account_id"] == "A1"
    assert [r["outcome"] for r in json.loads(run("exceptions", "--account", "A1", "--json").stdout)[
        "clearing"]] == ["forced"]  # fmt: skip
    item = listed["unmatched"]["item"]
    assert item in run("exceptions").output
    resolved = run("exceptions", "--resolve", item, "--by", "jdoe", "--note", "asked the network")
    assert (resolved.exit_code, resolved.output) == (0, f"{item} is resolved\n")
    left = json.loads(run("exceptions", "--json").stdout)["clearing"]
    assert [row["outcome"] for row in left] == ["forced"]
    assert run("exceptions", "--resolve", item, "--by", "jdoe").exit_code == 1
    assert run("exceptions", "--resolve", "nothing").exit_code == 2


def test_what_is_unmatched_is_billed_to_a_card(
    run: Run, tmp_path: Path, fresh_redis: str, fresh_postgres: str
) -> None:
    assert run("clear", a_file(tmp_path, record(1, 700, pan=NOBODYS))).exit_code == 0
    asyncio.run(drain(fresh_redis, fresh_postgres))
    [row] = json.loads(run("exceptions", "--json").stdout)["clearing"]
    card_id = json.loads(run("show", "account", "A1", "--json").stdout)["cards"][0]["card_id"]
    words = ("exceptions", "--bill", card_id, "--by", "jdoe")
    done = run(*words, "--resolve", row["item"])
    assert done.output == f"{row['item']} is resolved: account A1 pays 7.00 USD\n"
    assert posted(run) == 99_300
    again = run(*words, "--resolve", row["item"])
    assert (again.exit_code, again.output) == (1, "Error: It was resolved before.\n")
    assert run(*words).exit_code == 2


def test_without_books_the_journal_tells_of_them(run: Run, tmp_path: Path) -> None:
    assert run("clear", a_file(tmp_path, record(1, 2500))).exit_code == 0
    nowhere = {"AUTHZ_POSTGRES_URL": "", "HOME": str(tmp_path)}
    words = ("exceptions", "--json", "--ledger-dir", str(tmp_path / "none"))
    found = json.loads(run(*words, **nowhere).stdout)
    [row] = found["exceptions"]
    assert (row["kind"], row["decided_by"], row["verdict"]) == (
        "clearing", "clearing file", "unmatched",
    )  # fmt: skip
    assert "clearing" not in found
    away = {"AUTHZ_POSTGRES_URL": "postgresql://127.0.0.1:1/none"}
    said = run("exceptions", **away)
    assert said.exit_code == 0
    assert "What clearing files left is not listed" in said.output


def test_a_damaged_file_is_refused_and_nothing_moves(run: Run, tmp_path: Path) -> None:
    path = Path(a_file(tmp_path, record(1, 2500), record(2, 100)))
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    refused = run("clear", str(path))
    assert refused.exit_code == 1
    assert "Nothing was posted, the file is refused: cut" in refused.output
    assert posted(run) == 100_000
    assert run("clear", str(tmp_path / "absent.csv")).exit_code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--network", "amex"), 2, "--network: unknown; known are generic"),
        ((), 1, "does not say of which of our networks it is"),
        (("--network", "generic"), 0, "forced"),
    ],
)
def test_whose_it_is_is_said_by_the_file_or_the_person(
    run: Run, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    path = a_file(tmp_path, record(1, 2500, network=""))
    result = run("clear", path, *words)
    assert (result.exit_code, said in result.output) == (code, True), result.output
    assert posted(run) == (97_500 if code == 0 else 100_000)


def test_history_and_explain_show_it_plainly(run: Run, tmp_path: Path) -> None:
    assert run("clear", a_file(tmp_path, record(1, 2500, rrn="632500000001"))).exit_code == 0
    found: dict[str, Any] = json.loads(run("show", "account", "A1", "--json").stdout)
    [act] = [act for act in found["latest_acts"] if act["kind"] == "clearing"]
    assert (act["mti"], act["taken_for"], act["posted_delta_minor"]) == ("", "presentment", -2500)
    assert (act["record"], act["rrn"]) == (2, "632500000001")
    said = run("explain", act["message_id"])
    assert "is a record of a clearing file" in said.output
    one = run("show", "authorization", act["authorization_id"])
    assert one.exit_code == 0
    assert "completion" in one.output
    assert run("reconcile").exit_code == 0
    (tmp_path / "policy.toml").write_text(POLICY)
    back = run("rules", "backtest", str(tmp_path / "policy.toml"))
    assert back.exit_code == 0, back.output


def test_another_key_is_refused(run: Run, tmp_path: Path) -> None:
    path = a_file(tmp_path, record(1, 2500))
    refused = run("clear", path, AUTHZ_PAN_KEY="6b" * 32)
    assert refused.exit_code == 1
    assert "PAN key is not the one" in refused.output
    assert posted(run) == 100_000


def test_an_ipm_file_of_a_network_whose_messages_post_is_compared(
    run: Run, tmp_path: Path, fresh_redis: str, fresh_postgres: str
) -> None:
    path = tmp_path / "day.ipm"
    item = record(1, 2500, network="mastercard", billing_minor=2500, billing_currency="840")
    with path.open("wb") as stream:
        write_ipm([item], stream, business_date=TODAY)
    dry = run("clear", str(path), "--dry-run", AUTHZ_CLEARING_BY_FILE="")
    assert "clearing.by_file: no network. The purchases of all are only compared" in dry.output
    done = run("clear", str(path))
    assert done.exit_code == 0, done.output
    assert "missing_online" in done.output
    assert posted(run) == 100_000
    asyncio.run(drain(fresh_redis, fresh_postgres))


def test_networks_by_file_are_checked() -> None:
    config = load_config(None, {"AUTHZ_CLEARING_BY_FILE": "visa, mastercard"}, {})
    assert config.clearing.networks == {"visa", "mastercard"}
    with pytest.raises(Exception, match=r"clearing.by_file: unknown; known are generic"):
        load_config(None, {"AUTHZ_CLEARING_BY_FILE": "amex"}, {})
