"""Writing a message field by field, from the table: the authority for the encode plans."""

from binascii import a2b_hex
from collections.abc import Mapping

from iso8583.bitmap import bitmap_of
from iso8583.encodings import DIGITS
from iso8583.errors import EncodeError, Problem
from iso8583.message import Value
from iso8583.mti import is_mti
from iso8583.spec import ASCII, BCD, HEX, XN, B, Dialect, Element, Pad


def write(mti: str, fields: Mapping[int, Value], dialect: Dialect) -> bytes:
    parts = [write_mti(mti, dialect), write_bitmaps(fields, dialect)]
    for number in sorted(fields):
        field, value = dialect.fields[number], fields[number]
        check_value(field, value)
        prefix = b"" if field.is_fixed else field.prefixes.write[len(value)]
        parts.append(prefix + write_value(field, value))
    return b"".join(parts)


def write_mti(mti: str, dialect: Dialect) -> bytes:
    if not isinstance(mti, str) or not is_mti(mti):
        raise EncodeError(Problem.BAD_MTI)
    return mti.encode() if dialect.mti is ASCII else a2b_hex(mti)


def write_bitmaps(fields: Mapping[int, Value], dialect: Dialect) -> bytes:
    for number in fields:
        if number not in dialect.fields:
            raise EncodeError(Problem.UNKNOWN_FIELD, number)
    bitmap = bitmap_of(fields)
    return bitmap.hex().upper().encode() if dialect.bitmap is HEX else bitmap


def check_value(field: Element, value: Value) -> None:
    if not isinstance(value, bytes if field.characters is B else str):
        raise EncodeError(Problem.WRONG_TYPE, field.number)
    length, maximum = len(value), field.maximum
    if length > maximum or (field.is_fixed and length < maximum):
        raise EncodeError(Problem.WRONG_SIZE, field.number)
    if isinstance(value, str) and not fits(field, value):
        raise EncodeError(Problem.BAD_CHARACTER, field.number)


def fits(field: Element, value: str) -> bool:
    if not value.isascii():
        return False
    text = value.encode()
    if field.characters is XN:
        return text[:1] in (b"C", b"D") and not text[1:].translate(None, DIGITS)
    return not text.translate(None, field.allowed)


def write_value(field: Element, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value.hex().upper().encode() if field.coding is HEX else value
    if field.coding is not BCD:
        return value.encode()
    if field.characters is XN:
        return value[:1].encode() + a2b_hex(value[1:])
    digits = value.replace("=", "D")  # the separator of track 2 has this one form in BCD
    if len(digits) % 2:
        digits = "0" + digits if field.pad is Pad.LEFT_ZERO else digits + "F"
    return a2b_hex(digits)
