"""authz proof: as a person sees it, as a program does, and as a page."""

import asyncio
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app.cli import main
from authz.app.commands.proof import table
from authz.app.proof_page import page
from authz.app.proof_words import sheet_of, told, verdict
from ledger.proof import Class, Finding, Hold, Money, Proof
from tests.ledger.test_proof import a_day, booked
from tests.support.books import books

Run = Callable[..., Result]


@pytest.fixture
def run(fresh_postgres: str) -> Run:
    def command(*words: str) -> Result:
        return CliRunner().invoke(main, ["proof", "--postgres", fresh_postgres, *words])

    return command


def test_a_day_in_words_numbers_and_as_a_page(
    fresh_redis: str, fresh_postgres: str, run: Run, tmp_path: Path
) -> None:
    asyncio.run(booked(a_day(), fresh_redis, fresh_postgres))
    html = tmp_path / "proof.html"
    done = run("--date", "2026-03-20", "--html", str(html))
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Proof of 2026-03-20 (UTC)\n")
    assert done.output.endswith("Nothing is unexplained.\n")
    assert re.search(r"^  settlement +1 act +50\.00 +-50\.00 +0\.00$", done.output, re.MULTILINE)
    holds = "holds: open before 10.00, placed 88.83, cleared 71.00, reversed 7.00, expired 9.00, "
    assert holds + "released 0.50, withdrawn 8.00, open after 3.33" in done.output

    told = run("--date", "2026-03-20", "--json", "-")
    assert told.exit_code == 0
    answer = json.loads(told.stdout)
    assert (answer["ok"], answer["unexplained_minor"], answer["position"]) == (True, 0, 82)
    assert sum(shard["seq"] for shard in answer["shards"].values()) == 82

    later = run("--date", "2026-03-20", "--zone", "Asia/Tokyo", "--json", "-")
    assert json.loads(later.stdout)["begins_ms"] == answer["begins_ms"] - 9 * 3_600_000
    assert_self_contained(html.read_text())


def test_what_is_unexplained_is_the_exit_code(
    fresh_redis: str, fresh_postgres: str, run: Run
) -> None:
    asyncio.run(booked(a_day(), fresh_redis, fresh_postgres))

    async def touch() -> None:
        async with books(fresh_postgres) as connection:
            await connection.execute("UPDATE balance SET held_minor = held_minor + 7")

    asyncio.run(touch())
    done = run("--date", "2026-03-20")
    assert done.exit_code == 1
    assert "840 held: now, by balances: -3.47 USD, should be -3.33 USD" in done.output
    assert "14 minor units" not in done.output  # it shows twice: less is open, more is held
    assert "Unexplained: 2 findings; 28 minor units in all." in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--date", "2026-13-01"), "--date is no date"),
        (("--date", "2999-01-01"), "2999-01-01 has not begun in UTC"),
        (("--zone", "Mars/Olympus"), "--zone is no IANA time zone"),
        (("--zone", "../etc"), "--zone is no IANA time zone"),
    ],
)
def test_wrong_use(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_page_that_cannot_be_written_is_one_sentence(
    fresh_redis: str, fresh_postgres: str, run: Run, tmp_path: Path
) -> None:
    asyncio.run(booked(a_day(), fresh_redis, fresh_postgres))
    done = run("--date", "2026-03-20", "--html", str(tmp_path / "none" / "proof.html"))
    assert done.exit_code == 1
    assert "Nothing is unexplained.\n" in done.output  # what was found is told all the same
    assert "The proof could not be written: No such file or directory." in done.output


def test_no_books_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["proof", "--ledger-dir", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "There are no books in" in done.output


def a_proof(**changes: Any) -> Proof:
    yen = Money(
        "392",
        [Class("open", 0, {"approval": 1234567}, 1234567),
         Class("held", 0, {"approval": -1234567}, -1234567), Class("bank", 0, {}, 0)],
        Hold(placed_minor=1234567, closing_minor=1234567), {"approval": 1},
    )  # fmt: skip
    return Proof(date="2026-03-20", zone="UTC", begins_ms=0, ends_ms=1, currencies=[yen], **changes)


def test_a_sheet_has_the_columns_in_which_something_stands() -> None:
    sheet = sheet_of(a_proof().currencies[0])
    assert sheet.titles == ("cardholders", "held", "sum")
    assert [row.name for row in sheet.rows] == ["opening", "approval", "closing"]
    assert table(sheet)[2] == "  approval  1 act    1,234,567  -1,234,567    0"
    assert len({len(line) for line in table(sheet)}) == 1


def test_findings_are_said_in_money_where_they_are_money() -> None:
    finding = Finding("kept", "840 held", "now, by balances", -333, -340, "840", 7)
    assert told(finding) == "840 held: now, by balances: -3.33 USD, should be -3.40 USD"
    strange = Finding("places", "shard 3 entry 7", "entries", 0, 1)
    assert told(strange) == "shard 3 entry 7: entries: 0, should be 1"
    proof = a_proof(ok=False, found=1, unexplained=[strange], unexplained_minor=0)
    assert verdict(proof) == "Unexplained: 1 finding."


def test_a_page_escapes_and_fetches_nothing() -> None:
    evil = Finding("approved", "authorization <script>alert(1)</script>", "approvals", 2, 1)
    text = page(a_proof(ok=False, found=1, unexplained=[evil]))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert_self_contained(text)


def assert_self_contained(text: str) -> None:
    """Well-formed, and nothing in it makes a browser ask for anything."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img", "iframe")
            assert not {name for name, _ in attrs} & {"src", "href"}
            if tag not in ("meta", "br", "rect"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag in ("rect",):
                return
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert "url(" not in text
