"""Length prefixes: every one that may be, and no other."""

import pytest

from iso8583.axes import ASCII, BCD, EBCDIC, PRINTABLE, RAW
from iso8583.encodings import FROM_EBCDIC, TO_EBCDIC, as_digits, prefixes

ROWS = [
    # digits max coding  counts  length  wire
    (2, 19, ASCII, 1, 16, b"16"),
    (2, 19, ASCII, 1, 0, b"00"),
    (3, 999, ASCII, 1, 151, b"151"),
    (3, 255, ASCII, 2, 151, b"302"),
    (2, 19, BCD, 1, 16, b"\x16"),
    (3, 255, BCD, 1, 151, b"\x01\x51"),
    (3, 255, BCD, 2, 151, b"\x03\x02"),
    (2, 19, EBCDIC, 1, 16, b"\xf1\xf6"),
    (1, 255, RAW, 1, 151, b"\x97"),
    (2, 999, RAW, 1, 513, b"\x02\x01"),
]


@pytest.mark.parametrize(("digits", "maximum", "coding", "counts", "length", "wire"), ROWS)
def test_prefixes(digits, maximum, coding, counts, length, wire):
    table = prefixes(digits, maximum, coding, counts)
    assert table.size == len(wire)
    assert table.write[length] == wire
    assert table.read[wire] == length
    assert len(table.write) == len(table.read) == maximum + 1
    assert not any(prefix.translate(None, table.digits) for prefix in table.read)


def test_ebcdic_and_back():
    assert PRINTABLE.translate(TO_EBCDIC) == PRINTABLE.decode().encode("cp037")
    assert PRINTABLE.translate(TO_EBCDIC).translate(FROM_EBCDIC) == PRINTABLE
    rest = bytes(set(range(256)) - set(PRINTABLE.translate(TO_EBCDIC)))
    assert set(rest.translate(FROM_EBCDIC)) == {0}


@pytest.mark.parametrize(
    ("raw", "coding", "digits"),
    [(b"42", ASCII, b"42"), (b"\xf4\xf2", EBCDIC, b"42"), (b"\x4f", RAW, b"4F")],
)
def test_tags_and_lengths_as_digits(raw, coding, digits):
    assert as_digits(raw, coding) == digits


def test_odd_lengths_of_hexadecimal_do_not_exist():
    assert b"301" not in prefixes(3, 255, ASCII, 2).read
