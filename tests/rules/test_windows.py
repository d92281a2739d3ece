from datetime import UTC, date, datetime
from zoneinfo import available_timezones

import pytest

from rules.windows import civil_date, day_bucket, moment_at, rolling, zone


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


@pytest.mark.parametrize(
    ("window", "seconds", "bucket_s"),
    [("10s", 10, 1), ("119s", 119, 1), ("2m", 120, 2), ("1h", 3600, 60), ("60m", 3600, 60),
     ("1d", 86_400, 1440), ("90d", 7_776_000, 129_600), ("7776000s", 7_776_000, 129_600)],
)  # fmt: skip
def test_a_rolling_window_and_its_buckets(window: str, seconds: int, bucket_s: int) -> None:
    found = rolling(window)
    assert found is not None
    assert (found.seconds, found.bucket_s) == (seconds, bucket_s)
    assert bucket_s == 1 or bucket_s * 60 <= seconds


@pytest.mark.parametrize(
    "window",
    ["9s", "91d", "7776001s", "0s", "01m", "1w", "m", "10", "1.5h", "-1h", "10S", "", "٣s"],
)
def test_an_impossible_window_is_none(window: str) -> None:
    with pytest.raises(ValueError, match="10s to 90d"):
        rolling(window)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"])
def test_no_moment_of_a_bucket_is_later_than_its_end(zone: str) -> None:
    """A counter is dropped by it, so too early would be over a ceiling."""
    last: dict[tuple[str, str], int] = {}
    ends: dict[tuple[str, str], int] = {}
    start = 1_798_000_000 // 900 * 900  # December 2026
    for at in range(start, start + 40 * 86_400, 900):
        moment = moment_at(at, zone)
        for window, bucket in moment.buckets.items():
            last[window, bucket] = at + 899
            assert ends.setdefault((window, bucket), moment.ends[window]) == moment.ends[window]
    for (window, bucket), at in last.items():
        assert window == "lifetime" or at < ends[window, bucket] <= at + 370 * 86_400
