"""A few lines a second, and the next second as many again."""

from authz.clock import ManualClock
from authz.log_lines import Lines
from tests.support.engine import NOON


def test_so_many_a_second_and_then_again() -> None:
    clock = ManualClock(NOON)
    lines = Lines(clock, 3)
    for _ in range(3):
        assert [lines.left() for _ in range(6)] == [True] * 3 + [False] * 3
        clock.advance(1)
