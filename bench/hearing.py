"""Which message each answer answers, and what it says: read after the run, from what came in it."""

from array import array
from collections.abc import Sequence

from bench.shapes import SAID_SIZE, Shapes, Told, read_in_full
from iso8583.spec import Dialect

__all__ = ["SAID_SIZE", "SAMPLE", "Hearing"]

SAMPLE = 64  # of so many answers, one is decoded in full, and must say what was read


class Hearing:
    """Takes answers in the order in which they came."""

    def __init__(self, keys: Sequence[bytes], sent: Sequence[float], dialect: Dialect) -> None:
        self.heard = array("d", bytes(8 * len(keys)))  # when each message was answered; 0: never
        self.said = bytearray(b" " * (SAID_SIZE * len(keys)))
        self.decoded = self.misread = self.unmatched = self.unreadable = 0
        self._dialect, self._shapes, self._answers = dialect, Shapes(dialect), 0
        self._open: dict[bytes, int] = {}  # key to the first message that waits under it
        self._twins: dict[bytes, list[int]] = {}  # repeats of it, in the order of their sending
        for number, key in enumerate(keys):
            if sent[number] and self._open.setdefault(key, number) != number:
                self._twins.setdefault(key, []).append(number)

    def take(self, when: float, bodies: Sequence[bytes]) -> None:
        """`when`: by the monotonic clock."""
        for body in bodies:
            self._answers += 1
            told = self._shapes.read(body)
            if told is None or self._answers % SAMPLE == 0:
                told = self._look_closely(body, told)
                if told is None:
                    continue
            key, said = told
            number = self._open.pop(key, -1)
            if number < 0:
                self.unmatched += 1
                continue
            if key in self._twins:
                self._next_twin(key)
            self.heard[number] = when
            at = SAID_SIZE * number
            self.said[at : at + len(said)] = said

    def _look_closely(self, body: bytes, told: Told | None) -> Told | None:
        """Decode it: its shape is new or has no fixed places, or it is one of the samples."""
        self.decoded += 1
        found = read_in_full(body, self._dialect)
        if found is None:
            self.unreadable += 1
            return None
        truth, message = found
        if told is None:
            self._shapes.learn(body, message)
        elif told != truth:
            self.misread += 1
        return truth

    def _next_twin(self, key: bytes) -> None:
        """An answer belongs to the first that waits; the next one waits on."""
        rest = self._twins[key]
        self._open[key] = rest.pop(0)
        if not rest:
            del self._twins[key]
