"""What can be wrong with a clearing file: named, placed, and never quoted.

Two treatments. What makes the file as a whole unsure is raised, and nothing of it may be used:
its framing, its order, its counts and totals. What is wrong with one record inside a sound file
is listed, and the others may be used.
"""

from enum import StrEnum

from msgspec import Struct

LISTED_MAX = 50  # bad records listed; all are counted


class Problem(StrEnum):
    """Why a file is refused whole."""

    UNKNOWN_FORMAT = "unknown_format"  # none of ours
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    CUT = "cut"  # ends inside a record, or before its trailer
    BAD_BLOCK = "bad_block"  # a block without its fill, or with something behind the end
    BAD_LENGTH = "bad_length"  # a record's length that no record has
    BAD_LINE_END = "bad_line_end"
    LEFTOVER = "leftover"  # something behind the trailer
    NO_HEADER = "no_header"
    BAD_HEADER = "bad_header"
    BAD_TRAILER = "bad_trailer"  # a number in it that is none
    OUT_OF_ORDER = "out_of_order"
    WRONG_COUNT = "wrong_count"  # the trailer counted otherwise
    WRONG_TOTAL = "wrong_total"  # the trailer added up otherwise
    WRONG_FILE = "wrong_file"  # header and trailer are of two files
    CHANGED = "changed"  # between two readings of it


class BadRecord(Struct, frozen=True):
    """Where something is wrong in one record, and what kind of wrong; never with what."""

    record: int
    element: str  # as its format calls it: "DE 31", "TCR 0 27-49", a column
    reason: str

    def __str__(self) -> str:
        where = f"record {self.record}"
        return f"{where}{', ' + self.element if self.element else ''}: {self.reason}"


class ClearingRefused(Exception):
    """Nothing of this file may be used. Says where, never what."""

    def __init__(
        self, problem: Problem, record: int = 0, element: str = "", bad: tuple[BadRecord, ...] = ()
    ) -> None:
        super().__init__(problem, record, element)
        self.problem = problem
        self.record = record  # 0: the file as a whole
        self.element = element  # or the block
        self.bad = bad  # records that were found wrong on the way: they may be why

    def __str__(self) -> str:
        where = f" at record {self.record}" if self.record else ""
        return f"{self.problem}{where}{', ' + self.element if self.element else ''}"


class BadElement(Exception):
    """This element of a record cannot be used. The text is the reason, without the content."""

    def __init__(self, element: str, reason: str) -> None:
        super().__init__(reason)
        self.element = element
        self.reason = reason


class CannotWrite(ValueError):
    """We were asked to write what this format cannot say."""

    def __init__(self, element: str, reason: str) -> None:
        super().__init__(f"{element}: {reason}")
        self.element = element
