"""Cleared items as plain CSV: what a processor that speaks no network's format can send.

A header, one line for each item, and a last line whose kind is `trailer`: without it a file that
was cut at the end of a line would look whole. Amounts are minor units. Errors name line and
column; they never quote a cell, since any of them may be a card number.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, TextIO

from ledger.clearing.errors import BadElement, BadRecord, CannotWrite, ClearingRefused, Problem
from ledger.clearing.pan import Pan
from ledger.clearing.record import (
    DISPUTED,
    FIRST,
    LIKE_A_PAN,
    ClearedItem,
    Kind,
    is_arn,
    sign_of,
)
from ledger.clearing.source import Found, Scan, Source, Told

LINE_MAX = 1 << 14  # bytes; all columns at their largest are a few hundred
# An amount has twelve digits, as in both networks' formats. With fifteen, ten records could take an
# account beyond what the hot state counts: no file would be gone on with behind them.
AMOUNT = r"[0-9]{1,12}"
TRAILER = "trailer"
TEXT_MAX = 99

Cells = dict[str, str]
NEEDED = ("kind", "transaction_minor", "transaction_currency")  # of every item, and of the header
PATTERNS = {
    "transaction_minor": AMOUNT,
    "transaction_currency": r"[0-9]{3}",
    "billing_minor": AMOUNT,
    "billing_currency": r"[0-9]{3}",
    "billing_rate": r"[0-9]{1,9}(\.[0-9]{1,9})?",
    "settlement_minor": AMOUNT,
    "settlement_currency": r"[0-9]{3}",
    "settlement_rate": r"[0-9]{1,9}(\.[0-9]{1,9})?",
    "life_cycle": r"[ -~]{1,15}",  # a card number of 16 does not fit
    "rrn": r"[ -~]{1,12}",
    "approval_code": r"[ -~]{1,6}",
    "stan": r"[0-9]{6}",
    "local_time": r"([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]",
    "mcc": r"[0-9]{4}",
    "merchant_id": r"[ -~]{1,15}",
    "merchant_country": r"[A-Za-z0-9]{2,3}",
    "terminal_id": r"[ -~]{1,8}",
    "acquirer_id": r"[0-9]{1,11}",
    "reason": r"[A-Za-z0-9.]{1,8}",
    "reference": r"(?![0-9]{12})[A-Za-z0-9._-]{1,20}",  # no card number
    "clearing_number": r"[0-9]{1,2}",
    "clearing_count": r"[0-9]{1,2}",
}
NUMBERS = frozenset(
    ("transaction_minor", "billing_minor", "settlement_minor", "clearing_number", "clearing_count")
)
FREE_TEXT = ("merchant_name", "merchant_city")
OTHERS = ("network", "kind", "of", "sign", "reversal", "partial", "pan", "arn", "local_date")
OF_ITEMS = tuple(n for n in ClearedItem.__struct_fields__ if n not in ("record", "fees"))
COUNT = "count"  # of the trailer only
COLUMNS = (*OF_ITEMS, COUNT)
assert set(OF_ITEMS) == {*PATTERNS, *FREE_TEXT, *OTHERS}
KINDS = {str(kind): kind for kind in Kind}
MATCH: dict[str, Callable[[str], Any]] = {n: re.compile(p).fullmatch for n, p in PATTERNS.items()}


def looks_like_csv(sample: bytes) -> bool:
    head = sample.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].lower()
    names = {name.strip(b'"\r ') for name in head.split(b",")}
    return {name.encode() for name in NEEDED} <= names


def scan_csv(source: Source, told: Told) -> Scan:
    """Every item, and every line that is none. Raises: ClearingRefused, at the latest after the
    last of them: until then nothing of it may be posted. Records are numbered by line."""
    names: list[str] = []
    count = amount = 0
    ended = False
    for line, cells in rows_of(source):
        if not names:
            names = header_of(cells)
            continue
        told.records += 1
        if ended:
            raise ClearingRefused(Problem.LEFTOVER, line)
        if len(cells) != len(names):
            yield BadRecord(line, "", f"has {len(cells)} cells where the header has {len(names)}")
            count += 1
            continue
        row = {name: cell for name, cell in zip(names, cells) if cell}
        if row.get("kind", "").lower() == TRAILER:
            close_file(row, line, count, amount, told)
            ended = True
            continue
        count += 1
        amount += whole(row.get("transaction_minor", ""))
        yield one(row, line)
    if not ended:
        raise ClearingRefused(Problem.CUT, 0, TRAILER)


def rows_of(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each record that has any."""
    reader = csv.reader(text_of(source), strict=True, skipinitialspace=True)
    while (record := next_of(reader)) is not None:
        cells = [cell.strip() for cell in record]
        if any(cells):
            yield reader.line_num, cells


