"""What the cells of a list's row mean: what is blocked or allowed, why, by whom and when.

Raises, from every `read_…`: BadCell, with the column and a reason without content.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network

import iso3166
from msgspec import Struct

from authz.app.cli import hidden
from authz.app.meaning import matched, read_id, read_pan_or_id
from authz.app.rows import BadCell, Row
from authz.privacy import Pan
from ledger.journal import ListRow
from rules.lists import ALLOW, BLOCK, KINDS

WORDS_MAX = 120  # of a reason or an author: each entry keeps its own
AT_MAX = 2**33  # seconds: the year 2242


class Listed(Struct, frozen=True):
    """One row of a list; a card by its number or its id."""

    name: str  # block | allow
    kind: str
    value: str | Pan
    row: ListRow


Cells = Mapping[str, str]

VALUES: dict[str, Callable[[Cells], str | Pan]] = {
    "card": lambda cells: read_pan_or_id(cells, "value"),
    "account": lambda cells: read_id(cells, "value"),
    "device": lambda cells: read_id(cells, "value"),
    "ip": lambda cells: read_network(cells["value"]),
    "terminal": lambda cells: matched(cells, "value", r"[ -~]{1,8}", "not a DE 41"),
    "merchant": lambda cells: matched(cells, "value", r"[ -~]{1,15}", "not a DE 42"),
    "acquirer": lambda cells: matched(cells, "value", r"[0-9]{1,11}", "not a DE 32"),
    "bin": lambda cells: matched(cells, "value", r"[0-9]{6}", "not the first six digits"),
    "mcc": lambda cells: matched(cells, "value", r"[0-9]{4}", "not a category code: four digits"),
    "country": lambda cells: read_country(cells["value"]),
}
assert VALUES.keys() == KINDS.keys()


def read_listed(row: Row) -> Listed:
    return read_cells(row.cells)


def read_cells(cells: Cells) -> Listed:
    """A row of a file, or what a command was told."""
    name, kind = cells.get("list", BLOCK).lower(), cells["kind"].lower()
    if name not in (BLOCK, ALLOW):
        raise BadCell("list", "not block or allow")
    if kind not in VALUES:
        raise BadCell("kind", f"not one of {', '.join(VALUES)}")
    value = VALUES[kind](cells)
    start, end = read_moment(cells, "from"), read_moment(cells, "until")
    if end and end <= start:
        raise BadCell("until", "not after its beginning")
    return Listed(
        name, kind, value, (read_words(cells, "reason"), read_words(cells, "author"), start, end)
    )


def read_network(cell: str) -> str:
    """An address, or a network in CIDR form without host bits, as it is spelt canonically."""
    try:
        found = ip_network(cell)
    except ValueError:
        raise BadCell("value", "not an IP address, and not a network in CIDR form") from None
    alone = found.prefixlen == found.max_prefixlen
    return str(found.network_address) if alone else str(found)


def read_country(cell: str) -> str:
    """Alpha-2, alpha-3 or numeric, as alpha-2."""
    if len(cell) > 3 or not cell.isascii() or not cell.isalnum():
        raise BadCell("value", "not an ISO 3166 country")
    try:
        return str(iso3166.countries.get(cell.zfill(3) if cell.isdigit() else cell).alpha2)
    except KeyError:
        raise BadCell("value", "not an ISO 3166 country") from None


def read_moment(cells: Cells, column: str) -> int:
    """A date or a date and time of ISO 8601, as seconds since 1970; UTC where no zone is named. 0
    where there is no cell."""
    if column not in cells:
        return 0
    try:
        found = datetime.fromisoformat(cells[column])
        at = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise BadCell(column, "not a date or a time of ISO 8601") from None
    if not 0 < at < AT_MAX:
        raise BadCell(column, "not between 1970 and 2242")
    return at


def read_words(cells: Cells, column: str) -> str:
    """For the journal, where a slip must not leave a card number."""
    words = cells.get(column, "")
    if len(words) > WORDS_MAX or not words.isprintable():
        raise BadCell(column, f"not at most {WORDS_MAX} characters that can be printed")
    return hidden(words)
