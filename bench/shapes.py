"""Where an answer has what the network looks for, so that it need not be decoded to be told.

Answers of one shape (MTI, bitmaps, length, and the length of the card number) have their fields at
the same places, as long as only one other field is counted. The first of a shape is decoded and
its places are noted; the rest are read there. What has no such places is decoded each time.
"""

from iso8583.codec import decode
from iso8583.errors import DecodeError
from iso8583.field_reader import find
from iso8583.message import Message
from iso8583.slow_reader import read_bitmaps
from iso8583.spec import HEX, Dialect

PAN, STAN, ACQUIRER, APPROVAL, CODE = 2, 11, 32, 38, 39
SHAPES_MAX = 512  # a network's answers have a dozen; what makes more is no such network
NO_APPROVAL = b"      "
SAID_SIZE = 9  # bytes kept of an answer: DE 38, blank where there is none, and DE 39

Told = tuple[bytes, bytes]  # STAN and acquirer of the request; DE 38 and 39 of its answer
Places = tuple[int, int, int, int, int, int, int, int]  # start and end of DE 11, 32, 38, 39


class Shapes:
    """Learns as it reads. One for each dialect of a run."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._first = dialect.mti_size  # the byte that tells of a second bitmap
        self._seconds = frozenset(b"89ABCDEFabcdef" if dialect.bitmap is HEX else range(128, 256))
        # With what stands first after the bitmaps: the length of the card number.
        self._short, self._long = dialect.short_head + 2, dialect.long_head + 2
        self._places: dict[tuple[bytes, int], Places] = {}

    def read(self, body: bytes) -> Told | None:
        """By the places of its shape; None where none are known."""
        if len(body) < self._short:
            return None
        size = self._long if body[self._first] in self._seconds else self._short
        places = self._places.get((body[:size], len(body)))
        if places is None:
            return None
        a, b, c, d, e, f, g, h = places
        return body[a:b] + body[c:d], (body[e:f] or NO_APPROVAL) + body[g:h]

    def learn(self, body: bytes, message: Message) -> None:
        """Note the places of a decoded answer's shape, where it has any."""
        if len(self._places) >= SHAPES_MAX:
            return
        places = places_of(body, message, self._dialect)
        if places is not None:
            size = self._long if body[self._first] in self._seconds else self._short
            self._places[body[:size], len(body)] = places


def told_by(message: Message) -> Told:
    """The same of a decoded answer."""
    approval, code = str(message.get(APPROVAL, "")), str(message.get(CODE, ""))
    key = f"{message.get(STAN, '')}{message.get(ACQUIRER, '')}"
    return key.encode(), f"{approval[:6]:6}{code[:3]}".encode()


def places_of(body: bytes, message: Message, dialect: Dialect) -> Places | None:
    """None where another answer of the same shape could have them elsewhere, or where the bytes
    are not the text itself: packed digits, EBCDIC."""
    found: dict[int, tuple[int, int]] = {APPROVAL: (0, 0)}
    try:
        numbers, at = read_bitmaps(body, dialect)
        for number in numbers:
            start, end, _ = find(dialect.fields[number], body, at)
            found[number], at = (start, end), end
    except (DecodeError, KeyError):
        return None
    counted = [number for number in numbers if not dialect.fields[number].is_fixed]
    if numbers[:1] != (PAN,) or len(counted) > 2 or not {STAN, ACQUIRER, CODE} <= found.keys():
        return None
    a, b, c, d, e, f, g, h = (
        place for number in (STAN, ACQUIRER, APPROVAL, CODE) for place in found[number]
    )
    there = body[a:b] + body[c:d], (body[e:f] or NO_APPROVAL) + body[g:h]
    return (a, b, c, d, e, f, g, h) if there == told_by(message) else None


def read_in_full(body: bytes, dialect: Dialect) -> tuple[Told, Message] | None:
    """None where it is no message."""
    try:
        message = decode(body, dialect)
    except DecodeError:
        return None
    return told_by(message), message
