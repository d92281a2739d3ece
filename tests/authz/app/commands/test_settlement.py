"""Settlement by its commands: from lines in the books to a batch that bank and network agree on."""

import asyncio
import csv
import io
import json
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import settlement_work
from authz.app.cli import main
from ledger.journal import LedgerBody
from tests.ledger.clearing.test_summaries import base2_file, row
from tests.support.batcher import say
from tests.support.books import begin, books, drain
from tests.support.hot import store_and_client

CONFIG = """
[settlement]
grace_s = 0
currencies = { acme = "840" }

[[cycle]]
network = "visa"
cut_off = "17:00"
zone = "America/New_York"

[[interchange]]
mccs = ["5411"]
percent_bp = 150

[[fx]]
name = "near"
of = "978"
into = "840"
rate = "1.10"

[[fx]]
name = "dear"
of = "978"
into = "840"
rate = "1.09"
fixed_minor = 100000
"""
FAR = "2040-01-01T00:00"


class Desk:
    """A store, books, and somebody at the command line."""

    def __init__(self, folder: Path, redis_url: str, dsn: str) -> None:
        self.folder, self.redis_url, self.dsn = folder, redis_url, dsn
        self.config = folder / "authz.toml"
        self.config.write_text(CONFIG)

    def run(self, *words: str, code: int = 0) -> Result:
        places = ("--config", str(self.config), "--redis", self.redis_url, "--postgres", self.dsn)
        found = CliRunner().invoke(main, ["settlement", *words, *places])
        assert found.exit_code == code, (found.output, found.exception)
        return found

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).output)

    def move(self, *bodies: LedgerBody) -> None:
        async def work() -> None:
            async with store_and_client(self.redis_url) as (state, _):
                for body in bodies:
                    await say(state, body)
            await drain(self.redis_url, self.dsn)

        asyncio.run(work())

    def drain(self) -> None:
        asyncio.run(drain(self.redis_url, self.dsn))

    def balances(self) -> dict[str, int]:
        async def work() -> dict[str, int]:
            async with books(self.dsn) as connection:
                rows = await connection.fetch(
                    "SELECT role || ' ' || currency, sum(balance_minor)::bigint FROM trial_balance "
                    "GROUP BY 1"
                )
            return {row[0]: row[1] for row in rows if row[1]}

        return asyncio.run(work())


