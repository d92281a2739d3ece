"""The bound on what is asked at once: down where answers are slow, up where it was too tight."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.admission import LEAST, PURSE_S, READ_S, REFUSING, SEATS, START, Admission

DEADLINE_S = 0.150


def rounds(admission: Admission, count: int, took_s: float, at: float = 0.0) -> float:
    """So many rounds with all that may be asked in flight, each answered after so long."""
    for _ in range(count):
        at += took_s
        many = admission.room
        for _ in range(many):
            admission.asked()
        for _ in range(many):
            admission.answered(at, took_s)
    return at


def test_room_is_what_the_bound_leaves() -> None:
    admission = Admission(DEADLINE_S, 4096)
    assert admission.room == START
    for _ in range(START):
        admission.asked()
    assert admission.room == 0
    admission.answered(1.0, 0.01)
    assert admission.room == 1


def test_answers_that_take_too_long_make_it_smaller_but_not_nothing() -> None:
    admission = Admission(DEADLINE_S, 4096)
    at = rounds(admission, 1, 0.1)
    assert START * 0.7 < admission.limit < START
    rounds(admission, 50, 0.1, at)
    assert admission.limit == LEAST


def test_answers_in_time_make_it_larger_up_to_what_is_configured() -> None:
    admission = Admission(DEADLINE_S, START + 2)
    rounds(admission, 1, 0.01)
    assert START < admission.limit < START + 1
    rounds(admission, 20, 0.01)
    assert admission.limit == START + 2


def test_it_comes_back_after_a_slow_time() -> None:
    admission = Admission(DEADLINE_S, 4096)
    at = rounds(admission, 50, 0.1)
    rounds(admission, 100, 0.01, at)
    assert admission.limit > 2 * LEAST


def test_a_bound_that_is_not_made_use_of_is_not_judged() -> None:
    """One slow answer at night says nothing about a flood in the morning."""
    admission = Admission(DEADLINE_S, 4096)
    for at in range(1000):
        admission.asked()
        admission.answered(float(at), 0.149)
    assert admission.limit == START


def test_a_small_configuration_is_kept() -> None:
    admission = Admission(DEADLINE_S, 2)
    rounds(admission, 10, 0.149)
    assert (admission.room, admission.limit) == (2, 2)


def test_what_waits_for_its_turn_elsewhere_moves_nothing() -> None:
    admission = Admission(DEADLINE_S, 4096)
    for _ in range(START):
        admission.asked()
    for _ in range(START):
        admission.answered(1.0, 0.149, judged=False)
    assert (admission.limit, admission.in_flight) == (START, 0)


class Simulated:
    """One link, and a store that answers so many a second, all asked at once in their order; in
    steps of a millisecond. The queue is the session's (tests/authz/test_session.py)."""

    def __init__(self, capacity: int) -> None:
        self.admission = Admission(DEADLINE_S, 4096)
        self.capacity, self.credit, self.at = capacity, 0.0, 0.0
        self.line: deque[float] = deque()  # when each came
        self.asked: deque[tuple[float, float]] = deque()  # … and when it was asked
        self.served: list[float] = []  # how long each took, from when it came
        self.told_91: list[float] = []
        self.longest = self.steps = 0

    def step(self, come: int, stands: bool) -> None:
        self.at += 0.001
        self.credit = 0.0 if stands else min(self.credit, 1.0) + self.capacity / 1000
        while self.asked and self.credit >= 1:
            self.credit -= 1
            self.end(*self.asked.popleft(), self.served)
        while self.asked and self.at - self.asked[0][0] > DEADLINE_S:
            self.end(*self.asked.popleft(), self.told_91)
        self.line.extend([self.at] * come)
        admission = self.admission
        self.steps += 1
        if self.steps % 20 == 0:
            admission.beat(self.at, crowd=admission.waiting > 0)
        seats = admission.seats(admission.waiting)
        while self.line:
            may_ask = admission.room > 0
            too_old = self.line[0] < self.at - admission.patience_s
            if not (may_ask or too_old or len(self.line) > seats):
                break
            came = self.line.popleft()
            if may_ask and not too_old:
                admission.asked()
                self.asked.append((came, self.at))
            else:
                self.told_91.append(self.at - came)
        admission.count(admission.waiting, len(self.line))
        assert len(self.line) <= admission.line <= SEATS
        self.longest = max(self.longest, len(self.line))

    def end(self, came: float, asked: float, told: list[float]) -> None:
        self.admission.answered(self.at, self.at - asked)
        told.append(self.at - came)


