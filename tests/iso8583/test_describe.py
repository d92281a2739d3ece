"""For human eyes: aligned, masked, and harmless to a terminal."""

from random import Random

import pytest

from iso8583.codec import decode, encode
from iso8583.describe import describe
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.composites import EVERY_SHAPE
from tests.support.iso import PAN, any_message

ASCII_1987 = BY_NAME["iso87_ascii"]


def test_a_purchase():
    fields = {
        2: "4000001234567899",
        3: "000000",
        4: "000000012550",
        35: "4000001234567899D3012",
        43: "CORNER GROCERY".ljust(40),
        52: bytes(8),
        70: "301",
    }
    assert describe(Message.of("0101", fields), ASCII_1987).splitlines() == [
        "0101  authorization request repeat",
        "   2  pan                      400000******7899",
        "   3  processing_code          000000",
        "   4  amount                   000000012550",
        "  35  track_2                  ‹hidden, 21 characters›",
        "  43  merchant_name_location   CORNER GROCERY                          ",
        "  52  pin_block                ‹hidden, 8 bytes›",
        "  70  network_management_code  301",
    ]


SECRETS = (2, 34, 35, 36, 45, 48, 52, 53, 55, 56, 60, 61, 62, 63, 64, 96, 102, 103, 126, 128)


@pytest.mark.parametrize("number", SECRETS)
def test_secret_fields_are_hidden(number):
    value: str | bytes = "5413339876543210!"
    for secret in (value, value.encode()):
        text = describe(Message.of("0100", {number: secret}), ASCII_1987)
        assert "541333" not in text
        assert "3210" not in text


def test_what_the_dialect_does_not_know_is_hidden():
    text = describe(Message.of("0100", {65: "secret", 999: b"secret"}), ASCII_1987)
    assert "secret" not in text
    assert text.count("unknown") == text.count("hidden") == 2


def test_control_and_foreign_characters_are_never_raw():
    odd = "\x1b[2J\n\r\x00\x7f\u202e\u2028é\\"
    text = describe(Message.of("0100", {43: odd, 39: odd}), ASCII_1987)
    assert len(text.splitlines()) == 3
    assert text.isascii()
    assert all(" " <= character <= "~" or character == "\n" for character in text)
    assert "\\x1b[2J" in text


def test_an_odd_mti_is_harmless_too():
    text = describe(Message.of("\x1b[2J", {}), ASCII_1987)
    assert "\x1b" not in text


def test_any_message_has_one_line_a_field():
    randomly = Random(8583)
    for _ in range(50):
        fields = any_message(ASCII_1987, randomly)
        lines = describe(Message.of("0200", fields), ASCII_1987).splitlines()
        assert len(lines) == 1 + len(fields)


def test_composites_show_their_parts_and_no_secret():
    fields = {
        2: PAN,
        44: {1: "5", 2: "Y", 3: {1: "1", 2: "ab"}},
        48: {"tcc": "R", "92": "123", "99": b"secret"},
        54: {1: {1: "01", 2: "C", 3: "0100"}},
        55: {
            "5A": bytes.fromhex(PAN + "FFFF"),
            "57": bytes.fromhex(PAN + "D301"),
            "9F36": b"\0\1",
            "72": {"86": b"\x84"},
        },
        62: {2: "123456789012345"},
    }
    message = decode(encode("0100", fields, EVERY_SHAPE), EVERY_SHAPE)
    lines = [line.strip() for line in describe(message, EVERY_SHAPE).splitlines()[1:]]
    assert lines == [
        "2  pan         400000******7899",
        "44  results     5Y1ab",
        "44.1  source      5",
        "44.2  avs         Y",
        "44.3  flags",
        "44.3.1  one         1",
        "44.3.2  two         ab",
        "48  tagged",
        "48.tcc  category    R",
        "48.92  cvc2        ‹hidden, 3 characters›",
        "48.99  unknown     ‹hidden, 6 bytes›",
        "54  amounts     01C0100",
        "54.1",
        "54.1.1  type        01",
        "54.1.2  sign        C",
        "54.1.3  amount      0100",
        "55  chip",
        "55.5A  pan         400000******7899",
        "55.57  track_2     ‹hidden, 10 bytes›",
        "55.9F36  counter     0001",
        "55.72",
        "55.72.86  unknown     ‹hidden, 1 bytes›",
        "62  bits",
        "62.2  identifier  123456789012345",
    ]


def test_a_broken_composite_is_hidden_whole():
    message = decode(encode("0100", {55: b"\x5a\x09secret"}, EVERY_SHAPE), EVERY_SHAPE)
    text = describe(message, EVERY_SHAPE)
    assert "lying_length at field 55.5A, byte 1 of its value" in text
    assert "secret" not in text
