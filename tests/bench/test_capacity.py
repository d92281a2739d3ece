"""The search for the capacity: where it ends is where the machine ends."""

import asyncio

import pytest

from bench.capacity import HIGHEST_PER_S, LOWEST_PER_S, Probe, Search, bisect, confirm


def machine(most: float, longer: float | None = None):
    """One that holds up to so much; in a long run perhaps less."""
    asked = []

    async def trial(rate, seconds):
        asked.append((rate, seconds))
        bound = most if seconds < 20 or longer is None else longer
        return Probe(rate=rate, holds=rate <= bound, why="")

    return trial, asked


@pytest.mark.parametrize("most", [300, 1999, 2000, 2001, 3333, 12_345, 40_000])
def test_it_ends_within_a_sixteenth_of_the_interval_below(most):
    trial, _ = machine(most)
    probes = asyncio.run(bisect(Search(), trial))
    best = max(p.rate for p in probes if p.holds)
    least = min(p.rate for p in probes if not p.holds)
    assert best <= most < least
    assert least - best <= best / 16 + 2  # of an interval that began at most as wide as its foot


@pytest.mark.parametrize("most", [0, 10**9])
def test_it_gives_up_at_its_bounds(most):
    trial, asked = machine(most)
    probes = asyncio.run(bisect(Search(), trial))
    assert {p.holds for p in probes} == {most > 0}
    assert len(asked) < 10
    assert min(rate for rate, _ in asked) >= LOWEST_PER_S / 2
    assert max(rate for rate, _ in asked) <= HIGHEST_PER_S * 2


@pytest.mark.parametrize(("longer", "found"), [(5000, 5000), (4600, 4500), (4100, 4000), (10, 0)])
def test_what_does_not_hold_for_long_is_no_capacity(longer, found):
    trial, asked = machine(5000, longer)
    confirmed, tried = asyncio.run(confirm(Search(), trial, 5000))
    assert confirmed == found
    assert len(tried) == len(asked) <= 3


def test_without_a_rate_that_holds_nothing_is_confirmed():
    trial, asked = machine(0)
    assert asyncio.run(confirm(Search(), trial, 0.0)) == (0.0, [])
    assert asked == []
