"""Looking into a composite: bytes to parts, shape by shape.

Every step takes at least one byte and depth is bounded, so the work is bounded by the length
of the value. Nothing is guessed: a part whose border is uncertain refuses the whole composite.
"""

from binascii import a2b_hex
from collections.abc import Iterator

from iso8583.axes import HEX, RAW
from iso8583.bitmap import numbers_in
from iso8583.composite import Ber, Bitmapped, Positional, Repeated, Tagged
from iso8583.element import DEPTH, Element, Inside
from iso8583.encodings import as_digits
from iso8583.errors import DecodeError, Key, PartError, Problem
from iso8583.field_reader import HEX_DIGITS, find, read_value
from iso8583.parts import Node, Parts, Value

# EMV uses tags of one to three bytes; a tag that goes on and on is no tag.
LONGEST_TAG = 4
# A length from here on says how many bytes of length follow.
LONG = 0x80
# Two of these count to 65,535: more than any frame holds.
LONGEST_LENGTH = 2

Pairs = Iterator[tuple[Key, Node]]


def look_into(inside: Inside, number: int, value: Value) -> Parts:
    """The parts of a field's value.

    Raises: PartError, with the path and the offset in the value. Nothing else, whatever
        the value (tests/iso8583/test_composite_reader.py::test_any_value).
    """
    # Of a text that no message brought: what is no ASCII must be refused, not fail to be bytes.
    raw = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    try:
        return read_parts(inside, raw, 1)
    except DecodeError as error:
        fault = PartError(error.problem, error.offset, number, *error.path)
    raise fault  # out here, so that it drags no context along


def glance(inside: Inside, number: int, value: Value, keys: tuple[Key, ...]) -> dict[Key, Value]:
    """Those of the parts that are there; for who reads every message and wants but a few.

    Walks from border to border until it has them all, and opens none: 1 to 4 µs instead of 3 to
    9. What stands behind the last of them may be broken, and so may all where a bitmap announces
    none of them.

    Raises: PartError, as `look_into`.
    """
    assert inside.closed is not None
    assert not isinstance(inside.shape, Repeated | Ber), "its parts nest by themselves"
    raw = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    found: dict[Key, Value] = {}
    if isinstance(inside.shape, Bitmapped):
        keys = announced(inside.shape, raw, keys)
        if not keys:
            return found
    try:
        for key, part in pairs_of(inside.closed, raw, 1):
            if key in keys and key not in found:
                assert not isinstance(part, Parts), "a part of a closed composite is a value"
                found[key] = part
                if len(found) == len(keys):
                    break
        return found
    except DecodeError as error:
        fault = PartError(error.problem, error.offset, number, *error.path)
    raise fault