@pytest.fixture
def desk(
    tmp_path: Path, fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    monkeypatch.setenv("AUTHZ_REDIS_FSYNC", "off")
    monkeypatch.setattr(settlement_work, "WAIT_S", 0.2)  # nobody writes the books beside us
    asyncio.run(begin(fresh_postgres))
    return Desk(tmp_path, fresh_redis, fresh_postgres)


def bought(amount: int, network: str = "visa") -> LedgerBody:
    """What a cardholder bought in dollars, as far as the network sees it."""
    lines = (("acme", "840", "network", network, -amount), ("acme", "840", "unmatched", "", amount))
    return LedgerBody("unmatched", "r", "test", lines, (("mcc", "5411"), ("arn", "7" * 23)))


def converted(euros: int, dollars: int) -> LedgerBody:
    """Bought in euros, and billed in dollars by a rate of ours."""
    lines = (
        ("acme", "978", "network", "visa", -euros), ("acme", "978", "fx_position", "", euros),
        ("acme", "840", "fx_position", "", -dollars), ("acme", "840", "unmatched", "", dollars),
    )  # fmt: skip
    return LedgerBody("unmatched", "r", "test", lines)


def test_from_items_to_a_reconciled_batch(desk: Desk) -> None:
    desk.move(bought(1000), bought(251), bought(-300), bought(40, "mastercard"))
    assert desk.run("status").output.startswith("batches: 0 open")
    closed = desk.json("close", "--at", FAR)["closed"]
    assert len(closed) == 2
    (visa,) = (id for id in closed if ".visa." in id)
    assert "0 open, 2 closed" in desk.run("status", "--check").output

    report = desk.json("report", visa)["batches"][0]
    assert (report["items"], report["debit_minor"], report["credit_minor"]) == (3, 300, 1251)
    assert (report["net_minor"], report["due_minor"]) == (-951, -951)
    assert report["expected_minor"] == 14  # 1.5 percent of 9.51, half to even
    assert report["kinds"] == [
        {"what": "unmatched", "items": 3, "debit_minor": 300, "credit_minor": 1251}
    ]
    assert "-9.51 USD" in desk.run("report", "--date", report["cycle_date"]).output

    # The bank moved more than that: 20 less of interchange that nobody told, and 1 too much.
    said = desk.json(
        "settle", visa, "--interchange", "20", "--moved", "-932", "--by", "J. Doe"
    )  # nobody writes the books: it waits
    assert said["said"].startswith("is journalled")
    desk.drain()
    again = desk.json("settle", visa, "--by", "A. Body")
    assert (again["said"], again["batch"]["status"]) == ("was settled before", "settled")
    assert again["batch"]["booked_interchange_minor"] == 20
    assert "0.20 USD  interchange and fees, as booked" in desk.run("report", visa).output
    assert desk.balances() == {
        "network 840": -40, "bank 840": -932, "interchange 840": -20, "disputes 840": 1,
        "unmatched 840": 991,
    }  # fmt: skip

    out = desk.folder / "batch.csv"
    assert "3 items in" in desk.run("file", visa, "--out", str(out)).output
    desk.run("file", visa, "--out", str(out), code=1)  # never over one that is there
    text = out.read_bytes().decode()
    assert text.replace("\r\n", "\n") == desk.run("file", visa).output
    lines = text.splitlines(keepends=True)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:3] == ["H", "authz settlement 1", visa]
    assert sorted(int(row[9]) for row in rows[2:-1]) == [-1000, -251, 300]
    assert rows[-1][:5] == ["T", "3", "300", "1251", "-951"]
    assert rows[-1][-1] == sha256("".join(lines[:-1]).encode()).hexdigest()

    day = report["cycle_date"]
    advice = desk.folder / "advice.csv"
    head = "network,currency,cycle_date,items,net_minor\n"
    advice.write_text(
        f"{head}visa,840,{day},3,-952\nmastercard,840,{day},1,-40\ntrailer,,,2,-992\n"
    )
    # Mastercard's has its cut-off in another zone, so it may be of another day.
    wrong = desk.json("compare", str(advice), code=1)
    assert wrong["rows"][0]["differences"] == [["net_minor", -952, -951]]
    assert wrong["reconciled"] == []
    advice.write_text(f"{head}visa,840,{day},3,-951\ntrailer,,,1,-951\n")
    right = desk.json("compare", str(advice))
    assert (right["agrees"], right["reconciled"]) == (True, [visa])
    assert desk.json("compare", str(advice))["reconciled"] == []  # once
    assert desk.json("report", visa)["batches"][0]["status"] == "reconciled"


def test_a_batch_is_converted_by_the_best_source(desk: Desk) -> None:
    desk.move(converted(10_000, 11_500))
    (batch,) = desk.json("close", "--at", FAR)["closed"]
    desk.run("settle", batch, "--by", "J. Doe")
    desk.drain()
    told = desk.json("settle", batch, "--by", "J. Doe")["batch"]
    assert (told["moved_minor"], told["moved_currency"]) == (-11_000, "840")
    assert told["fx"]["source"] == "near"
    assert [offer["source"] for offer in told["fx"]["offers"]] == ["near", "dear"]
    assert "* was taken" in desk.run("report", batch).output
    # What our rate brought: 115.00 for what cost 110.00. Neither position has anything left.
    assert desk.balances() == {"bank 840": -11_000, "fx_income 840": -500, "unmatched 840": 11_500}


