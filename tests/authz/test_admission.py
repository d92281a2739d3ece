"""The bound on what is asked at once: down where answers are slow, up where it was too tight."""

from authz.admission import LEAST, SEATS, START, Admission

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
    admission.waiting = SEATS - 3
    assert admission.seats == 3


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
