"""Which bucket of a counter a moment falls into.

A day is the civil date at the account holder's home, so it has 23 or 25 hours
twice a year; hours and rolling windows are counted in UTC.
"""

import re
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct


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


@lru_cache(maxsize=1024)  # the few days in play; the name is asked for with every request
def day_bucket(day: date) -> str:
    """The name of a day's bucket: 20261121."""
    return f"{day.year:04}{day.month:02}{day.day:02}"


class Moment(Struct, frozen=True, gc=False):
    """A moment on the calendar and clock on the wall at the account holder's home."""

    day: int  # counted from 1970
    minute: int  # of the day
    weekday: int  # Monday is 0
    buckets: dict[str, str]  # of each calendar window
    ends: dict[str, int]  # seconds since 1970: no moment of that bucket is later, in any zone


WINDOWS = ("hour", "day", "week", "month", "year", "lifetime")


def moment_at(at: int, time_zone: str) -> Moment:
    """Units: `at` in seconds since 1970."""
    quarter = _quarter(at // QUARTER_S, time_zone)
    minute = quarter.minute + at % QUARTER_S // 60
    return Moment(quarter.day, minute, quarter.weekday, quarter.buckets, quarter.ends)


@lru_cache(maxsize=4096)  # zones times the few quarters in play
def _quarter(quarter: int, time_zone: str) -> Moment:
    local = datetime.fromtimestamp(quarter * QUARTER_S, zone(time_zone))
    day = local.date()
    year, week, weekday = day.isocalendar()
    buckets = {
        "hour": f"h{quarter * QUARTER_S // 3600}",  # of UTC: an hour is the same everywhere
        "day": day_bucket(day),
        "week": f"{year:04}w{week:02}",
        "month": f"{day.year:04}{day.month:02}",
        "year": f"{day.year:04}",
        "lifetime": "ever",
    }
    next_month = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    ends = {
        "hour": (quarter * QUARTER_S // 3600 + 1) * 3600,
        "day": day_end(day),
        "week": day_end(day) + (7 - weekday) * DAY_S,
        "month": day_end(next_month) - DAY_S,
        "year": day_end(date(day.year, 12, 31)),
        "lifetime": 0,
    }
    assert tuple(buckets) == tuple(ends) == WINDOWS
    minute = local.hour * 60 + local.minute
    return Moment(day.toordinal() - EPOCH, minute, weekday - 1, buckets, ends)


EPOCH = date(1970, 1, 1).toordinal()
DAY_S = 86_400


def day_end(day: date) -> int:
    """By then that day is over everywhere: at UTC-12 it is at noon of the next one."""
    return (day.toordinal() - EPOCH + 2) * DAY_S


class Rolling(Struct, frozen=True):
    """A window that moves along: the last so many seconds, told in buckets.

    A bucket is a sixtieth of it or less, and a second at the least, which is as fine as DE 7 tells
    time. What is in the window is all that is in its buckets from that of its first second on.
    """

    seconds: int
    bucket_s: int


SHORTEST_S, LONGEST_S = 10, 90 * DAY_S
UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY_S}


def rolling(window: str) -> Rolling | None:
    """ "10s" to "90d"; None for one of the calendar's. Raises: ValueError."""
    if window in WINDOWS:
        return None
    match = re.fullmatch("([1-9][0-9]{0,6})([smhd])", window, re.ASCII)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise ValueError(
            f"unknown; known are {', '.join(WINDOWS)}, and rolling ones of 10s to 90d "
            "(a number with s, m, h or d)"
        )
    return Rolling(seconds, max(1, seconds // 60))


TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def minutes_of(time: str) -> tuple[int, int]:
    """From and to, in minutes of the day. Raises: ValueError."""
    match = TIME.fullmatch(time)
    if match is None:
        raise ValueError("time: expected HH:MM-HH:MM")
    first, last = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if first == last:
        raise ValueError("time: from and to are the same")
    return first, last
