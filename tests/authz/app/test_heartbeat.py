"""A stall of the machine, played by SIGSTOP."""

import os
import signal
import subprocess
import sys
import time

from authz.app.heartbeat import LATE_S, Heartbeat

PARENT = """
import sys
from authz.app.heartbeat import Heartbeat
heartbeat = Heartbeat()
heartbeat.start()
print(heartbeat.pid, flush=True)
sys.stdin.read()
"""


def test_a_stall_is_seen_with_its_time_and_length() -> None:
    heartbeat = Heartbeat()
    heartbeat.start()
    time.sleep(0.05)
    before = time.monotonic()
    os.kill(heartbeat.pid, signal.SIGSTOP)
    time.sleep(0.120)
    os.kill(heartbeat.pid, signal.SIGCONT)
    after = time.monotonic()
    time.sleep(0.05)
    stalls = heartbeat.stop()
    # The machine may add stalls of its own, but ours is there, and is no longer than we made it.
    ours = [s for s in stalls if before - 0.1 < s.at_monotonic < before + 0.1]
    assert len(ours) == 1, (before, stalls)
    assert 0.100 < ours[0].seconds < after - before + LATE_S


def test_a_quiet_machine_has_no_long_stall() -> None:
    heartbeat = Heartbeat()
    heartbeat.start()
    time.sleep(0.2)
    assert all(stall.seconds > LATE_S for stall in heartbeat.stop())


def test_dies_with_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        os.kill(int(parent.stdout.readline()), 0)  # alive
        parent.kill()
        # The heartbeat holds the other end of stderr too: the end of it is the end of both.
        _, words = parent.communicate(timeout=2)
    assert words == b""
