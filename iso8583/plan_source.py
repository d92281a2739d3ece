"""What the sources of decode and encode plans are written with: places and checks.

Both kinds of plan take the message as one text and check it in stretches as long as
possible: thirteen numbers in a row are one `isdigit()`, length prefix between included.
"""

from msgspec import Struct

from iso8583.axes import DIGITS
from iso8583.encodings import FROM_EBCDIC, TO_EBCDIC
from iso8583.spec import AN, ANS, SIGNS, A, Characters, Element, N, Z

# One call of C each. An empty stretch fails them; the slow way then decides.
TESTS = {N: "isdigit", A: "isalpha", AN: "isalnum"}
# These have a price per call, so all stretches of a kind are put together first.
STRAINERS = {ANS: "PRINTABLE", Z: "TRACK_2"}
# Names that generated code may use. In half bytes, `hexlify` writes a separator as "d".
CONSTANTS = {
    "SIGNS": SIGNS,
    "PRINTABLE": ANS.value,
    "TRACK_2": Z.value,
    "TRACK_2_HALVES": DIGITS + b"d",
    "FROM_EBCDIC": FROM_EBCDIC,
    "TO_EBCDIC": TO_EBCDIC,
}


class Place(Struct, frozen=True):
    """An offset that generated code can compute: perhaps a variable, plus a constant."""

    plus: int
    base: str = ""

    def __add__(self, more: int) -> "Place":
        return Place(self.plus + more, self.base)

    def __str__(self) -> str:
        if not self.base:
            return str(self.plus)
        return f"{self.base} + {self.plus}" if self.plus else self.base


def counts_in_kind(field: Element) -> bool:
    """Whether the prefix is made of what the value is made of, so that one check does both."""
    return field.prefix is field.coding and field.characters is not A


class Checks:
    """What must hold for a message; neighbours of one kind become one check."""

    def __init__(self) -> None:
        self._conditions: list[str] = []
        self._stretches: list[tuple[Characters, str, Place, Place]] = []

    def add(self, condition: str) -> None:
        self._conditions.append(condition)

    def stretch(self, kind: Characters, view: str, start: Place, end: Place) -> None:
        """From start to end, `view` holds nothing but characters of this kind."""
        if self._stretches:
            last_kind, last_view, last_start, last_end = self._stretches[-1]
            if (last_kind, last_view, last_end) == (kind, view, start):
                self._stretches[-1] = (kind, view, last_start, end)
                return
        self._stretches.append((kind, view, start, end))

    def __str__(self) -> str:
        """All of them, cheap ones first, joined by `and`."""
        conditions = list(self._conditions)
        strained: dict[str, list[str]] = {}
        for kind, view, start, end in self._stretches:
            piece = f"{view}[{start}:{end}]"
            if kind in TESTS:
                conditions.append(f"{piece}.{TESTS[kind]}()")
            else:
                allowed = STRAINERS[kind] + ("_HALVES" if view == "x" else "")
                strained.setdefault(allowed, []).append(piece)
        for allowed, pieces in strained.items():
            conditions.append(f"not ({' + '.join(pieces)}).translate(None, {allowed})")
        return " and ".join(conditions) or "True"
