"""A card number is read and never shown."""

import pickle
from copy import copy

import msgspec
import pytest

from ledger.clearing.pan import Pan

DIGITS = "9999991234567890"


def test_it_shows_six_and_four() -> None:
    pan = Pan(DIGITS)
    for shown in (repr(pan), str(pan), f"{pan}", f"{pan!r:>40}".strip(), f"{pan.masked}"):
        assert DIGITS[6:12] not in shown
        assert "999999******7890" in shown
    assert pan.reveal() == DIGITS


def test_a_short_one_shows_nothing() -> None:
    assert Pan("123456789012").masked == "*" * 12


@pytest.mark.parametrize("digits", ["", "12345678901", "1" * 20, "99999912345678O0", "١" * 16])
def test_what_is_none_is_not_repeated(digits: str) -> None:
    with pytest.raises(ValueError, match=r"^not a card number$"):
        Pan(digits)


def test_it_cannot_be_stored() -> None:
    for store in (pickle.dumps, copy, msgspec.json.encode, msgspec.msgpack.encode):
        with pytest.raises(TypeError):
            store(Pan(DIGITS))


def test_the_same_digits_are_the_same() -> None:
    assert Pan(DIGITS) == Pan(DIGITS)
    assert hash(Pan(DIGITS)) == hash(Pan(DIGITS))
    assert Pan(DIGITS) != DIGITS
