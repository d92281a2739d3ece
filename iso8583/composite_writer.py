"""Writing a composite: parts to bytes, shape by shape.

Tagged parts are written in the order in which they are given, others in that of their table,
so that what was read and not changed comes out as it came in.
"""

from binascii import a2b_hex
from collections.abc import Iterable, Iterator, Mapping

from iso8583.axes import DIGITS, HEX, RAW, B, Coding
from iso8583.composite import Ber, Bitmapped, Positional, Repeated, Tagged
from iso8583.composite_reader import LONGEST_LENGTH, end_of_tag
from iso8583.element import DEPTH, Element, Inside
from iso8583.encodings import as_digits, write_digits
from iso8583.errors import DecodeError, EncodeError, Key, Problem, key_hint
from iso8583.field_writer import write_field
from iso8583.parts import Given, Parts, Value

HEX_DIGITS = b"0123456789ABCDEF"  # of a tag: as it is read, in upper case


def put_together(
    fields: Mapping[int, Given], elements: Mapping[int, Element]
) -> Mapping[int, Value]:
    """The fields of a message, each that came as parts put together.

    Raises: EncodeError, with the path.
    """
    values: dict[int, Value] = {}
    for number, given in fields.items():
        if not isinstance(given, Mapping | Parts):
            values[number] = given
        elif number in elements:
            values[number] = assemble(elements[number], given, 1)
        else:
            raise EncodeError(Problem.UNKNOWN_FIELD, number)
    return values


def assemble(field: Element, given: Given, depth: int) -> Value:
    """The value itself where it is one; errors name the field's number first."""
    if not isinstance(given, Mapping | Parts):
        return given
    if field.inside is None:
        raise EncodeError(Problem.WRONG_TYPE, field.number)
    try:
        raw = write_parts(field.inside, given, depth)
    except EncodeError as error:
        error.outwards(field.number)
        raise
    if field.characters is B:
        return raw
    if not raw.isascii():  # an unknown tag's bytes
        raise EncodeError(Problem.BAD_CHARACTER, field.number)
    return raw.decode()


def write_parts(inside: Inside, parts: Mapping[Key, Given] | Parts, depth: int) -> bytes:
    if depth > DEPTH:
        raise EncodeError(Problem.TOO_DEEP)
    pairs = parts.pairs if isinstance(parts, Parts) else tuple(parts.items())
    match inside.shape:
        case Tagged():
            return b"".join(tagged(inside, inside.shape, pairs, depth))
        case Ber():
            return b"".join(ber(inside, pairs, depth))
        case Repeated():
            return b"".join(repeated(inside, pairs, depth))
        case Positional():
            shape = inside.shape
            raw = b"".join(positional(inside, shape, once_each(inside, pairs), depth))
            return join_halves(raw) if shape.half_bytes else raw
        case Bitmapped():
            return bitmapped(inside, inside.shape, once_each(inside, pairs), depth)


def once_each(inside: Inside, pairs: Iterable[tuple[Key, Given]]) -> dict[Key, Given]:
    values: dict[Key, Given] = {}
    for key, value in pairs:
        if key not in inside.elements or key in values:
            raise wrong_key(Problem.UNKNOWN_FIELD, key, inside)
        values[key] = value
    return values


def wrong_key(problem: Problem, key: Key, inside: Inside) -> EncodeError:
    """Where parts have numbers, a text is no key; nor is a number where they have tags."""
    error = EncodeError(problem, key)
    error.hint = key_hint(key, inside.elements)
    return error


def write_part(part: Element, given: Given, depth: int) -> bytes:
    return write_field(part, assemble(part, given, depth + 1))


def positional(
    inside: Inside, shape: Positional, values: dict[Key, Given], depth: int
) -> Iterator[bytes]:
    left = len(values)
    for key, part in inside.elements.items():
        if not left and shape.may_end_early:
            return
        if key not in values:
            raise EncodeError(Problem.MISSING_PART, key)
        left -= 1
        yield write_part(part, values[key], depth)


def join_halves(digits: bytes) -> bytes:
    """Hexadecimal digits to bytes; one half alone would be read back as two parts."""
    if len(digits) % 2 or digits.translate(None, HEX_DIGITS):
        raise EncodeError(Problem.WRONG_SIZE)
    return a2b_hex(digits)


