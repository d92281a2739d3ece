"""A bounded shelf of generated functions.

A plan is source text made for one set of fields and compiled: about ten times as fast as
walking the table, and half a millisecond to make. Which bitmaps come in is the peer's
choice, so both the number of plans and the time spent on making them are bounded.
"""

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Plan = Callable[..., Any]

SIGHTS = 16  # good messages before a plan is worth its price; each costs the slow way anyway
PLANS = 256  # some 7 kB each with 24 fields; a network uses some tens
SEEN = 4096  # keys counted at a time; then counting starts afresh


class Plans(Generic[Key]):
    """Plans by key: made when a key has been seen often, the oldest thrown out when full.

    Random keys never come to a plan. Keys that each come sixteen times do, and cost one
    generation per sixteen messages, and a plan pushed out is back sixteen messages later.
    """

    __slots__ = ("_made", "_seen", "get")

    def __init__(self) -> None:
        self._made: dict[Key, Plan] = {}
        self._seen: dict[Key, int] = {}
        self.get = self._made.get  # looked up once per message, hence without a call of ours

    def __len__(self) -> int:
        return len(self._made)

    def saw(self, key: Key, make: Callable[[], Plan]) -> None:
        """Count one message that went well without a plan, and perhaps make the plan."""
        if key in self._made:
            return  # the plan shied at an odd but good message
        sights = self._seen.get(key, 0) + 1
        if sights < SIGHTS:
            if len(self._seen) >= SEEN:
                self._seen.clear()
            self._seen[key] = sights
            return
        self._seen.pop(key, None)
        if len(self._made) >= PLANS:
            del self._made[next(iter(self._made))]
        self._made[key] = make()

    def clear(self) -> None:
        self._made.clear()
        self._seen.clear()


def compile_plan(name: str, lines: list[str], names: dict[str, object]) -> Plan:
    """Make a function of generated source. The source holds numbers and names of ours only."""
    source = "\n    ".join(lines)
    exec(compile(source, f"<{name} plan>", "exec"), names)
    plan: Plan = names[name]  # type: ignore[assignment]
    return plan
