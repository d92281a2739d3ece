"""Each coding, written from the table."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.slow_writer import write, write_value

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]


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


def test_whole_messages():
    fields = {70: "301", 2: "12345"}
    assert write("0800", fields, ASCII_1987) == (
        b"0800" + b"C000000000000000" + b"0400000000000000" + b"0512345" + b"301"
    )
    assert write("0800", fields, BINARY_1987) == bytes.fromhex(
        "0800C0000000000000000400000000000000050123450301"
    )
