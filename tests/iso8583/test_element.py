"""Filling in rows: what a dialect decides, and what is no table."""

import pytest

from iso8583.element import DEPTH, Codings, element
from iso8583.spec import (
    ANS,
    ASCII,
    BCD,
    EBCDIC,
    HEX,
    RAW,
    XN,
    B,
    Ber,
    Bitmapped,
    Composite,
    Field,
    N,
    Positional,
    Repeated,
    Tagged,
    fixed,
    lll,
    rest,
)

HOST = Codings(lengths=RAW, numbers=BCD, binary=HEX, text=EBCDIC)


def part(key, size=None, **more) -> Field:
    return Field(key, f"part_{key}", ANS, size or fixed(1), **more)


def holding(shape, *table, characters=B) -> Field:
    return Field(48, "field", characters, lll(99), secret=True, inside=Composite(shape, table))


def test_parts_of_bytes_are_written_as_the_dialect_writes_fields():
    field = element(holding(Positional(), Field(1, "n", N, fixed(2)), part(2)), HOST)
    assert field.inside is not None
    first, second = field.inside.elements.values()
    assert (first.coding, second.coding, first.prefix) == (BCD, EBCDIC, RAW)
    assert element(holding(Ber(), Field("C1", "b", B, rest(9))), HOST).inside is not None


def test_parts_of_a_text_are_characters():
    row = holding(Tagged(tag=2, length=2), Field("01", "n", N, fixed(2)), characters=ANS)
    field = element(row, HOST)
    assert field.inside is not None
    assert (field.inside.coding, field.inside.elements["01"].coding) == (ASCII, ASCII)


def test_a_lead_is_a_part_in_front():
    field = element(holding(Tagged(tag=2, length=2, lead=part("tcc"))), HOST)
    assert field.inside is not None
    assert field.inside.lead is not None
    assert field.inside.lead.coding is EBCDIC


@pytest.mark.parametrize(
    ("row", "length", "size"),
    [
        (Field(1, "digits", N, lll(99)), 3, 2),
        (Field(1, "signed", XN, fixed(9)), 9, 5),
        (Field(1, "bytes", B, lll(99)), 3, 6),  # as hexadecimal digits
        (Field(1, "text", ANS, lll(99)), 3, 3),
    ],
)
def test_sizes_on_the_wire(row, length, size):
    assert element(row, HOST).wire_size(length) == size


def deep(levels: int) -> Field:
    row = part("01", rest(9))
    for _ in range(levels):
        row = Field(
            "01",
            "deeper",
            B,
            rest(9),
            secret=True,
            inside=Composite(Tagged(tag=2, length=2), (row,)),
        )
    return row


MISTAKES = [
    ("only parts take", Field(2, "a", ANS, rest(9))),
    ("it has no parts", holding(Positional())),
    ("it has no parts", holding(Bitmapped(8))),
    ("only bytes have halves", holding(Positional(half_bytes=True), part(1), characters=ANS)),
    ("stands twice", holding(Positional(), part(1), part(1))),
    ("name stands twice", holding(Positional(), part(1), Field(2, "part_1", ANS, fixed(1)))),
    ("only the last", holding(Positional(), part(1, rest(9)), part(2))),
    ("repeated parts are fixed", holding(Repeated(), part(1, rest(9)))),
    ("no bit for", holding(Bitmapped(3), part(25))),
    ("no bit for", holding(Bitmapped(3), part(0))),
    ("no bit for", holding(Bitmapped(3), part("1"))),
    ("none takes the rest", holding(Bitmapped(3), part(1, rest(9)))),
    ("hexadecimal or raw", holding(Bitmapped(3, BCD), part(1))),
    ("tags are text or bytes", holding(Tagged(tag=2, length=2, coding=BCD))),
    ("no digit tells", holding(Tagged(tag=1, length=2, coding=RAW, lead=part("tcc")))),
    ("always empty", holding(Positional(), part(1, fixed(0)))),
    ("signed amount", Field(2, "a", XN, fixed(9), inside=Composite(Ber(), ()))),
    ("signed amount", holding(Positional(), Field(1, "a", XN, rest(9)))),
    ("something secret", Field(2, "a", B, lll(9), inside=Composite(Ber(), ()))),
    (
        "something secret",
        Field(2, "a", B, lll(9), inside=Composite(Positional(), (part(1, secret=True),))),
    ),
    ("nested too deep", holding(Tagged(tag=2, length=2), deep(DEPTH))),
]


@pytest.mark.parametrize(("words", "row"), MISTAKES)
def test_mistakes_are_refused(words, row):
    with pytest.raises(AssertionError, match=words):
        element(row, HOST)


def test_as_deep_as_allowed():
    assert element(holding(Tagged(tag=2, length=2), deep(DEPTH - 2)), HOST)