def test_without_a_rate_nothing_is_settled(desk: Desk) -> None:
    desk.config.write_text(CONFIG.partition("[[fx]]")[0])
    desk.move(converted(10_000, 11_500))
    (batch,) = desk.json("close", "--at", FAR)["closed"]
    refused = desk.run("settle", batch, "--by", "J. Doe", code=1)
    assert "No [[fx]] row converts 978 into 840" in refused.output
    assert desk.balances()["network 978"] == -10_000


def test_the_bank_and_the_first_word_stand(desk: Desk) -> None:
    desk.move(bought(100))
    (batch,) = desk.json("close", "--at", FAR)["closed"]
    desk.run("settle", batch, "--by", "J. Doe")
    other = desk.run("settle", batch, "--moved", "-99", "--by", "J. Doe", code=1)
    assert "those stand" in other.output
    desk.drain()
    assert desk.json("settle", batch, "--by", "J. Doe")["said"] == "was settled before"
    other = desk.run("settle", batch, "--moved", "-99", "--by", "J. Doe", code=1)
    assert "settled before with other numbers" in other.output
    desk.run("settle", batch, "--moved", "-100", "--interchange", "0", "--by", "J. Doe")
    assert desk.balances() == {"bank 840": -100, "unmatched 840": 100}

    # Visa's own report, in a BASE II file, agrees.
    day = date.fromisoformat(desk.json("report", batch)["batches"][0]["cycle_date"])
    told = {"count": "1".zfill(15), "credit": "0" * 15, "debit": "100".zfill(15)}
    file = desk.folder / "base2"
    file.write_bytes(base2_file(row(to_date=f"{day:%Y%j}", net="100".zfill(15), **told)))
    assert desk.json("compare", str(file))["reconciled"] == [batch]


def test_what_was_due_and_not_moved_is_told(desk: Desk) -> None:
    desk.move(bought(100))
    (batch,) = desk.json("close", "--at", FAR)["closed"]
    said = desk.run("settle", batch, "--moved", "100", "--by", "J. Doe").output
    assert "journalled: the bank moved 1.00 USD" in said  # a sign was forgotten: it shows
    desk.drain()
    desk.run("close")  # which takes what is new in the books
    assert "disputes     -2.00 USD  due and not moved" in desk.run("report", batch).output
    assert desk.balances()["disputes 840"] == -200


def test_a_file_that_is_there_is_not_written_over(desk: Desk) -> None:
    desk.move(bought(100))
    (batch,) = desk.json("close", "--at", FAR)["closed"]
    path = desk.folder / "batch.csv"
    desk.run("file", batch, "--out", str(path))
    was = path.read_bytes()
    again = desk.run("file", batch, "--out", str(path), code=1).output
    assert "batch.csv cannot be written: File exists." in again
    assert path.read_bytes() == was


def test_what_is_asked_wrongly_changes_nothing(desk: Desk) -> None:
    desk.move(bought(100))
    desk.run("close")  # nothing is due, but what there is was taken
    (batch,) = (b["id"] for b in desk.json("status")["batches"])
    assert "It is open" in desk.run("settle", batch, "--by", "x", code=1).output
    assert "It is open" in desk.run("file", batch, code=1).output
    assert "no such batch" in desk.run("close", "nothing", code=1).output
    assert desk.json("close", batch)["closed"] == [batch]
    assert "closed already" in desk.run("close", batch, code=1).output
    bad = desk.folder / "bad.csv"
    bad.write_text("network\n")
    assert "refused: line 1" in desk.run("compare", str(bad), code=1).output
    for words in (
        ("report",), ("report", batch, "--date", "2026-11-20"), ("close", "--at", "noon"),
        ("settle", batch), ("settle", batch, "--by", " "),
        ("settle", "4111111111111111", "--by", "x"),
    ):  # fmt: skip
        desk.run(*words, code=2)
    desk.move(bought(50))
    desk.run("close")
    # What came after the close is in the next cycle, which is open.
    assert desk.json("status")["standing"]["batches"] | {} == {
        "open": 1, "closed": 1, "settled": 0, "reconciled": 0,
    }  # fmt: skip
    assert desk.run("status", "--check").exit_code == 0
