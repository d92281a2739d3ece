"""A file of card transactions as traffic: the same events, with somebody else's shopping.

Reads the columns of the Sparkov generator. DE 12 and 13 are the file's own time, which is
the local time of its people; DE 7 is the time of sending, or the engine would refuse
everything as too old.
"""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from random import Random
from typing import IO, Any, cast

from msgspec import Struct

from authz.simulator import messages
from authz.simulator.cards import Account, Card, Population
from authz.simulator.merchants import ACQUIRERS, MCCS, Merchant, name_location
from authz.simulator.messages import Event, Moment, Party
from authz.simulator.places import Place
from authz.simulator.traffic import Stans, with_follow_ups

COLUMNS = (
    "unix_time", "cc_num", "acct_num", "lat", "long", "state",
    "category", "merchant", "amt", "merch_lat", "merch_long",
)  # fmt: skip
EXPIRY = "4912"  # the file has none
OPENING_DOLLARS = 1_000_000  # generous: the file's people are not to be declined for funds
BAD_ROWS_KEPT = 100  # of those that are reported one by one; the rest is counted
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

    def __repr__(self) -> str:
        return "Transaction(...)"  # the PAN is not for logs


class Replay:
    """A file, read twice: once for its people, once for what they did.

    Raises: NotTransactions, OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.bad_rows: list[BadRow] = []  # the first BAD_ROWS_KEPT of them
        self.bad_count = 0
        self.population = self._people()

    def _people(self) -> Population:
        accounts: dict[str, Account] = {}
        cards: dict[str, Card] = {}
        for found in read(self._path):
            if isinstance(found, BadRow):
                self.bad_count += 1
                if len(self.bad_rows) < BAD_ROWS_KEPT:
                    self.bad_rows.append(found)
            elif found.pan not in cards:
                account = accounts.get(found.account) or _account(found)
                accounts[found.account] = account
                cards[found.pan] = _card(found, account)
        return Population(tuple(accounts.values()), tuple(cards.values()))

    def events(self, seed: int | None = None, first_stan: int = 0) -> Iterator[Event]:
        """Every good row as a 0100, in the file's order.

        With a seed, repeats and reversals are strewn in as in generated traffic.
        """
        stans = Stans(first_stan)
        firsts = (_event(row, stans) for row in read(self._path) if isinstance(row, Transaction))
        return firsts if seed is None else with_follow_ups(firsts, Random(seed), stans)


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


def _degrees(cell: str) -> float:
    degrees = float(cell)
    if not -180 <= degrees <= 180:
        raise ValueError
    return degrees


READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "unix_time": (_time, "not seconds since 1970"),
    "cc_num": (_pan, "not 12 to 19 digits"),
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


def _account(row: Transaction) -> Account:
    return Account(
        account_id=row.account,
        program="replay",
        currency="USD",
        opening_minor=OPENING_DOLLARS * 100,
        credit_line_minor=0,
        time_zone=ZONE_OF_STATE[row.state],
        status="active",
    )


def _card(row: Transaction, account: Account) -> Card:
    return Card(
        pan=row.pan,
        account=account,
        expiry=EXPIRY,
        status="active",
        per_transaction_minor=None,
        daily_amount_minor=None,
        daily_count=None,
        blocked_mccs=(),
        home=_place(row),
        latitude=row.latitude,
        longitude=row.longitude,
        activity=0,
        habit=0,
    )


def _place(row: Transaction) -> Place:
    """The file names no city: its state stands in for one."""
    zone = ZONE_OF_STATE[row.state]
    return Place(
        city=row.state,
        state=row.state,
        country="US",
        latitude=row.merchant_latitude,
        longitude=row.merchant_longitude,
        time_zone=zone,
        currency="USD",
        weight=1,
    )


def _event(row: Transaction, stans: Stans) -> Event:
    name = row.merchant.removeprefix("fraud_")  # the generator prefixes every merchant so
    number = zlib.crc32(name.encode())  # the same merchant has the same ids in every run
    mccs = MCCS[row.category]
    merchant = Merchant(
        category=row.category,
        mcc=mccs[number % len(mccs)],
        name_location=name_location(name, row.state, "US"),
        merchant_id=f"R{number:014d}",
        terminals=(f"R{number % 10_000_000:07d}",),
        acquirer_id=ACQUIRERS[number % len(ACQUIRERS)],
        place=_place(row),
        latitude=row.merchant_latitude,
        longitude=row.merchant_longitude,
        opens=0,
        closes=24,
    )
    at = row.at
    moment = Moment(f"{at:%H%M%S}", f"{at:%m%d}", f"{at.year % 10}{at:%j}")
    party = Party(row.pan, EXPIRY, "USD")
    stan = stans.next(merchant.acquirer_id)
    return messages.authorization("purchase", party, merchant, row.dollars, moment, stan)
