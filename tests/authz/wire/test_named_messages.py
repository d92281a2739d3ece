"""The messages that tests/wire names by meaning mean that to the engine, in every network."""

import re
from pathlib import Path
from typing import Any

import pytest

from authz.wire.elements import text
from authz.wire.indicators import READERS
from authz.wire.meanings import what_it_does
from authz.wire.to_request import to_request
from authz.wire.version_1993 import as_1987
from iso8583.codec import decode
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from rules.facts import Does, Purpose
from tests.support.engine import KEYS, NOON

HERE = Path(__file__).parents[2] / "wire"
# A name in front of the MTI, and what the engine takes from such a message.
MEANINGS: dict[str, dict[str, Any]] = {
    "preauthorization": {"does": Does.HOLD, "finality": "pre"},
    "final_authorization": {"does": Does.HOLD, "finality": "final"},
    "increment": {"does": Does.INCREASE, "purpose": Purpose.PURCHASE},
    "second_of_three_completions": {"does": Does.PART},
    "fuel_final_amount": {"does": Does.SET},
    "fuel_completion": {"does": Does.COMPLETE},
    "stand_in_advice": {"does": Does.SET},
    "balance_inquiry": {"purpose": Purpose.BALANCE_INQUIRY},
    "original_credit": {"purpose": Purpose.ORIGINAL_CREDIT},
    "payment": {"purpose": Purpose.ORIGINAL_CREDIT},
    "card_on_file_purchase": {"does": Does.HOLD, "merchant_initiated": True, "partial_ok": True},
}
REQUESTS = re.compile("(.+)_[01][12][02]0")  # and advices, not their answers
FILES = sorted(
    path
    for path in HERE.rglob("*.txt")
    if (name := REQUESTS.fullmatch(path.stem)) and name[1] in MEANINGS
)


def load(path: Path) -> tuple[str, Message]:
    """Its network, and the message."""
    name, wire, _ = re.sub("^#.*\n", "", path.read_text("utf-8"), flags=re.M).split("\n\n")
    network = name if name in READERS else "iso93" if name == "iso93_ascii" else "generic"
    return network, decode(bytes.fromhex(wire), BY_NAME[name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HERE))[:-4])
def test_a_message_means_what_it_is_called(path: Path) -> None:
    network, message = load(path)
    says = READERS[network](message)
    if network == "iso93":
        message = as_1987(message)
    request = to_request(message, network, KEYS, NOON, says)
    does = what_it_does(network, message.mti, text(message, 18), says)
    for what, expected in MEANINGS[path.stem[:-5]].items():
        heard = does if what == "does" else getattr(request, what)
        assert heard == expected, what


def test_every_network_is_among_them() -> None:
    heard = {(load(path)[0], path.stem[:-5]) for path in FILES}
    for network in READERS:
        for meaning in ("preauthorization", "balance_inquiry"):
            assert (network, meaning) in heard
