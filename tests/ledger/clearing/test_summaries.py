"""Totals that networks carry in their clearing files: read as what they are of, or refused."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ledger.clearing import base2_table, ipm_table
from ledger.clearing.base2 import Sums
from ledger.clearing.base2_writer import placed, trailer
from ledger.clearing.errors import ClearingRefused, Problem
from ledger.clearing.ipm_frames import CODECS, FrameWriter
from ledger.clearing.ipm_message import write_message, write_pds
from ledger.clearing.ipm_writer import administrative
from ledger.clearing.summaries import VSS_110, BadSummary, read_summaries
from ledger.settlement_advice import AdviceRefused, read_totals
from tests.support.clearing import ipm, item_of

DAY = date(2026, 11, 20)
FILE_ID = "0012611210000000000000001"
RECONCILED = "0012611200000000000000007"  # of the day before


def ipm_file(
    *positions: tuple[str, dict[str, str]], encoding: str = "ebcdic", blocked: bool = True
) -> bytes:
    """A file with a financial position for each: a currency, and subelements."""
    stream, codec = io.BytesIO(), CODECS[encoding]
    frames = FrameWriter(stream, blocked)
    frames.write(administrative(ipm_table.HEADER, {ipm_table.FILE_ID: FILE_ID}, 1, codec))
    number = 1
    for currency, pds in positions:
        number += 1
        elements = {24: "685", 50: currency, 71: f"{number:08}"}
        frames.write(write_message("1644", elements | write_pds({"0300": RECONCILED} | pds), codec))
    end = {ipm_table.FILE_ID: FILE_ID, "0301": "0" * 16, "0306": f"{number + 1:08}"}
    frames.write(administrative(ipm_table.TRAILER, end, number + 1, codec))
    frames.close()
    return stream.getvalue()


def amount(sign: str, minor: int) -> str:
    return f"{sign}{minor:016}"


def row(**changes: str) -> str:
    """A row of VSS-110: the issuer's items."""
    values = {
        "component": "0", "currency": "840", "report": "V2110", "to_date": "2026324",
        "amount_type": "I", "mode": "2", "count": "3".zfill(15), "credit": "300".zfill(15),
        "debit": "1251".zfill(15), "net": "951".zfill(15), "sign": "DB",
    }  # fmt: skip
    return placed("4600", VSS_110, values | changes)


def base2_file(*rows: str) -> bytes:
    header = placed("90", base2_table.FILE_HEADER, {"processing_bin": "000000", "date": "26325",
                                                    "file_number": "001"})  # fmt: skip
    sums = Sums(records=len(rows), transactions=len(rows))
    batch = trailer("91", sums, "26325", 1)
    end = trailer("92", Sums(records=len(rows) + 1, transactions=len(rows) + 1), "26325", 1)
    return "".join(f"{line}\n" for line in (header, *rows, batch, end)).encode()


def read(folder: Path, data: bytes) -> list[tuple[str, str, date, dict[str, int]]]:
    path = folder / "file"
    path.write_bytes(data)
    file_id, found = read_summaries(path)
    assert len(file_id) == 64
    return [(one.network, one.currency, one.day, one.told) for one in found]


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("encoding", CODECS)
def test_financial_positions_are_added_up(encoding: str, blocked: bool, tmp_path: Path) -> None:
    data = ipm_file(
        ("840", {"0394": amount("D", 1251), "0395": amount("C", 12), "0402": "0000000002"}),
        ("978", {"0394": amount("C", 7)}),
        ("840", {"0394": amount("C", 300), "0395": amount("D", 2), "0402": "0000000001"}),
        encoding=encoding, blocked=blocked,
    )  # fmt: skip
    assert read(tmp_path, data) == [
        ("mastercard", "840", DAY, {"net_minor": -951, "charges_minor": 10, "items": 3}),
        ("mastercard", "978", DAY, {"net_minor": 7}),
    ]


def test_the_issuers_rows_of_vss_110(tmp_path: Path) -> None:
    fees = row(amount_type="F", count="0" * 15, credit="14".zfill(15), debit="0" * 15,
               net="14".zfill(15), sign="CR")  # fmt: skip
    others = row(mode="1"), row(mode="9"), row(amount_type="T"), row(report="V2111")
    zero = dict.fromkeys(("count", "credit", "debit", "net"), "0" * 15)
    data = base2_file(row(), fees, *others, row(currency="978", sign="", **zero))
    assert read(tmp_path, data) == [
        ("visa", "840", DAY, {"items": 3, "debit_minor": 300, "credit_minor": 1251,
                              "net_minor": -951, "interchange_minor": 14}),
        ("visa", "978", DAY, {"items": 0, "debit_minor": 0, "credit_minor": 0, "net_minor": 0}),
    ]  # fmt: skip


BAD: list[tuple[Any, str]] = [
    (ipm_file(("840", {"0394": amount("X", 1)})), "record 2, PDS 0394: not an amount"),
    (ipm_file(("840", {"0394": "D" + "1".zfill(15)})), "record 2, PDS 0394: not an amount"),
    (ipm_file(("840", {})), "record 2, PDS 0394"),
    (ipm_file(("84x", {"0394": amount("D", 1)})), "record 2, DE 50: not a currency"),
    (ipm_file(("840", {"0394": amount("D", 1), "0402": "x"})), "record 2, PDS 0402"),
    (ipm_file(("840", {"0394": amount("D", 1), "0300": "1"})), "record 2, PDS 0300: not a d"),
    (base2_file(row(sign="")), "record 2, positions 156-157: neither"),
    (base2_file(row(sign="CR")), "record 2, positions 141-155: not credit less debit"),
    (base2_file(row(), row(count="x")), "record 3, positions 96-110: not a number"),
    (base2_file(row(currency="US$")), "record 2, positions 50-52: not a currency"),
    (base2_file(row(to_date="1026324")), "record 2, positions 87-93: not a date"),
    (base2_file(row(to_date="2026367")), "record 2"),
]


@pytest.mark.parametrize(
    ("data", "said"), BAD, ids=[f"{n} {said}" for n, (_, said) in enumerate(BAD)]
)
def test_what_cannot_be_read_is_refused_whole(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadSummary, match=said):
        read(tmp_path, data)


def test_a_damaged_file_is_refused_before_its_totals_are_read(tmp_path: Path) -> None:
    data = base2_file(row())
    with pytest.raises(ClearingRefused) as refused:
        read(tmp_path, data[:-169])
    assert refused.value.problem is Problem.CUT


def test_as_a_settlement_advice(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(base2_file(row()))
    (total,) = read_totals(path).totals
    assert (total.network, total.currency, total.cycle_date) == ("visa", "840", DAY)
    assert total.told["net_minor"] == -951
    for data, said in (
        (ipm([item_of()]), "without a network's totals"),
        (ipm_file(("840", {})), "record 2, PDS 0394"),
        (base2_file(row())[:-169], "cut"),
        (b"network\n", "line 1"),
        (b"", "line 1"),
    ):
        path.write_bytes(data)
        with pytest.raises(AdviceRefused, match=said):
            read_totals(path)