def announced(shape: Bitmapped, raw: bytes, keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """Those that the bitmap has; all of them where it is none, for the walk to say so."""
    if shape.coding is HEX or len(raw) < shape.size:
        return keys
    return tuple(
        key for key in keys if isinstance(key, int) and raw[(key - 1) >> 3] << ((key - 1) & 7) & 128
    )


def read_parts(inside: Inside, raw: bytes, depth: int) -> Parts:
    return Parts(tuple(pairs_of(inside, raw, depth)))


def pairs_of(inside: Inside, raw: bytes, depth: int) -> Pairs:
    """One after the other, so that nobody pays for what stands behind the last that is wanted."""
    if depth > DEPTH:
        raise DecodeError(Problem.TOO_DEEP, 0)
    match inside.shape:
        case Positional():
            return positional(inside, inside.shape, raw, depth)
        case Repeated():
            return repeated(inside, raw, depth)
        case Bitmapped():
            return bitmapped(inside, inside.shape, raw, depth)
        case Tagged():
            return tagged(inside, inside.shape, raw, depth)
        case Ber():
            return ber(inside, raw, depth)


def read_part(part: Element, raw: bytes, at: int, depth: int) -> tuple[Node, int]:
    """What stands there, and where it ends."""
    start, end, length = find(part, raw, at)
    value = read_value(part, raw, start, end, length)
    if part.inside is None:
        return value, end
    content = value if isinstance(value, bytes) else value.encode()
    try:
        return read_parts(part.inside, content, depth + 1), end
    except DecodeError as error:
        error.outwards(start, part.number)
        raise


def positional(inside: Inside, shape: Positional, raw: bytes, depth: int) -> Pairs:
    """Offsets in half bytes count these."""
    if shape.half_bytes:
        raw = raw.hex().upper().encode()
    at = 0
    for key, part in inside.elements.items():
        if at == len(raw) and shape.may_end_early:
            return
        value, at = read_part(part, raw, at, depth)
        yield key, value
    if at != len(raw):
        raise DecodeError(Problem.LEFTOVER, at)


def repeated(inside: Inside, raw: bytes, depth: int) -> Pairs:
    at, turn = 0, 0
    while at < len(raw):
        turn += 1
        parts: list[tuple[Key, Node]] = []
        for key, part in inside.elements.items():
            try:
                value, at = read_part(part, raw, at, depth)
            except DecodeError as error:
                error.outwards(0, turn)
                raise
            parts.append((key, value))
        yield turn, Parts(tuple(parts))


def bitmapped(inside: Inside, shape: Bitmapped, raw: bytes, depth: int) -> Pairs:
    at = shape.size * (2 if shape.coding is HEX else 1)
    bitmap = raw[:at]
    if len(bitmap) < at:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    if shape.coding is HEX:
        if bad := bitmap.translate(None, HEX_DIGITS):
            raise DecodeError(Problem.BAD_BITMAP, bitmap.index(bad[0]))
        bitmap = a2b_hex(bitmap)
    for number in numbers_in(bitmap):
        part = inside.elements.get(number)
        if part is None:
            raise DecodeError(Problem.UNKNOWN_FIELD, at, number)
        value, at = read_part(part, raw, at, depth)
        yield number, value
    if at != len(raw):
        raise DecodeError(Problem.LEFTOVER, at)


def tagged(inside: Inside, shape: Tagged, raw: bytes, depth: int) -> Pairs:
    for key, _, start, end in borders(inside, shape, raw):
        if start == 0:
            assert inside.lead is not None
            yield key, read_part(inside.lead, raw, 0, depth)[0]
        else:
            yield key, read_tagged(inside, str(key), raw[start:end], start, depth)


def borders(inside: Inside, shape: Tagged, raw: bytes) -> Iterator[tuple[Key, int, int, int]]:
    """Each tag, and where it, its value and the next one begin; a lead has no tag in front."""
    at, coding = 0, inside.coding
    if inside.lead is not None and raw and not as_digits(raw[:1], coding).isdigit():
        _, at, _ = find(inside.lead, raw, 0)
        yield inside.lead.number, 0, 0, at
    while at < len(raw):
        counted = at + shape.tag
        start = counted + shape.length
        tag = as_digits(raw[at:counted], coding)
        if counted > len(raw) or (coding is not RAW and not tag.isdigit()):
            raise DecodeError(Problem.BAD_TAG, at)
        key = tag.decode()
        length = as_digits(raw[counted:start], coding)
        if start > len(raw) or (coding is not RAW and not length.isdigit()):
            raise DecodeError(Problem.BAD_LENGTH, counted, key)
        end = start + int(length, 16 if coding is RAW else 10)
        if end > len(raw):
            raise DecodeError(Problem.LYING_LENGTH, counted, key)
        yield key, at, start, end
        at = end


def read_tagged(inside: Inside, key: str, value: bytes, start: int, depth: int) -> Node:
    """The value that a tag brought along, all of it; of an unknown tag as it is."""
    part = inside.elements.get(key)
    if part is None or (part.is_opaque and len(value) <= part.maximum):
        return value
    try:
        node, end = read_part(part, value, 0, depth)
        if end != len(value):
            raise DecodeError(Problem.LEFTOVER, end, key)
    except DecodeError as error:
        error.outwards(start)
        raise
    return node


def ber(inside: Inside, raw: bytes, depth: int) -> Pairs:
    at, size = 0, len(raw)
    while at < size:
        first = raw[at]
        if first == 0:  # between tags, zero bytes mean nothing (EMV 4.3 Book 3, Annex B1)
            at += 1
            continue
        counted = at + 1 if first & 0x1F != 0x1F else end_of_tag(raw, at)
        key = raw[at:counted].hex().upper()
        start = counted + 1
        length = raw[counted] if counted < size else LONG
        if length >= LONG:
            start, length = long_length(raw, counted, key)
        at = start + length
        if at > size:
            raise DecodeError(Problem.LYING_LENGTH, counted, key)
        value = raw[start:at]
        if first & 0x20 and key not in inside.elements:  # constructed: tags inside
            try:
                yield key, read_parts(inside, value, depth + 1)
            except DecodeError as error:
                error.outwards(start, key)
                raise
        else:
            yield key, read_tagged(inside, key, value, start, depth)


def end_of_tag(raw: bytes, at: int) -> int:
    """Behind a tag of several bytes: top bits announce another one."""
    end = at + 1
    while end < len(raw) and raw[end] & 0x80 and end - at < LONGEST_TAG:
        end += 1
    end += 1
    if end > len(raw) or end - at > LONGEST_TAG:
        raise DecodeError(Problem.BAD_TAG, at)
    return end


def long_length(raw: bytes, at: int, key: str) -> tuple[int, int]:
    """Where the value starts, and its length, which may have more bytes than it needs."""
    bytes_of_it = raw[at] & 0x7F if at < len(raw) else 0  # 0x80 would be an indefinite one
    start = at + 1 + bytes_of_it
    if not 0 < bytes_of_it <= LONGEST_LENGTH or start > len(raw):
        raise DecodeError(Problem.BAD_LENGTH, at, key)
    return start, int.from_bytes(raw[at + 1 : start], "big")
