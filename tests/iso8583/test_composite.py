"""Composites are data: equal when they say the same, and never changed."""

import pytest

from iso8583.composite import Ber, Bitmapped, Composite, Field, Positional, Repeated, Tagged
from iso8583.spec import DIALECT, N, Pad, fixed


def test_a_row_says_little_and_leaves_the_rest_open():
    row = Field("92", "cvc2", N, fixed(3))
    assert (row.coding, row.prefix, row.pad) == (DIALECT, DIALECT, Pad.LEFT_ZERO)
    assert (row.secret, row.lenient, row.inside) == (False, False, None)


@pytest.mark.parametrize(
    "shape", [Positional(), Repeated(), Tagged(tag=2, length=2), Ber(), Bitmapped(8)]
)
def test_composites_are_values(shape):
    made = [Composite(shape, (Field(1, "a", N, fixed(1)),)) for _ in range(2)]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    with pytest.raises(AttributeError):
        made[0].shape = Ber()  # type: ignore[misc]
