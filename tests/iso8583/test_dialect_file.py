"""Dialects out of files: what they mean, and that each mistake is named by its place."""

import tomllib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.codec import decode, encode
from iso8583.dialect_file import DialectFileError, make_dialect
from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError
from tests.support.iso import damaged, field_sets, mtis

CHANGED = """
name = "North switch"
based_on = "iso87_ascii"
lengths = "bcd"
remove = [120, 121]

[field.48]
max = 255
prefix = 3

[field.121]
name = "loyalty"
kind = "ans"
length = 12
secret = false

[field.62]
kind = "b"
coding = "raw"
max = 99
"""
OWN = """
name = "From nothing"
version = "1"
mti = "bcd"
bitmap = "raw"
lengths = "bcd"
numbers = "bcd"
binary = "raw"

[field]
2 = { name = "pan", kind = "n", max = 19, prefix = 2, pad = "right_f" }
3 = { name = "processing_code", kind = "n", length = 6, secret = false }
11 = { name = "stan", kind = "n", length = 6, secret = false }
28 = { name = "fee", kind = "xn", length = 9 }
41 = { name = "terminal", kind = "ans", length = 8, coding = "ascii" }
52 = { name = "pin", kind = "b", length = 8 }
60 = { name = "note", kind = "an", max = 300, prefix = 3, prefix_coding = "ascii" }
"""


def make(text: str):
    return make_dialect("north.toml", tomllib.loads(text))


def test_a_base_with_changes():
    base, dialect = BY_NAME["iso87_ascii"], make(CHANGED)

    assert set(dialect.fields) == set(base.fields) - {120}
    assert (dialect.name, dialect.version) == ("North switch", "0")
    rows, base_rows = set(dialect.table), set(base.table)
    changed = {row.number for row in rows - base_rows}
    assert changed == {48, 62, 121}
    assert dialect.fields[48].maximum == 255
    assert (dialect.fields[121].name, dialect.fields[121].secret) == ("loyalty", False)
    raw = encode("0100", {2: "4000001234567899", 48: "AB", 62: b"\x00\xff"}, dialect)
    assert raw.hex().endswith("0002" + "4142" + "0002" + "00ff")


def test_from_nothing():
    dialect = make(OWN)
    fields = {2: "123", 3: "000000", 11: "000001", 28: "C00000100", 60: "note"}

    raw = encode("1100", fields, dialect)

    assert raw.hex() == "1100" + "6020001000000010" + "03123f" + "000000" + "000001" + (
        "43" + "00000100" + "303034" + "6e6f7465"
    )
    assert decode(raw, dialect).to_dict() == fields
    assert [n for n, field in dialect.fields.items() if field.secret] == [2, 28, 41, 52, 60]


