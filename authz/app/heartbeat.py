"""Tells the machine's own stalls from ours.

A late answer may be our fault, or the machine's: a neighbour on a shared core, a disk that holds
the kernel. A second process does nothing but sleep for 5 ms and look how late it woke. It shares
the machine with us and nothing else: no event loop, no garbage, no lock. What delays both of us
is the machine's; a late answer with no stall beside it is ours.

It cannot tell a stall from a machine that we overload ourselves. A load test that keeps every
core busy must be judged by its own processor time first.
"""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import authz
from authz.clock import SystemClock

BEAT_S = 0.005
LATE_S = 0.050  # an ordinary scheduler on a busy machine stays well below; the p99.9 allowed us

# -I -S: no site-packages, no user's start-up files, so that it is up in some 30 ms. Where our own
# package is must then be told.
SCRIPT = "import sys; sys.path.append(sys.argv[1]); from authz.app.heartbeat import beat; beat()"


class Stall(NamedTuple):
    """The machine did not run us, though we were ready to run."""

    at_monotonic: float  # when we should have woken; the clock is one for all processes
    seconds: float  # how much later we did


class Heartbeat:
    """The listening side. `start`, do the work, `stop`."""

    def __init__(self) -> None:
        self.running = False

    def start(self) -> None:
        """Returns when the first beat has been made."""
        root = str(Path(authz.__path__[0]).parent)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SCRIPT, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready == b"beating\n", ready
        self.running = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> list[Stall]:
        """The stalls since the start, in order."""
        self.running = False
        stalls, _ = self._process.communicate()
        return [Stall(at, seconds) for at, seconds in json.loads(stalls)]


def beat() -> None:
    """What the other process does, until its input ends: by `stop`, or since its parent is gone.

    It keeps its findings to itself until then, so that no full pipe can stall it. There are at
    most 20 of them in a second.
    """
    clock = SystemClock()
    stalls: list[Stall] = []
    sys.stdout.write("beating\n")
    sys.stdout.flush()
    over = False
    while not over:
        due = clock.monotonic() + BEAT_S
        over = bool(select.select([sys.stdin], [], [], BEAT_S)[0])
        late = clock.monotonic() - due
        if late > LATE_S:
            stalls.append(Stall(due, late))
    try:
        json.dump(stalls, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(1)  # nobody is left to tell
