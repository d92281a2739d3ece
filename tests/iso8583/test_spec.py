"""A table with a mistake in it does not become a dialect."""

import pytest

from iso8583.spec import (
    ANS,
    ASCII,
    BCD,
    HEX,
    RAW,
    XN,
    B,
    Coding,
    Dialect,
    Field,
    N,
    Size,
    fixed,
    ll,
    lll,
)


def dialect(*table, binary=HEX):
    return Dialect("t", *table, mti=ASCII, bitmap=HEX, lengths=ASCII, numbers=ASCII, binary=binary)


MISTAKES = [
    ("stands twice", [Field(2, "a", N, ll(19)), Field(2, "b", N, ll(19))]),
    ("name stands twice", [Field(2, "a", N, ll(19)), Field(3, "a", N, ll(19))]),
    ("2 to 128", [Field(1, "a", B, fixed(8))]),
    ("2 to 128", [Field(129, "a", N, fixed(8))]),
    ("no third bitmap", [Field(65, "a", B, fixed(8))]),
    ("prefix is too small", [Field(2, "a", N, ll(100))]),
    ("prefix is too small", [Field(2, "a", N, lll(1000))]),
    ("prefix is too small", [Field(55, "a", B, lll(500))]),  # a thousand hexadecimal digits
    ("always empty", [Field(2, "a", N, Size(2, 0))]),
    ("hexadecimal or raw", [Field(2, "a", B, ll(8), coding=BCD)]),
    ("digits only", [Field(2, "a", ANS, ll(8), coding=BCD)]),
    ("text or in BCD", [Field(2, "a", N, ll(8), coding=RAW)]),
    ("fixed size", [Field(2, "a", XN, ll(9))]),
    ("even number", [Field(2, "a", XN, fixed(8))]),
]


@pytest.mark.parametrize(("words", "table"), MISTAKES)
def test_mistakes_are_refused(words, table):
    with pytest.raises(AssertionError, match=words):
        dialect(*table)


def test_raw_bytes_may_fill_their_prefix():
    assert dialect(Field(55, "a", B, lll(999)), binary=RAW).fields[55].maximum == 999


def test_a_row_may_overrule_its_dialect():
    made = dialect(Field(3, "b", N, fixed(6), coding=BCD), Field(2, "a", N, ll(19), prefix=BCD))
    assert list(made.fields) == [2, 3]
    assert made.fields[2].coding is ASCII
    assert made.fields[2].prefixes.write[19] == b"\x19"
    assert made.fields[3].coding is BCD
    assert all(field.coding is not Coding.DIALECT for field in made.fields.values())
