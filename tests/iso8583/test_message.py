"""A message behaves like a mapping, never changes, and never prints its contents."""

import pytest

from iso8583.message import Layout, Message
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
