"""Writing a message field by field, from the table: the authority for the encode plans."""

from binascii import a2b_hex
from collections.abc import Mapping

from iso8583.bitmap import bitmap_of
from iso8583.errors import EncodeError, Problem
from iso8583.field_writer import write_field, write_text
from iso8583.mti import is_mti
from iso8583.parts import Value
from iso8583.spec import BCD, HEX, Dialect


def write(mti: str, fields: Mapping[int, Value], dialect: Dialect) -> bytes:
    parts = [write_mti(mti, dialect), write_bitmaps(fields, dialect)]
    for number in sorted(fields):
        parts.append(write_field(dialect.fields[number], fields[number]))
    return b"".join(parts)


def write_mti(mti: str, dialect: Dialect) -> bytes:
    if not isinstance(mti, str) or not is_mti(mti):
        raise EncodeError(Problem.BAD_MTI)
    return a2b_hex(mti) if dialect.mti is BCD else write_text(mti, dialect.mti)


def write_bitmaps(fields: Mapping[int, Value], dialect: Dialect) -> bytes:
    for number in fields:
        if number not in dialect.fields:
            raise EncodeError(Problem.UNKNOWN_FIELD, number)
    bitmap = bitmap_of(fields)
    return bitmap.hex().upper().encode() if dialect.bitmap is HEX else bitmap
