"""The one reader of time.

Everything else is handed a `Clock`, so that a test can move it. Two readings are
kept apart: `now_ms` is the date (it may jump, it is compared with DE 7 and with
the store's clock), `monotonic` is for durations and deadlines (it never jumps).
"""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the engine asks of a clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)  # asked ten times a message: no frame of our own


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int, monotonic: float = 0.0) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds


def utc(epoch_ms: int) -> datetime:
    """The instant as an aware UTC datetime."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def day_named(days: int) -> str:
    """A day counted from 1970, as a date of ISO 8601; what is no day, as it is counted."""
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return str(days)
