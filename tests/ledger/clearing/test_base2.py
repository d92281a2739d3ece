"""BASE II: each fact at its position, transactions out of components, and each damage by name."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ledger.clearing import base2_table as table
from ledger.clearing.errors import CannotWrite, ClearingRefused, Problem
from ledger.clearing.pan import Pan
from ledger.clearing.reading import ClearingFile, read_clearing
from ledger.clearing.record import ClearedItem, Fee, Kind
from tests.support.clearing import KINDS, PAN, as_kind, base2, item_of, no_canary

FEE = Fee(name="interchange", sign=-1, amount=12_500_000, currency="840", decimals=6)


def read(folder: Path, data: bytes) -> ClearingFile:
    path = folder / "file.ctf"
    path.write_bytes(data)
    return read_clearing(path)


def full(number: int, **changes: Any) -> ClearedItem:
    """Of three components."""
    life_cycle = f"3863250000{number:05}"
    return item_of(number, life_cycle=life_cycle, clearing_number=1, clearing_count=2, **changes)


def records_of(data: bytes) -> list[str]:
    return data.decode().splitlines()


def put(record: str, position: int, text: str) -> str:
    return record[: position - 1] + text + record[position - 1 + len(text) :]


def joined(records: list[str]) -> bytes:
    return "".join(record + "\n" for record in records).encode()


GOOD = records_of(base2([full(1), full(2), full(3)], batch_max=2))
CODES = [record[:2] + record[3] for record in GOOD]


def test_a_file_is_made_of_batches_of_transactions_of_components() -> None:
    assert CODES == ["900", "050", "051", "055", "050", "051", "055", "910",
                     "050", "051", "055", "910", "920"]  # fmt: skip
    assert {len(record) for record in GOOD} == {table.SIZE}


def test_every_fact_is_read_from_its_position(tmp_path: Path) -> None:
    """Written here by hand, by the positions of the public sources."""
    first = " " * 168
    for position, text in (
        (1, "0500"), (5, PAN), (21, "000"), (27, full(1).arn), (50, "41111100"), (58, "1231"),
        (62, "000000001101"), (74, "840"), (77, "000000001001"), (89, "978"),
        (92, "CORNER GROCERY"), (117, "SPRINGFIELD"), (130, "US "), (133, "5411"), (147, "1"),
        (148, "00"), (152, "A1B2C3"), (164, "6325"),
    ):  # fmt: skip
        first = put(first, position, text)
    second = put(put(put(" " * 168, 1, "0501"), 81, "MERCHANT0000042"), 96, "TERM0042")
    third = " " * 168
    for position, text in ((1, "0505"), (5, "386325000000001"), (45, "0102"),
                           (92, "000000012500000"), (107, "C")):  # fmt: skip
        third = put(third, position, text)
    header = put(put(put(" " * 168, 1, "90"), 3, "411111"), 9, "26325")
    trailers = []
    for code, own in (("9100", 1), ("9200", 2)):
        trailer = "0" * 168
        for position, text in (
            (1, code), (11, "26325"), (16, f"{1101:015}"), (31, f"{1:012}"), (43, "000001"),
            (49, f"{3 + own:012}"), (75, f"{1 + own:09}"), (102, f"{1001:015}"),
        ):  # fmt: skip
            trailer = put(trailer, position, text)
        trailers.append(trailer)
    [item] = read(tmp_path, joined([header, first, second, third, *trailers])).items()
    # The file is of 21 November 2026, so 31 December is the year's before.
    assert item == ClearedItem(
        record=2, network="visa", kind=Kind.PRESENTMENT, of=Kind.PRESENTMENT, sign=1,
        pan=Pan(PAN), transaction_minor=1001, transaction_currency="978", billing_minor=1101,
        billing_currency="840", fees=(FEE,), arn=full(1).arn, life_cycle="386325000000001",
        approval_code="A1B2C3", local_date=date(2025, 12, 31), mcc="5411",
        merchant_id="MERCHANT0000042", merchant_name="CORNER GROCERY", merchant_city="SPRINGFIELD",
        merchant_country="US", terminal_id="TERM0042", acquirer_id="41111100", clearing_number=1,
        clearing_count=2,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "of", "reversal"), KINDS)
def test_every_kind_has_its_code(kind: Kind, of: Kind, reversal: bool, tmp_path: Path) -> None:
    written = item_of(1, **as_kind(kind, of, reversal), acquirer_id="411111")
    if kind is Kind.FEE and reversal:
        with pytest.raises(CannotWrite):
            base2([written])
        return
    data = base2([written])
    [item] = read(tmp_path, data).items()
    assert (item.kind, item.of, item.reversal, item.sign) == (kind, of, reversal, written.sign)
    first = {Kind.PRESENTMENT: "5", Kind.REFUND: "6", Kind.CASH: "7", Kind.FEE: "0"}[of]
    tens = {Kind.FEE: "1", Kind.CHARGEBACK: "3" if reversal else "1"}
    assert records_of(data)[1][:2] == tens.get(kind, "2" if reversal else "0") + first


def test_a_card_number_of_19(tmp_path: Path) -> None:
    pan = Pan(PAN + "123")
    [item] = read(tmp_path, base2([item_of(1, pan=pan)])).items()
    assert item.pan == pan


def test_texts_are_counted_and_passed_over(tmp_path: Path) -> None:
    text = put(" " * 168, 1, "5000")
    records = [GOOD[0], text, put(text, 4, "1"), *GOOD[1:]]
    batch, file = CODES.index("910") + 2, len(records) - 1
    records[batch] = put(put(records[batch], 49, f"{9:012}"), 75, f"{4:09}")
    records[file] = put(put(records[file], 49, f"{14:012}"), 75, f"{7:09}")
    found = read(tmp_path, joined(records))
    assert (found.item_count, found.others, found.bad_count) == (3, 1, 0)


def test_trailers_may_count_without_themselves(tmp_path: Path) -> None:
    records = list(GOOD)
    for at, total in ((7, 6), (11, 3), (12, 9)):
        records[at] = put(put(records[at], 49, f"{total:012}"), 75, f"{total // 3:09}")
    assert read(tmp_path, joined(records)).item_count == 3
    records[12] = GOOD[12]  # but not one so and the other so
    with pytest.raises(ClearingRefused):
        read(tmp_path, joined(records))


def test_what_moves_money_and_is_not_read_is_listed(tmp_path: Path) -> None:
    records = [put(r, 1, "02") if r[:2] == "05" and n < 4 else r for n, r in enumerate(GOOD)]
    for at, count in ((7, 1), (12, 2)):
        records[at] = put(records[at], 31, f"{count:012}")
    for at, both in ((7, (1102, 1002)), (12, (2205, 2005))):
        records[at] = put(put(records[at], 16, f"{both[0]:015}"), 102, f"{both[1]:015}")
    found = read(tmp_path, joined(records))
    assert [bad.record for bad in found.bad] == [2]
    assert found.item_count == 2


# One transaction that is wrong inside a file that is right: record, position, what is put there.
BAD = [
    (1, 5, "X", "pan"), (1, 27, "9", "arn"), (1, 58, "1332", "local_date"), (1, 58, "AB", "local"),
    (1, 74, "EUR", "destination_currency"), (1, 89, "000", "source_currency"), (1, 133, "A", "mcc"),
    (3, 45, "x", "clearing_number"), (3, 92, "-", "fee"),
]  # fmt: skip


@pytest.mark.parametrize(("at", "position", "text", "element"), BAD)
def test_a_bad_transaction_is_listed(
    at: int, position: int, text: str, element: str, tmp_path: Path
) -> None:
    records = list(GOOD)
    records[at] = put(records[at], position, text)
    found = read(tmp_path, joined(records))
    [bad] = found.bad
    assert bad.record == 2
    assert bad.element.startswith(element)
    assert "positions" in bad.element
    assert [item.record for item in found.items()] == [5, 9]
    assert PAN[6:12] not in str(bad)


def changed(at: int, position: int, text: str) -> bytes:
    return joined([put(r, position, text) if n == at else r for n, r in enumerate(GOOD)])


def without(*at: int) -> bytes:
    return joined([record for n, record in enumerate(GOOD) if n not in at])


WHOLE: list[tuple[str, Callable[[], bytes], Problem, int]] = [
    # damage                       file                               problem            record
    ("no file trailer", lambda: without(12), Problem.CUT, 12),
    ("no batch trailer", lambda: without(11), Problem.OUT_OF_ORDER, 12),
    ("first batch trailer is gone", lambda: without(7), Problem.WRONG_COUNT, 11),
    ("a batch is gone", lambda: without(8, 9, 10, 11), Problem.WRONG_COUNT, 9),
    ("a transaction is gone", lambda: without(1, 2, 3), Problem.WRONG_COUNT, 5),
    ("a component is gone", lambda: without(3), Problem.WRONG_COUNT, 7),
    ("the first component is gone", lambda: without(4), Problem.OUT_OF_ORDER, 5),
    ("components out of order", lambda: joined([*GOOD[:2], GOOD[3], GOOD[2], *GOOD[4:]]),
     Problem.OUT_OF_ORDER, 4),
    ("a component twice", lambda: joined([*GOOD[:4], GOOD[3], *GOOD[4:]]),
     Problem.OUT_OF_ORDER, 5),
    ("a component of another code", lambda: changed(2, 1, "06"), Problem.OUT_OF_ORDER, 3),
    ("a transaction twice", lambda: joined([*GOOD[:4], *GOOD[1:4], *GOOD[4:]]),
     Problem.WRONG_COUNT, 11),
    ("two headers", lambda: joined([GOOD[0], *GOOD]), Problem.BAD_HEADER, 2),
    ("header's date", lambda: changed(0, 9, "26366"), Problem.BAD_HEADER, 1),
    ("header's date is none", lambda: changed(0, 9, "today"), Problem.BAD_HEADER, 1),
    ("behind the trailer", lambda: joined([*GOOD, GOOD[1]]), Problem.LEFTOVER, 14),
    ("a source amount", lambda: changed(1, 77, "9"), Problem.WRONG_TOTAL, 8),
    ("a destination amount", lambda: changed(1, 62, "9"), Problem.WRONG_TOTAL, 8),
    ("an amount that is none", lambda: changed(1, 88, "X"), Problem.WRONG_TOTAL, 8),
    ("batch's amount", lambda: changed(7, 16, "9"), Problem.WRONG_TOTAL, 8),
    ("batch's count", lambda: changed(7, 31, "9"), Problem.WRONG_COUNT, 8),
    ("batch's records", lambda: changed(7, 49, "9"), Problem.WRONG_COUNT, 8),
    ("batch's transactions", lambda: changed(7, 75, "9"), Problem.WRONG_COUNT, 8),
    ("file's amount", lambda: changed(12, 102, "9"), Problem.WRONG_TOTAL, 13),
    ("file's count", lambda: changed(12, 31, "x"), Problem.BAD_TRAILER, 13),
    ("a record of 169", lambda: joined([r + " " if n == 3 else r for n, r in enumerate(GOOD)]),
     Problem.BAD_LINE_END, 4),
    ("a record of 167", lambda: joined([r[:-1] if n == 3 else r for n, r in enumerate(GOOD)]),
     Problem.BAD_LINE_END, 4),
    ("a line end", lambda: joined(GOOD).replace(b"\n", b"\r\n", 4), Problem.BAD_LINE_END, 5),
    ("no header", lambda: without(0), Problem.UNKNOWN_FORMAT, 0),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "data", "problem", "record"), WHOLE, ids=[w[0] for w in WHOLE])
def test_a_damaged_file_is_refused(
    damage: str, data: Callable[[], bytes], problem: Problem, record: int, tmp_path: Path
) -> None:
    with pytest.raises(ClearingRefused) as caught:
        read(tmp_path, data())
    assert (caught.value.problem, caught.value.record) == (problem, record)
    no_canary(caught.value)


def test_what_transfers_add_behind_the_end_is_no_record(tmp_path: Path) -> None:
    assert read(tmp_path, joined(GOOD) + b"\x1a").item_count == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"pan": Pan(PAN[:15])}, {"pan": Pan(PAN + "000")}, {"terminal_id": "123456789"},
        {"merchant_name": "Ä"}, {"transaction_minor": 10**12}, {"life_cycle": "1" * 16},
        {"clearing_count": 100}, {"fees": (FEE, FEE)}, {"billing_currency": ""},
        {"fees": (Fee(name="00", sign=1, amount=1, currency="840"),)}, {"mcc": "54110"},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(CannotWrite) as caught:
        base2([item_of(1, **changes)])
    no_canary(caught.value)
