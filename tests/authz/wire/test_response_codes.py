"""Every reason has its code in every network, and the page shows the table that is used."""

from pathlib import Path

import pytest

from authz.wire.networks import NETWORKS
from authz.wire.response_codes import CODES
from authz.wire.to_response import Reply, to_response
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from rules.reason import Reason
from tests.support.engine import purchase

PAGE = Path(__file__).parents[3] / "docs" / "response-codes.md"


@pytest.mark.parametrize("network", CODES)
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_in_every_network(network: str, reason: Reason) -> None:
    code = CODES[network].of[reason]
    assert (len(code), code.isascii(), code.isalnum()) == (NETWORKS[network].code_size, True, True)
    # Only an approval may be taken for one.
    approvals = {CODES[network].of[Reason.APPROVED], "85", "10", "002"}
    assert (code in approvals) == (reason is Reason.APPROVED)


def test_codes_are_as_long_as_their_dialects_element() -> None:
    for dialect in BY_NAME.values():
        sizes = {n.code_size for n in NETWORKS.values() if n.version == dialect.version}
        assert sizes == {dialect.fields[39].maximum}


@pytest.mark.parametrize(
    ("network", "reason", "code"),
    [
        ("visa", Reason.CARD_FROZEN, "78"),
        ("visa", Reason.CARD_CLOSED, "46"),
        ("mastercard", Reason.CARD_FROZEN, "62"),
        ("mastercard", Reason.CARD_CLOSED, "14"),
        ("postilion", Reason.CARD_FROZEN, "62"),
        ("iso93", Reason.CARD_FROZEN, "104"),
    ],
)
def test_networks_differ(network: str, reason: Reason, code: str) -> None:
    message = Message.of("0100", purchase())  # type: ignore[arg-type]
    assert to_response(message, Reply(reason), NETWORKS[network])[39] == code


@pytest.mark.parametrize(
    ("network", "mti", "amount", "code"),
    [
        ("visa", "0100", 0, "85"),
        ("mastercard", "0100", 0, "85"),
        ("generic", "0100", 0, "00"),
        ("visa", "0100", 1, "00"),
        ("visa", "0400", 0, "00"),
        ("visa", "0120", 0, "00"),
        ("iso93", "1100", 0, "000"),
        ("iso93", "1120", 1, "900"),
        ("iso93", "1420", 1, "400"),
        ("iso93", "1804", 1, "800"),
    ],
)
def test_what_an_approval_is_called(network: str, mti: str, amount: int, code: str) -> None:
    message = Message.of(mti, purchase(1, amount))  # type: ignore[arg-type]
    assert to_response(message, Reply(Reason.APPROVED), NETWORKS[network])[39] == code


def test_the_page_shows_the_tables() -> None:
    head = f"| reason | {' | '.join(CODES)} |"
    rows = []
    for reason in Reason:
        told = " | ".join(codes.of[reason] for codes in CODES.values())
        rows.append(f"| {reason.replace('_', ' ')} | {told} |")
    table = "\n".join([head, "|---" * (len(CODES) + 1) + "|", *rows])
    assert table in PAGE.read_text(encoding="utf-8"), f"the table is now:\n{table}"
