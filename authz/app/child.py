"""An engine in a process of its own, for the demo, the bench and the tests.

It is the command that an operator would start, told by files and read by files.
"""

import os
import signal
import sys
from pathlib import Path
from time import sleep
from urllib.request import urlopen

import msgspec

from authz.app.embedded.process import Guarded
from authz.clock import SystemClock


class Announced(msgspec.Struct):
    """What `authz serve --announce` writes."""

    ports: dict[str, int]
    http_port: int


class EngineProcess:
    """`authz serve` as a child, under the guardian that the embedded servers have.

    So it ends when we do, however that comes about, and is stopped by its own id.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._announce = folder / "engine.json"
        self._announce.unlink(missing_ok=True)
        lock = os.open(folder / "engine.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._process = Guarded(
                [
                    sys.executable, "-m", "authz", "serve", "--port", "0", "--metrics-port", "0",
                    "--state-dir", str(folder / "state"), "--announce", str(self._announce),
                    *arguments,
                ],
                polite_signal=signal.SIGTERM, log=folder / "engine.log", lock=lock,
            )  # fmt: skip
        finally:
            os.close(lock)
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
            if not self._process.running or clock.monotonic() > until:
                words = self._process.last_words()
                self.kill()
                raise RuntimeError(f"the engine did not become ready:\n{words}")
            sleep(0.005)
        announced = msgspec.json.decode(self._announce.read_bytes(), type=Announced)
        self.port = next(iter(announced.ports.values()))
        self.http_port = announced.http_port

    def ask(self, path: str) -> bytes:
        """GET a page of its HTTP port. Raises: OSError."""
        with urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as reply:
            content: bytes = reply.read()
        return content

    def stop(self) -> None:
        """An orderly end: what is in flight is answered first."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL: what the crash tests are about."""
        self._process.kill()
