"""What Postilion says in elements of its own."""

import pytest

from authz.wire.elements import BadElement
from authz.wire.indicators import READERS
from iso8583.errors import PartError
from tests.support.networks import heard, postilion

of_postilion = READERS["postilion"]


def said(mti: str = "0100", **more):
    return of_postilion(heard("postilion", mti, postilion(**more)))


def test_the_switch_key_is_told_again_as_the_original_key():
    assert said(key="K1").life_cycle == "K1"
    assert said("0420", de127={2: "K2", 11: "K1"}).life_cycle == "K1"


def test_a_later_message_with_a_key_of_its_own_alone_names_nothing():
    assert said("0420", key="K2").life_cycle == ""


def test_the_rest_is_read_as_in_the_standard():
    assert said(de60="000000000100").partial_ok
    assert said("0220", de71="0001", de72="0003").more_to_come
    assert said(de127=None, de90="0100" + "1" * 38).increments


def test_chip_data_that_is_xml_is_not_looked_into():
    xml = b"<IccData><Aid>A0</Aid></IccData>"
    raw = bytes.fromhex("0020008000000000") + b"02K1" + b"%04d" % len(xml) + xml
    message = heard("postilion", "0420", postilion(de127=raw))
    with pytest.raises(PartError):
        message.parts(127)
    assert of_postilion(message).life_cycle == "K1"


@pytest.mark.parametrize("raw", ["40", "4000000000000000" + "3939" + "4B"])
def test_what_is_broken_is_named(raw):
    with pytest.raises(BadElement) as caught:
        said(de127=bytes.fromhex(raw))
    assert caught.value.field == 127
