"""What can be wrong with a stream, a message or a field: named, placed, and never quoted.

A bad field may be a PAN and errors get logged, so nothing here holds a byte of what was
read: no attribute, no cause, no context (tests/iso8583/test_errors.py looks for a canary).
"""

from collections.abc import Container
from enum import StrEnum

Key = int | str  # of a field: its number; of a part: its number or tag


class Problem(StrEnum):
    """Every way in which bytes fail to be a message, or a message fails to become bytes."""

    TOO_SHORT = "too_short"  # ends before its MTI and bitmap do; a frame without its header
    BAD_MTI = "bad_mti"  # not four decimal digits
    BAD_BITMAP = "bad_bitmap"  # not hexadecimal, or announced and not there
    UNKNOWN_FIELD = "unknown_field"  # a bit that the dialect has no field for
    SHORT_FIELD = "short_field"  # the message ends inside the field
    LYING_LENGTH = "lying_length"  # a length above the field's maximum, or above what is left
    BAD_LENGTH = "bad_length"  # a length that is no number at all
    BAD_CHARACTER = "bad_character"  # a sign in a number, a control character in a text
    BAD_PADDING = "bad_padding"  # the nibble that fills up a byte is not the filler
    LEFTOVER = "leftover"  # bytes after the last field
    BAD_TAG = "bad_tag"  # a tag that is no number, that never ends, or whose end is missing
    TOO_DEEP = "too_deep"  # composites in composites beyond any that are in use
    WRONG_SIZE = "wrong_size"  # encode only: the value does not have the field's size
    MISSING_PART = "missing_part"  # encode only: a part that has to stand there
    WRONG_TYPE = "wrong_type"  # encode only: bytes for a text field, or the other way round


class Iso8583Error(Exception):
    """The peer, or a caller, does not speak this dialect. Says where, never what."""


class FrameError(Iso8583Error):
    """A stream that can be cut no further, or a body that no frame can carry."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem} in a frame"


class PlacedError(Iso8583Error):
    """A fault in a field, or in a part of one: its path is the field's number, then keys."""

    path: tuple[Key, ...]

    @property
    def field(self) -> int | None:
        """The data element; None: the fault lies in none."""
        number = self.path[0] if self.path else None
        return number if isinstance(number, int) else None

    @property
    def dotted(self) -> str:
        return ".".join(map(str, self.path))


class DecodeError(PlacedError):
    """The peer sent bytes that are not a message of this dialect."""

    def __init__(self, problem: Problem, offset: int, *path: Key) -> None:
        super().__init__(problem, offset, *path)
        self.problem = problem
        self.offset = offset  # in bytes from the start of the message
        self.path = path  # empty: the fault lies in the MTI, in a bitmap or behind the last field

    def outwards(self, offset: int, *path: Key) -> None:
        """Say it from one composite further out, in which this one stands at the offset."""
        self.offset += offset
        self.path = (*path, *self.path)
        self.args = (self.problem, self.offset, *self.path)

    def __str__(self) -> str:
        where = f"field {self.dotted}, " if self.path else ""
        return f"{self.problem} at {where}byte {self.offset}"


class PartError(DecodeError):
    """A good message, until somebody looked into one of its composites.

    The offset counts from the start of the field's value: where that stood is forgotten.
    """

    def __str__(self) -> str:
        return f"{self.problem} at field {self.dotted}, byte {self.offset} of its value"


class EncodeError(PlacedError):
    """We were asked to write what this dialect cannot say."""

    def __init__(self, problem: Problem, *path: Key) -> None:
        super().__init__(problem, *path)
        self.problem = problem
        self.path = path  # empty: the fault lies in the MTI
        self.hint = ""

    def outwards(self, *path: Key) -> None:
        """Say it from one composite further out."""
        self.path = (*path, *self.path)
        self.args = (self.problem, *self.path)

    def __str__(self) -> str:
        where = f"field {self.dotted}" if self.path else "the MTI"
        return f"{self.problem} in {where}{f': {self.hint}' if self.hint else ''}"


def key_hint(key: object, known: Container[object]) -> str:
    """What to say of a key that would be known if it were a number, or a text; else ""."""
    if isinstance(key, str) and key.isascii() and key.isdigit() and int(key[:9]) in known:
        return "its key is a number here, not a text"
    if isinstance(key, int) and (str(key) in known or f"{key:02}" in known):
        return "its key is a text here, not a number"
    return ""
