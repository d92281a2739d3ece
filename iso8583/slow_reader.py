"""Reading a message field by field, from the table.

The authority on what a message means: the generated plans are fast paths to the same
answer, and whatever they refuse is read here again, to be understood or to be refused
with its place. Faults whose field has certain borders do not end the walk, so that a
format error can still echo what stands behind them.
"""

from binascii import a2b_hex
from collections.abc import Iterator

from iso8583.bitmap import numbers_in
from iso8583.encodings import DIGITS
from iso8583.errors import DecodeError, Problem
from iso8583.message import Value
from iso8583.spec import ASCII, BCD, HEX, SIGNS, XN, B, Dialect, Element, Pad

HEX_DIGITS = b"0123456789ABCDEFabcdef"


def read_mti(raw: bytes, dialect: Dialect) -> str:
    mti = raw[: dialect.mti_size]
    if len(mti) < dialect.mti_size:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    text = mti if dialect.mti is ASCII else mti.hex().encode()
    if not text.isdigit():
        raise DecodeError(Problem.BAD_MTI, 0)
    return text.decode()


def read_bitmaps(raw: bytes, dialect: Dialect) -> tuple[tuple[int, ...], int]:
    """The fields announced, and where the first of them starts."""
    at = dialect.mti_size
    bits = read_bitmap(raw, at, dialect)
    at += dialect.bitmap_size
    if bits[0] & 0x80:
        bits += read_bitmap(raw, at, dialect)
        at += dialect.bitmap_size
    numbers = numbers_in(bits)
    return tuple(numbers[1:] if numbers[:1] == [1] else numbers), at


def read_bitmap(raw: bytes, at: int, dialect: Dialect) -> bytes:
    bitmap = raw[at : at + dialect.bitmap_size]
    if len(bitmap) < dialect.bitmap_size:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    if dialect.bitmap is not HEX:
        return bitmap
    if bad := bitmap.translate(None, HEX_DIGITS):
        raise DecodeError(Problem.BAD_BITMAP, at + bitmap.index(bad[0]))
    return a2b_hex(bitmap)


def walk(
    raw: bytes, dialect: Dialect, numbers: tuple[int, ...], at: int
) -> Iterator[tuple[int, Value] | DecodeError]:
    """Each field in turn, or what is wrong with it; ends where a border is uncertain."""
    for number in numbers:
        field = dialect.fields.get(number)
        if field is None:
            yield DecodeError(Problem.UNKNOWN_FIELD, at, number)
            return
        try:
            start, end, length = find(field, raw, at)
        except DecodeError as error:
            yield error
            return
        try:
            yield number, read_value(field, raw, start, end, length)
        except DecodeError as error:
            yield error
        at = end
    if at != len(raw):
        yield DecodeError(Problem.LEFTOVER, at)


def find(field: Element, raw: bytes, at: int) -> tuple[int, int, int]:
    """Where the value starts and ends, and its length in its own units."""
    if field.is_fixed:
        length = field.maximum
        end = at + field.wire_size(length)
        if end > len(raw):
            raise DecodeError(Problem.SHORT_FIELD, at, field.number)
        return at, end, length

    table = field.prefixes
    prefix = raw[at : at + table.size]
    if len(prefix) < table.size:
        raise DecodeError(Problem.SHORT_FIELD, at, field.number)
    counted = table.read.get(prefix)
    if counted is None:
        no_number = prefix.translate(None, table.digits)
        problem = Problem.BAD_LENGTH if no_number else Problem.LYING_LENGTH
        raise DecodeError(problem, at, field.number)
    start = at + table.size
    end = start + field.wire_size(counted)
    if end > len(raw):
        raise DecodeError(Problem.LYING_LENGTH, at, field.number)
    return start, end, counted


def read_value(field: Element, raw: bytes, start: int, end: int, length: int) -> Value:
    if field.coding is BCD:
        return read_bcd(field, raw, start, end, length)
    value = raw[start:end]
    if field.coding is HEX:
        check(field, value, HEX_DIGITS, start)
        return a2b_hex(value)
    if field.characters is B:
        return value
    if field.characters is XN:
        check(field, value[:1], SIGNS, start)
        check(field, value[1:], DIGITS, start + 1)
    else:
        check(field, value, field.allowed, start)
    return value.decode()


def read_bcd(field: Element, raw: bytes, start: int, end: int, length: int) -> str:
    if field.characters is XN:
        sign = raw[start : start + 1]
        check(field, sign, SIGNS, start)
        digits = raw[start + 1 : end].hex().encode()
        check(field, digits, DIGITS, start + 1, per_byte=2)
        return (sign + digits).decode()

    nibbles = raw[start:end].hex().upper().encode()
    digits = nibbles
    if length % 2:
        if field.pad is Pad.LEFT_ZERO:
            pad, digits, at, filler = nibbles[:1], nibbles[1:], start, b"0"
        else:
            pad, digits, at, filler = nibbles[-1:], nibbles[:-1], end - 1, b"F"
            nibbles = digits
        if pad != filler:
            raise DecodeError(Problem.BAD_PADDING, at, field.number)
    check(field, nibbles, field.allowed, start, per_byte=2)
    return digits.decode()


def check(field: Element, text: bytes, allowed: bytes, at: int, per_byte: int = 1) -> None:
    """Refuse the first character that the field may not hold, and say where it stands."""
    if bad := text.translate(None, allowed):
        offset = at + text.index(bad[0]) // per_byte
        raise DecodeError(Problem.BAD_CHARACTER, offset, field.number)
