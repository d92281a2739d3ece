from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.wire import elements
from authz.wire.elements import BadElement
from iso8583.message import Message
from tests.support.engine import NOON, PAN


def message(**fields: str) -> Message:
    return Message.of("0100", {int(name[2:]): value for name, value in fields.items()})


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1)),
    st.integers(-170 * 86_400, 170 * 86_400),
)
def test_a_time_without_a_year_is_the_nearest(moment: datetime, off_s: int) -> None:
    sent = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())
    text = datetime.fromtimestamp(sent, UTC).strftime("%m%d%H%M%S")
    assert elements.transmission_time(message(de7=text), (sent + off_s) * 1000) == sent


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("1231235959", "2027-01-01T00:00:01", "2026-12-31T23:59:59"),
        ("0101000001", "2026-12-31T23:59:59", "2027-01-01T00:00:01"),
        ("0229120000", "2028-03-01T00:00:00", "2028-02-29T12:00:00"),
    ],
)
def test_the_turn_of_the_year_and_the_leap_day(text: str, now: str, expected: str) -> None:
    def ms(moment: str) -> int:
        return int(datetime.fromisoformat(moment + "+00:00").timestamp() * 1000)

    assert elements.transmission_time(message(de7=text), ms(now)) * 1000 == ms(expected)


@pytest.mark.parametrize(
    "text",
    ["", "123", "1301000000", "0132000000", "0101250000", "0101006000", "0101000060", "01010000x0"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadElement) as caught:
        elements.transmission_time(message(de7=text), NOON)
    assert caught.value.field == 7


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, 2), ({"de2": "12"}, 2), ({"de35": "x=2812"}, 35), ({"de2": "１" * 16}, 2),
    ],
)  # fmt: skip
def test_what_is_no_card_number_is_refused_unquoted(fields: dict[str, str], field: int) -> None:
    with pytest.raises(BadElement) as caught:
        elements.card_number(message(**fields))
    assert caught.value.field == field
    assert "12" not in str(caught.value).replace("DE 2", "")


@pytest.mark.parametrize("track", [f"{PAN}=28121010000", f"{PAN}D28121010000"])
def test_the_card_number_from_the_track(track: str) -> None:
    assert elements.card_number(message(de35=track)).reveal() == PAN


@pytest.mark.parametrize(
    ("fields", "country"),
    [
        ({"de43": "A".ljust(38) + "DE"}, "DE"),
        ({"de43": "A".ljust(38) + "de"}, "DE"),
        ({"de43": "A".ljust(38) + "XX", "de19": "643"}, "RU"),
        ({"de43": "A".ljust(40), "de19": "840"}, "US"),
        ({"de19": "999"}, ""),
        ({}, ""),
    ],
)
def test_the_merchants_country(fields: dict[str, str], country: str) -> None:
    assert elements.merchant_country(message(**fields)) == country


@pytest.mark.parametrize("value", ["-00000001250", "00000000125O", "٣" * 12, ""])
def test_what_is_no_amount_is_refused(value: str) -> None:
    with pytest.raises(BadElement):
        elements.amount(message(de4=value), 4)


@pytest.mark.parametrize(
    ("digits", "rate"),
    [
        ("69972522", "9.972522"),
        ("71100000", "0.11"),
        ("00000160", "160"),
        ("90000001", "0.000000001"),
        ("20001250", "12.5"),
        ("60000000", ""),
        ("", ""),
    ],
)
def test_a_network_s_rate_in_decimals(digits: str, rate: str) -> None:
    fields = {10: digits} if digits else {}
    assert elements.billing_rate(Message.of("0100", fields)) == rate


@given(
    st.dictionaries(
        st.integers(2, 128),
        st.one_of(st.text(" aé\t0", max_size=6), st.binary(max_size=3)),
        max_size=8,
    ),
    st.lists(st.integers(2, 128), min_size=2, max_size=8),
)
def test_several_texts_are_what_each_is(values: dict[int, str | bytes], asked: list[int]) -> None:
    taken = Message.of("0100", values)
    one_by_one = tuple(elements.text(taken, number) for number in asked)
    assert elements.texts(taken, tuple(asked)) == one_by_one
