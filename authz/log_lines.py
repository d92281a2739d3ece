"""A bound on what peers can make us write into the log."""

from authz.clock import Clock


class Lines:
    """How many lines a second there may be about what peers send. The metrics count all of it."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._second = self._written = 0

    def left(self) -> bool:
        """Whether this second has a line left; it is then used."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        self._written += 1
        return self._written <= self._most
