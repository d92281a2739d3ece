"""Rows out of files: CSV with a header, or JSON lines. What they mean is loading.py's business.

Errors name file, line and column. They never quote a cell: any of them may be a card
number, also one under the wrong header.
"""

import csv
import json
import re
from bisect import insort
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

BAD_MAX = 50  # bad rows listed; all are counted
LINE_MAX = 1 << 20  # bytes of one line; a longer one is another kind of file
NAME = re.compile(r"[A-Za-z][A-Za-z_ -]{0,39}")  # of a column, fit to be shown: no digits

# What a kind of file is known by, and what else it may have.
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "cards": ("pan", "account_id", "expiry"),
    "lists": ("kind", "value"),
    "accounts": ("account_id", "currency"),
}
OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "cards": (
        "status", "per_transaction", "daily_amount", "daily_count", "blocked_mccs",
        "limit_subject", "replaces", "issued",
    ),
    "lists": ("list", "reason", "author", "from", "until"),
    "accounts": ("program", "opening_funds", "credit_line", "time_zone", "status"),
}  # fmt: skip


class BadRow(Struct, frozen=True):
    """Where something is wrong, and what kind of wrong; never with what."""

    file: str
    line: int  # 0: the file as a whole
    column: str  # "": the row as a whole
    reason: str

    def __str__(self) -> str:
        where = self.file + (f", line {self.line}" if self.line else "")
        return f"{where}{', ' + self.column if self.column else ''}: {self.reason}"


class BadRows(Struct):
    """All that is wrong with a set of files. The first are listed, all are counted.

    The first by file and line, as a person reads them: accounts are read before cards.
    """

    listed: list[BadRow] = msgspec.field(default_factory=list)
    count: int = 0

    def add(self, file: str, line: int, column: str, reason: str) -> None:
        self.count += 1
        insort(self.listed, BadRow(file, line, column, reason), key=place_of)
        del self.listed[BAD_MAX:]


def place_of(bad: BadRow) -> tuple[str, int]:
    return bad.file, bad.line


class BadCell(Exception):
    """This column of a row cannot be used. The text is the reason, without the content."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class Row(Struct, frozen=True):
    """One row: its cells by column, without those that are empty."""

    file: str
    line: int
    cells: dict[str, str]

    def __repr__(self) -> str:
        return f"Row({self.file!r}, {self.line})"  # the cells are not for showing


class Table(Struct):
    """One file, its kind known, its rows still to be read."""

    kind: str
    rows: Iterator[Row]


def open_table(path: Path, bad: BadRows) -> Table | None:
    """The file's kind, and its rows as they are asked for. None where it cannot be used.

    Rows that cannot be used are told to `bad`, now or while reading.
    """
    before = bad.count
    lines = read_lines(path, bad)
    jsonl = path.suffix in (".jsonl", ".ndjson")
    cells = json_cells(path.name, lines, bad) if jsonl else csv_cells(path.name, lines, bad)
    first = next(cells, None)
    if first is None:
        if bad.count == before:
            bad.add(path.name, 0, "", "the file is empty")
        return None
    columns = set(first[1])
    kind = next((k for k, required in REQUIRED.items() if set(required) <= columns), None)
    if kind is None:
        bad.add(path.name, first[0], "", unlike_any_kind(first[1]))
        return None
    if not jsonl:
        unknown = unknown_columns(kind, first[1])
        for name in unknown:
            bad.add(path.name, first[0], name, "unknown column")
        return None if unknown else Table(kind, rows_of(path.name, kind, cells, bad))
    return Table(kind, rows_of(path.name, kind, again(first, cells), bad))


def unlike_any_kind(columns: Mapping[str, str]) -> str:
    """Which kind these columns are most like, and what is missing of it or unknown to it."""
    shared = {kind: len({*REQUIRED[kind], *OPTIONAL[kind]} & columns.keys()) for kind in REQUIRED}
    nearest = max(shared, key=lambda kind: shared[kind])
    if not shared[nearest]:
        known = "; ".join(f"{k}: {', '.join(required)}" for k, required in REQUIRED.items())
        comma = " (is it comma-separated?)" if len(columns) == 1 else ""
        return f"not a known kind of file{comma}, which have {known}"
    missing = [name for name in REQUIRED[nearest] if name not in columns]
    said = f"not a known kind of file; for {nearest} it lacks {', '.join(missing)}"
    unknown = unknown_columns(nearest, columns)
    return said + (f", and has unknown {', '.join(unknown)}" if unknown else "")


def again(
    first: tuple[int, dict[str, str]], rest: Iterator[tuple[int, dict[str, str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    yield first
    yield from rest


def rows_of(
    file: str, kind: str, cells: Iterator[tuple[int, dict[str, str]]], bad: BadRows
) -> Iterator[Row]:
    for line, row in cells:
        unknown = unknown_columns(kind, row)
        missing = [name for name in REQUIRED[kind] if not row.get(name)]
        for name in unknown:
            bad.add(file, line, name, "unknown column")
        for name in missing:
            bad.add(file, line, name, "is missing")
        if not unknown and not missing:
            yield Row(file, line, {name: cell for name, cell in row.items() if cell})


def unknown_columns(kind: str, row: Mapping[str, str]) -> list[str]:
    """Names that a file of this kind has no use for, those fit to be shown by name."""
    known = {*REQUIRED[kind], *OPTIONAL[kind]}
    return [
        name if NAME.fullmatch(name) else f"column {n}"
        for n, name in enumerate(row, 1)
        if name not in known
    ]


def read_lines(path: Path, bad: BadRows) -> Iterator[str]:
    """The lines of a UTF-8 file, with or without a byte order mark, whatever ends them."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LINE_MAX + 1):
            number += 1
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if len(raw) > LINE_MAX:
                bad.add(path.name, number, "", "the line is over 1 MiB long")
                return
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError:
                bad.add(path.name, number, "", "not UTF-8; nothing below it was read")
                return


def csv_cells(
    file: str, lines: Iterator[str], bad: BadRows
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each record; the header's own first, as its names."""
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    names: list[str] = []
    try:
        for record in reader:
            cells = [cell.strip() for cell in record]
            if not any(cells):
                continue
            if not names:
                names = [cell.lower() for cell in cells]
                if len(set(names)) != len(names) or "" in names:
                    bad.add(file, reader.line_num, "", "a column without a name, or named twice")
                    return
                yield reader.line_num, dict.fromkeys(names, "")
            elif len(cells) != len(names):
                reason = f"has {len(cells)} cells where the header has {len(names)}"
                bad.add(file, reader.line_num, "", reason)
            else:
                yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error:
        # Its text is not repeated: it is another's, and may quote.
        bad.add(file, reader.line_num, "", "not CSV (a quote?); nothing below it was read")


def json_cells(
    file: str, lines: Iterator[str], bad: BadRows
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and cells of each object."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=pairs, parse_float=str, parse_int=str)
            yield number, {name: cell_of(value) for name, value in row.items()}
        except (ValueError, AttributeError, RecursionError):
            bad.add(file, number, "", "not a JSON object of plain values")


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise ValueError("a key twice")
    return found


def cell_of(value: Any) -> str:
    """A JSON value as a cell would spell it; numbers keep the digits they were written with."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    if not isinstance(value, str):
        raise ValueError("not a plain value")
    return value.strip()
