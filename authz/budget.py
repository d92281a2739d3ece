"""The time that an answer may take, counted from the last byte of its request."""

from contextvars import ContextVar

from authz.clock import Clock

# What the request of this task has waited for checks: that is no time of the hot state, by which it
# is bounded how much is asked of it (authz/admission.py).
waited_s: ContextVar[float] = ContextVar("waited_s", default=0.0)


class Budget:
    """One request's time. The hot state may use it up to `hot_s`; the rest is for answering."""

    __slots__ = ("_clock", "_hot_s", "received")

    def __init__(self, clock: Clock, received: float, hot_s: float) -> None:
        self._clock = clock
        self._hot_s = hot_s
        self.received = received  # by the monotonic clock

    def left_s(self) -> float:
        """Seconds that a call to the hot state may still take; 0 when there are none."""
        return max(0.0, self.received + self._hot_s - self._clock.monotonic())

    def spent_s(self) -> float:
        """Seconds since the request came."""
        return self._clock.monotonic() - self.received

    def store_deadline_ms(self, store_offset_ms: int) -> int:
        """When the hot state must have acted, by its own clock. A millisecond is rounded up:
        an act that is refused a moment early is a needless 91."""
        return self._clock.now_ms() + store_offset_ms + int(self.left_s() * 1000) + 1
