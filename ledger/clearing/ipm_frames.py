"""IPM records out of bytes and into them: lengths, and blocks of 1014.

Each record has its length before it, four bytes, the high one first; a length of zero ends the
file. 1014-blocked, that stream is cut into pieces of 1012, each with two bytes 0x40 behind it, and
the last is filled up with 0x40. Source: cardutil 0.7.3, `mciipm`.
"""

from collections.abc import Iterator
from typing import BinaryIO

from ledger.clearing.errors import ClearingRefused, Problem
from ledger.clearing.ipm_table import ELEMENTS, MTIS
from ledger.clearing.source import Source

LEAD = 4
FILL = b"\x40"
BLOCK, DATA = 1014, 1012
PAD = FILL * (BLOCK - DATA)
HEAD = 20  # MTI and bitmaps
RECORD_MAX = HEAD + sum(element.prefix + element.size for element in ELEMENTS)
ENCODINGS = ("ascii", "ebcdic")
CODECS = {"ascii": "latin-1", "ebcdic": "cp500"}


class Shape:
    """How a file is put together: its encoding, and whether it is blocked."""

    def __init__(self, encoding: str, blocked: bool) -> None:
        self.encoding = encoding
        self.codec = CODECS[encoding]
        self.blocked = blocked

    def __repr__(self) -> str:
        return f"{'1014-blocked' if self.blocked else 'RDW'}, {self.encoding.upper()}"


def find_shape(sample: bytes) -> Shape | None:
    """The shape under which most records of this beginning are IPM messages; None: under none.

    Blocks cannot be told by their fill alone: 0x40 is EBCDIC's blank. But read under the wrong
    shape, lengths lead astray at the first end of a block.
    """
    best, most = None, (0, False)
    for encoding in ENCODINGS:
        mtis = {mti.encode(CODECS[encoding]) for mti in MTIS}
        for blocked in (False, True):
            followed = follow(unblock(sample) if blocked else sample, mtis, blocked)
            if followed > most:
                best, most = Shape(encoding, blocked), followed
    return best


def unblock(sample: bytes) -> bytes:
    return b"".join(sample[at : at + DATA] for at in range(0, len(sample), BLOCK))


def follow(data: bytes, mtis: set[bytes], blocked: bool) -> tuple[int, bool]:
    """How many messages the lengths lead to, and whether they then end as they should: at a length
    of zero, and with what a file has behind it. The first must be one, or nothing is."""
    at = count = 0
    while at + LEAD <= len(data):
        size = int.from_bytes(data[at : at + LEAD])
        if size == 0:
            rest = data[at + LEAD :]
            return count, not (rest.strip(FILL) if blocked else rest)
        known = data[at + LEAD : at + LEAD + 4] in mtis
        if size > RECORD_MAX or not (known or count):
            break
        count += known
        at += LEAD + size
    return count, False


def read_frames(source: Source, blocked: bool) -> Iterator[bytes]:
    """Every record's bytes.

    An unblocked file may lack the zero length at its end: whether it is whole, its trailer knows.
    Raises: ClearingRefused.
    """
    if blocked and source.size % BLOCK:
        raise ClearingRefused(Problem.CUT, element="last block")
    chunks = unblocked(source) if blocked else source.chunks()
    buffer, at, number = b"", 0, 1
    for chunk in chunks:
        buffer, at = buffer[at:] + chunk, 0
        while at + LEAD <= len(buffer):
            size = int.from_bytes(buffer[at : at + LEAD])
            if size == 0:
                check_end(buffer[at + LEAD :], chunks, blocked)
                return
            if not HEAD <= size <= RECORD_MAX:
                raise ClearingRefused(Problem.BAD_LENGTH, number)
            if at + LEAD + size > len(buffer):
                break
            yield buffer[at + LEAD : at + LEAD + size]
            at += LEAD + size
            number += 1
    if buffer[at:].strip(FILL if blocked else b""):
        raise ClearingRefused(Problem.CUT, number)


def unblocked(source: Source) -> Iterator[bytes]:
    number = 0
    for chunk in source.chunks(BLOCK << 10):
        parts = []
        for at in range(0, len(chunk), BLOCK):
            number += 1
            if chunk[at + DATA : at + BLOCK] != PAD:
                raise ClearingRefused(Problem.BAD_BLOCK, element=f"block {number}")
            parts.append(chunk[at : at + DATA])
        yield b"".join(parts)


def check_end(rest: bytes, chunks: Iterator[bytes], blocked: bool) -> None:
    """Behind the end there is fill up to the block's end, or one more of it; else nothing."""
    for more in chunks:
        rest += more
        if len(rest) > 2 * DATA:
            break
    if blocked and (rest.strip(FILL) or len(rest) >= 2 * DATA):
        raise ClearingRefused(Problem.BAD_BLOCK, element="last block")
    if rest and not blocked:
        raise ClearingRefused(Problem.LEFTOVER)


class FrameWriter:
    """Writes records; `close` ends the file, and leaves the stream open."""

    def __init__(self, stream: BinaryIO, blocked: bool) -> None:
        self._stream = stream
        self._blocked = blocked
        self._pending = b""

    def write(self, record: bytes) -> None:
        assert HEAD <= len(record) <= RECORD_MAX
        self._put(len(record).to_bytes(LEAD) + record)

    def close(self) -> None:
        self._put(bytes(LEAD))
        if self._blocked and self._pending:
            self._stream.write(self._pending.ljust(DATA, FILL) + PAD)

    def _put(self, data: bytes) -> None:
        if not self._blocked:
            self._stream.write(data)
            return
        self._pending += data
        while len(self._pending) >= DATA:
            self._stream.write(self._pending[:DATA] + PAD)
            self._pending = self._pending[DATA:]
