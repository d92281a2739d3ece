"""What a stream is cut into."""

from msgspec import Struct

from iso8583.errors import FrameError

HEAD_SIZE = 256  # of an over-long body: MTI, bitmaps and every field up to the STAN


class Frame(Struct, frozen=True, gc=False):
    """One message body, with the header that came before it."""

    body: bytes
    header: bytes = b""

    def __repr__(self) -> str:
        return f"Frame({len(self.body)} bytes)"


class KeepAlive(Struct, frozen=True, gc=False):
    """A frame with nothing in it: the peer asks whether we are there. Echo `Framing.keep_alive`."""


class OverLong(Struct, frozen=True, gc=False):
    """A body above the reader's limit. Its rest is thrown away as it comes in."""

    declared: int  # bytes of body as far as the stream has said; more than the limit
    head: bytes  # the first HEAD_SIZE of them, so that a format error can echo something
    header: bytes = b""

    def __repr__(self) -> str:
        return f"OverLong({self.declared} bytes)"


class Broken(Struct, frozen=True, gc=False):
    """The stream cannot be followed any more. Always the last item a reader gives."""

    error: FrameError


Item = Frame | KeepAlive | OverLong | Broken
