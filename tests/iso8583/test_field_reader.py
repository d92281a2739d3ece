"""One field or part: its borders and its value, in each coding."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.element import Codings, Element, element
from iso8583.errors import DecodeError, Problem
from iso8583.field_reader import find, read_value
from iso8583.spec import ANS, ASCII, BCD, EBCDIC, HEX, RAW, XN, B, Field, N, Pad, fixed, ll, rest

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]
HOST = Codings(lengths=RAW, numbers=BCD, binary=RAW, text=EBCDIC)


@pytest.mark.parametrize(
    ("dialect", "number", "raw", "borders"),
    [
        (ASCII_1987, 4, b"000000012550", (0, 12, 12)),
        (ASCII_1987, 2, b"054000012", (2, 7, 5)),
        (ASCII_1987, 55, b"0049F26", (3, 7, 2)),
        (BINARY_1987, 19, b"\x08\x40", (0, 2, 3)),
        (BINARY_1987, 2, b"\x05\x04\x00\x00", (1, 4, 5)),
        (BINARY_1987, 28, b"C\x00\x00\x00\x01", (0, 5, 9)),
        (BINARY_1987, 48, b"\x00\x02ab", (2, 4, 2)),
    ],
)
def test_borders(dialect, number, raw, borders):
    assert find(dialect.fields[number], raw, 0) == borders
    with pytest.raises(DecodeError):
        find(dialect.fields[number], raw[: borders[1] - 1], 0)


def test_values():
    assert read_value(BINARY_1987.fields[28], b"C\x00\x00\x00\x01", 0, 5, 9) == "C00000001"
    assert read_value(BINARY_1987.fields[19], b"\x08\x40", 0, 2, 3) == "840"
    assert read_value(ASCII_1987.fields[55], b"9f26", 0, 4, 2) == b"\x9f\x26"


def part(*row, **open_ends) -> Element:
    return element(Field(1, "part", *row, **open_ends), HOST, depth=2)


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        (part(ANS, fixed(4)), "c1c240f1", "AB 1"),
        (part(N, fixed(3), coding=EBCDIC), "f0f1f2", "012"),
        (part(XN, fixed(5)), "c30012", "C0012"),
        (part(XN, fixed(5), coding=EBCDIC), "c4f0f0f1f2", "D0012"),
        (part(N, ll(19)), "0003" + "0123", "123"),
        (part(N, ll(19), pad=Pad.RIGHT_F), "0003" + "123f", "123"),
        (part(N, ll(19), pad=Pad.RIGHT_F, lenient=True), "0003" + "0123", "123"),
        (part(N, ll(19), lenient=True), "0003" + "123f", "123"),
        (part(N, ll(19), lenient=True), "0003" + "0123", "123"),
        (part(N, rest(19)), "0123", "0123"),
        (part(ANS, ll(19), prefix=EBCDIC), "f0f2" + "c1c2", "AB"),
        (part(B, rest(19), coding=HEX), "4142", b"\xab"),
        (part(ANS, rest(19), coding=ASCII), "", ""),
    ],
)
def test_values_in_every_coding(field, raw, value):
    raw = bytes.fromhex(raw)
    if isinstance(value, bytes):
        raw = b"AB"
    start, end, length = find(field, raw, 0)
    assert end == len(raw)
    assert read_value(field, raw, start, end, length) == value


@pytest.mark.parametrize(
    ("field", "raw", "problem", "offset"),
    [
        (part(ANS, fixed(2)), b"\xc1\x00", Problem.BAD_CHARACTER, 1),
        (part(ANS, fixed(2)), b"\xc1A", Problem.BAD_CHARACTER, 1),  # ASCII among EBCDIC
        (part(XN, fixed(5)), b"C\x00\x12", Problem.BAD_CHARACTER, 0),  # the sign too
        (part(N, ll(19)), b"\x00\x03\x12\x3f", Problem.BAD_PADDING, 2),
        (part(N, ll(19), lenient=True), b"\x00\x03\x12\x34", Problem.BAD_PADDING, 2),
        (part(N, ll(19), lenient=True), b"\x00\x03\xf1\x2f", Problem.BAD_CHARACTER, 2),
        (part(N, rest(3)), b"\x01\x23", Problem.LYING_LENGTH, 0),
        (part(B, ll(9)), b"\x00", Problem.SHORT_FIELD, 0),
        (part(B, ll(9)), b"\x00\x0a", Problem.LYING_LENGTH, 0),  # above its maximum
        (part(B, ll(9), prefix=BCD), b"\x1f", Problem.BAD_LENGTH, 0),
        (part(B, rest(9), coding=HEX), b"ABC", Problem.SHORT_FIELD, 0),
    ],
)
def test_refusals_in_every_coding(field, raw, problem, offset):
    with pytest.raises(DecodeError) as caught:
        read_value(field, raw, *find(field, raw, 0))
    assert (caught.value.problem, caught.value.path, caught.value.offset) == (problem, (1,), offset)
