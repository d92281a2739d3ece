"""CSV: errors by line and column, never with a cell; a file without its trailer is cut."""

from pathlib import Path
from typing import Any

import pytest

from ledger.clearing.csv_file import COLUMNS
from ledger.clearing.errors import CannotWrite, ClearingRefused, Problem
from ledger.clearing.reading import ClearingFile, read_clearing
from ledger.clearing.record import Kind
from tests.support.clearing import PAN, arn_of, csv, item_of, no_canary

HEAD = (
    "kind,of,sign,reversal,pan,transaction_minor,transaction_currency,arn,local_date,mcc,"
    "merchant_name,life_cycle,reference,count"
)
ROW = f"presentment,,,,{PAN},1250,840,{arn_of(1)},2026-11-20,5411,,,,"


def trailer(count: int, amount: int) -> str:
    return f"trailer,,,,,{amount},,,2026-11-21,,,,,{count}"


def read(folder: Path, *lines: str, end: str = "\n") -> ClearingFile:
    path = folder / "items.csv"
    path.write_text(end.join(lines) + end, newline="")
    return read_clearing(path)


def test_a_file_by_hand(tmp_path: Path) -> None:
    refund = f"Refund,,,,{PAN},250,840,,,,,,,"
    back = f"chargeback,cash,,yes,{PAN},50,978,,,,,,,"
    fee = "fee,,-1,,,70,840,,,,,,,"
    found = read(tmp_path, HEAD, ROW, "", refund, back, fee, trailer(4, 1620), end="\r\n")
    items = list(found.items())
    assert [(item.record, item.name, item.of, item.sign) for item in items] == [
        (2, "presentment", "presentment", 1), (4, "refund", "refund", -1),
        (5, "chargeback_reversal", "cash", 1), (6, "fee", "fee", -1),
    ]  # fmt: skip
    assert items[3].pan is None
    assert str(found.business_date) == "2026-11-21"


def test_bytes_before_the_header_and_other_cases_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + HEAD.upper(), ROW, trailer(1, 1250)).item_count == 1


# A row, the column that is told, and why.
BAD = [
    ({"kind": "purchase"}, "kind", "not one of"),
    ({"kind": "chargeback", "of": "fee"}, "of", "disputed"),
    ({"kind": "fee"}, "sign", "a fee needs it"),
    ({"reversal": "maybe"}, "reversal", "yes or no"),
    ({"pan": "99999912345678"[:11]}, "pan", "not a card number"),
    ({"pan": ""}, "pan", "not a card number"),
    ({"transaction_currency": "USD"}, "transaction_currency", "as it should"),
    ({"transaction_currency": ""}, "transaction_currency", "is missing"),
    ({"arn": PAN}, "arn", "reference"),
    ({"local_date": "2026-02-30"}, "local_date", "not a date"),
    ({"local_date": "20.11.2026"}, "local_date", "not a date"),
    ({"mcc": PAN}, "mcc", "as it should"),
    ({"merchant_name": f"SHOP {PAN}"}, "merchant_name", "looks like a card number"),
    ({"reference": PAN}, "reference", "as it should"),
    ({"life_cycle": PAN}, "life_cycle", "as it should"),
    ({"count": "1"}, "count", "the trailer's"),
]


@pytest.mark.parametrize(("cells", "column", "reason"), BAD)
def test_a_bad_line_is_listed(
    cells: dict[str, str], column: str, reason: str, tmp_path: Path
) -> None:
    row = dict(zip(HEAD.split(","), ROW.split(","))) | cells
    found = read(tmp_path, HEAD, ",".join(row.values()), ROW, trailer(2, 2500))
    [bad] = found.bad
    assert (bad.record, bad.element) == (2, column)
    assert reason in bad.reason
    assert [item.record for item in found.items()] == [3]
    assert PAN not in str(bad)


def test_an_amount_has_twelve_digits(tmp_path: Path) -> None:
    most, more = 10**12 - 1, 10**12
    rows = [ROW.replace("1250", str(amount)) for amount in (most, more)]
    found = read(tmp_path, HEAD, *rows, trailer(2, most + more))
    assert [item.transaction_minor for item in found.items()] == [most]
    assert [(bad.record, bad.element) for bad in found.bad] == [(3, "transaction_minor")]


def test_a_line_of_another_length_is_refused_with_its_amount(tmp_path: Path) -> None:
    """Which cell is which is not known, so the sum is not proved."""
    with pytest.raises(ClearingRefused) as caught:
        read(tmp_path, HEAD, ROW + ",", ROW, trailer(2, 2500))
    assert caught.value.problem is Problem.WRONG_TOTAL
    assert [bad.record for bad in caught.value.bad] == [2]


WHOLE = [
    ((HEAD, ROW), Problem.CUT, 0),
    ((HEAD,), Problem.CUT, 0),
    ((HEAD, ROW, trailer(2, 1250)), Problem.WRONG_COUNT, 3),
    ((HEAD, ROW, trailer(1, 1251)), Problem.WRONG_TOTAL, 3),
    ((HEAD, ROW.replace("1250", "12.50"), trailer(1, 1250)), Problem.WRONG_TOTAL, 3),
    ((HEAD, ROW, "trailer,,,,,,,,,,,,,"), Problem.BAD_TRAILER, 3),
    ((HEAD, ROW, trailer(1, 1250).replace("2026-11-21", "today")), Problem.BAD_TRAILER, 3),
    ((HEAD, ROW, trailer(1, 1250), ROW), Problem.LEFTOVER, 4),
    ((HEAD + ",bonus", ROW + ",", trailer(1, 1250) + ","), Problem.BAD_HEADER, 1),
    ((HEAD + ",mcc", ROW + ",", trailer(1, 1250) + ","), Problem.BAD_HEADER, 1),
    ((HEAD, '"' + ROW, trailer(1, 1250)), Problem.CUT, 3),
    ((HEAD, ROW + "x" * 20_000, trailer(1, 1250)), Problem.BAD_LENGTH, 2),
]


@pytest.mark.parametrize(("lines", "problem", "record"), WHOLE)
def test_a_damaged_file_is_refused(
    lines: tuple[str, ...], problem: Problem, record: int, tmp_path: Path
) -> None:
    with pytest.raises(ClearingRefused) as caught:
        read(tmp_path, *lines)
    assert (caught.value.problem, caught.value.record) == (problem, record)
    no_canary(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(HEAD.encode() + b"\n\xff\xfe\n")
    with pytest.raises(ClearingRefused) as caught:
        read_clearing(path)
    assert (caught.value.record, caught.value.element) == (2, "not UTF-8")
    no_canary(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"merchant_name": "A\nB"}, {"mcc": "1"}, {"pan": None}, {"network": "Visa!"},
     {"transaction_minor": 2**53 - 1, "kind": Kind.CASH, "of": Kind.CASH, "mcc": "x"}],
)  # fmt: skip
def test_what_does_not_fit_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(CannotWrite) as caught:
        csv([item_of(1, **changes)])
    no_canary(caught.value)


def test_the_page_has_every_column() -> None:
    page = Path(__file__).parents[3] / "docs" / "clearing.md"
    text = page.read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []
