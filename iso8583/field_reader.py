"""Reading one field or part, once somebody knows where it starts."""

from binascii import a2b_hex

from iso8583.axes import BCD, DIGITS, EBCDIC, HEX, SIGNS, XN, B, Pad
from iso8583.element import Element
from iso8583.encodings import FROM_EBCDIC
from iso8583.errors import DecodeError, Problem
from iso8583.parts import Value

HEX_DIGITS = b"0123456789ABCDEFabcdef"


def find(field: Element, raw: bytes, at: int) -> tuple[int, int, int]:
    """Where the value starts and ends, and its length in its own units."""
    if field.is_fixed:
        length = field.maximum
        end = at + field.wire_size(length)
        if end > len(raw):
            raise DecodeError(Problem.SHORT_FIELD, at, field.number)
        return at, end, length
    if field.is_rest:
        return find_rest(field, raw, at)

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


def find_rest(field: Element, raw: bytes, at: int) -> tuple[int, int, int]:
    """A part that takes what its container left for it; digits in BCD come in pairs then."""
    size = len(raw) - at
    if field.coding is HEX and size % 2:
        raise DecodeError(Problem.SHORT_FIELD, at, field.number)
    length = {BCD: size * 2, HEX: size // 2}.get(field.coding, size)
    if length > field.maximum:
        raise DecodeError(Problem.LYING_LENGTH, at, field.number)
    return at, len(raw), length


def read_value(field: Element, raw: bytes, start: int, end: int, length: int) -> Value:
    if field.coding is BCD:
        return read_bcd(field, raw, start, end, length)
    value = raw[start:end]
    if field.coding is HEX:
        check(field, value, HEX_DIGITS, start)
        return a2b_hex(value)
    if field.characters is B:
        return value
    if field.coding is EBCDIC:
        value = value.translate(FROM_EBCDIC)
    if field.characters is XN:
        check(field, value[:1], SIGNS, start)
        check(field, value[1:], DIGITS, start + 1)
    else:
        check(field, value, field.allowed, start)
    return value.decode()


def read_bcd(field: Element, raw: bytes, start: int, end: int, length: int) -> str:
    if field.characters is XN:
        sign = raw[start : start + 1]
        if field.sign is EBCDIC:
            sign = sign.translate(FROM_EBCDIC)
        check(field, sign, SIGNS, start)
        digits = raw[start + 1 : end].hex().encode()
        check(field, digits, DIGITS, start + 1, per_byte=2)
        return (sign + digits).decode()

    nibbles = raw[start:end].hex().upper().encode()
    digits = nibbles
    if length % 2:
        left = field.pad is Pad.LEFT_ZERO
        if field.lenient:  # no digit is an F, so one at the end is a filler
            left = nibbles[-1:] != b"F"
        if left:
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
