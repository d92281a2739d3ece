"""What the cells of a row mean: accounts and cards out of text; list entries: listed.py.

Raises, from every `read_…`: BadCell, with the column and a reason without content.
"""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfoNotFoundError

import iso4217
from msgspec import Struct

from authz.app.rows import BadCell, Row
from authz.control import NewAccount, NewCard
from authz.privacy import Pan
from rules.facts import AccountProfile, AccountState, CardState
from rules.windows import EPOCH, zone

# Ids end up in keys, separated by colons and blanks.
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Also in the groups that are printed on a card: fours, or 4-6-5.
LIKE_A_PAN = re.compile(
    r"[0-9]{12,19}|[0-9]{4}(?:[-._ ][0-9]{4}){3}(?:[-._ ][0-9]{1,3})?"
    r"|[0-9]{4}[-._ ][0-9]{6}[-._ ][0-9]{4,5}"
)
AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]+))?")
# Opening funds and credit line together stay below 2^53, which the hot state counts to.
AMOUNT_MAX = 10**15
COUNT_MAX = 10**9

BY_NUMBER = {f"{c.number:03}": c for c in iso4217.Currency if c.number is not None}

State = TypeVar("State", bound=StrEnum)


class Money(Struct, frozen=True):
    """A currency, as far as amounts need it."""

    currency: str  # ISO 4217 numeric
    decimals: int  # JPY 0, USD 2, KWD 3


def read_account(row: Row) -> NewAccount:
    cells = row.cells
    money = read_currency(cells["currency"])
    return NewAccount(
        profile=AccountProfile(
            account_id=read_id(cells, "account_id"),
            program=read_id(cells, "program") if "program" in cells else "default",
            currency=money.currency,
            credit_line_minor=read_amount(cells, "credit_line", money) or 0,
            time_zone=read_zone(cells.get("time_zone", "UTC")),
            state=read_state(cells, AccountState, AccountState.ACTIVE),
        ),
        opening_minor=read_amount(cells, "opening_funds", money) or 0,
    )


def read_card(row: Row, money: Money) -> NewCard:
    """`money` is the account's: limits are in its currency."""
    cells = row.cells
    return NewCard(
        pan=read_pan(cells, "pan"),
        account_id=read_id(cells, "account_id"),
        expiry=matched(cells, "expiry", r"[0-9]{2}(0[1-9]|1[0-2])", "not YYMM"),
        state=read_state(cells, CardState, CardState.ACTIVE),
        transaction_limit_minor=read_amount(cells, "per_transaction", money),
        daily_amount_minor=read_amount(cells, "daily_amount", money),
        daily_count=read_count(cells, "daily_count"),
        blocked_mccs=read_mccs(cells),
        limit_subject=read_id(cells, "limit_subject") if "limit_subject" in cells else "",
        replaces=read_pan_or_id(cells, "replaces") if "replaces" in cells else None,
        issued_day=read_day(cells, "issued") if "issued" in cells else None,
    )


def read_currency(cell: str) -> Money:
    """Alpha or numeric, in any case."""
    found = BY_NUMBER.get(cell)
    if found is None:
        try:
            found = iso4217.Currency(cell.upper())
        except ValueError:
            raise BadCell("currency", "not an ISO 4217 currency") from None
    if found.exponent is None or found.number is None:
        raise BadCell("currency", "has no minor units to count in")
    return Money(f"{found.number:03}", found.exponent)


def money_of(currency: str) -> Money:
    """The same of a profile, whose currency was read before."""
    decimals = BY_NUMBER[currency].exponent
    assert decimals is not None, currency
    return Money(currency, decimals)


def read_amount(cells: Mapping[str, str], column: str, money: Money) -> int | None:
    """Major units as minor ones: digits and a point, nothing else. None where there is no cell."""
    if column not in cells:
        return None
    found = AMOUNT.fullmatch(cells[column])
    if found is None:
        raise BadCell(column, "not an amount: digits, and a point before decimals")
    major, decimals = found[1], found[2] or ""
    if len(decimals) > money.decimals:
        raise BadCell(column, f"more than the {money.decimals} decimals of its currency")
    minor = int(major + decimals.ljust(money.decimals, "0"))
    if minor >= AMOUNT_MAX:
        raise BadCell(column, "too large: below 10^15 minor units are counted")
    return minor


def read_count(cells: Mapping[str, str], column: str) -> int | None:
    if column not in cells:
        return None
    return int(matched(cells, column, r"[0-9]{1,9}", f"not a whole number below {COUNT_MAX}"))


def read_mccs(cells: Mapping[str, str]) -> tuple[str, ...]:
    codes = cells.get("blocked_mccs", "").split()
    if any(re.fullmatch("[0-9]{4}", code) is None for code in codes):
        raise BadCell("blocked_mccs", "not four-digit codes with blanks between them")
    return tuple(sorted(set(codes)))


def read_day(cells: Mapping[str, str], column: str) -> int:
    """Counted from 1970."""
    try:
        day = date.fromisoformat(matched(cells, column, "[0-9-]{10}", "not YYYY-MM-DD"))
    except ValueError:
        raise BadCell(column, "not YYYY-MM-DD") from None
    if day.toordinal() <= EPOCH:
        raise BadCell(column, "before 1970")
    return day.toordinal() - EPOCH


def read_zone(cell: str) -> str:
    try:
        zone(cell)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadCell("time_zone", "not a name of the tz database") from None
    return cell


def read_state(cells: Mapping[str, str], states: type[State], default: State) -> State:
    try:
        return states(cells.get("status", default).lower())
    except ValueError:
        raise BadCell("status", f"not one of {', '.join(states)}") from None


def read_pan(cells: Mapping[str, str], column: str) -> Pan:
    try:
        return Pan(cells[column])
    except ValueError:
        raise BadCell(column, "not a card number: 12 to 19 digits") from None


def read_pan_or_id(cells: Mapping[str, str], column: str) -> Pan | str:
    if LIKE_A_PAN.fullmatch(cells[column]):
        return read_pan(cells, column)
    return read_id(cells, column)


def read_id(cells: Mapping[str, str], column: str) -> str:
    if LIKE_A_PAN.fullmatch(cells[column]):
        raise BadCell(column, "looks like a card number, and an id is shown: begin with a letter")
    return matched(cells, column, ID.pattern, "not an id: 1 to 64 letters, digits, . _ -")


def is_id(cell: str) -> bool:
    return ID.fullmatch(cell) is not None and not is_like_a_pan(cell)


def is_like_a_pan(cell: str) -> bool:
    return LIKE_A_PAN.fullmatch(cell) is not None


def matched(cells: Mapping[str, str], column: str, pattern: str, reason: str) -> str:
    if re.fullmatch(pattern, cells[column]) is None:
        raise BadCell(column, reason)
    return cells[column]
