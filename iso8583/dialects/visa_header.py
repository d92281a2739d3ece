"""The header in front of a Visa message: who sends to whom, and what became of it.

A session keeps the header of a request as bytes, and hands it back to `reply_header` when it
has the answer. Which bytes of a frame are header and which are message, `split` says.

off  size                          off  size
0    1   length of the header      11   1   round-trip control
1    1   format; 0x80: another     12   2   flags
         header follows this one   14   3   message status
2    1   format of the message     17   1   batch number
3    2   length with the message   18   3   reserved
5    3   destination, 6 digits     21   1   for the user
8    3   source, 6 digits          22   4   of a reject: bitmap (2), code (4 digits)

Source: the facts file, section 3.2 (jPOS's BASE1Header, VAPChannel; Shulyaka's parser).
"""

from binascii import a2b_hex

from iso8583.errors import FrameError, Problem

SIZE = 22
REJECT_SIZE = 26
ANOTHER_FOLLOWS = 0x80  # in the format
REJECTED = 0x80  # in the first byte of a reject's bitmap
MOST_HEADERS = 4  # a reject has its own in front of the original's; nobody stacks more than two
PLAIN_FORMAT, TEXT_FORMAT = 1, 2
MOST_BYTES = 0xFFFF  # that two bytes of length count


def split(frame: bytes) -> tuple[bytes, bytes]:
    """All headers that stand in front, and the message behind them.

    Raises: FrameError, when there is no whole header or a length in it is none.
    """
    at = 0
    for _ in range(MOST_HEADERS):
        if len(frame) - at < SIZE:
            raise FrameError(Problem.TOO_SHORT)
        size, another = frame[at], frame[at + 1] & ANOTHER_FOLLOWS
        if size < SIZE:
            raise FrameError(Problem.BAD_LENGTH)
        at += size
        if at > len(frame):
            raise FrameError(Problem.LYING_LENGTH)
        if not another:
            return frame[:at], frame[at:]
    raise FrameError(Problem.TOO_DEEP)


def new_header(destination: str, source: str, message_size: int = 0) -> bytes:
    """For whoever speaks first.

    Raises: FrameError, when the message is longer than the header can count.
    """
    for station in (destination, source):
        assert len(station) == 6, "a station is six digits"
        assert station.isascii(), "a station is six digits"
        assert station.isdigit(), "a station is six digits"
    front = bytes((SIZE, PLAIN_FORMAT, TEXT_FORMAT)) + total(message_size)
    return front + a2b_hex(destination) + a2b_hex(source) + bytes(SIZE - 11)


def reply_header(header: bytes, message_size: int) -> bytes:
    """The header of the answer: destination and source swapped, its own length, all else kept.

    Of several headers the last one counts; it belongs to the message.

    Raises: FrameError, when that is no header or cannot count so far.
    """
    last = last_header(header)
    swapped = last[8:11] + last[5:8]
    front = bytes((SIZE, last[1] & ~ANOTHER_FOLLOWS, last[2]))
    return front + total(message_size) + swapped + last[11:SIZE]


def reject_code(header: bytes) -> str | None:
    """Why the network would not take our message, four digits; None if it is no reject.

    Raises: FrameError, when that is no header.
    """
    split(header)
    if header[0] < REJECT_SIZE or not header[SIZE] & REJECTED:
        return None
    return header[24:26].hex()


def last_header(header: bytes) -> bytes:
    headers, _ = split(header)
    at = 0
    while headers[at + 1] & ANOTHER_FOLLOWS:
        at += headers[at]
    return headers[at:]


def total(message_size: int) -> bytes:
    size = SIZE + message_size
    if size > MOST_BYTES:
        raise FrameError(Problem.WRONG_SIZE)
    return size.to_bytes(2, "big")