DIALECTS = [make(CHANGED), make(OWN)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(mti=mtis, data=st.data())
def test_it_reads_what_it_writes_and_refuses_the_rest(dialect, mti, data):
    fields = data.draw(field_sets(dialect))
    raw = encode(mti, fields, dialect)
    assert decode(raw, dialect).to_dict() == fields
    with suppress(DecodeError):
        decode(data.draw(damaged(raw)), dialect)


def own(field: str) -> str:
    return OWN + field


def four(rest: str) -> str:
    """With a field 4 of that kind."""
    return own(f"4 = {{ name = 'x', kind = {rest} }}")


MISTAKES = [
    ("", "name"),
    ("name = 1", "name: expected `str`"),
    ("name = 'x'", "mti: missing; it may be left out only with based_on"),
    ("name = 'x'\nbased_on = 'y'", "based_on: unknown; known are iso87_ascii"),
    ("name = 'x'\nspelling = 'y'", "unknown field `spelling`"),
    ("name = 'x'\nversion = '11'\nbased_on = 'iso87_ascii'", "version: "),
    ("name = 'x'\nlengths = 'hex'\nbased_on = 'iso87_ascii'", "lengths: unknown; known are"),
    ("name = 'x'\nbased_on = 'iso87_ascii'\nremove = [65]", "remove: there is no field 65"),
    ("name = 'x'\nbased_on = 'iso87_ascii'\nremove = ['2']", "remove[0]: expected `int`"),
    ("name = 'x'\nbased_on = 'iso87_ascii'\nfield = 3", "field: is a table"),
    ("name = 'x'\nbased_on = 'iso87_ascii'\n[field]\n3 = 6", "field 3: is a table"),
    (OWN[: OWN.index("[field]")], "field: there is none"),
    (own("1 = {}"), "field 1: fields are 2 to 128 without 65"),
    (own("65 = {}"), "field 65: fields are 2 to 128 without 65"),
    (own("129 = {}"), "field 129: fields are"),
    (own("007 = {}"), "field 007: fields are"),
    (own("pan = {}"), "field pan: fields are"),
    (own("4 = {}"), "field 4, name: missing"),
    (own("4 = { name = 'x' }"), "field 4, kind: missing"),
    (four("'n'"), "field 4, length: missing"),
    (four("'n', max = 5"), "field 4, prefix: missing"),
    (four("'n', length = 5, prefix = 2"), "field 4, prefix: not beside"),
    (four("'n', length = 5, max = 5"), "field 4, max: not beside"),
    (four("'n', length = 0"), "field 4, length: expected `int` >= 1"),
    (four("'n', max = 10000, prefix = 5"), "field 4, max: expected `int`"),
    (four("'n', max = 100, prefix = 2"), "field 4, prefix: too small"),
    (four("'n', length = '6'"), "field 4, length: expected `int | null`"),
    (four("'q', length = 6"), "field 4, kind: unknown; known are n, a,"),
    (four("'n', length = 6, coding = 'q'"), "field 4, coding: unknown"),
    (four("'n', length = 6, pad = 'q'"), "field 4, pad: unknown"),
    (four("'ans', length = 6, coding = 'bcd'"), "field 4, coding: does not"),
    (four("'b', length = 6, coding = 'ascii'"), "field 4, coding: does not"),
    (four("'n', max = 6, prefix = 2, prefix_coding = 'hex'"),
     "field 4, prefix_coding: a length"),
    (four("'xn', length = 8"), "field 4, length: of a signed amount"),
    (own("4 = { name = 'pan', kind = 'n', length = 6 }"), "field 4, name: field 2 has this name"),
    (own("4 = { name = 'A Name', kind = 'n', length = 6 }"), "field 4, name: "),
    (four("'b', length = 6, secret = false"), "field 4, secret: "),
    (own("35 = { name = 'x', kind = 'z', length = 37, secret = false }"), "field 35, sec"),
    (four("'n', length = 6, parts = []"), "field 4: "),
    (CHANGED + "[field.39]\nprefix = 2", "field 39, max: missing beside prefix"),
    (CHANGED.replace("prefix = 3", "prefix = 2"), "field 48, prefix: too small"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_is_named_by_file_field_and_key(text, said):
    with pytest.raises(DialectFileError) as caught:
        make(text)
    assert str(caught.value).startswith("north.toml: ")
    assert said in str(caught.value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)  # fmt: skip
keys = st.sampled_from(["name", "kind", "length", "max", "prefix", "secret", "coding", "pad"])
some = st.sampled_from(["n", "b", "xn", "bcd", "hex", "raw", "left_zero", "x"]) | st.integers(
    -1, 99
)


@given(
    st.dictionaries(
        st.sampled_from(["2", "3", "39", "48", "128", "65", "x"]),
        st.dictionaries(keys, some | plain, max_size=5) | plain,
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(["mti", "bitmap", "lengths", "remove", "version"]), plain | some
    ),
)
def test_whatever_a_file_says_is_a_dialect_or_a_named_mistake(fields, axes):
    content = {"name": "x", "based_on": "iso87_ascii", "field": fields} | axes
    try:
        dialect = make_dialect("x.toml", content)
    except DialectFileError as error:
        said = str(error)
    else:
        said = f"x.toml: {len(dialect.fields)} fields"
    assert said.startswith("x.toml: ")


@pytest.mark.parametrize("name", BY_NAME)
def test_any_of_ours_may_be_the_base_and_keeps_its_parts(name):
    base = BY_NAME[name]
    dialect = make(f"name = 'x'\nbased_on = '{name}'\n[field.41]\nmax = 20\nprefix = 2\n")

    assert dialect.fields[41].maximum == 20
    assert (dialect.codings, dialect.version) == (base.codings, base.version)
    assert dialect.insides == base.insides
    message = {11: "271828", 41: "TERMINAL 0042", 49: "840"}
    assert decode(encode("0100", message, dialect), dialect).to_dict() == message


def test_the_words_of_a_mainframe():
    dialect = make(
        OWN.replace('lengths = "bcd"', 'lengths = "raw"\ntext = "ebcdic"')
        .replace('mti = "bcd"', 'mti = "ebcdic"')
        .replace('prefix_coding = "ascii"', 'prefix_coding = "ebcdic"')
    )
    raw = encode("1100", {2: "12", 41: "TERM0001", 60: "A1"}, dialect)

    assert raw.hex() == "f1f1f0f0" + "4000000000800010" + "000212" + (
        b"TERM0001".hex() + "f0f0f2" + "c1f1"
    )
    assert decode(raw, dialect).to_dict() == {2: "12", 41: "TERM0001", 60: "A1"}


def test_another_kind_has_no_parts():
    as_text = "kind = 'ans'\ncoding = 'ebcdic'\nsecret = false"
    dialect = make(f"name = 'x'\nbased_on = 'mastercard'\n[field.48]\n{as_text}")

    assert (48 in BY_NAME["mastercard"].insides, 48 in dialect.insides) == (True, False)
    assert not dialect.fields[48].secret


def test_bytes_with_parts_stay_as_hidden_as_they_are():
    shorter = make("name = 'x'\nbased_on = 'visa'\n[field.62]\nmax = 99\nprefix = 1\n")
    assert (shorter.fields[62].secret, 62 in shorter.insides) == (False, True)
    for base, number in (("mastercard", 48), ("visa", 126)):
        with pytest.raises(DialectFileError, match=f"field {number}, secret: "):
            make(f"name = 'x'\nbased_on = '{base}'\n[field.{number}]\nsecret = false\n")
