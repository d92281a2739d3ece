"""A network's own totals, as a settlement advice tells them: a CSV with a trailer; or as a clearing
file of Mastercard's or Visa's carries them (ledger/clearing/summaries.py).

    network,currency,cycle_date,settles_on,items,net_minor
    visa,840,2026-11-20,2026-11-23,1840,-9120455
    trailer,,,,1,-9120455

One row for what the network counts together; what a column does not say is not compared. Amounts
are whole minor units as we see them: above zero the network owes us. The last line has `trailer`
for a network, the number of rows in `items` and the sum of all nets, whatever their currency:
without it a file that was cut at the end of a line would look whole.
"""

import csv
import io
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ledger.clearing.errors import ClearingRefused
from ledger.clearing.reading import find_format
from ledger.clearing.source import SAMPLE
from ledger.clearing.summaries import BadSummary, read_summaries

AMOUNTS = (
    "debit_minor", "credit_minor", "interchange_minor", "fees_minor", "charges_minor", "net_minor",
)  # fmt: skip
COMPARED = ("items", *AMOUNTS)
NEEDED = ("network", "currency", "cycle_date", "items", "net_minor")
COLUMNS = (*NEEDED, "settles_on", "program", "batch", *AMOUNTS[:-1])
SIZE_MAX = 4 * 1024 * 1024  # bytes: some 40,000 rows, where a day has a hundred
TEXT_MAX = 256  # as a name may be long in the books
EXACT_MAX = 2**53 - 1
TRAILER = "trailer"


class AdviceRefused(Exception):
    """The file cannot be used. Says where, never what."""


class Total(NamedTuple):
    """What a network counted together."""

    row: int  # its line in the file
    network: str
    currency: str
    cycle_date: date
    settles_on: date | None
    program: str  # "": any
    batch: str  # "": any
    told: dict[str, int]  # of COMPARED, as far as it says so


class Advice(NamedTuple):
    """One file."""

    file_id: str  # SHA-256 of its bytes
    totals: tuple[Total, ...]


def read_totals(path: Path) -> Advice:
    """Of any file that has a network's totals. Raises: OSError, AdviceRefused."""
    with path.open("rb") as file:
        sample = file.read(SAMPLE)
        try:
            is_clearing = find_format(sample)[0] != "csv"
        except ClearingRefused:
            is_clearing = False
        if not is_clearing:
            return read_advice(sample + file.read(SIZE_MAX + 1))
    try:
        file_id, found = read_summaries(path)
    except (ClearingRefused, BadSummary) as refused:
        raise AdviceRefused(str(refused)) from None
    if not found:
        raise AdviceRefused("a clearing file without a network's totals in it")
    return Advice(
        file_id,
        tuple(
            Total(one.record, one.network, one.currency, one.day, None, "", "", one.told)
            for one in found
        ),
    )


def read_advice(data: bytes) -> Advice:
    """All of it, or nothing. Raises: AdviceRefused."""
    if len(data) > SIZE_MAX:
        raise AdviceRefused(f"larger than {SIZE_MAX:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise AdviceRefused("not UTF-8") from None
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise AdviceRefused("not a CSV") from None
    header = rows[0] if rows else []
    for name in NEEDED:
        if name not in header:
            raise AdviceRefused(f"line 1: no column {name}")
    if len(set(header)) != len(header) or not set(header) <= {*COLUMNS}:
        raise AdviceRefused(f"line 1: a column that is none of {', '.join(COLUMNS)}")
    if len(rows) < 2 or (rows[-1][:1] and dict(zip(header, rows[-1])).get("network") != TRAILER):
        raise AdviceRefused("the trailer is missing: the file may have been cut")
    cells = []
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise AdviceRefused(f"line {line}: not as many cells as the header")
        cells.append(dict(zip(header, row)))
    totals = tuple(total(line, row) for line, row in enumerate(cells[:-1], 2))
    last, line = cells[-1], len(rows)
    if number(last, "items", line) != len(totals):
        raise AdviceRefused(f"line {line}: counts another number of rows")
    if number(last, "net_minor", line) != sum(one.told["net_minor"] for one in totals):
        raise AdviceRefused(f"line {line}: adds up to another net")
    return Advice(sha256(data).hexdigest(), totals)


def total(line: int, row: dict[str, str]) -> Total:
    currency = row["currency"]
    if not (len(currency) == 3 and currency.isascii() and currency.isdigit()):
        raise AdviceRefused(f"line {line}, currency: expected three digits")
    for name in ("network", "program", "batch"):
        if len(row.get(name, "")) > TEXT_MAX or "\0" in row.get(name, ""):
            raise AdviceRefused(f"line {line}, {name}: too long")
    return Total(
        line,
        row["network"],
        currency,
        day(row["cycle_date"], line, "cycle_date"),
        day(row["settles_on"], line, "settles_on") if row.get("settles_on") else None,
        row.get("program", ""),
        row.get("batch", ""),
        {name: number(row, name, line) for name in COMPARED if row.get(name) or name in NEEDED},
    )


def number(row: dict[str, str], name: str, line: int) -> int:
    text = row[name]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
        raise AdviceRefused(f"line {line}, {name}: expected a whole number")
    if abs(int(text)) > EXACT_MAX:
        raise AdviceRefused(f"line {line}, {name}: too large")
    return int(text)


def day(text: str, line: int, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise AdviceRefused(f"line {line}, {name}: expected YYYY-MM-DD") from None
