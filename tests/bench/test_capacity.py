"""The search for the capacity: where it ends is where the machine ends."""

import asyncio

import pytest

from authz.hot.acts import Verdict
from bench.capacity import (
    HIGHEST_PER_S,
    LOWEST_PER_S,
    Probe,
    Search,
    bisect,
    confirm,
    in_flight,
    worth_repeating,
)
from bench.hot import one_round
from bench.load import FAILED, INCONCLUSIVE, OK
from tests.bench.test_load import FINE


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


def test_a_rate_that_failed_in_a_bad_moment_is_asked_again():
    trial, asked = machine(2600)

    async def at_a_bad_time(rate, seconds):
        found = await trial(rate, seconds)
        return found if len(asked) > 2 else Probe(rate=rate, holds=False, why="a neighbour")

    probes = asyncio.run(bisect(Search(steps=6), at_a_bad_time))
    rates = [rate for rate, _ in asked]
    assert rates[:2] == [2000, 1000]
    assert rates.count(1000) == rates.count(2000) == 2
    assert 2400 < max(p.rate for p in probes if p.holds) <= 2600


def test_few_rates_are_asked_again():
    trial, asked = machine(1990)
    asyncio.run(bisect(Search(steps=12, start=4000), trial))
    assert len(asked) == 3 + 12 + 2


@pytest.mark.parametrize("most", [0, 10**9])
def test_it_gives_up_at_its_bounds(most):
    trial, asked = machine(most)
    probes = asyncio.run(bisect(Search(), trial))
    assert {p.holds for p in probes} == {most > 0}
    assert len(asked) < 10
    assert min(rate for rate, _ in asked) >= LOWEST_PER_S / 2
    assert max(rate for rate, _ in asked) <= HIGHEST_PER_S * 2


@pytest.mark.parametrize(("longer", "found"), [(5000, 5000), (4100, 3500), (3500, 3500), (3400, 0)])
def test_what_does_not_hold_for_long_is_no_capacity(longer, found):
    trial, asked = machine(5000, longer)
    confirmed, tried = asyncio.run(confirm(Search(), trial, 5000))
    assert confirmed == found
    assert len(tried) == len(asked) <= 2


def test_without_a_rate_that_holds_nothing_is_confirmed():
    trial, asked = machine(0)
    assert asyncio.run(confirm(Search(), trial, 0.0)) == (0.0, [])
    assert asked == []


SHORT = Search().probe_s


@pytest.mark.parametrize(
    ("changes", "code", "seconds", "repeats"),
    [
        ({}, OK, SHORT, False),
        ({}, INCONCLUSIVE, SHORT, True),
        ({}, INCONCLUSIVE, SHORT * 6, True),
        ({"p99_ms": 19.9}, FAILED, SHORT, True),
        ({"p99_ms": 19.9}, FAILED, SHORT * 6, False),
        ({"p99_ms": 20.1, "p99_undisturbed_ms": 20.1}, FAILED, SHORT, False),
        ({"p999_ms": 100.1, "p999_undisturbed_ms": 100.1}, FAILED, SHORT, False),
        ({"unanswered": 1}, FAILED, SHORT, False),
        ({"audit_ok": False}, FAILED, SHORT, False),
    ],
)
def test_only_a_near_miss_is_tried_again(changes, code, seconds, repeats):
    found = FINE | changes
    assert worth_repeating(Search(), found, code, seconds) == repeats


def test_the_limit_has_so_many_calls_in_flight_and_no_more():
    under_way, most = 0, 0

    class Counting:
        async def authorize(self, act, timeout_s):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return Verdict(kind="held")

        async def info(self, section):
            return {"used_cpu_user": 0.0, "used_cpu_sys": 0.0}

    counting = Counting()
    for callers in (1, 3, 64):
        most = 0
        asyncio.run(one_round(counting, counting, [object()] * 200, again=False, callers=callers))
        assert most == callers


@pytest.mark.parametrize(
    ("per_s", "p50_ms", "calls"), [(0.0, 0.0, 1), (750, 1.44, 2), (1312, 1.52, 2), (4000, 2.6, 11)]
)
def test_what_was_in_flight_is_rounded_to_our_disfavour(per_s, p50_ms, calls):
    assert in_flight(per_s, p50_ms) == calls
