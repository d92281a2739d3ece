"""Parts that are sent back as they came."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.composite_reader import glance, look_into
from iso8583.cut import cut
from iso8583.dialects import BY_NAME
from iso8583.errors import PartError
from tests.support.iso import damaged

VISA, MASTERCARD = BY_NAME["visa"].insides, BY_NAME["mastercard"].insides
PAYMENT = bytes.fromhex("E000000000000000" + "E8" + "0306073123456789" + "C1C2F1F2")
ADDITIONAL = "R6105100006315MCCABC1230322  9203123".encode("cp037")
CUTS = [
    (VISA[62], 62, PAYMENT, (2,), {2: "306073123456789"}),
    (VISA[62], 62, PAYMENT, (1, 3), {1: "Y", 3: "AB12"}),
    (VISA[62], 62, PAYMENT, (11,), {}),
    (MASTERCARD[48], 48, ADDITIONAL, ("tcc", "63"),
     {"tcc": "R", "63": {1: "MCCABC123", 2: "0322  "}}),
    (MASTERCARD[48], 48, ADDITIONAL, ("92",), {"92": "123"}),
    (MASTERCARD[48], 48, b"", ("tcc",), {}),
]  # fmt: skip


@pytest.mark.parametrize(("inside", "number", "raw", "keys", "expected"), CUTS)
def test_a_cut_reads_as_those_parts(inside, number, raw, keys, expected):
    kept = cut(inside, number, raw, keys)
    if kept:
        assert look_into(inside, number, kept).to_dict() == expected
    else:
        assert not expected


def test_what_stands_behind_the_last_of_them_is_not_looked_at():
    assert cut(VISA[62], 62, PAYMENT[:-1], (2,)) == cut(VISA[62], 62, PAYMENT, (2,))


@pytest.mark.parametrize(
    ("inside", "number", "raw", "keys"),
    [
        (VISA[62], 62, b"\x40", (2,)),
        (VISA[62], 62, PAYMENT[:12], (2,)),
        (VISA[62], 62, bytes.fromhex("0000500000000000"), (20,)),
        (MASTERCARD[48], 48, ADDITIONAL[:-1], ("tcc",)),
        (MASTERCARD[48], 48, b"\xd9\xf6", ("tcc",)),
    ],
)
def test_what_is_broken_is_named(inside, number, raw, keys):
    with pytest.raises(PartError) as caught:
        cut(inside, number, raw, keys)
    assert caught.value.field == number


@pytest.mark.parametrize(("inside", "number", "raw", "keys", "expected"), CUTS)
@given(data=st.data())
def test_any_bytes_are_cut_or_refused(inside, number, raw, keys, expected, data):
    for wrong in (data.draw(damaged(raw)), data.draw(st.binary(max_size=40))):
        for look in (cut, glance):
            with suppress(PartError):
                look(inside, number, wrong, keys)
