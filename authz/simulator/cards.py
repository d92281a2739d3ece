"""Accounts and cards as the simulator knows them, and as load files spell them."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from authz.simulator.places import CURRENCIES, Place

ACCOUNT_COLUMNS = (
    "account_id", "program", "currency", "opening_funds", "credit_line", "time_zone", "status",
)  # fmt: skip
CARD_COLUMNS = (
    "pan", "account_id", "expiry", "status",
    "per_transaction", "daily_amount", "daily_count", "blocked_mccs",
)  # fmt: skip


class Account(Struct, frozen=True, kw_only=True, gc=False):
    """Whose money it is."""

    account_id: str
    program: str
    currency: str  # ISO 4217 alphabetic
    opening_minor: int
    credit_line_minor: int
    time_zone: str
    status: str

    def row(self) -> dict[str, str]:
        currency = CURRENCIES[self.currency]
        return {
            "account_id": self.account_id,
            "program": self.program,
            "currency": self.currency,
            "opening_funds": currency.major(self.opening_minor),
            "credit_line": currency.major(self.credit_line_minor),
            "time_zone": self.time_zone,
            "status": self.status,
        }


class Card(Struct, frozen=True, kw_only=True, gc=False):
    """One card, with the person who carries it. A limit of None is no limit."""

    pan: str
    account: Account
    expiry: str  # YYMM
    status: str
    per_transaction_minor: int | None
    daily_amount_minor: int | None
    daily_count: int | None
    blocked_mccs: tuple[str, ...]
    home: Place
    latitude: float  # where the cardholder lives, degrees
    longitude: float
    activity: int  # index into ACTIVITY: how often they pay
    habit: int  # index into HABITS

    def row(self) -> dict[str, str]:
        currency = CURRENCIES[self.account.currency]
        per_transaction, daily_amount = self.per_transaction_minor, self.daily_amount_minor
        return {
            "pan": self.pan,
            "account_id": self.account.account_id,
            "expiry": self.expiry,
            "status": self.status,
            "per_transaction": "" if per_transaction is None else currency.major(per_transaction),
            "daily_amount": "" if daily_amount is None else currency.major(daily_amount),
            "daily_count": "" if self.daily_count is None else str(self.daily_count),
            "blocked_mccs": " ".join(self.blocked_mccs),
        }

    def __repr__(self) -> str:
        return f"Card({self.account.account_id}, {self.status})"  # a card number is not for logs

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("account_id", self.account.account_id), ("status", self.status)]


class Population(Struct, frozen=True):
    """Everybody who may pay. Rows are those of the load files, as text."""

    accounts: tuple[Account, ...]
    cards: tuple[Card, ...]

    def account_rows(self) -> Iterator[dict[str, str]]:
        return (account.row() for account in self.accounts)

    def card_rows(self) -> Iterator[dict[str, str]]:
        return (card.row() for card in self.cards)


def write_csv(population: Population, folder: Path) -> tuple[Path, Path]:
    """accounts.csv and cards.csv, as `authz load` reads them."""
    accounts, cards = folder / "accounts.csv", folder / "cards.csv"
    _write(accounts, ACCOUNT_COLUMNS, population.account_rows())
    _write(cards, CARD_COLUMNS, population.card_rows())
    return accounts, cards


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