def next_of(reader: Any) -> list[str] | None:
    """None behind the last. A quote that never closes would swallow records."""
    try:
        return next(reader, None)
    except csv.Error:
        pass  # its text is not repeated: it is another's, and may quote
    raise ClearingRefused(Problem.CUT, reader.line_num, "a quote")


def text_of(source: Source) -> Iterator[str]:
    for number, raw in enumerate(source.lines(LINE_MAX), 1):
        if len(raw) > LINE_MAX:
            raise ClearingRefused(Problem.BAD_LENGTH, number)
        text = decoded(raw.removeprefix(b"\xef\xbb\xbf" if number == 1 else b""))
        if text is None:
            raise ClearingRefused(Problem.BAD_LENGTH, number, "not UTF-8")
        yield text


def decoded(raw: bytes) -> str | None:
    """None rather than an error, which would hold the line."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def header_of(cells: list[str]) -> list[str]:
    names = [cell.lower() for cell in cells]
    if len(set(names)) != len(names):
        raise ClearingRefused(Problem.BAD_HEADER, 1, "a column named twice")
    for place, name in enumerate(names, 1):
        if name not in COLUMNS:
            raise ClearingRefused(Problem.BAD_HEADER, 1, f"column {place} is unknown")
    for name in NEEDED:
        if name not in names:
            raise ClearingRefused(Problem.BAD_HEADER, 1, f"{name} is missing")
    return names


def close_file(row: Cells, line: int, count: int, amount: int, told: Told) -> None:
    """It has the count of items, their transaction amounts added up whatever the currency, and the
    business date as its `local_date`."""
    told_count, told_amount = row.get(COUNT, ""), row.get("transaction_minor", "")
    for column, cell in ((COUNT, told_count), ("transaction_minor", told_amount)):
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 30):
            raise ClearingRefused(Problem.BAD_TRAILER, line, column)
    if int(told_count) != count:
        raise ClearingRefused(Problem.WRONG_COUNT, line, COUNT)
    if int(told_amount) != amount:
        raise ClearingRefused(Problem.WRONG_TOTAL, line, "transaction_minor")
    try:
        told.business_date = day_of(row)
    except BadElement as bad:
        raise ClearingRefused(Problem.BAD_TRAILER, line, bad.element) from None
    told.network = row.get("network", "")


def one(row: Cells, line: int) -> Found:
    try:
        return item_of(row, line)
    except BadElement as bad:
        return BadRecord(line, bad.element, bad.reason)


def item_of(row: Cells, line: int) -> ClearedItem:
    """Raises: BadElement."""
    kind = kind_of(row, "kind")
    of = kind_of(row, "of") if "of" in row else Kind.PRESENTMENT
    if COUNT in row:
        raise BadElement(COUNT, "is the trailer's")
    if kind not in DISPUTED:
        of = kind
    elif of not in FIRST:
        raise BadElement("of", "not what can be disputed")
    reversal = flag(row, "reversal")
    values: dict[str, Any] = {name: value_of(row, name) for name in PATTERNS if name in row}
    for name in NEEDED:
        if name not in row:
            raise BadElement(name, "is missing")
    for name in FREE_TEXT:
        if name in row:
            values[name] = free_text(row, name)
    return ClearedItem(
        record=line,
        network=network_of(row),
        kind=kind,
        of=of,
        sign=sign_told(row) if kind is Kind.FEE else sign_of(kind, of, reversal),
        reversal=reversal,
        partial=flag(row, "partial"),
        pan=pan_of(row, kind),
        arn=arn_of(row),
        local_date=day_of(row),
        **values,
    )


def kind_of(row: Cells, column: str) -> Kind:
    kind = KINDS.get(row.get(column, "").lower())
    if kind is None:
        raise BadElement(column, f"not one of {', '.join(Kind)}")
    return kind


def value_of(row: Cells, name: str) -> str | int:
    cell = row[name]
    if MATCH[name](cell) is None:
        raise BadElement(name, "not as it should be written")
    return int(cell) if name in NUMBERS else cell


def free_text(row: Cells, name: str) -> str:
    cell = row[name]
    if len(cell) > TEXT_MAX or not cell.isprintable():
        raise BadElement(name, "too long, or of characters that do not print")
    if LIKE_A_PAN.search(cell):
        raise BadElement(name, "looks like a card number")
    return cell


def network_of(row: Cells) -> str:
    cell = row.get("network", "")
    if not re.fullmatch("[a-z_]{0,20}", cell):
        raise BadElement("network", "not a name in small letters")
    return cell


def flag(row: Cells, column: str) -> bool:
    cell = row.get(column, "no").lower()
    if cell not in ("yes", "no"):
        raise BadElement(column, "not yes or no")
    return cell == "yes"


def sign_told(row: Cells) -> int:
    """Needed of a fee; of all else the kind says it, and the column is not looked at."""
    cell = row.get("sign", "")
    if cell not in ("1", "+1", "-1"):
        raise BadElement("sign", "a fee needs it: 1, we pay, or -1")
    return int(cell)


def pan_of(row: Cells, kind: Kind) -> Pan | None:
    if "pan" not in row and kind is Kind.FEE:
        return None
    try:
        return Pan(row.get("pan", ""))
    except ValueError:
        raise BadElement("pan", "not a card number: 12 to 19 digits") from None


def arn_of(row: Cells) -> str:
    cell = row.get("arn", "")
    if cell and not is_arn(cell):
        raise BadElement("arn", "not an acquirer reference number")
    return cell


def day_of(row: Cells) -> date | None:
    cell = row.get("local_date", "")
    if not cell:
        return None
    day = date_or_none(cell) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell) else None
    if day is None:
        raise BadElement("local_date", "not a date: YYYY-MM-DD")
    return day


def date_or_none(cell: str) -> date | None:
    """None rather than an error, which would quote the cell."""
    try:
        return date.fromisoformat(cell)
    except ValueError:
        return None


def whole(cell: str) -> int:
    """An amount, or what is none: then the trailer's sum is not ours, and the file is refused."""
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) <= 15 else 0


def write_csv(
    items: Iterable[ClearedItem], stream: TextIO, *, business_date: date, network: str = ""
) -> None:
    """Fees on top of an item have no column. Raises: CannotWrite."""
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = amount = 0
    for item in items:
        count += 1
        amount += item.transaction_minor
        row = {name: cell_of(name, getattr(item, name)) for name in OF_ITEMS}
        try:
            item_of({name: cell for name, cell in row.items() if cell}, 0)
        except BadElement as bad:
            raise CannotWrite(bad.element, bad.reason) from None
        writer.writerow(row)
    writer.writerow({
        "kind": TRAILER, "network": network, COUNT: str(count),
        "transaction_minor": str(amount), "local_date": business_date.isoformat(),
    })  # fmt: skip


def cell_of(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else ""
        case int():
            return str(value) if value or name == "transaction_minor" else ""
        case Pan():
            return value.reveal()
        case date():
            return value.isoformat()
    return str(value)
