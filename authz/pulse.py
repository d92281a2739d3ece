"""Whether our own loop was running, so that what waited for it is not taken for fresh.

A budget is counted from when bytes are read. Where the whole process stood still (stopped,
swapped out, its machine stalled), bytes that lay in the socket meanwhile are read late and
look new. So the loop leaves a mark of its life every few milliseconds; what is read right
after a gap counts as received at the last mark before it. That may make a request older
than it is: then it is told 91 for nothing, and asked again. Never younger.
"""

from authz.clock import Clock

BEAT_S = 0.02  # between marks: fifty short wake-ups a second cost about a thousandth of a core
# A longer gap is a stall. What the budget leaves beyond the hot state's deadline by default:
# as much may go uncounted, and the answer is still in time. A turn of the loop under full
# load takes half of it.
GAP_S = 0.05


class Pulse:
    """`beat` every BEAT_S, from the loop itself; `received` is when what is read now came."""

    __slots__ = ("_alive", "_beat_at", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alive = self._beat_at = clock.monotonic()

    def beat(self) -> None:
        """The first beat after a gap does not end it: the loop runs its timers before it reads,
        so what lay in the sockets has not been read yet. The next one does."""
        now = self._clock.monotonic()
        self._alive = now if now - self._beat_at <= GAP_S else self._beat_at
        self._beat_at = now

    def received(self) -> float:
        """Now; or, right after a gap, when the loop was last known to be alive."""
        now = self._clock.monotonic()
        return now if now - self._alive <= GAP_S else self._alive
