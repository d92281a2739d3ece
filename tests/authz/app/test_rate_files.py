"""Files of reference rates: the newest day is read as it stands, and what is wrong has a place."""

import zipfile
from pathlib import Path

import pytest

from authz.app.rate_files import rates_in
from rules.fx import Rates, RatesError

HISTORY = """Date,USD,JPY,CYP,GBP,
2026-10-29,1.1130,175.92,N/A,0.83578,
2026-10-30,1.1172,175.68,N/A,0.83380,
1999-01-04,1.1789,133.73,0.58231,0.71110,
"""
OF_A_DAY = "Date, USD, JPY, GBP, \n30 October 2026, 1.1172, 175.68, 0.83380, \n"
WANTED = Rates(
    base="EUR", date="2026-10-30", source="ecb",
    rates={"USD": "1.1172", "JPY": "175.68", "GBP": "0.83380"},
)  # fmt: skip


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("text", [HISTORY, OF_A_DAY], ids=["history", "of a day"])
def test_the_newest_day_is_read_as_it_stands(tmp_path: Path, text: str) -> None:
    assert rates_in(written(tmp_path, "rates.csv", text)) == WANTED


def test_the_history_is_read_from_its_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "eurofxref-hist.zip", "w") as packed:
        packed.writestr("eurofxref-hist.csv", HISTORY)
    assert rates_in(tmp_path / "eurofxref-hist.zip") == WANTED
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as packed:
        packed.writestr("a.csv", HISTORY)
        packed.writestr("b.csv", HISTORY)
    with pytest.raises(RatesError, match="one file"):
        rates_in(tmp_path / "two.zip")


def test_an_own_table(tmp_path: Path) -> None:
    text = 'base = "USD"\ndate = "2026-10-30"\nsource = "desk"\nrates = { KWD = "0.3071" }\n'
    found = rates_in(written(tmp_path, "own.toml", text))
    assert found == Rates(base="USD", date="2026-10-30", source="desk", rates={"KWD": "0.3071"})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "", "line 1: expected Date"),
        ("a.csv", "Date,USD,\n", "no day"),
        ("a.csv", "Date,USD,\n30.10.2026,1.1,\n", "line 2: expected a date"),
        ("a.csv", "Date,USD,\n2026-10-30,1.1,2\n2026-10-31,1.1\n", "line 3: has more or fewer"),
        ("a.csv", "Date,QQQ,\n2026-10-30,1.1,\n", "line 2: no currency of ISO 4217: QQQ"),
        ("a.csv", "Date,USD,\n2026-10-30,-1,\n", "rates.USD: "),
        ("a.csv", "Date,USD,\n2026-10-30,1e3,\n", "rates.USD: "),
        ("a.toml", "base = 1", "base, line 1: expected `str`"),
        ("a.toml", "base", "not TOML: Expected '='"),
        ("a.toml", "a." * 5000 + "b = 1", "line 1: a key of more than 16 parts"),
        ("a.toml", "a = " + "[" * 5000, "nested too deeply"),
        ("a.toml", "# 4111111111111111", "line 1: has a card number"),
        ("a.toml", 'base = "EUR"\ndate = "yesterday"', "date: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    with pytest.raises(RatesError) as told:
        rates_in(written(tmp_path, name, text))
    assert str(told.value).startswith(problem)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(RatesError, match="UTF-8"):
        rates_in(tmp_path / "a.csv")
