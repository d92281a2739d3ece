"""The states of an authorization are what folding its acts amounts to."""

import pytest

from authz.hot.life import (
    ACTS,
    ARRIVAL,
    EXAMPLES,
    NOTHING,
    REVERSAL_OF_COMPLETION,
    State,
    Step,
    after,
    all_steps,
    authorized,
    plain_steps,
    state_of,
)
from authz.hot.record import ACTS_MAX, TARGETS, Act, Record


def test_the_table_has_every_kind_of_act() -> None:
    assert ACTS.keys() == {*ACTS_MAX, *TARGETS, "part", "set"}
    # A withdrawn increment is what the engine makes of one, and no step of its own.
    assert {act.kind for act in EXAMPLES.values()} | {"void"} == set(ACTS)


def lived(*acts: str) -> Record:
    """An authorization of 60.00, and these kinds of acts after it."""
    record = authorized(NOTHING)
    for words in acts:
        record = after(record, EXAMPLES[words])
    return record


@pytest.mark.parametrize(
    ("acts", "state"),
    [
        ((), State.HELD),
        (("part reversal",), State.HELD),
        (("increment",), State.HELD),
        (("full reversal",), State.REVERSED),
        (("completion in part",), State.POSTED_IN_PART),
        (("completion in part", "expiry"), State.POSTED),
        (("completion",), State.POSTED),
        (("expiry",), State.EXPIRED),
        (("release",), State.RELEASED),
        (("expiry", "completion"), State.POSTED),
    ],
)
def test_state_of(acts: tuple[str, ...], state: State) -> None:
    assert state_of(lived(*acts)) is state


def test_what_comes_before_its_authorization() -> None:
    early = after(NOTHING, Act("full", "", 0))
    assert state_of(early) is State.TOMBSTONE
    assert state_of(authorized(early)) is State.REVERSED
    part = after(NOTHING, EXAMPLES["part reversal"])
    assert state_of(part) is State.TOMBSTONE
    assert state_of(authorized(part)) is State.HELD
    alone = after(NOTHING, EXAMPLES["advice"])
    assert state_of(alone) is State.HELD
    assert state_of(after(alone, EXAMPLES["expiry"])) is State.EXPIRED


def test_a_completion_that_is_taken_back_leaves_nothing_held() -> None:
    step = Step(State.POSTED, REVERSAL_OF_COMPLETION, State.ENDED)
    assert step in all_steps()


def test_the_plain_steps_are_among_all_and_reach_what_can_happen() -> None:
    plain, every = plain_steps(), all_steps()
    assert set(plain) <= set(every)
    assert {step.after for step in every} == set(State)
    assert Step(State.TOMBSTONE, ARRIVAL, State.REVERSED) in plain
    # Nothing that was posted becomes unposted but by being taken back.
    leaving = {s.act for s in every if s.before is State.POSTED and s.after is not s.before}
    unposted = {s.act for s in every if s.before is State.POSTED and s.after in (
        State.REVERSED, State.ENDED, State.EXPIRED, State.RELEASED, State.TOMBSTONE)}  # fmt: skip
    assert unposted <= {REVERSAL_OF_COMPLETION, "full reversal"} <= leaving
