"""Business days, over years: against known closing days of both systems, and by properties."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.calendars import CALENDARS, Calendar, NoBusinessDay, calendars, easter, nth

# Easter Sundays, with the earliest and the latest that there are.
EASTERS = [
    "1818-03-22", "1943-04-25", "2000-04-23", "2008-03-23", "2019-04-21", "2024-03-31",
    "2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2038-04-25", "2049-04-18",
]  # fmt: skip

# Weekdays on which each is closed.
KNOWN = {
    ("target", 2024): "01-01 03-29 04-01 05-01 12-25 12-26",
    ("target", 2025): "01-01 04-18 04-21 05-01 12-25 12-26",
    ("target", 2026): "01-01 04-03 04-06 05-01 12-25",
    ("target", 2027): "01-01 03-26 03-29",
    ("federal_reserve", 2021): "01-01 01-18 02-15 05-31 07-05 09-06 10-11 11-11 11-25",
    ("federal_reserve", 2022): "01-17 02-21 05-30 06-20 07-04 09-05 10-10 11-11 11-24 12-26",
    ("federal_reserve", 2023): "01-02 01-16 02-20 05-29 06-19 07-04 09-04 10-09 11-23 12-25",
    ("federal_reserve", 2026): "01-01 01-19 02-16 05-25 06-19 09-07 10-12 11-11 11-26 12-25",
}  # fmt: skip
DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))


@pytest.mark.parametrize("day", EASTERS)
def test_easter(day: str) -> None:
    assert easter(int(day[:4])) == date.fromisoformat(day)


@given(st.integers(1583, 4000))
def test_easter_is_a_sunday_between_its_bounds(year: int) -> None:
    day = easter(year)
    assert day.weekday() == 6
    assert date(year, 3, 22) <= day <= date(year, 4, 25)


@pytest.mark.parametrize(("name", "year"), KNOWN, ids=str)
def test_closed_weekdays_are_those_known(name: str, year: int) -> None:
    calendar, day = Calendar(name), date(year, 1, 1)
    closed = []
    while day.year == year:
        if day.weekday() < 5 and not calendar.is_open(day):
            closed.append(f"{day:%m-%d}")
        day += timedelta(days=1)
    assert " ".join(closed) == KNOWN[name, year]


@pytest.mark.parametrize(
    ("year", "month", "weekday", "n", "day"),
    [(2026, 1, 0, 3, 19), (2026, 5, 0, -1, 25), (2026, 12, 0, -1, 28), (2026, 11, 3, 4, 26),
     (2026, 2, 6, 1, 1), (2026, 2, 6, -1, 22)],
)  # fmt: skip
def test_a_weekday_of_a_month(year: int, month: int, weekday: int, n: int, day: int) -> None:
    assert nth(year, month, weekday, n) == date(year, month, day)


@given(st.sampled_from(sorted(CALENDARS)), DAYS, st.integers(0, 10))
def test_so_many_business_days_later_by_counting(name: str, day: date, days: int) -> None:
    calendar = Calendar(name)
    first = calendar.from_(day)
    assert calendar.is_open(first)
    assert not any(calendar.is_open(day + timedelta(days=n)) for n in range((first - day).days))
    last = calendar.after(first, days)
    between = [
        first + timedelta(days=n)
        for n in range(1, (last - first).days + 1)
        if calendar.is_open(first + timedelta(days=n))
    ]
    assert len(between) == days
    assert calendar.is_open(last)


def test_a_configuration_adds_days_and_names_calendars() -> None:
    monday = date(2026, 11, 23)
    of = calendars({"840": "every_day", "826": "target"}, {"978": (monday,)})
    assert of("840").is_open(date(2026, 11, 22))  # a Sunday
    assert not of("826").is_open(date(2026, 5, 1))
    assert not of("978").is_open(monday)
    assert of("978").from_(date(2026, 11, 21)) == date(2026, 11, 24)
    assert of("392").is_open(date(2026, 1, 1))  # no calendar of ours: weekends alone


def test_a_calendar_that_never_opens_says_so() -> None:
    day = date(2026, 1, 1)
    closed = frozenset(day + timedelta(days=n) for n in range(90))
    with pytest.raises(NoBusinessDay):
        Calendar("weekends", closed).from_(day)
