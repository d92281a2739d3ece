"""Captured traffic as a stream of messages: bytes as they went over a link, or hexadecimal lines.

A file may be longer than memory, so it is read in pieces. Every message has a number, from 1, and
the offset in the file at which it begins, whether it could be read or not.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from iso8583.codec import decode
from iso8583.errors import DecodeError
from iso8583.framing import Broken, Frame, Framing, Item, KeepAlive, OverLong
from iso8583.message import Message
from iso8583.spec import Dialect

FRAME_MAX = 65_535  # bytes, the most that two bytes count; real ones have about 1,500
LINE_MAX = 3 * FRAME_MAX  # of hexadecimal: two digits and perhaps a space for each byte
PIECE = 65_536
HEX_LINE = re.compile(rb"[0-9A-Fa-f \t]*\r?\n?")
TEXT_LINE = re.compile(rb"[\t\x20-\x7e]*\r?\n?")
COMMENT = b"#"


class Captured(Struct, frozen=True):
    """One message of the file, or why it is none. Says where, never what."""

    number: int
    offset: int  # of its frame's first byte, or of its line's
    message: Message | None
    trouble: str = ""
    line: int = 0  # of a file of lines
    is_last: bool = False  # what follows cannot be cut into messages


def looks_like_hex(start: bytes) -> bool:
    """Whether a file that begins so is one of lines: hexadecimal or comments, but for a few.

    A line that is neither is one bad message among good ones, in text; it is no reason to take
    them all for raw bytes.
    """
    *lines, rest = start.splitlines(keepends=True) or [b""]
    if len(start) < PIECE:
        lines.append(rest)  # the file ends here, and its last line with it
    said = [line for line in lines if line.strip() and not line.startswith(COMMENT)]
    bad = [line for line in said if not HEX_LINE.fullmatch(line)]
    if not said or not bad:
        return any(line.strip() for line in lines)  # comments alone hold no message, but are text
    return 2 * len(bad) < len(said) and all(TEXT_LINE.fullmatch(line) for line in bad)


def read_lines(file: BinaryIO, framing: Framing | None, dialect: Dialect) -> Iterator[Captured]:
    """One message on each line; in its frame, where there is a framing."""
    number = line = offset = 0
    while raw := file.readline(LINE_MAX + 1):
        at, offset, line = offset, offset + len(raw), line + 1
        if not raw.strip() or raw.startswith(COMMENT):
            continue
        number += 1
        trouble, message = "", None
        if len(raw) > LINE_MAX:
            trouble = f"a line of more than {LINE_MAX} characters"
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(PIECE)
                offset += len(raw)
        elif not HEX_LINE.fullmatch(raw):
            trouble = "not hexadecimal"
        elif len(digits := b"".join(raw.split())) % 2:
            trouble = "an odd number of hexadecimal digits"
        else:
            message, trouble = read_one(bytes.fromhex(digits.decode()), framing, dialect)
        yield Captured(number, at, message, trouble, line)


def read_one(raw: bytes, framing: Framing | None, dialect: Dialect) -> tuple[Message | None, str]:
    """What one line says, and what is wrong with it."""
    if framing is None:
        return read_body(raw, dialect)
    items = framing.reader(FRAME_MAX).feed(raw)
    if len(items) != 1 or not isinstance(items[0], Frame):
        return None, "not one whole frame"
    return read_body(items[0].body, dialect)


def read_body(body: bytes, dialect: Dialect) -> tuple[Message | None, str]:
    try:
        return decode(body, dialect), ""
    except DecodeError as error:
        return None, str(error)


def read_stream(file: BinaryIO, framing: Framing, dialect: Dialect) -> Iterator[Captured]:
    """One message after the other, as a link brings them. Keep-alives are not counted."""
    number = 0
    for at, item in items_of(file, framing):
        if isinstance(item, KeepAlive):
            continue
        number += 1
        match item:
            case Frame():
                message, trouble = read_body(item.body, dialect)
                yield Captured(number, at, message, trouble)
            case OverLong():
                yield Captured(number, at, None, f"{item.declared} bytes are no message")
            case Broken():
                trouble = f"{item.error}: what follows cannot be cut into messages"
                yield Captured(number, at, None, trouble, is_last=True)
            case None:
                yield Captured(number, at, None, "the file ends inside a frame", is_last=True)


def items_of(file: BinaryIO, framing: Framing) -> Iterator[tuple[int, Item | None]]:
    """Items with the offsets at which they begin; None for half a frame at the end."""
    reader = framing.reader(FRAME_MAX)
    # Where a length tells where a frame ends, so does its item. Else the reader is fed byte by
    # byte, and has an item when its last byte is there.
    measured = bool(framing.size) and not framing.joined
    at = fed = 0
    while piece := file.read(PIECE):
        for part in (piece,) if measured else (piece[i : i + 1] for i in range(len(piece))):
            fed += len(part)
            for item in reader.feed(part):
                yield at, item
                at = at + size_of(item, framing) if measured else fed
                if isinstance(item, Broken):
                    return
    if reader.waiting:
        yield at, None


def size_of(item: Item, framing: Framing) -> int:
    """Bytes that an item took in the stream."""
    around = framing.lead_size + len(framing.trailer)
    match item:
        case Frame():
            return around + len(item.header) + len(item.body)
        case OverLong():
            return around + len(item.header) + item.declared
        case KeepAlive():
            return len(framing.keep_alive)
    return 0
