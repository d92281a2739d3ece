"""BASE II records out of bytes: 168 characters each, in lines or without anything between them."""

from collections.abc import Iterator

from ledger.clearing.base2_table import HEADER, SIZE
from ledger.clearing.errors import ClearingRefused, Problem
from ledger.clearing.source import Source

CODECS = {"ascii": "latin-1", "ebcdic": "cp500"}
# EBCDIC files have LF, or NEL, or a line feed of their own.
ENDS = {"ascii": (b"\r\n", b"\n"), "ebcdic": (b"\r\n", b"\n", b"\x15", b"\x25", b"\x0d\x25")}


class Shape:
    """How a file is put together: its encoding, and what ends a record."""

    def __init__(self, encoding: str, end: bytes) -> None:
        self.encoding = encoding
        self.codec = CODECS[encoding]
        self.end = end

    def __repr__(self) -> str:
        return f"{'lines' if self.end else 'no line ends'}, {self.encoding.upper()}"


def find_shape(sample: bytes) -> Shape | None:
    """By its first record, which is a TC 90; None: it is none."""
    for encoding in CODECS:
        if not sample.startswith(HEADER.encode(CODECS[encoding])):
            continue
        behind = sample[SIZE : SIZE + 2]
        end = next((end for end in ENDS[encoding] if behind.startswith(end)), b"")
        return Shape(encoding, end)
    return None


def read_frames(source: Source, shape: Shape) -> Iterator[str]:
    """Every record's text. The last line may lack its end. Raises: ClearingRefused."""
    step, end = SIZE + len(shape.end), shape.end
    number, rest = 0, b""
    for chunk in source.chunks(step * 4096):
        assert not rest, "only the last chunk is shorter"
        for at in range(0, len(chunk), step):
            number += 1
            raw = chunk[at : at + SIZE]
            if len(raw) < SIZE:
                rest = raw
                break
            behind = chunk[at + SIZE : at + step]
            if behind != end and (behind or at + step < len(chunk)):
                raise ClearingRefused(Problem.BAD_LINE_END, number)
            yield raw.decode(shape.codec)
    if rest.strip(b"\x00\x1a"):  # some systems end a text so
        raise ClearingRefused(Problem.CUT, number)
