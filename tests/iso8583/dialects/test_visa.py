"""What makes Visa's messages theirs: byte for byte, field by field."""

import pytest

from iso8583.codec import decode, encode
from iso8583.dialects.visa import VISA
from iso8583.errors import DecodeError, Problem


@pytest.mark.parametrize(
    ("number", "value", "wire"),
    [
        (2, "4000001234567899", "10" "4000001234567899"),
        (2, "400000123456789", "0f" "0400000123456789"),
        (3, "000000", "000000"),
        (22, "0510", "0510"),
        (28, "C00000123", "c3" "00000123"),
        (35, "4000001234567899D301", "14" "4000001234567899d301"),
        (35, "400000123456789D301", "13" "400000123456789d301f"),
        (37, "607305271828", "f6f0f7f3f0f5f2f7f1f8f2f8"),
        (36, "123", "0003" "0123"),
        (44, {1: "5", 2: "Y", 3: " ", 4: " ", 5: "2"}, "05" "f5e84040f2"),
        (49, "840", "0840"),
        (54, {1: {1: "00", 2: "57", 3: "840", 4: "C", 5: "000000012550"}},
         "14" "f0f0" "f5f7" "f8f4f0" "c3" "f0f0f0f0f0f0f0f1f2f5f5f0"),
        (55, {"01": {"9F36": b"\0\1"}}, "08" "01" "0005" "9f36020001"),
        (60, {1: "4", 2: "2", 3: "0", 4: "0", 5: "00", 6: "0", 7: "0", 8: "05", 9: "0", 10: "1"},
         "06" "420000000501"),
        (62, {1: "Y", 2: "123456789012345"}, "11" "c000000000000000" "e8" "0123456789012345"),
        (63, {1: "0002", 3: "2501"}, "07" "a00000" "0002" "2501"),
        (123, {"66": b"\xc0\x01\x40"}, "06" "66" "0003" "c00140"),
        (126, {10: {1: "1", 2: "1", 3: " 123"}}, "0e" "0040000000000000" "f1f1" "40f1f2f3"),
    ],
)  # fmt: skip
def test_fields_on_the_wire(number, value, wire):
    raw = encode("0100", {number: value}, VISA)
    head = VISA.long_head if number > 64 else VISA.short_head
    assert raw[head:].hex() == wire
    message = decode(raw, VISA)
    if isinstance(value, dict):
        parts = message.parts(number)
        assert parts is not None
        assert parts.to_dict() == value
    else:
        assert message[number] == value


@pytest.mark.parametrize(
    ("number", "wire", "value"),
    [
        (2, "0f" "400000123456789f", "400000123456789"),
        (35, "13" "0400000123456789d301", "400000123456789D301"),
        (32, "05" "12345f", "12345"),
    ],
)  # fmt: skip
def test_fillers_on_the_other_side_are_read(number, wire, value):
    head = encode("0100", {number: value}, VISA)[: VISA.short_head]
    assert decode(head + bytes.fromhex(wire), VISA)[number] == value


def test_a_transaction_id_filled_on_the_right_is_read():
    raw = encode("0100", {62: bytes.fromhex("4000000000000000123456789012345f")}, VISA)
    assert decode(raw, VISA)[62, 2] == "123456789012345"


def test_a_third_bitmap_is_refused():
    with pytest.raises(DecodeError) as caught:
        decode(bytes.fromhex("010080000000000000008000000000000000" + "00" * 8), VISA)
    assert (caught.value.problem, caught.value.field) == (Problem.UNKNOWN_FIELD, 65)
