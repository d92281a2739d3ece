"""How many requests may be asked of the hot state at once: as many as it answers in time.

More at once make every one of them slower, until all are late. So the bound follows what
the answers take: half of the hot state's deadline. The other half is for those who wait, held
back for the room that answers leave, and no longer than that: then they are told 91, while
there is time to say so. Those above what may wait are told at once.
"""

START = 256  # a store of our own answers some 4,000 a second: 75 ms hold 300 of them
LEAST = 32  # what arrives in one turn shares one fsync, so fewer at once would be no faster
SEATS = 1000  # told 91 all at once they take 40 ms; the deadline leaves 50 of the budget
SHARE = 0.5  # of the deadline: what an answer may take once it is asked for; waiting has the rest
CUT = 0.8  # a step down, at most one for each round of answers; a step up is one for each round


class Admission:
    """Counts what is asked and what waits, and moves the bound."""

    def __init__(self, deadline_s: float, most: int) -> None:
        self.in_flight = 0
        self.waiting = 0
        self.patience_s = deadline_s * SHARE  # who has waited longer would be answered too late
        self.limit = float(min(START, most))
        self._most = most
        self._aim_s = deadline_s * SHARE
        self._cut_at = float("-inf")

    @property
    def room(self) -> int:
        """How many more may be asked now."""
        return max(0, int(self.limit) - self.in_flight)

    @property
    def seats(self) -> int:
        """How many more may wait."""
        return max(0, SEATS - self.waiting)

    def asked(self) -> None:
        self.in_flight += 1

    def answered(self, now: float, took_s: float, *, judged: bool = True) -> None:
        """One was answered, after so long. A bound that is not made use of is not judged, nor by
        what waits for more than the answer of one act."""
        used = self.in_flight >= self.limit / 2
        self.in_flight -= 1
        assert self.in_flight >= 0
        if not (used and judged):
            return
        if took_s > self._aim_s:
            if now - self._cut_at > self._aim_s:
                self._cut_at = now
                self.limit = max(min(LEAST, self._most), self.limit * CUT)
        else:
            self.limit = min(self._most, self.limit + 1 / self.limit)
