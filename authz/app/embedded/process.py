"""What both embedded servers need: a folder, a lock on it, and a process that dies with us."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import NamedTuple, Self

from authz.app.embedded import guardian
from authz.clock import SystemClock

SOCKET_PATH_MAX = 103  # bytes: sockaddr_un holds 104 on macOS, a zero at the end included
LOCK_WAIT_S = 2.0  # a server whose parent was killed a moment ago is still shutting down
LAST_WORDS_BYTES = 2000  # holds the reason in every failure that we provoked


class EmbeddedError(RuntimeError):
    """A server of our own could not be started. Says what to do where we know it."""


class User(NamedTuple):
    """An account of this machine that a server can run as."""

    name: str
    uid: int
    gid: int


class Guarded:
    """A server process under a guardian (see guardian.py). Not started twice, never left behind."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        polite_signal: int,
        log: Path,
        lock: int,
        run_as: User | None = None,
        scratch: Path | None = None,
        environment: Mapping[str, str] | None = None,  # beside ours, which has the last word
        gives_way: bool = False,
    ) -> None:
        """`gives_way`: to whoever else wants its core (guardian.py)."""
        uid, gid = (str(run_as.uid), str(run_as.gid)) if run_as else ("-", "-")
        orders = [str(os.getpid()), str(polite_signal), uid, gid, str(log), str(scratch or "-"),
                  "1" if gives_way else "-"]  # fmt: skip
        # Opened now, to be readable when the folder is gone together with the server.
        self._log = open(os.open(log, os.O_RDWR | os.O_CREAT, 0o600), "rb")  # noqa: SIM115
        self._log_start = self._log.seek(0, os.SEEK_END)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, *orders, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env={**(environment or {}), **os.environ},
            # The lock passes to the guardian, the server and all that the server forks. So it is
            # free again when the last of them is gone, and not while one still writes.
            pass_fds=(lock,),
        )
        assert self._guardian.stdout is not None
        with self._guardian.stdout as pid:
            self.pid = int(pid.readline() or 0)
        if self.pid == 0:
            self.stop()
            raise EmbeddedError("The guardian process did not start; its own words are above.")

    @property
    def running(self) -> bool:
        return self._guardian.poll() is None

    def stop(self) -> None:
        """An orderly end, or SIGKILL when that takes too long. Harmless when it is over already."""
        self._order(guardian.STOP)

    def kill(self) -> None:
        """SIGKILL to the server and its forks, and nobody else's."""
        self._order(guardian.KILL)

    def last_words(self) -> str:
        """The end of the log since the start; to be asked before `stop`.

        Fit to be shown: a PAN is replaced by its keyed hash before anything leaves our process,
        so no server log can hold one.
        """
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log_start, end - LAST_WORDS_BYTES))
        return self._log.read().decode(errors="replace").strip()

    def _order(self, letter: bytes) -> None:
        pipe = self._guardian.stdin
        assert pipe is not None
        if not pipe.closed:
            # Broken when the server ended by itself, and the guardian with it.
            with pipe, suppress(BrokenPipeError):
                pipe.write(letter)
        self._guardian.wait()
        self._log.close()


class Server:
    """What every embedded server offers. Stop it, or leave its `with` block."""

    _process: Guarded

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL, for tests of crash recovery: acknowledged writes must survive it."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class Home(NamedTuple):
    """Where one server lives."""

    folder: Path  # its data, its log and its configuration
    socket: Path
    new: bool  # we made the folder just now
    scratch: Path | None  # what goes when the server goes
    lock: int  # a descriptor, for a `Guarded` to inherit


@contextmanager
def home_for(data_dir: Path | None, socket_name: str) -> Iterator[Home]:
    """The folders of one server, locked. An error inside removes those that nobody asked for.

    The socket lies beside the data, where it is easily found, unless its path would be too long.

    Raises: EmbeddedError when a living server holds the folder.
    """
    scratch = short_folder() if data_dir is None else None
    folder = scratch or data_dir
    assert folder is not None
    new = scratch is not None or not folder.exists()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        socket = folder / socket_name
        if not fits(socket):
            scratch = short_folder()
            socket = scratch / socket.name
        with locked(folder) as lock:
            yield Home(folder, socket, new, scratch, lock)
    except BaseException:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Two servers on one append-only file would both answer, and each would lose half."""
    clock = SystemClock()
    until = clock.monotonic() + LOCK_WAIT_S
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while not try_lock(descriptor):
            if clock.monotonic() > until:
                message = f"{folder} is in use by a server. Stop it, or name another folder."
                raise EmbeddedError(message)
            sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def short_folder() -> Path:
    """A new private folder (0700) whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="authz-")).resolve()
    if not fits(folder / "postgres-18" / ".s.PGSQL.5432"):  # the longest name we put there
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="authz-", dir="/tmp")).resolve()
    return folder


def fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= SOCKET_PATH_MAX


def write_privately(path: Path, text: str) -> None:
    """A file of our own making; it may hold a password, so nobody else reads it at any moment."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
