"""The recorder against a sorted list, which has no error at all."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.latency import HIGHEST_NS, LOWEST_NS, LatencyRecorder, bucket_of, upper_edge_s

durations = st.floats(min_value=1e-6, max_value=60.0)


def filled(values: list[float]) -> LatencyRecorder:
    recorder = LatencyRecorder()
    for value in values:
        recorder.record(value)
    return recorder


@given(st.lists(durations, min_size=1, max_size=300), st.floats(0, 1))
def test_a_quantile_is_never_better_than_the_truth_and_hardly_worse(
    values: list[float], q: float
) -> None:
    truth = sorted(values)[max(1, ceil(q * len(values))) - 1]

    told = filled(values).quantile(q)

    assert truth - 1e-9 <= told <= truth * (1 + 1 / 64) + 1e-9


@given(st.lists(durations, max_size=50), st.lists(durations, max_size=50))
def test_merged_recorders_are_one(left: list[float], right: list[float]) -> None:
    both = filled(left)
    both.merge(LatencyRecorder.parse(filled(right).dump()))

    assert both.summary() == filled(left + right).summary()


@given(st.integers(LOWEST_NS, HIGHEST_NS))
def test_every_duration_lies_below_the_edge_of_its_bucket(ns: int) -> None:
    bucket = bucket_of(ns)

    assert upper_edge_s(bucket - 1) * 1e9 - 1 <= ns < upper_edge_s(bucket) * 1e9 + 1


def test_what_is_counted_exactly() -> None:
    recorder = filled([0.2, 0.2000001, 0.5, 1e-9, 100.0])

    assert recorder.summary()["over_budget"] == 3
    assert recorder.summary()["max_ms"] == 100_000
    assert recorder.count == 5
    assert recorder.quantile(0) == pytest.approx(1e-6, rel=0.02)


def test_nothing_recorded_is_all_zero() -> None:
    assert set(LatencyRecorder().summary().values()) == {0}


def test_the_names_are_those_that_scripts_read() -> None:
    names = ["count", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "over_budget"]

    assert list(LatencyRecorder().summary()) == names
