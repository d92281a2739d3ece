"""What the collector takes is told, and only while somebody listens."""

import gc

from authz.clock import ManualClock, SystemClock
from authz.garbage import GENERATIONS, Pauses
from authz.metrics import Metrics


def test_each_collection_is_told_with_its_generation_and_how_long_it_took():
    told, clock = [], ManualClock(0)
    pauses = Pauses(clock, lambda generation, seconds: told.append((generation, seconds)))
    pauses._called("stop", {"generation": 0})  # of one that had begun before we listened
    for generation, seconds in ((0, 0.001), (2, 0.25), (1, 0.002)):
        pauses._called("start", {"generation": generation})
        clock.advance(seconds)
        pauses._called("stop", {"generation": generation})
    assert [generation for generation, _ in told] == ["0", "2", "1"]
    assert round(pauses.longest_s, 6) == 0.25


def test_python_calls_it_from_start_to_stop():
    metrics, before = Metrics(), list(gc.callbacks)
    pauses = Pauses(SystemClock(), metrics.gc_pause)
    pauses.start()
    try:
        gc.collect(0)
    finally:
        pauses.stop()
        pauses.stop()  # once more does no harm
    gc.collect(0)
    assert gc.callbacks == before
    text = metrics.text().decode()
    told = 'authz_gc_pause_seconds_count{generation="%s"} '
    assert told % "0" + "0.0" not in text
    assert all(told % generation in text for generation in GENERATIONS)
