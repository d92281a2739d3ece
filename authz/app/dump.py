"""From what people have of a message (hex, dumps, captures) to what it says.

Nobody writes down dialect and framing next to a dump. Decoding is strict, so a wrong
guess shows itself: every way to take the input is tried, and the one that reads most wins.
"""

import re
from itertools import product

from msgspec import Struct
from msgspec.structs import replace

from authz.dialects import find_dialect
from iso8583.codec import decode, salvage
from iso8583.errors import DecodeError, Problem
from iso8583.framing import FRAMINGS, Broken, Frame, KeepAlive, OverLong
from iso8583.message import Message
from iso8583.mti import CLASSES
from iso8583.spec import Dialect

# The offset in front of a line: "00000010:" (xxd), "0x0010:" (tcpdump), "00000010  "
# (hexdump), "000010 " (od).
OFFSET = re.compile(r"\s*(?:0x)?(?:([0-9a-fA-F]{4,8})(?::|\s{2,}|$)|([0-9a-fA-F]{6,8})\s)")
GAP = re.compile(r"\s{2,}|\t")
LIMIT = 65_535  # bytes of a frame, the most that two bytes count
HEX_ONLY = re.compile(r"[0-9a-fA-F\s]*")


class Found(Struct, frozen=True):
    """One message of the input, or what could be read of it."""

    message: Message | None  # of a bad one, the fields before the fault
    header: bytes = b""
    trouble: str = ""  # one sentence; empty when all is well
    problem: str = ""
    field: int | None = None
    offset: int | None = None
    progress: int = 0  # bytes that read well
    # Whether the borders of fields are certain. Read with the wrong dialect, a card number
    # ends up in pieces in amounts and times, where nothing would mask it.
    is_certain: bool = True
    in_use: bool = False  # its MTI is one of the dialect's version, and of a class that exists

    @property
    def likely(self) -> int:
        """How much it looks like a message: by its MTI, and by its card number."""
        return 0 if not self.in_use else 2 if self.is_certain else 1


class Reading(Struct, frozen=True):
    """The whole input, taken in one way."""

    dialect: str
    framing: str
    size: int  # bytes of the input
    found: list[Found]

    @property
    def ok(self) -> bool:
        return all(not found.trouble for found in self.found)

    @property
    def worth(self) -> tuple[int, int, int, float]:
        """More good messages, more that look like some, fewer that do not; then what was read."""
        bad = sum(found.trouble != "" for found in self.found)
        likely = sum(found.likely for found in self.found)
        share = sum(found.progress for found in self.found) / self.size
        return (len(self.found) - bad, likely, -bad, share)


def best_reading(ways: list[list[bytes]], dialects: list[str], framings: list[str]) -> Reading:
    """The reading that is worth most; among equals the first, so the plain ones stand first."""
    best: Reading | None = None
    for blocks, framing, dialect in product(ways, framings, dialects):
        found = read_blocks(blocks, framing, find_dialect(dialect))
        reading = Reading(dialect, framing, sum(map(len, blocks)), found)
        if best is None or reading.worth > best.worth:
            best = reading
        if reading.ok and all(found.in_use for found in found):
            return reading  # as good as any can be
    assert best is not None, "no input"
    return best


def read_blocks(blocks: list[bytes], framing: str, dialect: Dialect) -> list[Found]:
    if framing == "none":
        return [read_message(block, b"", dialect) for block in blocks]
    return [found for block in blocks for found in read_frames(block, framing, dialect)]


def read_frames(block: bytes, framing: str, dialect: Dialect) -> list[Found]:
    kind = FRAMINGS[framing]
    reader = kind.reader(limit=LIMIT)
    found = []
    at = 0  # where the next frame starts
    for item in reader.feed(block):
        match item:
            case Frame():
                found.append(read_message(item.body, item.header, dialect))
                at += kind.lead_size + len(item.header) + len(item.body) + len(kind.trailer)
            case KeepAlive():
                at += len(kind.keep_alive)
            case Broken():
                found.append(Found(None, trouble=str(item.error), problem=str(item.error.problem)))
            case OverLong():
                found.append(Found(None, trouble=f"{item} are no message", problem="over_long"))
                return found
    if reader.waiting:
        start = at + kind.lead_size + kind.header.size
        part = read_message(block[start:], b"", dialect)
        trouble = "the input ends inside a frame"
        found.append(replace(part, trouble=trouble, problem="too_short", offset=len(block)))
    return found or [Found(None, trouble="there is no message", problem="too_short")]


