"""DE 22 and 25 as each network sends them; and the merchant's name, where each has it."""

from typing import Any

import pytest

from authz.wire.to_request import to_request
from authz.wire.usage import usage
from authz.wire.version_1993 import as_1987
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from rules.facts import Channel
from tests.support.engine import KEYS, NOON
from tests.support.networks import PURCHASE


@pytest.mark.parametrize(
    ("entry_mode", "condition", "channel", "present"),
    [
        ("0510", "00", Channel.CHIP, True),  # Visa's four digits
        ("0100", "08", Channel.MAIL_PHONE, False),
        ("0100", "59", Channel.ECOMMERCE, False),
        ("1000", "59", Channel.ON_FILE, False),
        ("051", "", Channel.CHIP, True),
        ("071", "", Channel.CONTACTLESS, True),
        ("911", "", Channel.CONTACTLESS, True),
        ("021", "", Channel.STRIPE, True),
        ("801", "", Channel.STRIPE, True),
        ("060", "", Channel.UNKNOWN, False),  # keyed in to some, contactless to others
        ("011", "00", Channel.MANUAL, False),
        ("812", "", Channel.ECOMMERCE, False),
        ("090", "", Channel.ECOMMERCE, False),
        ("000", "08", Channel.MAIL_PHONE, False),
        ("000", "", Channel.UNKNOWN, False),
        ("", "59", Channel.ECOMMERCE, False),
        ("", "", Channel.UNKNOWN, False),
        ("510101511344", "", Channel.CHIP, True),  # 1993
        ("510120111344", "4000", Channel.MAIL_PHONE, False),
        ("510140611344", "", Channel.RECURRING, False),
        ("510150011344", "", Channel.ECOMMERCE, False),
        ("510101A11344", "", Channel.UNKNOWN, True),
    ],
)
def test_how_a_card_was_used(
    entry_mode: str, condition: str, channel: Channel, present: bool
) -> None:
    assert usage(entry_mode, condition) == (channel, present)


@pytest.mark.parametrize(
    ("network", "dialect", "mti"),
    [
        ("visa", "visa", "0100"),
        ("mastercard", "mastercard", "0100"),
        ("postilion", "postilion", "0100"),
        ("generic", "iso87_ascii", "0100"),
        ("iso93", "iso93_ascii", "1100"),
    ],
)
def test_each_network_says_how_and_where(network: str, dialect: str, mti: str) -> None:
    fields: dict[int, Any] = PURCHASE[network](1, 100)
    message = decode(encode(mti, fields, BY_NAME[dialect]), BY_NAME[dialect])
    message = as_1987(message) if network == "iso93" else message
    request = to_request(message, network, KEYS, NOON)
    assert (request.channel, request.card_present) == (Channel.CHIP, True)
    assert request.merchant_name == "GROCER"
