"""How long the engine stands still for its own garbage.

A collection stops the loop, so its time is part of every answer that it falls into. Python calls us
before and after each: some twenty in a second of full load, and nothing for a message.
"""

import gc
from collections.abc import Callable

from authz.clock import Clock

GENERATIONS = ("0", "1", "2")  # of Python's collector; the last is everything
PAUSE_EDGES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)  # seconds


class Pauses:
    """Times collections, from `start` to `stop`. Of this process and its one loop."""

    def __init__(self, clock: Clock, observe: Callable[[str, float], None]) -> None:
        self.longest_s = 0.0
        self._clock, self._observe = clock, observe
        self._began: float | None = None

    def start(self) -> None:
        gc.callbacks.append(self._called)

    def stop(self) -> None:
        if self._called in gc.callbacks:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        now = self._clock.monotonic()
        if phase == "start":
            self._began = now
        elif self._began is not None:
            took, self._began = now - self._began, None
            self.longest_s = max(self.longest_s, took)
            self._observe(str(info["generation"]), took)
