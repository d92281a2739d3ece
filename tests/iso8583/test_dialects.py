"""The tables: whole, drawn from one source, and hiding what is secret."""

import pytest

from iso8583.dialects import BY_NAME
from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.iso87_binary import ASCII_BINARY_BITMAP_1987, BINARY_1987
from iso8583.dialects.iso93_ascii import ASCII_1993
from iso8583.dialects.tables import changed
from iso8583.element import Inside
from iso8583.spec import B, Field, N, fixed

# What describe, logs and traces must never show in clear.
SECRET = {2, 34, 35, 36, 45, 48, 52, 53, 55, 64, 96, 102, 103, 128}
SECRET_NAMES = {
    "pan", "track_1", "track_2", "track_3", "track_2_contactless", "cardholder_name", "pin_block",
    "pin_block_secondary", "cvv2", "cvc2", "cvv2_request_data", "cavv", "ucaf", "ucaf_data",
    "script_command", "script_template_1", "script_template_2", "new_pin_block",
}  # fmt: skip
each_dialect = pytest.mark.parametrize("dialect", BY_NAME.values(), ids=lambda d: d.name)


def test_names():
    assert list(BY_NAME)[:3] == ["iso87_ascii", "iso87_ascii_binary_bitmap", "iso87_binary"]
    assert {"iso93_ascii", "visa", "mastercard", "postilion"} == set(list(BY_NAME)[3:])
    assert len({dialect.name for dialect in BY_NAME.values()}) == len(BY_NAME)


@each_dialect
def test_every_field_but_65_is_there(dialect):
    assert set(dialect.fields) == set(range(2, 129)) - {65}
    assert {n for n, field in dialect.fields.items() if field.secret} >= SECRET
    binary = {n for n, field in dialect.fields.items() if field.characters is B}
    open_to_all = {n for n in binary if not dialect.fields[n].secret}
    # Bytes are shown to nobody, but for those whose every part has a name and is no secret.
    assert open_to_all <= dialect.insides.keys()


def parts_of(inside: Inside):
    for part in [*inside.elements.values(), *filter(None, [inside.lead])]:
        yield part
        if part.inside is not None:
            yield from parts_of(part.inside)


@each_dialect
def test_parts_with_a_secret_name_are_secret(dialect):
    for inside in dialect.insides.values():
        for part in parts_of(inside):
            assert part.secret or part.name not in SECRET_NAMES, part.name


def test_the_dialects_of_1987_have_one_table():
    assert ASCII_1987.table == BINARY_1987.table == ASCII_BINARY_BITMAP_1987.table


def test_a_changed_table_says_only_what_changes():
    old, new = Field(3, "a", N, fixed(6)), Field(3, "a", N, fixed(4))
    assert changed((old,), new, Field(4, "b", N, fixed(1))) == (new, Field(4, "b", N, fixed(1)))
    with pytest.raises(AssertionError, match="field 3 is no change"):
        changed((old,), old)


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
