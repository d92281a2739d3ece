"""A file of card transactions, row by row: the good ones read, the bad ones named by place.

Reads the columns of the Sparkov generator, from a plain file or from gzip.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from msgspec import Struct

from authz.simulator.merchants import MCCS

COLUMNS = (
    "unix_time", "cc_num", "acct_num", "lat", "long", "state",
    "category", "merchant", "amt", "merch_lat", "merch_long",
)  # fmt: skip
LABEL = "is_fraud"  # a column that a file may have besides
DOLLARS_MAX = 9_999_999_999.99  # DE 4 has twelve digits

ZONES = {
    "America/New_York": "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Denver": "CO ID MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Phoenix": "AZ",
    "America/Anchorage": "AK",
    "Pacific/Honolulu": "HI",
}
ZONE_OF_STATE = {state: zone for zone, states in ZONES.items() for state in states.split()}


class BadRow(Struct, frozen=True):
    """A row that is not replayed. Says where, never what: the cell may hold a card number."""

    line: int  # of the file; the header is line 1
    column: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column}: {self.problem}"


class NotTransactions(Exception):
    """The file cannot be replayed at all: no header, or columns missing."""


class Transaction(Struct, frozen=True, gc=False):
    """One good row, read. Its fields stand in the order of COLUMNS."""

    at: datetime
    pan: str
    account: str
    latitude: float
    longitude: float
    state: str
    category: str
    merchant: str
    dollars: float
    merchant_latitude: float
    merchant_longitude: float
    is_fraud: bool | None = None  # None where the file does not say

    def __repr__(self) -> str:
        return "Transaction(...)"  # the PAN is not for logs


def read(path: Path) -> Iterator[Transaction | BadRow]:
    """Row by row, the good and the bad; plain or gzip, by the file's first bytes."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if packed else raw
        text = TextIOWrapper(stream, encoding="utf-8", errors="replace", newline="")
        rows = csv.reader(text)
        try:
            header = next(rows, None) or []
            missing = [column for column in COLUMNS if column not in header]
            if missing:
                raise NotTransactions(f"column {missing[0]} is missing")
            places = [(column, header.index(column)) for column in COLUMNS]
            if LABEL in header:
                places.append((LABEL, header.index(LABEL)))
            for cells in rows:
                if cells:
                    yield _read_row(rows.line_num, cells, places)
        except (csv.Error, EOFError, gzip.BadGzipFile, zlib.error):
            yield BadRow(rows.line_num + 1, "row", "cannot be read, nor what comes after it")


def _read_row(line: int, cells: list[str], places: list[tuple[str, int]]) -> Transaction | BadRow:
    if len(cells) <= max(place for _, place in places):
        return BadRow(line, "row", "too few cells")
    values: list[Any] = []
    for column, place in places:
        reader, problem = READERS[column]
        try:
            values.append(reader(cells[place].strip()))
        except (ValueError, OverflowError, OSError):
            return BadRow(line, column, problem)
    return Transaction(*values)


def _time(cell: str) -> datetime:
    return datetime.fromtimestamp(int(cell), UTC)


def _pan(cell: str) -> str:
    if not (12 <= len(cell) <= 19 and cell.isascii() and cell.isdigit()):
        raise ValueError
    return cell


def _word(cell: str) -> str:
    """Text that fits into data elements: ASCII, printable, not empty."""
    if not (cell and cell.isascii() and cell.isprintable()):
        raise ValueError
    return cell


def _state(cell: str) -> str:
    if cell not in ZONE_OF_STATE:
        raise ValueError
    return cell


def _category(cell: str) -> str:
    if cell not in MCCS:
        raise ValueError
    return cell


def _dollars(cell: str) -> float:
    dollars = float(cell)
    if not 0 <= dollars <= DOLLARS_MAX:  # not for NaN either
        raise ValueError
    return dollars


def _label(cell: str) -> bool:
    if cell not in ("0", "1"):
        raise ValueError
    return cell == "1"


def _degrees(cell: str) -> float:
    degrees = float(cell)
    if not -180 <= degrees <= 180:
        raise ValueError
    return degrees


READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "unix_time": (_time, "not seconds since 1970"),
    "cc_num": (_pan, "not 12 to 19 digits"),
    LABEL: (_label, "neither 0 nor 1"),
    "acct_num": (_word, "not printable ASCII"),
    "lat": (_degrees, "not degrees"),
    "long": (_degrees, "not degrees"),
    "state": (_state, "not a state that we know the clock of"),
    "category": (_category, "not a category that we know an MCC for"),
    "merchant": (_word, "not printable ASCII"),
    "amt": (_dollars, "not an amount that DE 4 can hold"),
    "merch_lat": (_degrees, "not degrees"),
    "merch_long": (_degrees, "not degrees"),
}
