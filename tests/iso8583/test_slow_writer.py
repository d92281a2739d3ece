"""Whole messages, written from the table."""

from iso8583.dialects import BY_NAME
from iso8583.slow_writer import write

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]


def test_whole_messages():
    fields = {70: "301", 2: "12345"}
    assert write("0800", fields, ASCII_1987) == (
        b"0800" + b"C000000000000000" + b"0400000000000000" + b"0512345" + b"301"
    )
    assert write("0800", fields, BINARY_1987) == bytes.fromhex(
        "0800C0000000000000000400000000000000050123450301"
    )
