"""Generated traffic looks like the data: like its figures, and like the file if it is there."""

import os
from pathlib import Path

import pytest

from authz.simulator.compare import Figures, Purchase, compare, like_the_data, side_by_side

DATA = os.environ.get("AUTHZ_TEST_TRANSACTIONS")  # a file of the calibration data's columns

# Distances that we stay under. The fit itself is 0.010 to 0.026 off in amounts; 299 cards
# drawn anew are 0.1 off in transactions per card by chance alone.
BOUNDS = {
    "category shares": 0.02,
    "hours": 0.03,
    "transactions per card": 0.15,
    "amount all": 0.03,
}
AMOUNT_OF_ONE_CATEGORY = 0.05


def assert_close(comparison):
    assert len(comparison.distances) == 18
    for name, distance in comparison.distances.items():
        assert distance < BOUNDS.get(name, AMOUNT_OF_ONE_CATEGORY), name


@pytest.mark.parametrize("seed", [1, 20260101])
def test_generated_traffic_looks_like_the_figures_of_the_data(seed):
    assert_close(compare(like_the_data(seed)))


@pytest.mark.skipif(DATA is None, reason="AUTHZ_TEST_TRANSACTIONS names no file")
def test_generated_traffic_looks_like_the_file():
    assert_close(compare(like_the_data(1), Path(str(DATA))))


def test_the_same_heap_is_at_distance_zero_and_another_far_away():
    small = Figures.of(Purchase("home", 5.0 + n % 7, n % 24, f"card {n % 5}") for n in range(200))
    large = Figures.of(Purchase("travel", 500.0 + n, 3, f"card {n}") for n in range(200))
    assert set(side_by_side(small, small).distances.values()) == {0.0}
    apart = side_by_side(small, large).distances
    assert apart["category shares"] == pytest.approx(0.5)  # of ours nothing counts there
    assert apart["amount all"] == 1.0
    assert apart["hours"] > 0.9


def test_the_table_shows_both_sides():
    table = str(compare(like_the_data(1)))
    assert "amount gas_transport p50" in table
    assert "transactions per card p99" in table
