"""Readers: they give every item of a stream once, however the stream is cut.

No reader raises: a lead that says nothing ends the stream with `Broken`, after the frames
before it, and whatever is fed later is ignored. None holds more than one frame within the
limit and what came with it in the same feed.
"""

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from iso8583.errors import FrameError, Problem
from iso8583.frames import HEAD_SIZE, Broken, Frame, Item, KeepAlive, OverLong
from iso8583.headers import Header

if TYPE_CHECKING:
    from iso8583.framing import Framing


class Reader(Protocol):
    """What a session needs of any of them."""

    @property
    def waiting(self) -> bool:
        """Whether part of a message has arrived, and the peer owes us the rest."""
        ...

    def feed(self, data: bytes) -> list[Item]: ...


class FrameReader:
    """Follows the lengths."""

    __slots__ = ("_broken", "_buffer", "_discard", "_framing", "_lead", "_limit", "_wanted")

    def __init__(self, framing: "Framing", limit: int) -> None:
        assert limit > 0
        self._framing = framing
        self._limit = limit
        self._buffer = bytearray()
        self._lead = framing.lead_size
        self._wanted = self._lead  # nothing can be told before so many bytes are here
        self._discard = 0  # bytes still to come of an over-long body
        self._broken = False

    @property
    def waiting(self) -> bool:
        return bool(self._buffer) or self._discard > 0

    def feed(self, data: bytes) -> list[Item]:
        if self._broken:
            return []
        if self._discard:
            skipped = min(self._discard, len(data))
            self._discard -= skipped
            data = data[skipped:]
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return []
        return self._cut()

    def _cut(self) -> list[Item]:
        """Take every whole item from the front of the buffer."""
        stream = bytes(self._buffer)
        framing, header, trailer = self._framing, self._framing.header, self._framing.trailer
        lead_size, beyond, declares = self._lead, framing.beyond, framing.declared
        items: list[Item] = []
        at = 0  # start of the item being looked at
        while True:
            start = at + lead_size
            self._wanted = lead_size
            if len(stream) < start:
                break
            declared = declares(stream[at:start])
            if declared is None:
                return self._break(items, Problem.BAD_LENGTH)
            end = start + declared + beyond
            if end == start or (declared == 0 and beyond <= 0):
                items.append(KeepAlive())
                at = start
                continue
            last = end - len(trailer)
            if last < start + header.size:
                return self._break(items, Problem.TOO_SHORT)
            body = start + header.size
            if header.tells_size:
                told = header.end(stream, start)
                if told is None or told[0] > last:
                    return self._break(items, Problem.TOO_SHORT)
                body, is_certain = told
                if not is_certain:
                    self._wanted = body - at
                    break
            # Of an over-long one wait only for the head: the rest is not worth keeping.
            is_long = last - body > self._limit
            needed = min(body + HEAD_SIZE, last) if is_long else end
            self._wanted = needed - at
            if len(stream) < needed:
                break
            if is_long:
                items.append(OverLong(last - body, stream[body:needed], stream[start:body]))
                self._discard = max(0, end - len(stream))
                at = min(end, len(stream))
                continue
            if stream[last:end] != trailer:
                return self._break(items, Problem.BAD_LENGTH)
            items.append(Frame(stream[body:last], stream[start:body]))
            at = end
        self._buffer = bytearray(stream[at:])
        return items

    def _break(self, items: list[Item], problem: Problem) -> list[Item]:
        self._broken = True
        self._buffer.clear()
        items.append(Broken(FrameError(problem)))
        return items


class EndReader:
    """Follows no length: a byte that no message holds ends each of them."""

    __slots__ = ("_buffer", "_end", "_limit", "_skipping")

    def __init__(self, end: bytes, limit: int) -> None:
        assert limit > 0
        assert len(end) == 1
        self._end = end
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False  # an over-long body was told, and has not ended

    @property
    def waiting(self) -> bool:
        return bool(self._buffer) or self._skipping

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        *ended, rest = data.split(self._end)
        for piece in ended:
            self._take(piece, items)
            if self._buffer:
                items.append(Frame(bytes(self._buffer)))
            elif not self._skipping:
                items.append(KeepAlive())
            self._buffer.clear()
            self._skipping = False
        self._take(rest, items)
        return items

    def _take(self, piece: bytes, items: list[Item]) -> None:
        if self._skipping:
            return
        self._buffer += piece
        if len(self._buffer) > self._limit:
            # How long it gets nobody has said; that it is above the limit is certain.
            items.append(OverLong(self._limit + 1, bytes(self._buffer[:HEAD_SIZE])))
            self._buffer.clear()
            self._skipping = True


MORE, LAST = b"\x01\x00", b"\x00\x00"
FLAGS = Header(size=2)


class JoiningReader:
    """Puts fragments together: the two bytes after each length say whether more follow."""

    __slots__ = ("_broken", "_fragments", "_limit", "_open", "_parts", "_size")

    def __init__(self, framing: "Framing", limit: int) -> None:
        self._fragments = FrameReader(replace(framing, after=b"", header=FLAGS, beyond=2), limit)
        self._limit = limit
        self._parts = bytearray()
        self._size = 0  # bytes of the message so far
        self._open = False  # more fragments are to come
        self._broken = False

    @property
    def waiting(self) -> bool:
        return not self._broken and (self._open or self._fragments.waiting)

    def feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        for fragment in self._fragments.feed(data) if not self._broken else ():
            match fragment:
                case Frame(piece, flags):
                    size = len(piece)
                case OverLong(size, piece, flags):
                    pass
                case _:
                    items.append(fragment)
                    continue
            if flags not in (MORE, LAST):
                self._broken = True
                items.append(Broken(FrameError(Problem.BAD_LENGTH)))
                return items
            self._add(piece, size, items)
            self._open = flags == MORE
            if not self._open:
                self._finish(items)
        return items

    def _add(self, piece: bytes, size: int, items: list[Item]) -> None:
        if self._size > self._limit:
            return  # it was told already
        self._size += size
        self._parts += piece
        if self._size > self._limit:
            items.append(OverLong(self._size, bytes(self._parts[:HEAD_SIZE])))
            self._parts.clear()

    def _finish(self, items: list[Item]) -> None:
        if self._size <= self._limit:
            items.append(Frame(bytes(self._parts)) if self._parts else KeepAlive())
        self._parts.clear()
        self._size = 0
