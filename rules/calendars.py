"""Business days: on which days a currency's settlement system is open.

Holidays are told by their rules, not listed: so a calendar is right in any year, and in one that is
long past, as long as the rules stand. What a rule cannot know (a day of mourning, a system's own
outage) is added in the configuration, and so is every currency without a calendar here.

Sources: the European Central Bank's long-term calendar of TARGET closing days, in force since 2002;
the holiday schedule of the Federal Reserve Banks, with Juneteenth since 2022.
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache

DAY = timedelta(days=1)
SATURDAY, SUNDAY = 5, 6
MONDAY, THURSDAY = 0, 3
CLOSED_MAX = 60  # days in a row: more is a mistake in the configuration, not a holiday


class NoBusinessDay(Exception):
    """A calendar has no business day for two months."""


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar. Source: the method of Meeus, Jones and Butcher."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def nth(year: int, month: int, weekday: int, n: int) -> date:
    """The n-th such weekday of a month; with n = -1 the last."""
    if n > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - DAY
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def target(year: int) -> frozenset[date]:
    """The euro's. Saturdays and Sundays apart, six days a year."""
    sunday = easter(year)
    return frozenset(
        {
            date(year, 1, 1), sunday - 2 * DAY, sunday + DAY, date(year, 5, 1),
            date(year, 12, 25), date(year, 12, 26),
        }
    )  # fmt: skip


def federal_reserve(year: int) -> frozenset[date]:
    """The dollar's. One on a Sunday is kept on the Monday; one on a Saturday is kept by nobody."""
    fixed = [date(year, 1, 1), date(year, 7, 4), date(year, 11, 11), date(year, 12, 25)]
    if year >= 2022:
        fixed.append(date(year, 6, 19))
    return frozenset(
        {
            *(day + DAY if day.weekday() == SUNDAY else day for day in fixed),
            nth(year, 1, MONDAY, 3),  # Martin Luther King
            nth(year, 2, MONDAY, 3),  # Washington
            nth(year, 5, MONDAY, -1),  # Memorial Day
            nth(year, 9, MONDAY, 1),  # Labor Day
            nth(year, 10, MONDAY, 2),  # Columbus
            nth(year, 11, THURSDAY, 4),  # Thanksgiving
        }
    )


# By name, the holidays of a year; each may be used for any currency.
CALENDARS: Mapping[str, Callable[[int], frozenset[date]]] = {
    "target": lru_cache(maxsize=64)(target),
    "federal_reserve": lru_cache(maxsize=64)(federal_reserve),
    "weekends": lambda year: frozenset(),
    "every_day": lambda year: frozenset(),  # weekends too are business days
}
BY_CURRENCY = {"978": "target", "840": "federal_reserve"}  # ISO 4217 numeric; others: weekends


class Calendar:
    """One currency's business days."""

    def __init__(self, name: str, closed: frozenset[date] = frozenset()) -> None:
        self._holidays = CALENDARS[name]
        self._weekends = name != "every_day"
        self._closed = closed

    def is_open(self, day: date) -> bool:
        if self._weekends and day.weekday() >= SATURDAY:
            return False
        return day not in self._closed and day not in self._holidays(day.year)

    def from_(self, day: date) -> date:
        """The first business day on it or after it. Raises: NoBusinessDay."""
        for _ in range(CLOSED_MAX):
            if self.is_open(day):
                return day
            day += DAY
        raise NoBusinessDay

    def after(self, day: date, days: int) -> date:
        """So many business days after a business day. Raises: NoBusinessDay."""
        for _ in range(days):
            day = self.from_(day + DAY)
        return day


def calendars(
    names: Mapping[str, str], closed: Mapping[str, tuple[date, ...]]
) -> Callable[[str], Calendar]:
    """The calendar of each currency: by the name of one of ours, with days closed besides."""

    @lru_cache(maxsize=256)  # more than there are currencies
    def of(currency: str) -> Calendar:
        name = names.get(currency) or BY_CURRENCY.get(currency, "weekends")
        return Calendar(name, frozenset(closed.get(currency, ())))

    return of
