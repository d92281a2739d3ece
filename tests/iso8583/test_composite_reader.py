"""Looking into composites: every shape, the lies a peer can tell, and any bytes at all."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.codec import decode, encode, look_everywhere
from iso8583.composite import Ber, Repeated
from iso8583.composite_reader import glance, look_into
from iso8583.element import Inside
from iso8583.errors import DecodeError, PartError, Problem
from iso8583.field_writer import write_text
from iso8583.message import Message
from iso8583.parts import Value
from iso8583.spec import EBCDIC, Dialect
from tests.support.composites import EVERY_SHAPE, any_parts, each_composed
from tests.support.iso import damaged

INSIDES = EVERY_SHAPE.insides


def e(text: str) -> bytes:
    return write_text(text, EBCDIC)


GOOD = [
    (44, "5", {1: "5"}),
    (44, "5Y1abrest", {1: "5", 2: "Y", 3: {1: "1", 2: "ab"}, 4: "rest"}),
    (48, e("R9203123"), {"tcc": "R", "92": "123"}),
    (48, e("9203123"), {"92": "123"}),
    (48, e("T"), {"tcc": "T"}),
    (48, b"", {}),
    (48, e("R420701032126103") + e("1ab"),
     {"tcc": "R", "42": {"01": "212"}, "61": {1: "1", 2: "ab"}}),
    (48, e("9904") + b"\x00\x01\x02\x03" + e("9900"), {"99": b"\x00\x01\x02\x03"}),
    (54, "01C0100" + "02D0200", {1: {1: "01", 2: "C", 3: "0100"}, 2: {1: "02", 2: "D", 3: "0200"}}),
    (55, bytes.fromhex("9F36020001" + "DF010155"), {"9F36": b"\0\1", "DF01": b"\x55"}),
    (55, bytes.fromhex("9F36820002000100"), {"9F36": b"\0\1"}),  # long length, filler behind
    (55, bytes.fromhex("720C9F1804000000018603841E00"),
     {"72": {"9F18": b"\0\0\0\1", "86": b"\x84\x1e\0"}}),
    (56, bytes.fromhex("010005" + "9F36020001" + "420002ABCD"),
     {"01": {"9F36": b"\0\1"}, "42": b"\xab\xcd"}),
    (62, bytes.fromhex("C000000000000000") + e("Y") + e("123456789012345"),
     {1: "Y", 2: "123456789012345"}),
    (63, bytes.fromhex("800001") + e("0002") + b"\xff", {1: "0002", 24: b"\xff"}),
]  # fmt: skip


@pytest.mark.parametrize(("number", "value", "parts"), GOOD)
def test_every_shape(number, value, parts):
    assert look_into(INSIDES[number], number, value).to_dict() == parts


def test_bitmaps_in_bitmaps():
    icc = b"6000000000000000" + b"000000012500" + b"005" + bytes.fromhex("9F36020001")
    value = bytes.fromhex("4000008000000000") + b"\2" + e("ab") + b"%03d" % len(icc) + icc
    message = Message.of("0100", {127: value}, INSIDES)
    assert message[127, 2] == "ab"
    assert message[127, 25, 2] == "000000012500"
    assert message[127, 25, 3, "9F36"] == b"\0\1"
    assert message.get((127, 25, 4)) is None


LIES = [
    # the value                                 problem                 path        offset
    (44, "5Y1a", Problem.SHORT_FIELD, (44, 3), 2),
    (44, "5Yxab", Problem.BAD_CHARACTER, (44, 3, 1), 2),
    (44, "5Y1ab" + "x" * 21, Problem.LYING_LENGTH, (44, 4), 5),
    (48, e("R92041234"), Problem.LEFTOVER, (48, "92"), 8),
    (48, e("R920212"), Problem.SHORT_FIELD, (48, "92"), 5),
    (48, e("R9203"), Problem.LYING_LENGTH, (48, "92"), 3),
    (48, e("R9299123"), Problem.LYING_LENGTH, (48, "92"), 3),
    (48, e("R92-3123"), Problem.BAD_LENGTH, (48, "92"), 3),
    (48, e("R920"), Problem.BAD_LENGTH, (48, "92"), 3),
    (48, e("R92"), Problem.BAD_LENGTH, (48, "92"), 3),
    (48, e("R9"), Problem.BAD_TAG, (48,), 1),
    (48, e("RX203123"), Problem.BAD_TAG, (48,), 1),
    (48, b"9203123", Problem.BAD_CHARACTER, (48, "tcc"), 0),  # ASCII, so no digit: a category?
    (48, e("9203") + b"123", Problem.BAD_CHARACTER, (48, "92"), 4),
    (48, e("R42070104212"), Problem.LYING_LENGTH, (48, "42", "01"), 7),
    (48, e("R4206010321"), Problem.LYING_LENGTH, (48, "42", "01"), 7),
    (54, "01C0100" + "02X", Problem.SHORT_FIELD, (54, 2, 3), 10),
    (54, "01C01x0", Problem.BAD_CHARACTER, (54, 1, 3), 5),
    (55, bytes.fromhex("9F"), Problem.BAD_TAG, (55,), 0),
    (55, bytes.fromhex("9F36"), Problem.BAD_LENGTH, (55, "9F36"), 2),
    (55, bytes.fromhex("9F3603 0001".replace(" ", "")), Problem.LYING_LENGTH, (55, "9F36"), 2),
    (55, bytes.fromhex("9F36010001"), Problem.SHORT_FIELD, (55, "9F36"), 3),
    (55, bytes.fromhex("9F3603000102"), Problem.LEFTOVER, (55, "9F36"), 5),
    (55, bytes.fromhex("C180"), Problem.BAD_LENGTH, (55, "C1"), 1),  # an indefinite one
    (55, bytes.fromhex("C183000001FF"), Problem.BAD_LENGTH, (55, "C1"), 1),
    (55, bytes.fromhex("C182FF"), Problem.BAD_LENGTH, (55, "C1"), 1),
    (55, bytes.fromhex("C182FFFF00"), Problem.LYING_LENGTH, (55, "C1"), 1),
    (55, bytes.fromhex("DFFFFFFF01"), Problem.BAD_TAG, (55,), 0),  # a tag without end
    (55, b"\x1f" + b"\xff" * 200, Problem.BAD_TAG, (55,), 0),
    (55, bytes.fromhex("7203C105FF"), Problem.LYING_LENGTH, (55, "72", "C1"), 3),
    (56, bytes.fromhex("0100"), Problem.BAD_LENGTH, (56, "01"), 1),
    (56, bytes.fromhex("01FFFF9F36"), Problem.LYING_LENGTH, (56, "01"), 1),
    (56, bytes.fromhex("0100059F36030001"), Problem.LYING_LENGTH, (56, "01", "9F36"), 5),
    (62, bytes(7), Problem.TOO_SHORT, (62,), 7),
    (62, bytes.fromhex("0800000000000000"), Problem.UNKNOWN_FIELD, (62, 5), 8),
    (62, bytes.fromhex("8000000000000000"), Problem.SHORT_FIELD, (62, 1), 8),
    (62, bytes(8) + b"1", Problem.LEFTOVER, (62,), 8),
    (62, bytes.fromhex("0000000000000001") + b"\x0a", Problem.LYING_LENGTH, (62, 64), 8),
    (127, bytes.fromhex("0000008000000000") + b"016" + b"400000000000000G",
     Problem.BAD_BITMAP, (127, 25), 26),
]  # fmt: skip


@pytest.mark.parametrize(("number", "value", "problem", "path", "offset"), LIES)
def test_lies(number, value, problem, path, offset):
    with pytest.raises(PartError) as caught:
        look_into(INSIDES[number], number, value)
    error = caught.value
    assert (error.problem, error.path, error.offset) == (problem, path, offset)
    assert error.field == number
    assert error.__context__ is None
    assert error.__cause__ is None


@pytest.mark.parametrize("number", [55, 56])
def test_depth_bombs(number):
    bomb = b""
    while len(bomb) < 200:
        bomb = b"\xe1" + bytes((0x81, len(bomb))) + bomb
    value = bomb if number == 55 else b"\1" + len(bomb).to_bytes(2, "big") + bomb
    with pytest.raises(PartError) as caught:
        look_into(INSIDES[number], number, value)
    assert caught.value.problem is Problem.TOO_DEEP
    assert set(caught.value.path[2:]) == {"E1"}


def test_a_tag_that_stands_twice_keeps_both():
    parts = look_into(INSIDES[55], 55, bytes.fromhex("C10101" + "C20100" + "C10102"))
    assert list(parts) == ["C1", "C2", "C1"]
    assert parts["C1"] == b"\1"
    assert parts.all("C1") == [b"\1", b"\2"]


def every_inside(inside: Inside) -> list[Inside]:
    nested = [part.inside for part in inside.elements.values() if part.inside is not None]
    return [inside, *(deeper for one in nested for deeper in every_inside(one))]


def fault_of(inside: Inside, number: int, value: Value) -> PartError | None:
    try:
        look_into(inside, number, value)
    except PartError as error:
        return error
    return None


def any_value(dialect: Dialect, seed: int) -> tuple[int, Value]:
    """A composite of the dialect, and a good value for it."""
    randomly = Random(seed)
    number = randomly.choice(list(dialect.insides))
    parts = any_parts(dialect.insides[number], randomly, budget=20)
    return number, decode(encode("0100", {number: parts}, dialect), dialect)[number]


@each_composed
@given(raw=st.binary(max_size=120), seed=st.integers(0, 2**32), data=st.data())
def test_any_value(dialect: Dialect, raw, seed, data):
    """Random bytes, and good composites gone wrong, are parts or a PartError."""
    number, value = any_value(dialect, seed)
    good = value if isinstance(value, bytes) else value.encode()
    for candidate in (raw, good + raw, data.draw(damaged(good)) if good else raw):
        whole = candidate if isinstance(value, bytes) else candidate.decode("latin-1")
        for view in every_inside(dialect.insides[number]):
            fault = fault_of(view, number, whole)
            if fault is not None:
                assert fault.path[0] == number
                assert 0 <= fault.offset <= 2 * len(candidate)


@each_composed
@given(seed=st.integers(0, 2**32))
def test_every_beginning_is_parts_or_an_error(dialect: Dialect, seed):
    """Byte by byte, and with a tail."""
    number, value = any_value(dialect, seed)
    inside = dialect.insides[number]
    assert fault_of(inside, number, value) is None
    with_tail = value + b"\xff" if isinstance(value, bytes) else value + "~"
    for candidate in (*(value[:end] for end in range(len(value))), with_tail):
        fault = fault_of(inside, number, candidate)
        assert fault is None or fault.path[0] == number


def test_a_value_that_nobody_decoded_is_refused_too():
    for odd in ("é", "\ud800", "\0"):
        assert fault_of(INSIDES[44], 44, odd) is not None


def test_a_look_everywhere_finds_what_decode_left_closed():
    raw = encode("0100", {2: "4000001234567899", 55: bytes.fromhex("9F3605")}, EVERY_SHAPE)
    message = decode(raw, EVERY_SHAPE)
    with pytest.raises(DecodeError) as caught:
        look_everywhere(message)
    assert str(caught.value) == "lying_length at field 55.9F36, byte 2 of its value"
    look_everywhere(decode(encode("0100", {2: "1"}, EVERY_SHAPE), EVERY_SHAPE))


def test_a_glance_sees_the_same_and_opens_nothing():
    for number, value, parts in GOOD:
        if isinstance(INSIDES[number].shape, Repeated | Ber):
            continue
        keys = tuple(parts)
        seen = glance(INSIDES[number], number, value, keys)
        assert seen.keys() <= parts.keys()
        for key, part in seen.items():
            assert isinstance(parts[key], dict) or parts[key] == part


def test_a_glance_goes_no_further_than_it_must():
    raw = bytes.fromhex("C000000000000000") + e("Y") + e("12345678")  # the second is cut off
    assert glance(INSIDES[62], 62, raw, (1,)) == {1: "Y"}
    assert glance(INSIDES[62], 62, raw, (3,)) == {}
    with pytest.raises(PartError) as caught:
        glance(INSIDES[62], 62, raw, (1, 2))
    assert caught.value.dotted == "62.2"
    assert Message.of("0100", {62: raw}, INSIDES).glance(62, 1) == {1: "Y"}
    assert Message.of("0100", {62: raw}).glance(62, 1) == {}
    assert Message.of("0100", {}, INSIDES).glance(62, 1) == {}
