"""One field or part, written in each coding."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.element import Codings, element
from iso8583.errors import EncodeError, Problem
from iso8583.field_writer import write_field, write_value
from iso8583.spec import ANS, BCD, EBCDIC, RAW, XN, Field, N, Pad, fixed, l1, rest

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]
HOST = Codings(lengths=RAW, numbers=BCD, binary=RAW, text=EBCDIC)


@pytest.mark.parametrize(
    ("number", "value", "in_ascii", "in_binary"),
    [
        (3, "000000", b"000000", b"\x00\x00\x00"),
        (19, "840", b"840", b"\x08\x40"),
        (28, "C00000001", b"C00000001", b"C\x00\x00\x00\x01"),
        (35, "41D3012", b"41D3012", b"\x04\x1d\x30\x12"),
        (35, "41=3012", b"41=3012", b"\x04\x1d\x30\x12"),
        (39, "00", b"00", b"00"),
        (52, b"\x9f\x26\x00\x00\x00\x00\x00\x01", b"9F26000000000001", b"\x9f\x26\0\0\0\0\0\x01"),
    ],
)
def test_values(number, value, in_ascii, in_binary):
    assert write_value(ASCII_1987.fields[number], value) == in_ascii
    assert write_value(BINARY_1987.fields[number], value) == in_binary


@pytest.mark.parametrize(
    ("row", "value", "wire"),
    [
        (Field(1, "text", ANS, l1(25)), "AB 1", "04c1c240f1"),
        (Field(1, "number", N, l1(19)), "123", "030123"),
        (Field(1, "right", N, l1(19), pad=Pad.RIGHT_F), "123", "03123f"),
        (Field(1, "signed", XN, fixed(5)), "D0012", "c40012"),
        (Field(1, "signed_text", XN, fixed(5), coding=EBCDIC), "D0012", "c4f0f0f1f2"),
        (Field(1, "rest", ANS, rest(5)), "AB", "c1c2"),
    ],
)
def test_values_of_a_host(row, value, wire):
    assert write_field(element(row, HOST, depth=2), value).hex() == wire


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("ABCDEF", Problem.WRONG_SIZE),
        (b"ABC", Problem.WRONG_TYPE),
        (None, Problem.WRONG_TYPE),
        ("é", Problem.BAD_CHARACTER),
        ("\0", Problem.BAD_CHARACTER),
    ],
)
def test_what_does_not_fit_is_refused(value, problem):
    field = element(Field("77", "rest", ANS, rest(5)), HOST, depth=2)
    with pytest.raises(EncodeError) as caught:
        write_field(field, value)
    assert (caught.value.problem, caught.value.path) == (problem, ("77",))
