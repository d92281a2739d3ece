"""Writing one field or part."""

from binascii import a2b_hex

from iso8583.axes import BCD, DIGITS, EBCDIC, HEX, XN, B, Coding, Pad
from iso8583.element import Element
from iso8583.encodings import TO_EBCDIC
from iso8583.errors import EncodeError, Problem
from iso8583.parts import Value


def write_field(field: Element, value: Value) -> bytes:
    """With its prefix, if it has one.

    Raises: EncodeError.
    """
    check_value(field, value)
    counted = field.prefixes.write
    return (counted[len(value)] if counted else b"") + write_value(field, value)


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
        return write_text(value, field.coding)
    if field.characters is XN:
        return write_text(value[:1], field.sign) + a2b_hex(value[1:])
    digits = value.replace("=", "D")  # the separator of track 2 has this one form in BCD
    if len(digits) % 2:
        digits = "0" + digits if field.pad is Pad.LEFT_ZERO else digits + "F"
    return a2b_hex(digits)


def write_text(text: str, coding: Coding) -> bytes:
    return text.encode().translate(TO_EBCDIC) if coding is EBCDIC else text.encode()
