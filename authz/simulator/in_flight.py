"""What a link still owes us an answer to."""

from collections.abc import Iterator

from msgspec import Struct

from authz.simulator.messages import Event


class Waiting(Struct, gc=False):
    """A message without its answer."""

    event: Event
    due: float  # when it should have left, monotonic seconds
    asked: float  # when it was last sent
    repeats: int = 0  # by this link; not those that the traffic intends
    twin: "Waiting | None" = None  # the same message once more, sent before the answer came

    def all(self) -> "Iterator[Waiting]":
        """This one, and those that were sent with the same key after it."""
        waiting: Waiting | None = self
        while waiting is not None:
            following = waiting.twin
            yield waiting
            waiting = following


class InFlight:
    """Messages by key, the longest unanswered first.

    A key names a message and its repeats, so several may wait under one: each answer
    belongs to the first of them.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, key: str, waiting: Waiting) -> None:
        first = self._by_key.setdefault(key, waiting)
        if first is not waiting:
            while first.twin is not None:
                first = first.twin
            first.twin = waiting

    def take(self, key: str) -> Waiting | None:
        """The one that an answer with this key answers."""
        waiting = self._by_key.pop(key, None)
        if waiting is not None and waiting.twin is not None:
            self._by_key[key] = waiting.twin
        return waiting

    def take_silent(self, since: float) -> list[tuple[str, Waiting]]:
        """All that were last sent before then, with their twins."""
        silent = []
        for key, waiting in self._by_key.items():
            if waiting.asked > since:
                break
            silent.append((key, waiting))
        for key, _ in silent:
            del self._by_key[key]
        return silent

    def take_all(self) -> list[tuple[str, Waiting]]:
        everything = list(self._by_key.items())
        self._by_key.clear()
        return everything
