import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.wire.elements import BadElement, merchant_country
from authz.wire.to_request import Unsupported, to_request, to_reversal
from authz.wire.version_1993 import as_1987
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.engine import KEYS, NOON
from tests.support.iso import field_sets
from tests.support.iso93 import purchase_1993, reversal_1993


def test_a_purchase_means_what_it_meant_in_1987() -> None:
    message = Message.of("1100", purchase_1993(1, 5000))

    request = to_request(as_1987(message), "iso93", KEYS, NOON)

    assert (request.mcc, request.country, request.amount_minor) == ("5411", "US", 5000)
    assert request.named_at == purchase_1993(1)[12][2:]
    assert request.expiry == "2812"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ("0100", "000001", purchase_1993(1)[12][2:])),
        ({"de56": "1100000001260322120000"}, ("0100", "000001", "0322120000")),  # without DE 32
        ({"de56": "1100" + "0" * 18}, ("", "", "")),
        ({"de56": ""}, ("", "", "")),
    ],
)
def test_what_a_reversal_names(changes: dict[str, str], named: tuple[str, str, str]) -> None:
    message = Message.of("1420", reversal_1993(purchase_1993(1), **changes))

    facts = to_reversal(as_1987(message), "iso93", KEYS, NOON)

    assert (facts.original.mti, facts.original.stan, facts.original.sent) == named
    assert facts.remaining_minor == -1


def test_a_partial_reversal_says_what_stays() -> None:
    fields = reversal_1993(purchase_1993(1, 5000), de24="401", de4=f"{1500:012}")
    fields[30] = f"{5000:012}" + "0" * 12

    facts = to_reversal(as_1987(Message.of("1420", fields)), "iso93", KEYS, NOON)

    assert (facts.transaction_minor, facts.remaining_minor) == (5000, 1500)


@pytest.mark.parametrize(
    ("mti", "changes", "field"),
    [
        ("1100", {"de12": "260322"}, 12),
        ("1120", {"de39": "00"}, 39),
        ("1420", {"de56": "110000000126032212000003123x"}, 56),
        ("1420", {"de56": "110000000126032212000004123"}, 56),  # a length that lies
        ("1420", {"de56": "1100000001"}, 56),
        ("1420", {"de24": "401"}, 30),
        ("1420", {"de24": "401", "de30": "12"}, 30),
    ],
)
def test_what_means_nothing_is_refused_by_its_own_number(
    mti: str, changes: dict[str, str], field: int
) -> None:
    with pytest.raises(BadElement) as caught:
        as_1987(Message.of(mti, reversal_1993(purchase_1993(1), **changes)))
    assert caught.value.field == field


def test_a_chargeback_is_not_taken_for_a_reversal() -> None:
    with pytest.raises(Unsupported, match="function code 450"):
        as_1987(Message.of("1420", reversal_1993(purchase_1993(1), de24="450")))


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("CORNER GROCERY\\12 MAIN STREET\\SPRINGFIELD\\62701     IL USA", "US"),
        ("CAFE\\\\BERLIN\\10115        276", "DE"),
        ("NO PARTS AT ALL", ""),
        ("SHOP\\STREET\\TOWN\\XXX", ""),
    ],
)
def test_the_country_of_a_merchant(text: str, country: str) -> None:
    message = as_1987(Message.of("1100", {43: text}))
    assert len(str(message[43])) == 40
    assert merchant_country(message) == country


@pytest.mark.parametrize(
    ("code", "meaning"), [("000", "00"), ("001", "00"), ("002", "10"), ("116", "05"), ("208", "05")]
)
def test_what_was_decided_elsewhere(code: str, meaning: str) -> None:
    assert as_1987(Message.of("1120", {39: code}))[39] == meaning


@given(st.sampled_from(["1100", "1120", "1220", "1420"]), field_sets(BY_NAME["iso93_ascii"]))
def test_any_message_is_one_of_1987_or_refused(mti: str, fields: dict[int, str]) -> None:
    formats = BY_NAME["iso87_ascii"].fields
    try:
        message = as_1987(Message.of(mti, fields))
    except (BadElement, Unsupported):
        return
    assert message.mti == mti
    for number in (12, 13, 18, 39, 43, 90, 95):
        if number in message and number in fields.keys() | {13, 95}:
            assert len(str(message[number])) == formats[number].maximum
