"""Cutting a stream of bytes into messages. No socket here: bytes in, frames out.

Source: what the channel classes of jPOS and moov put on the wire; see FRAMINGS.
"""

from msgspec import Struct

from iso8583.errors import FrameError, Problem

HEAD_SIZE = 256  # of an over-long body: MTI, bitmaps and every field up to the STAN
TPDU_SIZE = 5  # protocol id, destination (2), source (2)
OWN_TPDU = b"\x60\x00\x00\x00\x00"  # for whoever speaks first and was given no address


class Frame(Struct, frozen=True, gc=False):
    """One message body, with the header that came before it."""

    body: bytes
    header: bytes = b""

    @property
    def reply_header(self) -> bytes:
        """The header of the answer: a TPDU goes back with destination and source swapped."""
        header = self.header
        return header[:1] + header[3:5] + header[1:3]

    def __repr__(self) -> str:
        return f"Frame({len(self.body)} bytes)"


class KeepAlive(Struct, frozen=True, gc=False):
    """A frame of length zero: the peer asks whether we are there. Echo `Framing.keep_alive`."""


class OverLong(Struct, frozen=True, gc=False):
    """A body above the reader's limit. Its rest is thrown away as it comes in."""

    declared: int  # bytes of body
    head: bytes  # the first HEAD_SIZE of them, so that a format error can echo something
    header: bytes = b""

    @property
    def reply_header(self) -> bytes:
        return Frame(b"", self.header).reply_header

    def __repr__(self) -> str:
        return f"OverLong({self.declared} bytes)"


class Broken(Struct, frozen=True, gc=False):
    """The stream cannot be followed any more. Always the last item a reader gives."""

    error: FrameError


Item = Frame | KeepAlive | OverLong | Broken


class Framing(Struct, frozen=True):
    """How a link tells where one message ends: a length, then perhaps a header, then the body."""

    name: str
    prefix_size: int  # bytes
    decimal: bool  # the prefix is ASCII digits; else big-endian binary
    header_size: int  # bytes, counted by the prefix

    @property
    def keep_alive(self) -> bytes:
        return self._prefix(0)

    def pack(self, body: bytes, header: bytes = b"") -> bytes:
        """One frame, ready for the wire.

        Raises: FrameError, when the prefix cannot count that far.
        """
        if self.header_size and not header:
            header = OWN_TPDU
        assert len(header) == self.header_size, "a header of another framing"
        return self._prefix(len(header) + len(body)) + header + body

    def reader(self, limit: int = 4096) -> "FrameReader":
        return FrameReader(self, limit)

    def _prefix(self, declared: int) -> bytes:
        biggest = 10**self.prefix_size if self.decimal else 256**self.prefix_size
        if declared >= biggest:
            raise FrameError(Problem.WRONG_SIZE)
        if self.decimal:
            return b"%0*d" % (self.prefix_size, declared)
        return declared.to_bytes(self.prefix_size, "big")

    def declared(self, prefix: bytes) -> int | None:
        """What a prefix says, or None when it says nothing."""
        if not self.decimal:
            return int.from_bytes(prefix, "big")
        return int(prefix) if prefix.isdigit() else None


FRAMINGS = {
    framing.name: framing
    for framing in (
        #       name            prefix  decimal  header
        Framing("binary2",      2,      False,   0),  # Postilion's PostChannel; moov binary_2bytes
        Framing("ascii4",       4,      True,    0),  # ASCIIChannel; moov ascii_4bytes
        Framing("binary2_tpdu", 2,      False,   TPDU_SIZE),  # NACChannel
    )
}  # fmt: skip


class FrameReader:
    """Gives every item of a stream once, however the stream is cut.

    Never raises: an unreadable length ends the stream with `Broken`, after the frames
    before it, and whatever is fed later is ignored. Never holds more than one frame
    within the limit and what came with it in the same feed.
    """

    __slots__ = ("_broken", "_buffer", "_discard", "_framing", "_limit", "_wanted")

    def __init__(self, framing: Framing, limit: int) -> None:
        assert limit > 0
        self._framing = framing
        self._limit = limit  # bytes of body; a promise about memory
        self._buffer = bytearray()
        self._wanted = framing.prefix_size  # nothing can be told before so many bytes are here
        self._discard = 0  # bytes still to come of an over-long body
        self._broken = False

    @property
    def waiting(self) -> bool:
        """Whether part of a frame has arrived, and the peer owes us the rest."""
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
        prefix_size, header_size = self._framing.prefix_size, self._framing.header_size
        items: list[Item] = []
        at = 0  # start of the item being looked at
        while True:
            start = at + prefix_size
            self._wanted = prefix_size
            if len(stream) < start:
                break
            declared = self._framing.declared(stream[at:start])
            if declared is None:
                return self._break(items, Problem.BAD_LENGTH)
            if declared == 0:
                items.append(KeepAlive())
                at = start
                continue
            if declared < header_size:
                return self._break(items, Problem.TOO_SHORT)
            body, end = start + header_size, start + declared
            if end - body > self._limit:
                # Wait only for the head: the rest is not worth keeping.
                seen = min(body + HEAD_SIZE, end)
                self._wanted = seen - at
                if len(stream) < seen:
                    break
                items.append(OverLong(end - body, stream[body:seen], stream[start:body]))
                self._discard = max(0, end - len(stream))
                at = min(end, len(stream))
                continue
            self._wanted = end - at
            if len(stream) < end:
                break
            items.append(Frame(stream[body:end], stream[start:body]))
            at = end
        self._buffer = bytearray(stream[at:])
        return items

    def _break(self, items: list[Item], problem: Problem) -> list[Item]:
        self._broken = True
        self._buffer.clear()
        items.append(Broken(FrameError(problem)))
        return items
