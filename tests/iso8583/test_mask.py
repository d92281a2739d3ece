"""At most ten digits of a card number are ever shown, of anything else none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.mask import mask_pan


@pytest.mark.parametrize("length", range(64))
def test_every_length(length):
    pan = (string.digits[1:] * 8)[:length]
    masked = mask_pan(pan)
    assert len(masked) == length
    if 13 <= length <= 19:
        assert masked == pan[:6] + "*" * (length - 10) + pan[-4:]
    else:
        assert masked == "*" * length


@given(st.text(max_size=60))
def test_anything_shows_ten_characters_at_most(text):
    masked = mask_pan(text)
    assert len(masked) == len(text)
    assert sum(character != "*" for character in masked) <= 10
    if not 13 <= len(text) <= 19:
        assert set(masked) <= {"*"}


@pytest.mark.parametrize(
    "odd", ["4000001234567899=30", "4000001234567 99", "400000123456789é", "٤" * 16]
)
def test_what_is_not_all_digits_is_hidden_whole(odd):
    assert mask_pan(odd) == "*" * len(odd)
