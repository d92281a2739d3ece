"""How many requests may be asked of the hot state at once, and how many may wait for that.

More at once make every one of them slower, until all are late. So the bound follows what the
answers take: a third of the hot state's deadline. A third is for those who wait; and a third for
what neither foresees, since one that is asked and comes too late costs more than any other.

Who waits is decided by the predicted wait: those before it, times what a message took lately, as
counted while some waited; whatever it is that is slow, store, disk, or our own loop. So no more
wait than have their turn in time. One more, and the one that has waited longest is told 91: what
stays has the most of its budget left, which is what counts after a stall, and the order of a link
is kept. As many are served as if the newest were sent away, each in less time.

Links are read from meanwhile: what lies in a socket is nobody's to shed, and a network that hears
nothing waits for longer than one that hears 91. But reading and refusing costs time, which is taken
from those who could be served. So it gets a fifth of the loop's, and above that TCP holds back.
"""

START = 200  # a store of our own answers some 4,000 a second: 50 ms hold 200 of them
START_PER_S = 4000.0
LEAST = 32  # what arrives in one turn shares one fsync, so fewer at once would be no faster
SEATS = 1000  # told 91 all at once they take 20 ms; the deadline leaves 50 of the budget
SHARE = 1 / 3  # of the deadline: what an answer may take once it is asked for, and who waits before
CUT = 0.8  # a step down, at most one for each round of answers; a step up is one for each round
LATELY_S = 1.0  # what a message took is told by about so long; a stall alone would be a bad guess
REFUSING = 0.2  # of the loop's time; what it serves stays above four fifths of what it could
PURSE_S = 0.01  # of refusing that may be saved up: half a beat
READ_S = 0.0005  # what one read takes whose some twenty requests are told 91


class Admission:
    """Counts what is asked and what waits, and moves the bounds."""

    def __init__(self, deadline_s: float, most: int) -> None:
        self.in_flight = 0
        self.waiting = 0
        self.holding = 0  # links that have something waiting
        self.patience_s = deadline_s * SHARE  # who has waited longer would be answered too late
        self.limit = float(min(START, most))
        self.per_s = START_PER_S  # answered, while some wait
        self._most = most
        self._aim_s = deadline_s * SHARE
        self._cut_at = float("-inf")
        self._purse_s = PURSE_S  # of time for refusing
        self._beat_at: float | None = None
        self._crowd = False  # some waited for room at the last beat
        self._answered = 0  # since then

    @property
    def room(self) -> int:
        """How many more may be asked now."""
        return max(0, int(self.limit) - self.in_flight)

    @property
    def line(self) -> int:
        """How many may wait: as many as have their turn within their patience, by prediction."""
        return min(SEATS, max(LEAST, round(self.patience_s * self.per_s)))

    def seats(self, counted: int) -> int:
        """How many may wait of a link that has so many waiting: what the others leave, but its
        fair share in any case. Links take turns, so that is its share of the time, too."""
        line = self.line
        links = self.holding + (not counted)
        return max(1, line // links, line - self.waiting + counted)

    def count(self, before: int, now: int) -> None:
        """A link has so many waiting, and had so many."""
        self.waiting += now - before
        self.holding += (now > 0) - (before > 0)

    def asked(self) -> None:
        self.in_flight += 1

    def answered(self, now: float, took_s: float, *, judged: bool = True) -> None:
        """One was answered, after so long. A bound that is not made use of is not judged, nor by
        what waits for more than the answer of one act."""
        used = self.in_flight >= self.limit / 2
        self.in_flight -= 1
        self._answered += 1
        assert self.in_flight >= 0
        if not (used and judged):
            return
        if took_s > self._aim_s:
            if now - self._cut_at > self._aim_s:
                self._cut_at = now
                self.limit = max(min(LEAST, self._most), self.limit * CUT)
        else:
            self.limit = min(self._most, self.limit + 1 / self.limit)

    @property
    def may_refuse(self) -> bool:
        """Whether there is time left to read on, only to tell 91."""
        return self._purse_s > 0

    @property
    def reads(self) -> int:
        """How many reads there is time for, all of them refused."""
        return max(0, int(self._purse_s / READ_S))

    def refused(self, seconds: float) -> None:
        """So long went into reading and telling 91. A stall in it is not owed: links would rest
        for five times as long."""
        self._purse_s = max(-PURSE_S, self._purse_s - seconds)

    def beat(self, now: float, *, crowd: bool) -> None:
        """Time has passed: there is time for refusing again. What was answered is counted while a
        crowd waits for room; who waits at its own link's bound tells nothing of the engine's."""
        if self._beat_at is not None and now > self._beat_at:
            passed_s = now - self._beat_at
            self._purse_s = min(PURSE_S, self._purse_s + passed_s * REFUSING)
            if self._crowd and crowd:
                weight = min(1.0, passed_s / LATELY_S)
                self.per_s += (self._answered / passed_s - self.per_s) * weight
        self._beat_at, self._answered, self._crowd = now, 0, crowd
