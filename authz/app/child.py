"""An engine or a ledger's writer in a process of its own, for the demo, the bench and the tests.

Each is the command that an operator would start, told by files and read by files.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from urllib.request import urlopen

import msgspec

from authz.app.embedded.process import Guarded
from authz.clock import SystemClock

OURS = (sys.executable, "-m", "authz")


class Announced(msgspec.Struct):
    """What `authz serve --announce` writes."""

    ports: dict[str, int]
    http_port: int


class NotReady(RuntimeError):
    """A child ended, or said nothing for too long. The text has the end of its log."""


class Child:
    """A program under the guardian that the embedded servers have, which says where it listens.

    So it ends when we do, however that comes about, and is stopped by its own id.
    """

    def __init__(self, name: str, folder: Path, *argv: str | Path, gives_way: bool = False) -> None:
        self._name = name
        self._announce = announcement(folder, name)
        self._announce.unlink(missing_ok=True)
        lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._process = Guarded(
                [str(word) for word in argv],
                polite_signal=signal.SIGTERM, log=folder / f"{name}.log", lock=lock,
                gives_way=gives_way,
            )  # fmt: skip
        finally:
            os.close(lock)
        self.http_port = 0
        self.ports: dict[str, int] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        """Of its first link; 0 until it is ready."""
        return next(iter(self.ports.values()), 0)

    def wait_until_ready(self, timeout_s: float = 20.0) -> None:
        """Raises: NotReady."""
        clock = SystemClock()
        until = clock.monotonic() + timeout_s
        while not self._announce.exists():
            if not self._process.running or clock.monotonic() > until:
                words = self._process.last_words()
                self.kill()
                raise NotReady(f"The {self._name} did not become ready:\n{words}")
            sleep(0.005)
        announced = msgspec.json.decode(self._announce.read_bytes(), type=Announced)
        self.ports, self.http_port = announced.ports, announced.http_port

    def ask(self, path: str) -> bytes:
        """GET a page of its HTTP port. Raises: OSError."""
        with urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as reply:
            content: bytes = reply.read()
        return content

    def stop(self) -> None:
        """An orderly end: what is under way is finished first."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL: what the crash tests are about."""
        self._process.kill()


def announcement(folder: Path, name: str) -> Path:
    """The file in which a child says where it listens."""
    return folder / f"{name}.json"


class EngineProcess(Child):
    """`authz serve`, on free ports, with its state in this folder unless an argument says else.
    `program`: another way to run `authz`."""

    def __init__(self, folder: Path, *arguments: str, program: Sequence[str] = OURS) -> None:
        super().__init__(
            "engine", folder, *program, "serve", "--announce", announcement(folder, "engine"),
            "--port", "0", "--metrics-port", "0", "--state-dir", folder / "state", *arguments,
        )  # fmt: skip


class WriterProcess(Child):
    """`authz settle`, between this store and this Postgres."""

    def __init__(
        self, folder: Path, redis_url: str, dsn: str, *arguments: str, gives_way: bool = False
    ) -> None:
        super().__init__(
            "writer", folder, *OURS, "settle", "--announce", announcement(folder, "writer"),
            "--metrics-port", "0", "--redis", redis_url, "--postgres", dsn, *arguments,
            gives_way=gives_way,
        )  # fmt: skip
