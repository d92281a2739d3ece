"""An engine in a process of its own, for the demo, the bench and the tests.

It is the command that an operator would start, told by files and read by files.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep
from urllib.request import urlopen

import msgspec

from authz.clock import SystemClock


class Announced(msgspec.Struct):
    """What `authz serve --announce` writes."""

    ports: dict[str, int]
    http_port: int


class EngineProcess:
    """`authz serve` as a child. It is stopped by its own id, and politely first."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._announce = folder / "engine.json"
        self._announce.unlink(missing_ok=True)
        self._log = (folder / "engine.log").open("ab")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "authz", "serve", "--port", "0", "--metrics-port", "0",
                "--state-dir", str(folder / "state"), "--announce", str(self._announce), *arguments,
            ],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            start_new_session=True,  # Ctrl-C is for us; we stop it then
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.http_port = 0
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self, timeout_s: float = 20.0) -> None:
        """Raises: RuntimeError with the end of its log, when it ends or takes too long."""
        clock = SystemClock()
        until = clock.monotonic() + timeout_s
        while not self._announce.exists():
            if self._process.poll() is not None or clock.monotonic() > until:
                self.kill()
                raise RuntimeError(f"the engine did not become ready:\n{self.last_words()}")
            sleep(0.005)
        announced = msgspec.json.decode(self._announce.read_bytes(), type=Announced)
        self.port = next(iter(announced.ports.values()))
        self.http_port = announced.http_port

    def ask(self, path: str) -> bytes:
        """GET a page of its HTTP port. Raises: OSError."""
        with urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as reply:
            content: bytes = reply.read()
        return content

    def last_words(self) -> str:
        """The end of its log: it never holds card data."""
        return Path(self._log.name).read_text(errors="replace")[-2000:]

    def stop(self, timeout_s: float = 10.0) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()  # the child has its own copy

    def kill(self) -> None:
        """SIGKILL: what the crash tests are about."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()