def read_message(raw: bytes, header: bytes, dialect: Dialect) -> Found:
    try:
        message = decode(raw, dialect)
        in_use = is_mti_in_use(message.mti, dialect)
        return Found(message, header, progress=len(raw), in_use=in_use)
    except DecodeError as error:
        read = salvage(raw, dialect)
        if read is not None:
            end = 0 if error.field is None else error.field
            end = 129 if error.problem is Problem.LEFTOVER else end
            fields = {number: value for number, value in read.items() if number < end}
            read = Message.of(read.mti, fields)
        in_use = read is not None and is_mti_in_use(read.mti, dialect)
        return Found(
            read,
            header,
            trouble=str(error),
            problem=str(error.problem),
            field=error.field,
            offset=error.offset,
            progress=error.offset,
            is_certain=in_use and read is not None and is_card_number(read.get(2)),
            in_use=in_use,
        )


def is_mti_in_use(mti: str, dialect: Dialect) -> bool:
    """The dialect's version, a class that exists; ASCII digits taken for BCD give 3030 and such."""
    return mti[0] == dialect.version and mti[1] in CLASSES


def is_card_number(value: object) -> bool:
    """Whether the check digit is right, which nine out of ten wrong readings get wrong."""
    if not (isinstance(value, str) and 13 <= len(value) <= 19 and value.isdigit()):
        return False
    doubled = [int(digit) * 2 for digit in value[-2::-2]]
    return (sum(map(int, value[::-2])) + sum(n // 10 + n % 10 for n in doubled)) % 10 == 0


def without_comments(text: str) -> str:
    """Lines that begin with # left empty, so that they part what stands around them."""
    if not is_text(text):
        return text  # raw bytes, of which one may stand for a #
    return "\n".join("" if line.startswith("#") else line for line in text.split("\n"))


def is_text(text: str) -> bool:
    return text.isascii() and all(c.isprintable() or c.isspace() for c in text)


def stray_line(text: str) -> int:
    """The first line that is no hexadecimal where most are, counted from 1; 0 if it is not so."""
    said = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    bad = [n for n, line in said if not HEX_ONLY.fullmatch(line)]
    return bad[0] if is_text(text) and bad and 2 * len(bad) < len(said) else 0


def looks_like_hex(text: str) -> bool:
    return HEX_ONLY.fullmatch(text) is not None or bool(dump_blocks(text))


def has_half_byte(text: str) -> bool:
    return HEX_ONLY.fullmatch(text) is not None and len("".join(text.split())) % 2 == 1


def readings_of_bytes(data: bytes) -> list[list[bytes]]:
    """As it is, and without the line end that an editor leaves behind."""
    stripped = data.rstrip(b"\r\n")
    return [[data]] if stripped == data else [[data], [stripped]]


def readings_of_hex(text: str) -> list[list[bytes]]:
    """A dump with offsets; else one message over several lines, or one on each line."""
    dumped = dump_blocks(text)
    if dumped:
        return [dumped]
    paragraphs = re.split(r"\n\s*\n", text.strip())
    lines = [line for line in text.splitlines() if line.strip()]
    ways = []
    for pieces in (paragraphs, lines):
        digits = ["".join(piece.split()) for piece in pieces]
        if any(len(piece) % 2 for piece in digits):
            continue
        blocks = [bytes.fromhex(piece) for piece in digits]
        if blocks not in ways:
            ways.append(blocks)
    return ways


def dump_blocks(text: str) -> list[bytes]:
    """The messages of a dump whose lines begin with offsets, or nothing when it is none.

    An offset is believed when it is the count of bytes so far; zero starts a message.
    """
    blocks: list[bytes] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        match = OFFSET.match(line)
        if match is None:
            return []
        offset = int(match[1] or match[2], 16)
        row = bytes_of_row(line[match.end() :])
        if offset == 0 and row:
            blocks.append(row)
        elif blocks and offset == len(blocks[-1]):
            blocks[-1] += row
        else:
            return []
    return blocks


def bytes_of_row(row: str) -> bytes:
    """The bytes of one line of a dump, without the characters that are repeated beside them."""
    columns = GAP.split(row.partition("|")[0].strip())
    digits = "".join(columns[0].split())
    # Some dumps leave a gap in the middle of the row: two digits to a word, after eight bytes.
    if len(digits) == 16 and len(columns) > 1 and all(len(w) == 2 for w in columns[1].split()):
        digits += "".join(columns[1].split())
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