@settings(max_examples=30, deadline=None)
@given(
    capacity=st.integers(1000, 20_000),
    factor=st.floats(1.2, 6.0),
    stall=st.integers(0, 100),
)
def test_an_overload_is_served_at_the_capacity_and_all_in_time(
    capacity: int, factor: float, stall: int
) -> None:
    """Whatever the store manages, whatever is asked, and though it stands still for a moment."""
    world, owed = Simulated(capacity), 0.0
    for step in range(3000):
        owed += capacity * factor / 1000
        come, owed = int(owed), owed - int(owed)
        world.step(come, stands=2000 <= step < 2000 + stall)
        if step == 999:  # the bound has found its place
            world.served.clear()
            world.told_91.clear()
    assert world.longest <= SEATS
    assert max(world.served + world.told_91) <= DEADLINE_S + 0.002
    # Two seconds, less those in which nobody could be served and what was asked before them.
    lost_s = (stall / 1000 + DEADLINE_S) if stall else 0.0
    assert len(world.served) >= 0.8 * capacity * (2.0 - lost_s)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 29))
def test_each_link_has_its_fair_share_of_the_seats(waiting: list[int], which: int) -> None:
    admission = Admission(DEADLINE_S, 4096)
    for count in waiting:
        admission.count(0, count)
    counted = waiting[which % len(waiting)]
    links = sum(count > 0 for count in waiting) + (not counted)
    seats = admission.seats(counted)
    assert seats >= admission.line // links
    assert seats - counted <= max(admission.line - sum(waiting), admission.line // links - counted)
    for count in waiting:
        admission.count(count, 0)
    assert (admission.waiting, admission.holding) == (0, 0)


def test_what_a_message_takes_is_learnt_while_some_wait() -> None:
    admission, at = Admission(DEADLINE_S, 4096), 0.0
    assert admission.line == 200

    def seconds(count: int, per_s: int, at: float) -> float:
        for _ in range(count * 50):
            for _ in range(per_s // 50):
                admission.asked()
                admission.answered(at, 0.02)
            at += 0.02
            admission.beat(at, crowd=admission.waiting > 0)
        return at

    at = seconds(5, 500, at)
    assert admission.line == 200  # nobody waited: a quiet hour says nothing of what is possible
    admission.count(0, 1)
    at = seconds(5, 8000, at)
    assert admission.line == pytest.approx(400, rel=0.02)
    at = seconds(1, 0, at)  # a stall says less than a second's
    assert 130 < admission.line < 400
    at = seconds(10, 50, at)
    assert admission.line == LEAST
    seconds(10, 100_000, at)
    assert admission.line == SEATS


def test_refusing_has_a_fifth_of_the_time() -> None:
    admission = Admission(DEADLINE_S, 4096)
    at = refused_s = 0.0
    admission.beat(at, crowd=admission.waiting > 0)
    for _ in range(1000):
        while admission.may_refuse:
            admission.refused(0.0003)
            refused_s += 0.0003
        assert admission.reads == 0
        at += 0.02
        admission.beat(at, crowd=admission.waiting > 0)
    assert refused_s == pytest.approx(at * REFUSING, rel=0.02)
    admission.beat(at + 60, crowd=admission.waiting > 0)
    assert admission.reads == int(PURSE_S / READ_S)


def test_a_stall_while_refusing_stops_the_reading_for_a_moment_only() -> None:
    admission = Admission(DEADLINE_S, 4096)
    admission.beat(0.0, crowd=admission.waiting > 0)
    admission.refused(10.0)
    assert not admission.may_refuse
    admission.beat(1.1 * PURSE_S / REFUSING, crowd=admission.waiting > 0)
    assert admission.may_refuse


def test_who_waits_at_its_own_links_bound_tells_nothing_of_the_engine() -> None:
    admission = Admission(DEADLINE_S, 4096)
    line = admission.line
    admission.count(0, 5)
    for beat in range(500):
        admission.asked()
        admission.answered(beat * 0.02, 0.008)
        admission.beat(beat * 0.02, crowd=False)
    assert admission.line == line
