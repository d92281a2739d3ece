"""Reading a message field by field, from the table.

The authority on what a message means: the generated plans are fast paths to the same
answer, and whatever they refuse is read here again, to be understood or to be refused
with its place. Faults whose field has certain borders do not end the walk, so that a
format error can still echo what stands behind them.
"""

from binascii import a2b_hex
from collections.abc import Iterator

from iso8583.bitmap import numbers_in
from iso8583.encodings import FROM_EBCDIC
from iso8583.errors import DecodeError, Problem
from iso8583.field_reader import HEX_DIGITS, find, read_value
from iso8583.parts import Value
from iso8583.spec import BCD, EBCDIC, HEX, Dialect


def read_mti(raw: bytes, dialect: Dialect) -> str:
    mti = raw[: dialect.mti_size]
    if len(mti) < dialect.mti_size:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    text = mti.hex().encode() if dialect.mti is BCD else mti
    if dialect.mti is EBCDIC:
        text = mti.translate(FROM_EBCDIC)
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
