"""Headers go back to where they came from; everything that is none is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.dialects.visa_header import (
    SIZE,
    new_header,
    reject_code,
    reply_header,
    split,
)
from iso8583.errors import FrameError, Problem

REQUEST = bytes.fromhex("16010200301234566543210102030405060708090A0B")
REPLY = bytes.fromhex("16010200426543211234560102030405060708090A0B")
REJECT = bytes.fromhex("1A81020050123456654321" + "00" * 11 + "80000291")


def test_the_reply_swaps_and_counts_anew():
    assert len(REQUEST) == SIZE
    assert reply_header(REQUEST, 0x42 - SIZE) == REPLY
    assert reply_header(REPLY, 0x30 - SIZE) == REQUEST


def test_header_and_message_are_told_apart():
    assert split(REQUEST + b"message") == (REQUEST, b"message")
    assert split(REJECT + REQUEST + b"message") == (REJECT + REQUEST, b"message")


def test_a_reject_says_why_and_is_answered_to_its_own_station():
    assert reject_code(REJECT + REQUEST) == "0291"
    assert reject_code(REQUEST) is None
    assert reject_code(REJECT[:22] + bytes(4) + REQUEST) is None
    assert reply_header(REJECT + REQUEST, 0x42 - SIZE) == REPLY


def test_a_new_one():
    header = new_header("123456", "654321", 26)
    assert header.hex() == "1601020030" + "123456" + "654321" + "00" * 11
    assert split(header) == (header, b"")


@pytest.mark.parametrize("station", ["12345", "1234567", "12345x", "٠٠٠٠٠٠"])
def test_a_station_is_six_digits(station):
    with pytest.raises(AssertionError, match="six digits"):
        new_header(station, "000000")
    with pytest.raises(AssertionError, match="six digits"):
        new_header("000000", station)


REFUSALS = [
    (b"", Problem.TOO_SHORT),
    (REQUEST[:-1], Problem.TOO_SHORT),
    (b"\x15" + REQUEST[1:], Problem.BAD_LENGTH),
    (b"\xff" + REQUEST[1:], Problem.LYING_LENGTH),
    (REJECT, Problem.TOO_SHORT),  # announces another one
    ((b"\x16\x81" + REQUEST[2:]) * 5, Problem.TOO_DEEP),
]


@pytest.mark.parametrize(("frame", "problem"), REFUSALS)
def test_refusals(frame, problem):
    for read in (split, reject_code, lambda header: reply_header(header, 0)):
        with pytest.raises(FrameError) as caught:
            read(frame)
        assert caught.value.problem is problem


def test_a_message_that_cannot_be_counted():
    with pytest.raises(FrameError):
        reply_header(REQUEST, 0x10000 - SIZE)
    assert reply_header(REQUEST, 0xFFFF - SIZE)[3:5] == b"\xff\xff"


@given(st.binary(max_size=120))
def test_any_bytes(frame):
    try:
        header, message = split(frame)
    except FrameError:
        return
    assert header + message == frame
    assert len(reply_header(header, 0)) == SIZE
