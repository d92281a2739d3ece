"""An engine in a process of its own: found when ready, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authz.app.child import EngineProcess, NotReady
from authz.app.cli import sentence

PARENT = """
import sys, time
from pathlib import Path
from authz.app.child import EngineProcess

engine = EngineProcess(Path(sys.argv[1]), "--data-dir", sys.argv[1] + "/data")
engine.wait_until_ready()
print(engine.pid, flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout as out:
        pid = int(out.readline())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 8
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(pid)


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, "--data-dir", str(tmp_path / "data"), "--dialect", "klingon")
    with pytest.raises(NotReady, match=r"link\[0\]\.dialect") as told:
        engine.wait_until_ready()
    assert sentence(told.value) == str(told.value)  # a command that started it passes it on
