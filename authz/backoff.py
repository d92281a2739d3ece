"""How long to wait before dialling again: longer each time, and never as long as all others."""

from random import Random


class Backoff:
    """Doubles from `least_s` to `most_s`; of each step, half is certain and half is chance.

    Without chance, all engines of a network that was away would knock on its door together.
    The certain half keeps the fastest of them from hammering it.
    """

    __slots__ = ("_least_s", "_most_s", "_random", "_step_s")

    def __init__(self, least_s: float, most_s: float, random: Random) -> None:
        assert 0 < least_s <= most_s
        self._least_s = self._step_s = least_s
        self._most_s = most_s
        self._random = random

    def next_s(self) -> float:
        """The wait before the next try, in seconds."""
        step_s, self._step_s = self._step_s, min(self._step_s * 2, self._most_s)
        return step_s * (0.5 + self._random.random() / 2)

    def reset(self) -> None:
        """The last try was a good one: begin with the shortest wait again."""
        self._step_s = self._least_s
