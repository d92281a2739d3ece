"""The card network at work: events sent over links at a steady rate, whatever comes back.

The loop is open: a slow answer delays no later message, and latency counts from when a
message should have left. So a stall of the engine shows in every message that fell due
while it lasted, and one of the generator in `late_sends` as well.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from authz.clock import Clock
from authz.simulator.link import Link, Manners, transmission_time
from authz.simulator.messages import Event
from authz.simulator.report import Report

__all__ = ["Link", "Manners", "Report", "run"]

TICK_S = 0.001  # uvloop's timers fire half a millisecond early or late, so none is trusted
IDLE_S = 0.020  # the longest sleep: repeats and the end of the run are looked at so often
BATCH_MAX = 256  # messages in one turn of the loop; after a stall, answers are read in between
RUN = 32  # messages in a row over one link; few and large writes cost both ends less
LATE_S = 0.010  # a message that leaves so long after it was due is a late one


async def run(
    events: Iterable[Event],
    links: Sequence[Link],
    rate: float,
    seconds: float,
    clock: Clock,
    *,
    tick_s: float = TICK_S,
    budget_s: float = 0.2,
    grace_s: float = 10.0,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Send `rate` messages a second over open links, for so long or until none are left.

    Links take turns; what falls due in the same tick shares a write, so a longer `tick_s`
    costs less and delays more. Making events costs about as much as sending them: hand in a
    list where that must not count. A report handed in can be read while it grows. After the
    last message, answers are waited for as long as `grace_s`.
    """
    assert rate > 0
    assert links
    report = Report() if report is None else report
    report.budget_s = budget_s
    for link in links:
        link.report = report
    started = clock.monotonic()
    total = round(rate * seconds)
    await _send_all(iter(events), links, rate, total, tick_s, started, clock, report, stop)
    report.sending_s = clock.monotonic() - started
    await _drain(links, clock, grace_s)
    report.elapsed_s = max(report.sending_s, report.last_answer_at - started)
    for link in links:
        link.give_up()
    return report


async def _send_all(
    source: Iterator[Event],
    links: Sequence[Link],
    rate: float,
    total: int,
    tick_s: float,
    started: float,
    clock: Clock,
    report: Report,
    stop: Callable[[], bool],
) -> None:
    index = 0  # of the next message
    turn = 0
    while index < total and not stop():
        now = clock.monotonic()
        due_by_now = min(total, int((now - started) * rate) + 1, index + BATCH_MAX)
        sent_at = transmission_time(clock.now_ms())
        turn += 1
        link = _usable(links, turn)
        while index < due_by_now:
            event = next(source, None)
            if event is None:
                total = due_by_now = index
                break
            due = started + index / rate
            index += 1
            report.offered += 1
            if now - due > LATE_S:
                report.late_sends += 1
            if index % RUN == 0 or link is None or not link.usable:
                turn += 1
                link = _usable(links, turn)
            if link is None:
                report.unsent += 1
            else:
                link.send(event, due, now, sent_at)
        for link in links:
            link.tick(now)
        until_next = started + index / rate - clock.monotonic()
        await asyncio.sleep(min(max(until_next, tick_s), IDLE_S) if until_next > 0 else 0)


def _usable(links: Sequence[Link], turn: int) -> Link | None:
    """The next link whose turn it is and that takes a message."""
    for offset in range(len(links)):
        link = links[(turn + offset) % len(links)]
        if link.usable:
            return link
    return None


async def _drain(links: Sequence[Link], clock: Clock, grace_s: float) -> None:
    """Until everything is answered or given up, or patience ends."""
    deadline = clock.monotonic() + grace_s
    while any(link.in_flight for link in links):
        now = clock.monotonic()
        if now > deadline:
            return
        for link in links:
            link.tick(now)
        await asyncio.sleep(TICK_S)
