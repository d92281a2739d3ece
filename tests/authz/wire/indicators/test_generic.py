"""The readers of the standard, and what is true of all of them."""

from time import perf_counter

import pytest

from authz.wire.indicators import NOTHING, READERS, Indicators
from authz.wire.networks import NETWORKS
from iso8583.message import Message
from tests.support.engine import purchase
from tests.support.iso93 import purchase_1993


def of(fields: dict[int, str]) -> Message:
    return Message.of("0100", fields)  # type: ignore[arg-type]


def test_every_network_has_a_reader():
    assert READERS.keys() == NETWORKS.keys()


@pytest.mark.parametrize("network", READERS)
def test_a_plain_purchase_says_nothing_and_costs_next_to_nothing(network):
    plain = of(purchase_1993() if network == "iso93" else purchase(de43=""))
    reader = READERS[network]
    assert reader(plain) == NOTHING

    def once() -> float:
        started = perf_counter()
        for _ in range(1000):
            reader(plain)
        return (perf_counter() - started) * 1000  # µs a message

    # 0.3 to 0.5 µs; the best of many, and a bound that a noisy machine keeps.
    assert min(once() for _ in range(20)) < 2.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"de60": "000000000100"}, {"partial_ok": True}),
        ({"de60": "000000000200"}, {"finality": "pre"}),
        ({"de90": "0100" + "1" * 38}, {"increments": True}),
        ({"de90": "0" * 42}, {}),
        ({"de71": "0001", "de72": "0003"}, {"more_to_come": True, "shipments": 3}),
        ({"de71": "0003", "de72": "0003"}, {"shipments": 3}),
        ({"de71": "0004", "de72": "0003"}, {}),
        ({"de71": "0000", "de72": "0003"}, {}),
        ({"de71": "0001", "de72": "0100"}, {}),
        ({"de71": "x"}, {}),
    ],
)
def test_1987(changes, expected):
    assert READERS["generic"](of(purchase(**changes))) == Indicators(**expected)


@pytest.mark.parametrize(
    ("function", "finality", "increments"),
    [("100", "plain", False), ("101", "pre", False), ("105", "pre", True), ("187", "plain", True)],
)
def test_1993(function, finality, increments):
    message = Message.of("1100", purchase_1993(de24=function))  # type: ignore[arg-type]
    said = READERS["iso93"](message)
    assert (said.finality, said.increments) == (finality, increments)
