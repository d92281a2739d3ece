"""What some networks put between the length and the message: addresses, mostly.

A header belongs to the framing, not to the message: it comes in before a body, and goes out
before the answer with source and destination changed over.

Source: the header classes of jPOS (TPDU, BASE I), and messages of BASE24 that were published.
"""

from msgspec import Struct

CHAINED = 0x80  # in the second byte of a BASE I header: another one follows
REJECTED = 0x80  # in the first byte of a reject's bitmap
CHAIN_MAX = 2  # a reject and the header that was rejected; nobody sends three


class Header(Struct, frozen=True):
    """One kind of header, as positions in it."""

    size: int = 0  # bytes; the least, where its first byte tells
    own: bytes = b""  # for whoever speaks first and was given none
    swap: tuple[int, int, int] | None = None  # where two addresses begin, and their size
    tells_size: bool = False  # by its first byte; then it may have another one behind it
    total_at: int | None = None  # where two bytes tell the size of header and body together
    reject_at: int | None = None  # of a reject: where a bitmap and four digits tell why

    def end(self, stream: bytes, start: int) -> tuple[int, bool] | None:
        """Where the header ends that begins at `start`, and True; None if it cannot be one.

        False: that cannot be told yet, and not before the stream reaches so far.
        """
        assert self.tells_size
        for _ in range(CHAIN_MAX):
            if len(stream) < start + 2:
                return start + 2, False
            size, more = stream[start], stream[start + 1] & CHAINED
            if size < self.size:
                return None
            start += size
            if not (more or size > self.size):
                return start, True
        return None

    def reply(self, header: bytes) -> bytes:
        """The header of the answer: back to where the request came from."""
        if self.tells_size:
            header = header[: self.size]
            header = bytes((self.size, header[1] & ~CHAINED)) + header[2:]
        if self.swap is None:
            return header
        first, second, size = self.swap
        return (
            header[:first] + header[second : second + size] + header[first + size : second]
            + header[first : first + size] + header[second + size :]
        )  # fmt: skip

    def is_reject(self, header: bytes) -> bool:
        """Whether the network hands back what it was sent: a header longer than usual."""
        return self.tells_size and len(header) > self.size

    def reject_code(self, header: bytes) -> str:
        """Why it was handed back, four digits; "" where that is not said."""
        at = self.reject_at
        if at is None or len(header) < at + 4 or not header[at] & REJECTED:
            return ""
        return header[at + 2 : at + 4].hex()

    def finished(self, header: bytes, body_size: int) -> bytes:
        """With the total written in, where this kind of header has one."""
        if self.total_at is None:
            return header
        total = (len(header) + body_size).to_bytes(2, "big")
        return header[: self.total_at] + total + header[self.total_at + 2 :]


NO_HEADER = Header()
# Protocol id, destination, source.
TPDU = Header(size=5, own=b"\x60\x00\x00\x00\x00", swap=(1, 3, 2))
# off  size                            off  size
# 0    1   length of the header        11   1   round-trip control
# 1    1   format; 0x80: another       12   2   flags
#          header follows this one     14   3   message status
# 2    1   format of the message       17   1   batch number
# 3    2   length with the message     18   3   reserved
# 5    3   destination, 6 digits       21   1   for the user
# 8    3   source, 6 digits            22   4   of a reject: bitmap (2), code (4 digits)
BASE1 = Header(
    size=22, own=b"\x16\x01\x02" + bytes(19), swap=(5, 8, 3), tells_size=True, total_at=3,
    reject_at=22,
)  # fmt: skip
# "ISO", then product, release, status and who answers, in nine digits.
ISO_TEXT = Header(size=12, own=b"ISO026000000")
