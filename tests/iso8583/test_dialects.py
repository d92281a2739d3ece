"""The tables: whole, and those of 1987 drawn from one source."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.iso87_binary import ASCII_BINARY_BITMAP_1987, BINARY_1987
from iso8583.dialects.iso93_ascii import ASCII_1993
from iso8583.spec import B

# What describe, logs and traces must never show in clear.
SECRET = {2, 34, 35, 36, 45, 48, 52, 53, 55, 64, 96, 102, 103, 128}


def test_names():
    assert BY_NAME == {
        "iso87_ascii": ASCII_1987,
        "iso87_ascii_binary_bitmap": ASCII_BINARY_BITMAP_1987,
        "iso87_binary": BINARY_1987,
        "iso93_ascii": ASCII_1993,
    }


@pytest.mark.parametrize("dialect", BY_NAME.values(), ids=lambda d: d.name)
def test_every_field_but_65_is_there(dialect):
    assert set(dialect.fields) == set(range(2, 129)) - {65}
    assert {n for n, field in dialect.fields.items() if field.secret} >= SECRET
    assert all(field.secret for field in dialect.fields.values() if field.characters is B)


def test_the_dialects_of_1987_have_one_table():
    assert ASCII_1987.table == BINARY_1987.table == ASCII_BINARY_BITMAP_1987.table


# Where 1993 differs, in the notation of the standard.
FORMATS_1993 = {
    12: "n12", 15: "n6", 22: "ans12", 24: "n3", 25: "n4", 26: "n4", 28: "n6", 29: "n3", 30: "n24",
    31: "ans..99", 39: "n3", 43: "ans..99", 44: "ans..99", 53: "b..48", 56: "n..35", 71: "n8",
    72: "ans..999", 90: "n10", 93: "n..11", 94: "n..11", 95: "ans..99", 97: "xn17", 105: "n16",
}  # fmt: skip


def test_1993_has_its_own_formats_and_version():
    formats = {
        number: f"{field.characters.name.lower()}{'' if field.is_fixed else '..'}{field.maximum}"
        for number, field in ASCII_1993.fields.items()
    }
    assert {number: formats[number] for number in FORMATS_1993} == FORMATS_1993
    assert (ASCII_1987.version, BINARY_1987.version, ASCII_1993.version) == ("0", "0", "1")
