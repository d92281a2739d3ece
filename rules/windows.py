"""Which bucket of a counter a moment falls into.

A day is the civil date at the account holder's home, so it has 23 or 25 hours
twice a year; hours and rolling windows (to come) are counted in UTC.
"""

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=1024)  # more zones than the tz database has
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises: ZoneInfoNotFoundError, ValueError."""
    return ZoneInfo(name)


def civil_date(at: int, time_zone: str) -> date:
    """The date on the calendar on the wall in that zone. Units: `at` in seconds since 1970."""
    return _date_of_quarter(at // QUARTER_S, time_zone)


# Every offset in use since 1972 is a multiple of a quarter of an hour, so no midnight and no
# change of the clocks falls inside one.
QUARTER_S = 900


@lru_cache(maxsize=4096)  # zones times the few quarters in play
def _date_of_quarter(quarter: int, time_zone: str) -> date:
    return datetime.fromtimestamp(quarter * QUARTER_S, zone(time_zone)).date()


def day_bucket(day: date) -> str:
    """The name of a day's bucket: 20261121."""
    return f"{day.year:04}{day.month:02}{day.day:02}"
