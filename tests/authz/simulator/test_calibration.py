"""The fitted figures hang together."""

import pytest

from authz.simulator.calibration import (
    ACTIVITY,
    AMOUNTS_IN_DATA,
    CARDS_IN_DATA,
    CATEGORIES,
    HOURS_IN_DATA,
    PER_CARD_IN_DATA,
    QUANTILES,
    TRANSACTIONS_IN_DATA,
    WEEKDAYS,
)  # fmt: skip


def test_shares_add_up():
    assert sum(category.share for category in CATEGORIES) == pytest.approx(1, abs=0.002)
    assert sum(HOURS_IN_DATA) == pytest.approx(1, abs=0.002)
    assert sum(WEEKDAYS) / 7 == pytest.approx(1, abs=0.02)
    for category in CATEGORIES:
        assert sum(category.hours()) == pytest.approx(1, abs=0.002), category.name
        assert sum(share for share, _, _ in category.amounts) == pytest.approx(1, abs=0.01)


def test_the_activity_of_all_cards_makes_the_transactions_of_the_data():
    per_day = sum(share * transactions for share, transactions in ACTIVITY)
    assert per_day * CARDS_IN_DATA * 90 == pytest.approx(TRANSACTIONS_IN_DATA, rel=0.01)


def test_quantiles_ascend():
    for values in (*AMOUNTS_IN_DATA.values(), PER_CARD_IN_DATA):
        assert len(values) == len(QUANTILES)
        assert list(values) == sorted(values)
