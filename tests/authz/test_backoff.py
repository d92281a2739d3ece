from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.backoff import Backoff


@given(st.integers(), st.floats(0.01, 1.0), st.floats(1.0, 100.0), st.integers(1, 40))
def test_each_wait_is_within_its_step(seed: int, least: float, most: float, tries: int) -> None:
    backoff = Backoff(least, most, Random(seed))
    for n in range(tries):
        step = min(least * 2**n, most)
        assert step / 2 <= backoff.next_s() <= step
    backoff.reset()
    assert backoff.next_s() <= least


def test_a_seed_says_it_all_and_two_engines_do_not_knock_together() -> None:
    def waits(seed: str) -> list[float]:
        backoff = Backoff(0.5, 30.0, Random(seed))
        return [backoff.next_s() for _ in range(10)]

    assert waits("e1/north") == waits("e1/north")
    assert len({*waits("e1/north"), *waits("e2/north")}) == 20


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1)])
def test_bounds_that_make_no_sense(least: float, most: float) -> None:
    with pytest.raises(AssertionError):
        Backoff(least, most, Random(1))
