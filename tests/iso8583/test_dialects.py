"""The 1987 tables: whole, and drawn from one source."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.iso87_binary import ASCII_BINARY_BITMAP_1987, BINARY_1987
from iso8583.spec import B

# What describe, logs and traces must never show in clear.
SECRET = {2, 34, 35, 36, 45, 48, 52, 53, 55, 64, 96, 102, 103, 128}


def test_names():
    assert BY_NAME == {
        "iso87_ascii": ASCII_1987,
        "iso87_ascii_binary_bitmap": ASCII_BINARY_BITMAP_1987,
        "iso87_binary": BINARY_1987,
    }


@pytest.mark.parametrize("dialect", BY_NAME.values(), ids=lambda d: d.name)
def test_every_field_but_65_is_there(dialect):
    assert set(dialect.fields) == set(range(2, 129)) - {65}
    assert {n for n, field in dialect.fields.items() if field.secret} >= SECRET
    assert all(field.secret for field in dialect.fields.values() if field.characters is B)


def test_the_dialects_of_1987_have_one_table():
    assert ASCII_1987.table == BINARY_1987.table == ASCII_BINARY_BITMAP_1987.table
