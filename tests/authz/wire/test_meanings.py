"""What a message does, by its network; and that the page shows the table that is used."""

from itertools import product
from pathlib import Path

import pytest

from authz.wire.indicators import Indicators
from authz.wire.meanings import ALLOWED, TABLE, what_it_does
from authz.wire.networks import NETWORKS
from rules.facts import Does, Finality

PAGE = Path(__file__).parents[3] / "docs" / "networks.md"
NAMES = {"10": "0100", "12": "0120", "20": "0200", "22": "0220"}

PLAIN, PUMP = Indicators(), "5542"
PRE = Indicators(finality=Finality.PRE)
MORE = Indicators(more_to_come=True)
INCREMENT = Indicators(increments=True)


@pytest.mark.parametrize(
    ("network", "mti", "mcc", "says", "does"),
    [
        ("generic", "0100", "5411", PLAIN, Does.HOLD),
        ("generic", "0101", "5411", PRE, Does.HOLD),
        ("generic", "0100", "5411", INCREMENT, Does.INCREASE),
        ("iso93", "1100", "5411", INCREMENT, Does.INCREASE),
        ("generic", "0120", "5411", PLAIN, Does.SET),
        ("generic", "0200", "5411", INCREMENT, Does.POST),
        ("generic", "0220", "5411", PLAIN, Does.COMPLETE),
        ("generic", "0221", "5411", MORE, Does.PART),
        ("iso93", "1220", "5411", PLAIN, Does.COMPLETE),
        # What the tank took: where the money moves with a file, and where it does not.
        ("visa", "0120", PUMP, PLAIN, Does.SET),
        ("mastercard", "0120", PUMP, PLAIN, Does.SET),
        ("postilion", "0120", PUMP, PLAIN, Does.COMPLETE),
        ("postilion", "0121", PUMP, PLAIN, Does.COMPLETE),
        ("postilion", "0120", PUMP, PRE, Does.SET),
        ("postilion", "0120", "5411", PLAIN, Does.SET),
        ("generic", "0120", PUMP, PLAIN, Does.SET),
    ],
)
def test_what_it_does(network, mti, mcc, says, does):
    assert what_it_does(network, mti, mcc, says) is does


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ALLOWED)
def test_every_message_does_something_that_its_class_can(network, kind):
    for mcc, says in product(("", "5411", PUMP, "3501", "x"), (PLAIN, PRE, MORE, INCREMENT)):
        assert what_it_does(network, f"0{kind}0", mcc, says) in ALLOWED[kind]


def test_no_row_is_hidden_by_another():
    seen = [(row.kind, row.network, row.mcc_group, row.indicator) for row in TABLE]
    assert len(set(seen)) == len(seen)


def test_the_page_shows_the_table():
    lines = ["| message | network | merchants | indicator | does |", "|---" * 5 + "|"]
    for row in TABLE:
        does = f"{row.does} *" if row.reading else row.does
        cells = (NAMES[row.kind], row.network, row.mcc_group, row.indicator, does)
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    table = "\n".join(lines)
    assert table in PAGE.read_text(encoding="utf-8"), f"the table is now:\n{table}"
