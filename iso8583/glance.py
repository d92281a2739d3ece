"""A few parts of a composite, without opening the rest of it: for who reads every message.

`look_into` takes a composite apart, all of it and to the bottom: 3 to 9 µs. Who wants one or two
parts looks here, for 1 to 2: it walks from border to border as far as the last of them, and
opens nothing. What stands behind may be broken: nobody has looked.
"""

from binascii import a2b_hex

from iso8583.axes import HEX, RAW
from iso8583.bitmap import numbers_in
from iso8583.composite import Bitmapped, Positional, Tagged
from iso8583.composite_reader import tagged_borders
from iso8583.element import Inside
from iso8583.errors import DecodeError, Key, PartError, Problem
from iso8583.field_reader import HEX_DIGITS, find, read_value
from iso8583.parts import Value

Found = dict[Key, Value]


def glance(inside: Inside, number: int, value: Value, keys: tuple[Key, ...]) -> Found:
    """Those of the parts that are there, closed. `keys` in the order of the table.

    Raises: PartError, for what stands in front of the last of them and is broken.
    """
    raw = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    try:
        match inside.shape:
            case Bitmapped():
                return bitmapped(inside, inside.shape, raw, keys)
            case Tagged():
                return tagged(inside, inside.shape, raw, keys)
            case Positional() if not inside.shape.half_bytes:
                return positional(inside, inside.shape, raw, keys)
    except DecodeError as error:
        fault = PartError(error.problem, error.offset, number, *error.path)
    else:
        raise AssertionError("no glance into this shape")
    raise fault  # out here, so that it drags no context along


def bitmapped(inside: Inside, shape: Bitmapped, raw: bytes, keys: tuple[Key, ...]) -> Found:
    at = shape.size * (2 if shape.coding is HEX else 1)
    bitmap = raw[:at]
    if len(bitmap) < at:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    if shape.coding is HEX:
        if bad := bitmap.translate(None, HEX_DIGITS):
            raise DecodeError(Problem.BAD_BITMAP, bitmap.index(bad[0]))
        bitmap = a2b_hex(bitmap)
    found: Found = {}
    announced = numbers_in(bitmap)
    last = max((key for key in announced if key in keys), default=0)
    for key in announced:
        if key > last:
            break
        part = inside.elements.get(key)
        if part is None:
            raise DecodeError(Problem.UNKNOWN_FIELD, at, key)
        start, at, length = find(part, raw, at)
        if key in keys:
            found[key] = read_value(part, raw, start, at, length)
    return found


def tagged(inside: Inside, shape: Tagged, raw: bytes, keys: tuple[Key, ...]) -> Found:
    """Of a tag that stands twice, the first; all of it is walked, since tags have no order."""
    found: Found = {}
    for key, start, end in tagged_borders(inside, shape, raw):
        part = inside.lead if start == 0 else inside.elements.get(key)
        if part is not None and key in keys and key not in found:
            found[key] = whole(raw[start:end], part.number, inside, start)
    return found


def whole(value: bytes, key: Key, inside: Inside, at: int) -> Value:
    part = inside.lead if at == 0 and inside.lead is not None else inside.elements[key]
    try:
        start, end, length = find(part, value, 0)
        if end != len(value):
            raise DecodeError(Problem.LEFTOVER, end, key)
        return read_value(part, value, start, end, length)
    except DecodeError as error:
        error.outwards(at)
        raise
