"""What makes Mastercard's messages theirs: EBCDIC all through, and subelements."""

import pytest

from iso8583.codec import decode, encode
from iso8583.describe import describe
from iso8583.dialects.mastercard import MASTERCARD
from iso8583.errors import PartError
from iso8583.field_writer import write_text
from iso8583.spec import EBCDIC


def e(text: str) -> bytes:
    return write_text(text, EBCDIC)


@pytest.mark.parametrize(
    ("number", "value", "wire"),
    [
        (2, "5413330000000001", e("165413330000000001")),
        (3, {1: "00", 2: "20", 3: "30"}, e("002030")),
        (22, {1: "05", 2: "1"}, e("051")),
        (28, "D00000123", e("D00000123")),
        (43, {1: "CORNER GROCERY".ljust(22), 2: " ", 3: "SPRINGFIELD  ", 4: " ", 5: "USA"},
         e("CORNER GROCERY         SPRINGFIELD   USA")),
        (48, {"tcc": "R", "42": {"01": "212"}, "92": "123"}, e("019R42070103212" "9203123")),
        (48, {"61": {1: "1", 2: "0"}, "63": {1: "MCC123456", 2: "0314  "}},
         e("025" "6102" "10" "6315" "MCC1234560314  ")),
        (48, {"tcc": "T", "43": b"\xff\x00"}, e("007" "T" "4302") + b"\xff\x00"),
        (52, bytes(8), bytes(8)),
        (55, {"9F36": b"\0\1"}, e("005") + bytes.fromhex("9f36020001")),
        (61, {1: "1", 2: "0", 3: "2", 4: "5"}, e("004" "1025")),
        (63, {1: "MCC", 2: "123456   "}, e("012" "MCC123456   ")),
        (90, {1: "0100", 2: "271828", 3: "0314092653", 4: "0" * 11, 5: "0" * 11},
         e("01002718280314092653" + "0" * 22)),
        (95, {1: "000000002550", 2: "0" * 12, 3: "000000002550", 4: "000000"},
         e("000000002550" + "0" * 12 + "000000002550" + "000000")),
        (44, "004", e("03004")),  # a format error in DE 4
        (112, {"001": b"\xf1"}, e("007" "001001") + b"\xf1"),
    ],
)  # fmt: skip
def test_fields_on_the_wire(number, value, wire):
    raw = encode("0100", {number: value}, MASTERCARD)
    head = MASTERCARD.long_head if number > 64 else MASTERCARD.short_head
    assert raw[:4] == e("0100")
    assert raw[head:] == wire
    message = decode(raw, MASTERCARD)
    if isinstance(value, dict):
        parts = message.parts(number)
        assert parts is not None
        assert parts.to_dict() == value
    else:
        assert message[number] == value


def test_an_unknown_subelement_survives():
    raw = encode("0100", {48: e("R") + e("9903") + b"\x01\x02\x03" + e("2001S")}, MASTERCARD)
    message = decode(raw, MASTERCARD)
    assert message[48, "99"] == b"\1\2\3"
    assert encode("0100", {48: message.parts(48)}, MASTERCARD) == raw


def test_a_subelement_that_lies_names_itself():
    message = decode(encode("0100", {48: e("R4204010999")}, MASTERCARD), MASTERCARD)
    with pytest.raises(PartError) as caught:
        message.get((48, "92"))
    assert caught.value.path[:2] == (48, "42")


def test_a_cvc2_is_hidden():
    message = decode(encode("0100", {48: {"tcc": "R", "92": "987"}}, MASTERCARD), MASTERCARD)
    assert "987" not in describe(message, MASTERCARD)
