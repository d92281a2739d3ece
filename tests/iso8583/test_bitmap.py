"""Bits to numbers and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.bitmap import bitmap_of, numbers_in


@given(st.sets(st.integers(2, 128)))
def test_there_and_back(numbers):
    bitmap = bitmap_of(numbers)
    assert len(bitmap) == (16 if any(number > 64 for number in numbers) else 8)
    assert [number for number in numbers_in(bitmap) if number != 1] == sorted(numbers)
    assert (1 in numbers_in(bitmap)) == (len(bitmap) == 16)


@pytest.mark.parametrize("bit", range(1, 129))
def test_the_first_bit_is_the_leftmost(bit):
    assert numbers_in((1 << (128 - bit)).to_bytes(16, "big")) == [bit]


@pytest.mark.parametrize("number", [0, 1, 129])
def test_no_field_outside_2_to_128(number):
    with pytest.raises(AssertionError):
        bitmap_of([number])
