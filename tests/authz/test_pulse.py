"""What is read after the loop stood still is as old as the last sign of its life."""

from authz.clock import ManualClock
from authz.pulse import BEAT_S, GAP_S, Pulse


def beating(clock: ManualClock, pulse: Pulse, times: int) -> None:
    for _ in range(times):
        clock.advance(BEAT_S)
        pulse.beat()


def test_while_the_loop_runs_what_is_read_came_now() -> None:
    clock = ManualClock(0, 100.0)
    pulse = Pulse(clock)
    beating(clock, pulse, 10)
    clock.advance(GAP_S - 0.001)
    assert pulse.received() == clock.monotonic()


def test_read_before_the_first_beat_after_a_stall() -> None:
    clock = ManualClock(0, 100.0)
    pulse = Pulse(clock)
    beating(clock, pulse, 10)
    alive = clock.monotonic()
    clock.advance(2.0)
    assert pulse.received() == alive


def test_read_after_the_first_beat_after_a_stall() -> None:
    """Timers run before sockets are read: one beat alone does not make them fresh."""
    clock = ManualClock(0, 100.0)
    pulse = Pulse(clock)
    beating(clock, pulse, 10)
    alive = clock.monotonic()
    clock.advance(2.0)
    pulse.beat()
    clock.advance(0.001)
    assert pulse.received() == alive
    beating(clock, pulse, 1)
    assert pulse.received() == clock.monotonic()


def test_a_loop_that_is_only_slow_is_never_older_than_two_turns() -> None:
    clock = ManualClock(0, 100.0)
    pulse = Pulse(clock)
    for _ in range(10):
        clock.advance(GAP_S * 1.5)
        pulse.beat()
    assert clock.monotonic() - pulse.received() <= 2 * GAP_S * 1.5
