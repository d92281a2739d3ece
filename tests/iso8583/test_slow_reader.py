"""The walk along the table: borders, and what is yielded after a fault."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError, Problem
from iso8583.slow_reader import find, read_bitmaps, read_mti, read_value, walk

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]


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


def test_mti_and_bitmaps():
    raw = b"\x08\x00" + bytes.fromhex("82200000000000000400000000000000")
    assert read_mti(raw, BINARY_1987) == "0800"
    assert read_bitmaps(raw, BINARY_1987) == ((7, 11, 70), 18)
    with pytest.raises(DecodeError) as caught:
        read_bitmaps(raw[:-1], BINARY_1987)
    assert caught.value.problem is Problem.TOO_SHORT


def test_a_fault_between_certain_borders_does_not_end_the_walk():
    steps = list(walk(b"0000O0271828", ASCII_1987, (3, 11), 0))
    assert isinstance(steps[0], DecodeError)
    assert (steps[0].field, steps[0].offset) == (3, 4)
    assert steps[1:] == [(11, "271828")]


def test_an_uncertain_border_ends_the_walk():
    steps = list(walk(b"9900271828", ASCII_1987, (2, 11), 0))
    assert [step.field for step in steps if isinstance(step, DecodeError)] == [2]
    assert len(steps) == 1
