"""The configuration of settlement: when batches are made, by which rows, in which currency."""

from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from authz.config_sources import ConfigError
from rules.calendars import CALENDARS
from rules.fx import EXPONENTS, ratio
from rules.routes import Quote
from rules.settlement import CycleRule, InterchangeRule, Item, ranges_of


class SettlementConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The batcher, and what is told by currency or program."""

    batches: bool = True  # `authz settle` makes them, and closes them at their cut-off
    every_s: Annotated[float, Meta(gt=0, le=3600)] = 5.0  # between looks at the books
    # What was journalled before a cut-off may come into the books later; so long it is waited for.
    grace_s: Annotated[int, Meta(ge=0, le=86_400)] = 300
    currencies: dict[str, str] = {}  # by program: what the bank moves; others: the batch's own
    calendars: dict[str, str] = {}  # by currency: a name of rules/calendars.py
    holidays: dict[str, tuple[str, ...]] = {}  # by currency: days closed besides, YYYY-MM-DD


def cycle_rule(at: int, table: dict[str, Any]) -> CycleRule:
    """Raises: ConfigError."""
    where = f"cycle[{at}]"
    rule = CycleRule(**table)
    check_item(rule, where)
    try:
        ZoneInfo(rule.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{where}.zone: not a time zone") from None
    return rule


def interchange_rule(at: int, table: dict[str, Any]) -> InterchangeRule:
    """Raises: ConfigError."""
    rule = InterchangeRule(**table)
    check_item(rule, f"interchange[{at}]")
    return rule


def quote_of(at: int, table: dict[str, Any]) -> Quote:
    """Raises: ConfigError."""
    where = f"fx[{at}]"
    for key in ("name", "of", "into", "rate"):
        if key not in table:
            raise ConfigError(f"{where}.{key}: is needed")
    quote = Quote(**table)
    for key, currency in (("of", quote.of), ("into", quote.into)):
        check_currency(currency, f"{where}.{key}")
    if quote.of == quote.into:
        raise ConfigError(f"{where}.into: the same as of")
    if not ratio(quote.rate)[0]:
        raise ConfigError(f"{where}.rate: must be above zero")
    return quote


def check_settlement(settlement: SettlementConfig, quotes: tuple[Quote, ...]) -> None:
    """What no single row can tell. Raises: ConfigError."""
    for program, currency in settlement.currencies.items():
        check_currency(currency, f"settlement.currencies.{program}")
    for currency, name in settlement.calendars.items():
        where = f"settlement.calendars.{currency}"
        check_currency(currency, where)
        if name not in CALENDARS:
            raise ConfigError(f"{where}: unknown; known are {', '.join(CALENDARS)}")
    for currency, days in settlement.holidays.items():
        where = f"settlement.holidays.{currency}"
        check_currency(currency, where)
        try:
            [date.fromisoformat(day) for day in days]
        except ValueError:
            raise ConfigError(f"{where}: expected days as YYYY-MM-DD") from None
    seen: set[tuple[str, str, str]] = set()
    for at, quote in enumerate(quotes):
        key = quote.name, quote.of, quote.into
        if key in seen:
            raise ConfigError(f"fx[{at}].name: states this pair twice")
        seen.add(key)


def check_item(item: Item, where: str) -> None:
    if item.currency:
        check_currency(item.currency, f"{where}.currency")
    for name in item.mccs:
        try:
            ranges_of(name)
        except ValueError:
            raise ConfigError(
                f"{where}.mccs: expected 5411, 3000-3350, fuel or the like, or iso:…"
            ) from None


def check_currency(code: str, where: str) -> None:
    if code not in EXPONENTS:
        raise ConfigError(f"{where}: expected a currency of ISO 4217 as three digits")
