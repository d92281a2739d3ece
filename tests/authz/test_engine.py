"""No verdict: what is said, and what is taken back."""

import pytest

from authz.hot import errors
from authz.hot.acts import Withdraw
from authz.metrics import HOT_CALLS
from rules.reason import Reason
from tests.support.engine import World

ACT = Withdraw(account_id="A1", shard_of="A1", message_id="m", attempt="e1-1", answer_ttl_s=60)
# Whether the act may have run: only then is there something to take back.
TROUBLES = {
    errors.NotConnected: False,
    errors.Busy: False,
    errors.Cold: False,
    errors.Full: False,
    errors.TooLate: False,  # the function itself says that it did nothing
    errors.Refused: False,
    errors.NoReply: True,
    errors.OutOfStep: True,
}


def test_every_trouble_is_here() -> None:
    assert set(TROUBLES) == set(errors.HotStateError.__subclasses__())


@pytest.mark.parametrize("trouble", TROUBLES)
def test_only_what_may_have_run_is_withdrawn(trouble: type[errors.HotStateError]) -> None:
    world = World()
    outcome = world.engine.no_verdict(trouble("a test"), ACT)
    assert outcome.reason is Reason.UNAVAILABLE
    assert world.spool.acts == ([ACT] if TROUBLES[trouble] else [])
    assert world.watcher.heard == [("hot_call", trouble.__name__)]
    assert trouble.__name__ in HOT_CALLS


@pytest.mark.parametrize("window_s", [1, 3600, 604_800])
def test_an_answer_is_kept_for_as_long_as_its_repeat_is_let_in(window_s: int) -> None:
    world = World()
    engine, skew_s = world.engine, world.engine.settings.clock_skew_s
    now_s = engine.now_ms() // 1000
    assert engine.in_window(now_s + skew_s, window_s)  # from a clock that is ahead
    assert not engine.in_window(now_s + skew_s + 1, window_s)
    world.clock.advance(window_s + skew_s)
    assert engine.in_window(now_s + skew_s, window_s)  # its repeat, at the last moment
    assert engine.answer_ttl_s(window_s) > window_s + skew_s
