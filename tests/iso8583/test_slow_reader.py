"""The walk along the table: MTI, bitmaps, and what is yielded after a fault."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError, Problem
from iso8583.slow_reader import read_bitmaps, read_mti, walk

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]


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
