"""For human eyes: aligned, masked, and harmless to a terminal."""

from random import Random

import pytest

from iso8583.describe import describe
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.iso import any_message

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
