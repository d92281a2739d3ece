"""Cycles and expected interchange: which row fits, and when a cycle ends."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.calendars import calendars
from rules.settlement import (
    MICRO,
    Cycle,
    CycleRule,
    Facts,
    InterchangeRule,
    Schedule,
    ranges_of,
)

OF = calendars({}, {})
ITEM = Facts(network="visa", program="acme", currency="840", bin="411111", mcc="5411")


def schedule(*rules: CycleRule, interchange: tuple[InterchangeRule, ...] = ()) -> Schedule:
    return Schedule(rules, interchange, OF)


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def shown(cycle: Cycle) -> str:
    closes = datetime.fromtimestamp(cycle.closes_at_ms / 1000, UTC)
    return f"{cycle.day} {closes:%m-%d %H:%M} {cycle.settles_on}"


# Visa's dollars: cut-off 17:00 in New York, T+1. Happened there; cycle, its end in UTC, its money.
NEW_YORK = """
2026-11-20T16:59:59.999   2026-11-20 11-20 22:00 2026-11-23   # Friday: the money moves on Monday
2026-11-20T17:00:00       2026-11-23 11-23 22:00 2026-11-24   # the cut-off is the next cycle's
2026-11-21T03:00:00       2026-11-23 11-23 22:00 2026-11-24   # Saturday
2026-11-25T17:00:00       2026-11-27 11-27 22:00 2026-11-30   # over Thanksgiving
2026-12-31T18:00:00       2027-01-04 01-04 22:00 2027-01-05   # over New Year, a Friday
2026-03-06T18:00:00       2026-03-09 03-09 21:00 2026-03-10   # clocks go forward on the 8th
2026-10-30T18:00:00       2026-11-02 11-02 22:00 2026-11-03   # and back on the 1st
2026-07-02T18:00:00       2026-07-03 07-03 21:00 2026-07-06   # the 4th is a Saturday: no holiday
2027-07-02T18:00:00       2027-07-06 07-06 21:00 2027-07-07   # the 4th is a Sunday: kept on Monday
"""


@pytest.mark.parametrize("row", NEW_YORK.strip().splitlines())
def test_cycles_of_new_york(row: str) -> None:
    at, expected = row.partition("#")[0].rstrip().split(maxsplit=1)
    rule = CycleRule(cut_off="17:00", zone="America/New_York")
    assert shown(schedule(rule).cycle(ITEM, ms(at, "America/New_York"))) == expected


def test_a_cut_off_that_a_clock_never_shows_and_one_that_it_shows_twice() -> None:
    every_day = Schedule(
        (CycleRule(cut_off="02:30", zone="America/New_York", days=0),), (),
        calendars({"840": "every_day"}, {}),
    )  # fmt: skip
    spring = every_day.cycle(ITEM, ms("2026-03-08T00:00", "America/New_York"))
    assert shown(spring) == "2026-03-08 03-08 07:30 2026-03-08"  # 03:30 of that day's clock
    autumn = every_day.cycle(ITEM, ms("2026-11-01T00:00", "America/New_York"))
    assert shown(autumn) == "2026-11-01 11-01 07:30 2026-11-01"  # 02:30, after the clocks went back
    twice = Schedule(
        (CycleRule(cut_off="01:30", zone="America/New_York", days=0),), (),
        calendars({"840": "every_day"}, {}),
    ).cycle(ITEM, ms("2026-11-01T00:00", "America/New_York"))  # fmt: skip
    assert shown(twice) == "2026-11-01 11-01 05:30 2026-11-01"  # the first time


@given(
    st.integers(ms("2020-01-01T00:00"), ms("2040-01-01T00:00")),
    st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Pacific/Auckland"]),
    st.integers(0, 1439),
    st.integers(0, 3),
    st.sampled_from(["840", "978", "392"]),
)  # fmt: skip
def test_a_cycle_is_the_first_that_has_not_ended(
    at_ms: int, zone: str, minute: int, days: int, currency: str
) -> None:
    """Against looking at each day in turn."""
    cut_off = f"{minute // 60:02}:{minute % 60:02}"
    rule = CycleRule(cut_off=cut_off, zone=zone, days=days)
    facts = Facts(network="visa", program="acme", currency=currency)
    found = schedule(rule).cycle(facts, at_ms)

    day = datetime.fromtimestamp(at_ms / 1000, UTC).date() - timedelta(days=3)
    while not (OF(currency).is_open(day) and closes(day, cut_off, zone) > at_ms):
        day += timedelta(days=1)
    assert (found.day, found.closes_at_ms) == (day, closes(day, cut_off, zone))
    assert found.settles_on == OF(currency).after(day, days)
    following = schedule(rule).next(facts, found)
    assert following.closes_at_ms > found.closes_at_ms


def closes(day: date, cut_off: str, zone: str) -> int:
    at = datetime.fromisoformat(f"{day}T{cut_off}").replace(tzinfo=ZoneInfo(zone))
    return int(at.timestamp()) * 1000


# What a rule names, whether it fits ITEM.
FITS = [
    ({}, True),
    ({"network": "visa"}, True),
    ({"network": "mastercard"}, False),
    ({"program": "other"}, False),
    ({"currency": "978"}, False),
    ({"bins": ("4",)}, True),
    ({"bins": ("5", "411111")}, True),
    ({"bins": ("412",)}, False),
    ({"mccs": ("5411",)}, True),
    ({"mccs": ("5000-5999",)}, True),
    ({"mccs": ("fuel",)}, False),
    ({"mccs": ("fuel", "iso:retail outlets")}, True),
    ({"mccs": ("iso:airlines",)}, False),
    ({"network": "visa", "bins": ("4",), "mccs": ("5412",)}, False),
]


@pytest.mark.parametrize(("names", "fits"), FITS, ids=str)
def test_the_first_row_that_fits_holds(names: dict[str, object], fits: bool) -> None:
    rule = CycleRule(days=0, cut_off="10:00", **names)  # type: ignore[arg-type]
    found = schedule(rule, CycleRule(days=2, cut_off="12:00")).cycle(ITEM, ms("2026-11-20T09:00"))
    assert found.days == (0 if fits else 2)


def test_an_item_of_which_nothing_is_known_is_in_no_row_that_asks() -> None:
    facts = Facts(network="visa", program="acme", currency="840")
    rules = CycleRule(days=0, bins=("4",)), CycleRule(days=0, mccs=("0000-9999",))
    assert schedule(*rules).cycle(facts, 0).days == 1


def test_names_that_are_no_categories_are_refused() -> None:
    for name in ("541", "petrol", "iso:petrol", "9-8", "5999-5000"):
        with pytest.raises(ValueError):
            ranges_of(name)


INTERCHANGE = (
    InterchangeRule(mccs=("fuel",), percent_bp=80, fixed_minor=5),
    InterchangeRule(card_present=True, percent_bp=151, fixed_minor=10),
    InterchangeRule(network="visa", percent_bp=189),
)


@given(st.integers(-(10**9), 10**9), st.booleans(), st.sampled_from(["5541", "5411"]))
def test_expected_interchange_is_exact(amount: int, present: bool, mcc: str) -> None:
    facts = Facts(network="visa", program="acme", currency="840", mcc=mcc, card_present=present)
    found = schedule(interchange=INTERCHANGE).expected_micro(facts, amount)
    bp, fixed = (80, 5) if mcc == "5541" else (151, 10) if present else (189, 0)
    sign = 0 if amount == 0 else 1 if amount > 0 else -1
    assert Fraction(found, MICRO) == Fraction(amount * bp, 10_000) + sign * fixed


def test_where_no_row_fits_nothing_is_expected() -> None:
    other = Facts(network="mastercard", program="acme", currency="840")
    assert schedule(interchange=INTERCHANGE).expected_micro(other, 1000) == 0
