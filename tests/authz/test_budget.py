from authz.budget import Budget
from authz.clock import ManualClock


def test_time_left_is_never_negative_and_ends_with_the_deadline() -> None:
    clock = ManualClock(1_000_000, 50.0)
    budget = Budget(clock, 50.0, 0.15)
    assert round(budget.left_s(), 6) == 0.15
    assert budget.store_deadline_ms(-20) - (1_000_000 - 20) in (150, 151)  # of 0.15 as a float
    clock.advance(0.1)
    assert round(budget.left_s(), 6) == 0.05
    clock.advance(0.1)
    assert budget.left_s() == 0
    assert round(budget.spent_s(), 6) == 0.2
