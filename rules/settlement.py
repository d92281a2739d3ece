"""When an item settles, and what it should bring: as data.

A *cycle* is what is settled together: it ends at a cut-off on a business day, and its money moves
so many business days later (T+0, T+1). Which cycle an item is in, the first row that fits it says;
another table says what interchange may be expected, where a network tells of none.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from rules.calendars import Calendar
from rules.categories import PREFIX, iso_groups
from rules.codes import MCC
from rules.holds import MCC_GROUPS

MICRO = 1_000_000  # parts of a minor unit that interchange is kept in until a batch adds it up

Bin = Annotated[str, Meta(pattern="^[0-9]{1,6}$")]  # how a card's number begins
Mcc = Annotated[str, Meta(min_length=4, max_length=64)]
Currency = Annotated[str, Meta(pattern="^([0-9]{3})?$")]


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of an item. What is not is ""."""

    network: str
    program: str
    currency: str  # ISO 4217 numeric, in which it settles
    bin: str = ""  # the first six digits
    mcc: str = ""
    card_present: bool = False


class Item(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a row fits. What is empty fits all."""

    network: str = ""
    program: str = ""
    currency: Currency = ""
    bins: tuple[Bin, ...] = ()
    mccs: tuple[Mcc, ...] = ()  # "5411", "3000-3350", "fuel", "iso:airlines"

    def fits(self, facts: Facts) -> bool:
        return (
            self.network in ("", facts.network)
            and self.program in ("", facts.program)
            and self.currency in ("", facts.currency)
            and (not self.bins or facts.bin.startswith(self.bins))
            and (not self.mccs or any(in_mccs(facts.mcc, name) for name in self.mccs))
        )


class CycleRule(Item, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of the cycles."""

    days: Annotated[int, Meta(ge=0, le=30)] = 1  # business days from the cut-off to the money
    cut_off: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "22:00"
    zone: str = "UTC"  # of the cut-off


class InterchangeRule(Item, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of what interchange is expected: a share of the amount, and so much an item."""

    card_present: bool | None = None
    percent_bp: Annotated[int, Meta(ge=0, le=10_000)] = 0
    fixed_minor: Annotated[int, Meta(ge=0, le=10**6)] = 0  # of the item's currency

    def fits(self, facts: Facts) -> bool:
        return self.card_present in (None, facts.card_present) and super().fits(facts)


class Cycle(NamedTuple):
    """What is settled together."""

    closes_at_ms: int  # its cut-off; what happens in that moment is the next one's
    day: date  # the business day of the cut-off
    settles_on: date
    days: int


@lru_cache(maxsize=1024)  # more than a configuration names
def ranges_of(name: str) -> tuple[tuple[str, str], ...]:
    """Merchant categories by a code, a range, or a group's name. Raises: ValueError."""
    if name in MCC_GROUPS:
        return MCC_GROUPS[name]
    if name.startswith(PREFIX):
        if name not in iso_groups():
            raise ValueError(f"no group {name}")
        return tuple(MCC.read(code) for code in iso_groups()[name])
    return (MCC.read(name),)


def in_mccs(mcc: str, name: str) -> bool:
    return any(first <= mcc <= last for first, last in ranges_of(name))


class Schedule:
    """The rows in force, with the calendars that they go by."""

    def __init__(
        self,
        cycles: tuple[CycleRule, ...],
        interchange: tuple[InterchangeRule, ...],
        calendar_of: Callable[[str], Calendar],
    ) -> None:
        self._cycles = (*cycles, CycleRule())  # the last row fits all
        self._interchange = interchange
        self._calendar_of = calendar_of

    def cycle(self, facts: Facts, at_ms: int) -> Cycle:
        """The cycle of an item that happened then. Raises: NoBusinessDay."""
        rule = next(rule for rule in self._cycles if rule.fits(facts))
        return self._cycle(rule, facts.currency, at_ms)

    def next(self, facts: Facts, cycle: Cycle) -> Cycle:
        """The one after it, for what comes when it is closed. Raises: NoBusinessDay."""
        return self.cycle(facts, cycle.closes_at_ms)

    def _cycle(self, rule: CycleRule, currency: str, at_ms: int) -> Cycle:
        calendar, zone = self._calendar_of(currency), ZoneInfo(rule.zone)
        cut_off = time.fromisoformat(rule.cut_off)
        day = datetime.fromtimestamp(at_ms / 1000, zone).date()
        day = calendar.from_(day)
        while at_ms >= (closes := instant_ms(day, cut_off, zone)):
            day = calendar.from_(day + timedelta(days=1))
        return Cycle(closes, day, calendar.after(day, rule.days), rule.days)

    def expected_micro(self, facts: Facts, amount_minor: int) -> int:
        """Interchange that we may expect, in millionths of a minor unit; below zero: that we give
        back. `amount_minor` is what we pay the network, below zero where it pays us."""
        for rule in self._interchange:
            if rule.fits(facts):
                sign = (amount_minor > 0) - (amount_minor < 0)
                share = amount_minor * rule.percent_bp * (MICRO // 10_000)
                return share + sign * rule.fixed_minor * MICRO
        return 0


def instant_ms(day: date, at: time, zone: ZoneInfo) -> int:
    """When a wall clock there shows it, in ms since 1970; the first time, where it does so twice,
    and where it never does, as if the clock had not been put forward."""
    return int(datetime.combine(day, at, zone).astimezone(UTC).timestamp()) * 1000
