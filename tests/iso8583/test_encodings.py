"""Length prefixes: every one that may be, and no other."""

import pytest

from iso8583.axes import ASCII, BCD
from iso8583.encodings import prefixes

ROWS = [
    # digits max coding  counts  length  wire
    (2, 19, ASCII, 1, 16, b"16"),
    (2, 19, ASCII, 1, 0, b"00"),
    (3, 999, ASCII, 1, 151, b"151"),
    (3, 255, ASCII, 2, 151, b"302"),
    (2, 19, BCD, 1, 16, b"\x16"),
    (3, 255, BCD, 1, 151, b"\x01\x51"),
    (3, 255, BCD, 2, 151, b"\x03\x02"),
]


@pytest.mark.parametrize(("digits", "maximum", "coding", "counts", "length", "wire"), ROWS)
def test_prefixes(digits, maximum, coding, counts, length, wire):
    table = prefixes(digits, maximum, coding, counts)
    assert table.size == len(wire)
    assert table.write[length] == wire
    assert table.read[wire] == length
    assert len(table.write) == len(table.read) == maximum + 1
    assert not any(prefix.translate(None, table.digits) for prefix in table.read)


def test_odd_lengths_of_hexadecimal_do_not_exist():
    assert b"301" not in prefixes(3, 255, ASCII, 2).read
