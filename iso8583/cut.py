"""Parts of a composite as bytes, without reading them: for who sends them back as they came."""

from iso8583.axes import RAW
from iso8583.bitmap import numbers_in
from iso8583.composite import Bitmapped, Tagged
from iso8583.composite_reader import announced, borders
from iso8583.element import Inside
from iso8583.errors import DecodeError, Key, PartError, Problem
from iso8583.field_reader import find


def cut(inside: Inside, number: int, raw: bytes, keys: tuple[Key, ...]) -> bytes:
    """A composite of those of the parts that are there; empty where none is.

    `keys` in the order of the table. What stands behind the last of them may be broken.

    Raises: PartError.
    """
    try:
        match inside.shape:
            case Bitmapped(coding=coding) if coding is RAW:
                return cut_bitmapped(inside, inside.shape, raw, keys)
            case Tagged():
                pairs = borders(inside, inside.shape, raw)
                return b"".join(raw[at:end] for key, at, _, end in pairs if key in keys)
    except DecodeError as error:
        fault = PartError(error.problem, error.offset, number, *error.path)
    else:
        raise AssertionError("no cutting of this shape")
    raise fault  # out here, so that it drags no context along


def cut_bitmapped(inside: Inside, shape: Bitmapped, raw: bytes, keys: tuple[Key, ...]) -> bytes:
    if len(raw) < shape.size:
        raise DecodeError(Problem.TOO_SHORT, len(raw))
    wanted = announced(shape, raw, keys)
    if not wanted:
        return b""
    bitmap, kept, end = bytearray(shape.size), bytearray(), shape.size
    for key in numbers_in(raw[: shape.size]):
        part = inside.elements.get(key)
        if part is None:
            raise DecodeError(Problem.UNKNOWN_FIELD, end, key)
        at, (_, end, _) = end, find(part, raw, end)
        if key in wanted:
            bitmap[(key - 1) >> 3] |= 128 >> ((key - 1) & 7)
            kept += raw[at:end]
            if key == wanted[-1]:
                break
    return bytes(bitmap + kept)
