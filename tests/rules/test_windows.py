from datetime import UTC, date, datetime
from zoneinfo import available_timezones

import pytest

from rules.windows import civil_date, day_bucket, zone


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2026-03-22T23:59:59", "UTC", "20260322"),
        ("2026-03-22T23:59:59", "Asia/Tokyo", "20260323"),
        ("2026-03-22T03:59:59", "America/New_York", "20260321"),
        ("2028-02-29T12:00:00", "UTC", "20280229"),
        ("2026-03-29T00:59:59", "Europe/Berlin", "20260329"),
        ("2026-03-29T01:00:01", "Europe/Berlin", "20260329"),
    ],
)
def test_the_day_on_the_calendar_on_the_wall(moment: str, zone: str, day: str) -> None:
    at = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    assert day_bucket(civil_date(at, zone)) == day


def test_buckets_sort_as_days_do() -> None:
    assert day_bucket(date(999, 1, 2)) < day_bucket(date(2026, 1, 1))


def test_no_midnight_falls_inside_a_quarter_of_an_hour() -> None:
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    for name in sorted(available_timezones()):
        for day in range(0, 366, 7):
            first = start + day * 86_400
            for at in range(first, first + 86_400, 900):
                if civil_date(at, name) != civil_date(at - 900, name):
                    exact = datetime.fromtimestamp(at - 1, zone(name)).date()
                    assert exact == civil_date(at - 900, name), name
