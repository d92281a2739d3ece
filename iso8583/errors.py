"""What can be wrong with a stream, a message or a field: named, placed, and never quoted.

A bad field may be a PAN and errors get logged, so nothing here holds a byte of what was
read: no attribute, no cause, no context (tests/iso8583/test_errors.py looks for a canary).
"""

from enum import StrEnum


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
    WRONG_SIZE = "wrong_size"  # encode only: the value does not have the field's size
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


class DecodeError(Iso8583Error):
    """The peer sent bytes that are not a message of this dialect."""

    def __init__(self, problem: Problem, offset: int, field: int | None = None) -> None:
        super().__init__(problem, offset, field)
        self.problem = problem
        self.offset = offset  # in bytes from the start of the message
        self.field = field  # None: the fault lies in the MTI, in a bitmap or behind the last field

    def __str__(self) -> str:
        where = "" if self.field is None else f"field {self.field}, "
        return f"{self.problem} at {where}byte {self.offset}"


class EncodeError(Iso8583Error):
    """We were asked to write what this dialect cannot say."""

    def __init__(self, problem: Problem, field: int | None = None) -> None:
        super().__init__(problem, field)
        self.problem = problem
        self.field = field  # None: the fault lies in the MTI

    def __str__(self) -> str:
        return f"{self.problem} in {'the MTI' if self.field is None else f'field {self.field}'}"
