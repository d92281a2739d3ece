"""Cutting a stream of bytes into messages. No socket here: bytes in, frames out.

A framing is a row of FRAMINGS; `iso8583/frame_reader.py` follows whatever it says.

Source: what the channel classes of jPOS and moov put on the wire.
"""

import re
from enum import Enum

from msgspec import Struct

from iso8583.errors import FrameError, Problem
from iso8583.frame_reader import EndReader, FrameReader, JoiningReader, Reader
from iso8583.frames import HEAD_SIZE, Broken, Frame, Item, KeepAlive, OverLong
from iso8583.headers import BASE1, ISO_TEXT, NO_HEADER, TPDU, Header

__all__ = [
    "FRAMINGS", "HEAD_SIZE", "Broken", "Frame", "FrameReader", "Framing", "Item", "KeepAlive",
    "OverLong", "Reader",
]  # fmt: skip

ETX = b"\x03"
LAST = b"\x00\x00"  # of fragments: none follows
HEX_DIGITS = re.compile(rb"[0-9A-Fa-f]+")


class Count(Enum):
    """How a length is written: the base it counts in for each byte."""

    BINARY = 256  # the highest byte first
    BCD = 100
    DIGITS = 10  # in ASCII
    HEX = 16  # digits in ASCII, in upper case; read in either case

    def write(self, number: int, size: int) -> bytes:
        match self:
            case Count.BINARY:
                return number.to_bytes(size, "big")
            case Count.BCD:
                return bytes.fromhex(f"{number:0{2 * size}}")
            case Count.DIGITS:
                return b"%0*d" % (size, number)
            case Count.HEX:
                return b"%0*X" % (size, number)

    def read(self, raw: bytes) -> int | None:
        """The number, or None where this is none."""
        match self:
            case Count.BINARY:
                return int.from_bytes(raw, "big")
            case Count.BCD:
                return int(raw.hex()) if raw.hex().isdigit() else None
            case Count.DIGITS:
                return int(raw) if raw.isdigit() else None
            case Count.HEX:
                return int(raw, 16) if HEX_DIGITS.fullmatch(raw) else None


BINARY, BCD, DIGITS, HEX = Count


class Framing(Struct, frozen=True):
    """How a link tells where one message ends: lead, header, body, trailer.

    The lead is a length with what stands fixed around it. It counts all that follows it,
    unless `beyond` says otherwise.
    """

    name: str
    count: Count = BINARY
    size: int = 2  # bytes of the length; 0: there is none, and the trailer ends the message
    header: Header = NO_HEADER
    before: bytes = b""  # the length; another value breaks the stream
    after: bytes = b""  # the length; written so, and not looked at: networks keep flags there
    beyond: int = 0  # bytes that follow and are not counted; below 0: counted and not following
    trailer: bytes = b""
    joined: bool = False  # a message may come in fragments, told by what stands after the length

    @property
    def lead_size(self) -> int:
        return len(self.before) + self.size + len(self.after)

    @property
    def longest(self) -> int | None:
        """Bytes of the longest body that one frame can carry; None: any."""
        if not self.size:
            return None
        most: int = self.count.value**self.size - 1
        return most + self.beyond - self.header.size - len(self.trailer)

    @property
    def is_text(self) -> bool:
        """Whether a body may not hold every byte: the trailer alone tells where it ends."""
        return not self.size

    @property
    def keep_alive(self) -> bytes:
        return self._lead(0) if self.size else self.trailer

    def pack(self, body: bytes, header: bytes = b"") -> bytes:
        """One frame, ready for the wire.

        Raises: FrameError, when the length cannot count that far, or when the body holds
            what would end it early.
        """
        kind = self.header
        header = header or kind.own
        assert len(header) == kind.size, "a header of another framing"
        if not self.size:
            if self.trailer in body:
                raise FrameError(Problem.BAD_CHARACTER)
            return body + self.trailer
        follows = len(header) + len(body) + len(self.trailer)
        lead = self._lead(follows - self.beyond)
        return lead + kind.finished(header, len(body)) + body + self.trailer

    def reply_header(self, header: bytes) -> bytes:
        """The header of the answer to a message that came with this one."""
        return self.header.reply(header)

    def reader(self, limit: int = 4096) -> Reader:
        """`limit` in bytes of body: a promise about memory."""
        if not self.size:
            return EndReader(self.trailer, limit)
        if self.joined:
            return JoiningReader(self, limit)
        return FrameReader(self, limit)

    def declared(self, lead: bytes) -> int | None:
        """What a lead says, or None when it says nothing."""
        if not (self.before or self.after) and self.count is BINARY:
            return int.from_bytes(lead, "big")  # most networks; it saves each message 0.5 µs
        at = len(self.before)
        return self.count.read(lead[at : at + self.size]) if lead[:at] == self.before else None

    def _lead(self, declared: int) -> bytes:
        if self.count is BINARY and declared < 1 << 8 * self.size:  # most networks, as above
            return self.before + declared.to_bytes(self.size, "big") + self.after
        if declared >= self.count.value**self.size:
            raise FrameError(Problem.WRONG_SIZE)
        return self.before + self.count.write(declared, self.size) + self.after


FRAMINGS = {
    framing.name: framing
    for framing in (
        # GICC. First: its zeros are keep-alives to the next, and whoever guesses takes the first.
        Framing("zeros_binary2", before=b"\x00\x00"),
        Framing("binary2"),  # PostChannel of Postilion; moov binary_2bytes
        Framing("ascii4", DIGITS, 4),  # ASCIIChannel; moov ascii_4bytes
        Framing("binary2_tpdu", header=TPDU),  # NACChannel
        Framing("binary2_inclusive", beyond=-2),  # AmexChannel: the length counts itself
        Framing("binary2_inclusive_tpdu", header=TPDU, beyond=-2),  # NACChannel, so configured
        Framing("binary3", size=3),  # the CMF channel of jPOS
        Framing("bcd2", BCD),  # BCDChannel; moov bcd_2bytes
        Framing("bcd2_tpdu", BCD, header=TPDU),  # NCCChannel
        Framing("hex4", HEX, 4),  # HEXChannel
        Framing("binary2_zeros", after=b"\x00\x00"),  # CSChannel
        Framing("vap", header=BASE1, after=b"\x00\x00"),  # VAPChannel; moov's VMLH
        Framing("base24", trailer=ETX),  # BASE24TCPChannel
        Framing("base24_iso", header=ISO_TEXT, trailer=ETX),
        Framing("etx", size=0, trailer=ETX),  # BASE24 without a length
        Framing("rbp", before=b"\xd0\x4a", after=LAST, joined=True),  # RBPChannel
    )
}
