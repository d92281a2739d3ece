"""Putting composites together: what was read comes out again; what cannot be said is refused."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.codec import decode, encode
from iso8583.composite_reader import look_into
from iso8583.errors import EncodeError, Problem
from iso8583.parts import Parts
from iso8583.spec import (
    ANS,
    ASCII,
    HEX,
    RAW,
    B,
    Composite,
    Dialect,
    Field,
    N,
    Positional,
    Tagged,
    fixed,
    lll,
)
from tests.support.composites import EVERY_SHAPE, any_parts, each_composed


@each_composed
@given(seed=st.integers(0, 2**32))
def test_parts_that_are_written_are_read_back(dialect: Dialect, seed):
    randomly = Random(seed)
    chosen = randomly.sample(list(dialect.insides), randomly.randint(1, len(dialect.insides)))
    given_parts = {number: any_parts(dialect.insides[number], randomly, 12) for number in chosen}

    raw = encode("0100", given_parts, dialect)
    message = decode(raw, dialect)

    for number in chosen:
        parts = message.parts(number)
        assert parts is not None
        assert parts.to_dict() == given_parts[number]
    again = {number: message.parts(number) for number in chosen}
    assert encode("0100", again, dialect) == raw  # unknown tags too, byte for byte


def test_tags_that_stand_twice_are_written_twice():
    value = bytes.fromhex("C10101" + "7206C10105C10107" + "C10102")
    parts = look_into(EVERY_SHAPE.insides[55], 55, value)
    assert decode(encode("0100", {55: parts}, EVERY_SHAPE), EVERY_SHAPE)[55] == value


def test_long_values_have_long_lengths():
    for size in (127, 128, 240):
        raw = encode("0100", {55: {"C1": bytes(size)}}, EVERY_SHAPE)
        assert decode(raw, EVERY_SHAPE)[55, "C1"] == bytes(size)


def test_half_bytes_come_in_pairs():
    halves = Composite(
        Positional(may_end_early=True, half_bytes=True),
        (Field(1, "one", N, fixed(1)), Field(2, "two", N, fixed(2)), Field(3, "x", N, fixed(1))),
    )
    dialect = Dialect(
        "t", Field(60, "halves", B, lll(9), inside=halves), Field(2, "pan", N, fixed(1)),
        mti=ASCII, bitmap=RAW, lengths=ASCII, numbers=ASCII, binary=RAW,
    )  # fmt: skip
    raw = encode("0100", {2: "1", 60: {1: "4", 2: "05", 3: "1"}}, dialect)
    assert decode(raw, dialect)[60] == b"\x40\x51"
    with pytest.raises(EncodeError) as caught:
        encode("0100", {60: {1: "4", 2: "05"}}, dialect)
    assert (caught.value.problem, caught.value.path) == (Problem.WRONG_SIZE, (60,))


REFUSALS = [
    ({2: {1: "x"}}, Problem.WRONG_TYPE, (2,)),  # made of one piece
    ({3: {1: "x"}}, Problem.UNKNOWN_FIELD, (3,)),
    ({44: {}}, None, ()),
    ({44: {2: "Y"}}, Problem.MISSING_PART, (44, 1)),
    ({44: {1: "5", 2: "Y", 3: {1: "1"}}}, Problem.MISSING_PART, (44, 3, 2)),
    ({44: {1: "5", 9: "Y"}}, Problem.UNKNOWN_FIELD, (44, 9)),
    ({44: {1: "55"}}, Problem.WRONG_SIZE, (44, 1)),
    ({44: {1: b"5"}}, Problem.WRONG_TYPE, (44, 1)),
    ({44: {1: {1: "5"}}}, Problem.WRONG_TYPE, (44, 1)),
    ({48: {"92": "12"}}, Problem.WRONG_SIZE, (48, "92")),
    ({48: {"92": "12x"}}, Problem.BAD_CHARACTER, (48, "92")),
    ({48: {"92": "123", "tcc": "R"}}, Problem.UNKNOWN_FIELD, (48, "tcc")),  # not in front
    ({48: {"tcc": "9"}}, Problem.BAD_CHARACTER, (48, "tcc")),  # would be read as a tag
    ({48: {"9": b""}}, Problem.BAD_TAG, (48, "9")),
    ({48: {"٩٩": b""}}, Problem.BAD_TAG, (48, "٩٩")),
    ({48: {99: b""}}, Problem.BAD_TAG, (48, 99)),
    ({48: {"99": bytes(100)}}, Problem.WRONG_SIZE, (48, "99")),
    ({48: {"99": "text"}}, Problem.WRONG_TYPE, (48, "99")),
    ({48: {"42": {"01": "2122"}}}, Problem.WRONG_SIZE, (48, "42", "01")),
    ({54: {2: {1: "01", 2: "C", 3: "0100"}}}, Problem.MISSING_PART, (54, 1)),
    ({54: {1: "01C0100"}}, Problem.WRONG_TYPE, (54, 1)),
    ({54: {1: {1: "01", 2: "C"}}}, Problem.MISSING_PART, (54, 1, 3)),
    ({55: {"9F": b""}}, Problem.BAD_TAG, (55, "9F")),
    ({55: {"9f36": b"\0\1"}}, Problem.BAD_TAG, (55, "9f36")),
    ({55: {"00": b""}}, Problem.BAD_TAG, (55, "00")),
    ({55: {"C1C1": b""}}, Problem.BAD_TAG, (55, "C1C1")),
    ({55: {"DFFFFFFFFF01": b""}}, Problem.BAD_TAG, (55, "DFFFFFFFFF01")),
    ({55: {"72": b"\0"}}, Problem.WRONG_TYPE, (55, "72")),
    ({55: {"72": {"95": b"\0"}}}, Problem.WRONG_SIZE, (55, "72", "95")),
    ({55: {"C1": bytes(300)}}, Problem.WRONG_SIZE, (55,)),
    ({55: {"C1": bytes(70000)}}, Problem.WRONG_SIZE, (55, "C1")),
    ({56: {"1": b""}}, Problem.BAD_TAG, (56, "1")),
    ({56: {"0G": b""}}, Problem.BAD_TAG, (56, "0G")),
    ({62: {5: "x"}}, Problem.UNKNOWN_FIELD, (62, 5)),
    ({62: {2: "123"}}, Problem.WRONG_SIZE, (62, 2)),
    ({127: {25: {3: {"95": b""}}}}, Problem.WRONG_SIZE, (127, 25, 3, "95")),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "problem", "path"), REFUSALS)
def test_refusals(fields, problem, path):
    if problem is None:
        assert decode(encode("0100", fields, EVERY_SHAPE), EVERY_SHAPE)[44] == ""
        return
    with pytest.raises(EncodeError) as caught:
        encode("0100", fields, EVERY_SHAPE)
    assert (caught.value.problem, caught.value.path) == (problem, path)
    assert caught.value.__context__ is None


def test_a_part_is_put_in_once():
    with pytest.raises(EncodeError) as caught:
        encode("0100", {62: Parts(((1, "Y"), (1, "Y")))}, EVERY_SHAPE)
    assert (caught.value.problem, caught.value.path) == (Problem.UNKNOWN_FIELD, (62, 1))


def test_depth_has_a_bound():
    deep: dict = {}
    for _ in range(9):
        deep = {"E1": deep}
    with pytest.raises(EncodeError) as caught:
        encode("0100", {55: deep}, EVERY_SHAPE)
    assert caught.value.problem is Problem.TOO_DEEP


def test_an_unknown_tag_in_a_text_must_be_text():
    tlv = Composite(Tagged(tag=2, length=2), ())
    in_text = Dialect(
        "t", Field(48, "tlv", ANS, lll(99), secret=True, inside=tlv),
        mti=ASCII, bitmap=RAW, lengths=ASCII, numbers=ASCII, binary=HEX,
    )  # fmt: skip
    raw = encode("0100", {48: {"01": b"ab"}}, in_text)
    assert decode(raw, in_text)[48] == "0102ab"
    assert decode(raw, in_text)[48, "01"] == b"ab"
    with pytest.raises(EncodeError) as caught:
        encode("0100", {48: {"01": b"\xff"}}, in_text)
    assert (caught.value.problem, caught.value.path) == (Problem.BAD_CHARACTER, (48,))