def repeated(inside: Inside, pairs: Iterable[tuple[Key, Given]], depth: int) -> Iterator[bytes]:
    for turn, (key, given) in enumerate(pairs, start=1):
        if key != turn:
            raise EncodeError(Problem.MISSING_PART, turn)
        if not isinstance(given, Mapping | Parts):
            raise EncodeError(Problem.WRONG_TYPE, turn)
        try:
            yield from positional(inside, Positional(), once_each(inside, given.items()), depth)
        except EncodeError as error:
            error.outwards(turn)
            raise


def bitmapped(inside: Inside, shape: Bitmapped, values: dict[Key, Given], depth: int) -> bytes:
    numbers = sorted(key for key in values if isinstance(key, int))
    bits = sum(1 << (8 * shape.size - number) for number in numbers)
    bitmap = bits.to_bytes(shape.size, "big")
    if shape.coding is HEX:
        bitmap = bitmap.hex().upper().encode()
    parts = [write_part(inside.elements[number], values[number], depth) for number in numbers]
    return b"".join((bitmap, *parts))


def tagged(
    inside: Inside, shape: Tagged, pairs: Iterable[tuple[Key, Given]], depth: int
) -> Iterator[bytes]:
    coding, lead = inside.coding, inside.lead
    for place, (key, given) in enumerate(pairs):
        if lead is not None and key == lead.number:
            if place != 0:
                raise EncodeError(Problem.UNKNOWN_FIELD, key)
            yield write_lead(lead, given, depth, coding)
            continue
        tag = write_number(key, shape.tag, coding)
        if tag is None:
            raise wrong_key(Problem.BAD_TAG, key, inside)
        value = write_tagged(inside, key, given, depth)
        length = f"{len(value):X}" if coding is RAW else str(len(value))
        width = shape.length * (2 if coding is RAW else 1)
        counted = write_number(length.rjust(width, "0"), shape.length, coding)
        if counted is None:
            raise EncodeError(Problem.WRONG_SIZE, key)
        yield tag + counted + value


def write_lead(lead: Element, given: Given, depth: int, coding: Coding) -> bytes:
    """The part without a tag: one that begins with a digit would be taken for a tag."""
    raw = write_part(lead, given, depth)
    if as_digits(raw[:1], coding).isdigit():
        raise EncodeError(Problem.BAD_CHARACTER, lead.number)
    return raw


def write_number(text: Key, size: int, coding: Coding) -> bytes | None:
    """A tag or a length, or None when it is none of that size."""
    if not isinstance(text, str) or not text.isascii():
        return None
    digits, width = (HEX_DIGITS, 2 * size) if coding is RAW else (DIGITS, size)
    if len(text) != width or text.encode().translate(None, digits):
        return None
    return write_digits(text, coding)


def write_tagged(inside: Inside, key: Key, given: Given, depth: int) -> bytes:
    part = inside.elements.get(key)
    if part is not None:
        return write_part(part, given, depth)
    if not isinstance(given, bytes):
        raise EncodeError(Problem.WRONG_TYPE, key)
    return given


def ber(inside: Inside, pairs: Iterable[tuple[Key, Given]], depth: int) -> Iterator[bytes]:
    for key, given in pairs:
        tag = write_ber_tag(key)
        if tag[0] & 0x20 and key not in inside.elements:
            if not isinstance(given, Mapping | Parts):
                raise EncodeError(Problem.WRONG_TYPE, key)
            try:
                value = write_parts(inside, given, depth + 1)
            except EncodeError as error:
                error.outwards(key)
                raise
        else:
            value = write_tagged(inside, key, given, depth)
        yield tag + write_ber_length(key, len(value)) + value


def write_ber_tag(key: Key) -> bytes:
    """The tag as bytes, if it is one that would be read as the same tag."""
    if isinstance(key, str) and key.isascii() and not key.encode().translate(None, HEX_DIGITS):
        tag = a2b_hex(key) if len(key) % 2 == 0 else b""
        if tag[:1] > b"\0":
            try:
                end = end_of_tag(tag, 0) if tag[0] & 0x1F == 0x1F else 1
            except DecodeError:
                end = 0
            if end == len(tag):
                return tag
    raise EncodeError(Problem.BAD_TAG, key)


def write_ber_length(key: Key, length: int) -> bytes:
    """As short as it can be, as EMV wants it."""
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    if size > LONGEST_LENGTH:
        raise EncodeError(Problem.WRONG_SIZE, key)
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")
