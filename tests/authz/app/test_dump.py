"""From dumps to bytes, and from bytes to the likeliest reading of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.app.dump import (
    best_reading,
    has_half_byte,
    is_card_number,
    looks_like_hex,
    readings_of_bytes,
    readings_of_hex,
)
from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS

ECHO = {7: "1114120000", 11: "000001", 70: "301"}


def test_a_dump_of_two_messages_starts_over_at_zero() -> None:
    text = "0000: 3031 3233  0123\n0004: 34  4\n0000: 35  5\n"

    assert readings_of_hex(text) == [[b"01234", b"5"]]


@pytest.mark.parametrize(
    "text",
    ["0000: 30\n0002: 31", "0001: 30", "0000: 30\nnothing", "0000: zz", ""],
    ids=["gap", "no start", "no offset", "no hex", "empty"],
)
def test_offsets_that_do_not_add_up_are_none(text: str) -> None:
    assert not looks_like_hex(text) or text == ""


def test_hex_over_several_lines_is_one_message_or_several() -> None:
    assert readings_of_hex("3031\n3233\n\n34") == [[b"0123", b"4"], [b"01", b"23", b"4"]]
    assert readings_of_hex("303") == []
    assert has_half_byte("30 3")
    assert not has_half_byte("30 3x")


def test_an_editors_line_end_is_tried_without() -> None:
    assert readings_of_bytes(b"ab\r\n") == [[b"ab\r\n"], [b"ab"]]
    assert readings_of_bytes(b"ab") == [[b"ab"]]


@pytest.mark.parametrize("dialect", BY_NAME)
@pytest.mark.parametrize("framing", ["none", *FRAMINGS])
def test_dialect_and_framing_are_found(dialect: str, framing: str) -> None:
    kind = BY_NAME[dialect]
    if framing != "none" and FRAMINGS[framing].is_text and not kind.is_text:
        return  # the configuration refuses the two together
    mti = f"{kind.version}800"
    body = encode(mti, ECHO, kind)
    data = body if framing == "none" else FRAMINGS[framing].pack(body)

    reading = best_reading([[data]], list(BY_NAME), ["none", *FRAMINGS])

    # Several dialects write an echo alike; the plainest of them is named.
    alike = [name for name, other in BY_NAME.items() if other.version == kind.version]
    first = next(name for name in alike if encode(mti, ECHO, BY_NAME[name]) == body)
    assert (reading.ok, reading.dialect, reading.framing) == (True, first, framing)


def test_keep_alives_alone_are_no_message() -> None:
    reading = best_reading([[b"\x00\x00\x00\x00"]], ["iso87_ascii"], ["binary2"])

    assert [found.trouble for found in reading.found] == ["there is no message"]


def test_a_stream_that_cannot_be_followed_says_so() -> None:
    reading = best_reading([[b"00x1"]], ["iso87_ascii"], ["ascii4"])

    assert reading.found[0].problem == "bad_length"


@pytest.mark.parametrize("number", ["4111111111111111", "378282246310005", "5555555555554444"])
def test_check_digits(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)

    assert is_card_number(number)
    assert not is_card_number(wrong)
    assert not is_card_number(None)
    assert not is_card_number(number.encode())


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_have_a_reading(data: bytes) -> None:
    reading = best_reading([[data]], list(BY_NAME), ["none", "binary2", "ascii4", "binary2_tpdu"])

    assert reading.found
