"""The hold policy: which row holds, how much is held, and that its document shows it."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from rules.facts import AuthorizationRequest, Finality, Purpose
from rules.holds import DEFAULTS, MCC_GROUPS, HoldRule, hold_for, in_group, make_policy

DOCUMENT = Path(__file__).parents[2] / "docs" / "holds.md"
MARK = "<!-- holds: tests/rules/test_holds.py keeps this table -->"


def request(**changes: Any) -> AuthorizationRequest:
    base: dict[str, Any] = {
        "network": "generic", "mti": "0100", "card_key": "k", "purpose": Purpose.PURCHASE,
        "amount_minor": 1000, "currency": "840", "transaction_minor": 1000,
        "transaction_currency": "840", "mcc": "5411", "merchant_id": "", "terminal_id": "",
        "acquirer_id": "", "country": "", "entry_mode": "", "expiry": "", "stan": "000001",
        "rrn": "", "sent_at": 0,
    }  # fmt: skip
    return AuthorizationRequest(**(base | changes))


@pytest.mark.parametrize(
    ("changes", "days"),
    [
        ({}, 9),
        ({"mcc": "5542", "finality": Finality.PRE}, 2),
        ({"mcc": "5542"}, 9),
        ({"mcc": "5812"}, 7),
        ({"mcc": "3501", "finality": Finality.PRE}, 30),
        ({"mcc": "3999"}, 7),
        ({"mcc": "4000"}, 9),
        ({"network": "visa", "finality": Finality.PRE}, 10),
        ({"network": "visa", "finality": Finality.PRE, "mcc": "7011"}, 30),
        ({"network": "visa", "merchant_initiated": True}, 5),
        ({"network": "visa"}, 9),
        ({"network": "mastercard", "finality": Finality.PRE}, 30),
        ({"network": "mastercard", "finality": Finality.FINAL}, 9),
    ],
    ids=str,
)
def test_the_first_row_that_fits_holds(changes: dict[str, Any], days: int) -> None:
    assert make_policy((), 9).of(request(**changes)).days == days


def test_own_rows_take_the_place_of_ours_and_the_last_one_fits_all() -> None:
    policy = make_policy((HoldRule(mcc_group="fuel", days=1),), 4)
    assert policy.of(request(mcc="5541")).days == 1
    assert policy.of(request(mcc="5812")).days == 4


@pytest.mark.parametrize(
    ("rule", "changes", "held"),
    [
        (HoldRule(days=1), {}, 1000),
        (HoldRule(days=1, uplift_percent=20), {}, 1200),
        (HoldRule(days=1, uplift_percent=20), {"amount_minor": 99}, 118),
        (HoldRule(days=1, uplift_percent=20, uplift_minor=300), {}, 1300),
        (HoldRule(days=1, uplift_percent=20), {"purpose": Purpose.CASH}, 1000),
        (HoldRule(days=1, uplift_percent=20), {"purpose": Purpose.REFUND}, 1000),
        (HoldRule(days=1, uplift_percent=20), {"mti": "0200"}, 1000),
        (HoldRule(days=1, uplift_minor=500), {"amount_minor": 0, "transaction_minor": 0}, 0),
    ],
    ids=str,
)
def test_what_is_held_for_an_amount(rule: HoldRule, changes: dict[str, Any], held: int) -> None:
    assert hold_for(request(**changes), rule) == held


def test_groups_are_ranges_of_four_digits() -> None:
    for name, ranges in MCC_GROUPS.items():
        for first, last in ranges:
            assert len(first) == len(last) == 4
            assert first <= last
            assert in_group(first, name)
            assert in_group(last, name)
    assert not in_group("5540", "fuel")


def cell(rule: HoldRule, key: str) -> str:
    value = getattr(rule, key)
    if key.endswith("percent"):
        return f"{value} %" if value else ""
    return str(value or "")


def table() -> str:
    keys = [
        field.name
        for field in structs.fields(HoldRule)
        if any(getattr(rule, field.name) != field.default for rule in DEFAULTS)
    ]
    rows = [f"| {' | '.join(key.replace('_', ' ') for key in keys)} |", "|" + "---|" * len(keys)]
    rows += [f"| {' | '.join(cell(rule, key) for key in keys)} |" for rule in DEFAULTS]
    return "\n".join(rows)


def test_the_document_shows_the_rows() -> None:
    after = DOCUMENT.read_text().partition(MARK)[2].lstrip("\n")
    assert after.startswith(table() + "\n\n"), f"the table should be\n{table()}"
