import re
from pathlib import Path

import pytest

from authz.wire.elements import BadElement
from authz.wire.indicators import READERS
from authz.wire.to_request import PURPOSES, to_request, to_reversal
from iso8583.message import Message
from tests.support.engine import KEYS, NOON, PAN, purchase, reversal
from tests.support.networks import heard, visa

REQUIRED = (2, 3, 4, 7, 11, 18, 49)


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_element_is_named(field: int) -> None:
    fields = {number: value for number, value in purchase().items() if number != field}
    with pytest.raises(BadElement) as caught:
        to_request(Message.of("0100", fields), "n", KEYS, NOON)
    assert caught.value.field == field


@pytest.mark.parametrize("field", sorted(set(purchase()) - set(REQUIRED)))
def test_the_rest_may_be_absent(field: int) -> None:
    fields = {number: value for number, value in purchase().items() if number != field}
    to_request(Message.of("0100", fields), "n", KEYS, NOON)


def test_the_pan_goes_no_further() -> None:
    fields = purchase() | {35: f"{PAN}=28121010000"}
    request = to_request(Message.of("0100", fields), "n", KEYS, NOON)
    assert PAN not in repr(request)


def test_a_billing_amount_needs_its_currency() -> None:
    with pytest.raises(BadElement, match="DE 51"):
        to_request(Message.of("0100", purchase() | {6: f"{5:012}"}), "n", KEYS, NOON)


@pytest.mark.parametrize(
    ("de90", "expected"),
    [
        ("0100" + "000001" + "0322120000" + "0" * 22, ("0100", "000001", "0322120000")),
        ("0100" + "0" * 38, ("", "", "")),
        ("0" * 42, ("", "", "")),
    ],
)
def test_original_data_elements(de90: str, expected: tuple[str, str, str]) -> None:
    facts = to_reversal(Message.of("0400", reversal(purchase(), de90=de90)), "n", KEYS, NOON)
    assert (facts.original.mti, facts.original.stan, facts.original.sent) == expected


@pytest.mark.parametrize(
    ("de95", "remaining"),
    [("", -1), ("0" * 42, -1), (f"{2500:012}" + "0" * 30, 2500)],
)
def test_replacement_amounts(de95: str, remaining: int) -> None:
    facts = to_reversal(Message.of("0400", reversal(purchase(), de95=de95)), "n", KEYS, NOON)
    assert facts.remaining_minor == remaining


@pytest.mark.parametrize("changes", [{"de90": "123"}, {"de95": "x" * 42}, {"de90": "x" * 42}])
def test_a_malformed_reference_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(BadElement):
        to_reversal(Message.of("0400", reversal(purchase(), **changes)), "n", KEYS, NOON)


PAGE = Path(__file__).parents[3] / "docs" / "networks.md"


def test_the_page_shows_what_de_3_may_be() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## What DE 3 may be")[2]
    rows = re.findall(r"^\| ([0-9, ]+) \| ([a-z ]+) \|", section.partition("\n## ")[0], re.M)
    shown = {code: words for codes, words in rows for code in codes.split(", ")}
    assert shown == {code: purpose.replace("_", " ") for code, purpose in PURPOSES.items()}


@pytest.mark.parametrize(
    ("entry_mode", "channel"), [("0110", "ecommerce"), ("0510", "chip"), ("9910", "ecommerce")]
)
def test_what_a_network_says_of_itself_is_in_the_facts(entry_mode: str, channel: str) -> None:
    """How an order came where DE 22 does not say; who was there; and a score."""
    fields = visa(de60=bytes.fromhex("410000000500"), de22=entry_mode,
                  de62={1: "Y", 2: "306073123456789", 21: "9105"})  # fmt: skip
    message = heard("visa", "0100", fields)
    request = to_request(message, "visa", KEYS, NOON, READERS["visa"](message))
    assert (request.channel, request.authenticated, request.risk) == (channel, True, 91)
