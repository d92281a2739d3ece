"""A message behaves like a mapping, never changes, and never prints its contents."""

import pytest

from iso8583.codec import decode, encode
from iso8583.errors import PartError, Problem
from iso8583.message import Layout, Message
from tests.support.composites import EVERY_SHAPE
from tests.support.iso import PAN, PURCHASE


def test_reading_by_field_number():
    message = Message.of("0100", PURCHASE)
    assert message.mti == "0100"
    assert message[2] == message.get(2) == PAN
    assert 2 in message
    assert 3 in message
    assert 5 not in message
    assert message.get(5) is None
    assert message.get(5, "none") == "none"
    assert list(message) == sorted(PURCHASE)
    assert message.to_dict() == dict(message.items()) == PURCHASE
    with pytest.raises(KeyError):
        message[5]


def test_the_order_in_which_fields_were_given_does_not_matter():
    assert Message.of("0100", PURCHASE) == Message.of("0100", dict(reversed(PURCHASE.items())))
    assert Message.of("0100", PURCHASE) != Message.of("0101", PURCHASE)


def test_a_message_without_fields_is_still_a_message():
    assert Message.of("0800", {})


def test_nothing_can_be_set():
    message = Message.of("0100", PURCHASE)
    with pytest.raises(AttributeError):
        message.mti = "0110"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        message.layout = Layout.of(())  # type: ignore[misc]


def test_it_prints_field_numbers_only():
    message = Message.of("0100", {2: PAN, 35: PAN, 55: PAN.encode()})
    assert repr(message) == str(message) == f"{message}" == "Message(0100, fields 2, 35, 55)"
    assert PAN not in repr([message])
    assert PAN not in repr(message.__rich_repr__())


COMPOSED = {48: {"tcc": "R", "42": {"01": "212"}, "92": "123"}, 62: {2: "123456789012345"}, 2: "12"}


def test_parts_by_path():
    message = decode(encode("0100", COMPOSED, EVERY_SHAPE), EVERY_SHAPE)
    assert message[48, "92"] == message.get((48, "92")) == "123"
    assert message[48, "42", "01"] == "212"
    assert message[62, 2] == "123456789012345"
    assert message[(2,)] == message[2] == "12"
    parts = message.parts(48)
    assert parts is not None
    assert parts.to_dict() == COMPOSED[48]
    for absent in ((48, "93"), (48, "92", 1), (48, "42", "02"), (2, 1), (63, 1), (3, 1)):
        assert message.get(absent) is None
        assert message.get(absent, "none") == "none"
        with pytest.raises(KeyError):
            message[absent]
    assert message.parts(2) is message.parts(63) is message.parts(3) is None


def test_a_broken_composite_says_so_on_the_first_look():
    message = decode(encode("0100", {62: b"\x80", 2: "12"}, EVERY_SHAPE), EVERY_SHAPE)
    assert message[62] == b"\x80"
    for look in (lambda: message[62, 1], lambda: message.get((62, 1)), lambda: message.parts(62)):
        with pytest.raises(PartError) as caught:
            look()
        assert caught.value.problem is Problem.TOO_SHORT
        assert caught.value.__context__ is None


def test_in_one_piece_there_is_nothing_to_look_into():
    message = decode(encode("0100", {62: b"\x80", 2: "12"}, EVERY_SHAPE), EVERY_SHAPE)
    whole = message.in_one_piece()
    assert whole.to_dict() == message.to_dict()
    assert (whole.mti, whole.get((62, 1)), whole.parts(62)) == ("0100", None, None)
