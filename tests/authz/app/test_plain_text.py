"""Amounts in their own currency and decimals, and acts as a table."""

import pytest

from authz.app.plain_text import detail, lines, money

AMOUNTS = [
    (1250, "840", "12.50 USD"), (0, "840", "0.00 USD"), (-1250, "978", "-12.50 EUR"),
    (1250, "392", "1250 JPY"), (1250, "414", "1.250 KWD"), (5, "414", "0.005 KWD"),
    (10**15, "840", "10000000000000.00 USD"), (7, "", "7 minor units"), (7, "959", "7 minor units"),
]  # fmt: skip


@pytest.mark.parametrize(("minor", "currency", "shown"), AMOUNTS)
def test_money(minor: int, currency: str, shown: str) -> None:
    assert money(minor, currency) == shown


def test_each_amount_is_in_its_own_currency() -> None:
    found = {
        "currency": "840",
        "held_minor": 5,
        "asked_minor": 5,
        "asked_currency": "392",
        "counters": {"c1/day_amount/20261121": 150, "c1/day_count/20261121": 3},
        "open": [{"held_minor": 1, "currency": "414"}, {"held_minor": 1}],
        "whole": True,
        "none": [],
    }
    assert lines({"held_delta_minor": 0}) == ["held delta  -"]  # of no currency: nothing moved
    assert lines(found) == [
        "currency  USD",
        "held      0.05 USD",
        "asked     5 JPY",
        "counters",
        "  c1/day_amount/20261121  1.50 USD",
        "  c1/day_count/20261121   3",
        "open",
        "  -",
        "    held      0.001 KWD",
        "    currency  KWD",
        "  -",
        "    held  0.01 USD",
        "whole     yes",
        "none      -",
    ]


def test_acts_are_a_table() -> None:
    act = {
        "at": "2026-11-21T10:00:00.123+00:00", "kind": "authorization", "mti": "0100",
        "stan": "000001", "rrn": "000000000001", "amount_minor": 250, "amount_currency": "392",
        "verdict": "over_limit", "reason": "daily_amount_limit", "detail": "daily_amount_limit",
        "currency": "840", "held_delta_minor": 0, "posted_delta_minor": -50,
        "ceiling_minor": 10_000, "authorization_id": "", "message_id": "m1",
        "counter": "c1/day_amount/20261121",
    }  # fmt: skip
    plain = act | {"detail": "", "verdict": "held", "currency": "", "held_delta_minor": None,
                   "posted_delta_minor": None}  # fmt: skip
    del plain["ceiling_minor"]
    title, head, first, second = lines({"currency": "840", "latest_acts": [act, plain]})[1:]
    assert title == "latest acts, the newest first"
    assert head.split() == [
        "at", "kind", "mti", "stan", "rrn", "amount", "verdict", "reason", "detail", "held",
        "delta", "posted", "delta", "authorization", "id", "message", "id",
    ]  # fmt: skip
    assert first.split("  daily_amount_limit  ")[1].split() == [
        "ceiling", "100.00", "USD", "of", "day_amount", "0.00", "USD", "-0.50", "USD", "-", "m1",
    ]  # fmt: skip
    assert second.split("  held  ")[1].split() == ["daily_amount_limit", "-", "-", "-", "-", "m1"]
    assert "  250 JPY  " in first


def test_the_rule_is_told_where_nothing_else_was_in_the_way() -> None:
    assert detail({"rule": "no vices", "detail": ""}, "840") == "rule no vices"
    assert detail({"rule": "r", "detail": "", "skipped_checks": ["s"]}, "840") == (
        "skipped s, rule r"
    )


def test_a_count_that_may_be_misread_has_its_note() -> None:
    assert lines({"approved_authorizations": 3}) == [
        "approved authorizations  3, reversed ones among them"
    ]
    assert lines({"approved_authorizations": 0}) == ["approved authorizations  0"]
