"""Keeps one worker alive: the parent's end of authz/app/worker.py."""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

import structlog

from authz.app.store import Store
from authz.app.worker import ANSWER, ASK, UP, Orders, write_orders
from authz.clock import SystemClock
from authz.config import Config

log = structlog.get_logger()
clock = SystemClock()

RESTART_MIN_S, RESTART_MAX_S = 0.1, 2.0  # bounds what a worker that cannot live costs, and its log
STEADY_S = 10.0  # who lived so long died of something new
# A loop that does not turn for so long keeps no promise of 200 ms to a link that it is given.
ANSWER_S = 0.5
STOP_S = 5.0  # the server's two seconds for what is in flight, and an orderly end


class Worker:
    """The parent's end of one worker: its process, started again whenever it ends."""

    def __init__(
        self, number: int, config: Config, store: Store, folder: Path, *inherited: int
    ) -> None:
        self.number = number
        self.restarts = 0
        self.http_socket = folder / f"{number}.sock"
        self.came_up = asyncio.Event()  # for the first time
        self._orders = Orders(
            config, store.url, store.engine_url, str(self.http_socket), store.id, number
        )
        self._inherited = inherited  # descriptors: the lock on the spools
        self._process: asyncio.subprocess.Process | None = None
        self._channel: socket.socket | None = None  # while the worker takes links
        self._staying: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[bool] | None = None  # a question without an answer yet
        self._silent = False  # it was not answered in time
        self._stopping = False

    @property
    def process(self) -> int | None:
        """Its id, of the latest start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._staying = asyncio.ensure_future(self._stay())

    async def answers(self) -> bool:
        """Whether it turns its loop at this moment.

        A link in the hands of a process that is stopped or stuck is served by nobody, and
        cannot be taken back. So it is asked before each; there are few, and they live long.
        One that was silent is not waited for again until its answer has come.
        """
        if self._channel is None or self._silent:
            return False
        if self._asked is None:
            try:
                self._channel.send(ASK)
            except OSError:
                return False
            self._asked = asyncio.get_running_loop().create_future()
        asked = self._asked
        done, _ = await asyncio.wait((asked,), timeout=ANSWER_S)
        if not done and not self._silent:
            self._silent = True
            log.error("worker_silent", worker=self.number, after_s=ANSWER_S)
        return bool(done) and asked.result()

    def _hear(self, channel: socket.socket) -> None:
        """An answer to a question; or the end, which the process tells better."""
        try:
            said = channel.recv(len(ANSWER))
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(channel)
        self._conclude(said == ANSWER)

    def _conclude(self, answered: bool) -> None:
        """The question that is open is answered, or never will be."""
        if self._silent and answered:
            log.info("worker_answers_again", worker=self.number)
        self._silent = self._silent and not answered
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(answered)
        self._asked = None

    def take(self, place: int, link: socket.socket) -> bool:
        """Hand a link on. False: it is not up, or the kernel holds no more that wait for it."""
        if self._channel is None:
            return False
        try:
            socket.send_fds(self._channel, [bytes([place])], [link.fileno()])
        except OSError:
            return False
        return True

    async def stop(self) -> None:
        """Let it finish, for a time; then by force."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                log.error("worker_killed", worker=self.number, after_s=STOP_S)
                process.kill()
                await process.wait()
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.gather(self._staying, return_exceptions=True)

    async def _stay(self) -> None:
        """Start it, and again whenever it ends, with growing pauses; until cancelled."""
        pause_s = RESTART_MIN_S
        while True:
            began = clock.monotonic()
            try:
                ending = f"exit code {await self._live()}"
            except OSError as error:
                ending = f"not started: {error.strerror}"
            if self._stopping:
                return
            if clock.monotonic() - began > STEADY_S:
                pause_s = RESTART_MIN_S
            log.error("worker_ended", worker=self.number, ending=ending, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESTART_MAX_S)
            self.restarts += 1

    async def _live(self) -> int:
        """One life of the worker; its exit code. Raises: OSError, when it could not be started."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    # -P and our own path: a module in the folder we were started in is not ours.
                    sys.executable, "-P", "-m", "authz.app.worker",
                    stdin=theirs.fileno(),
                    env=os.environ | {
                        "AUTHZ_WORKER": str(self.number),
                        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    },
                    pass_fds=self._inherited,
                    start_new_session=True,  # Ctrl-C is for us, and we end it after its last answer
                )  # fmt: skip
            log.info("worker_started", worker=self.number, process=self._process.pid)
            ours.setblocking(False)
            try:
                await loop.sock_sendall(ours, write_orders(self._orders))
                if await loop.sock_recv(ours, len(UP)) == UP:
                    loop.add_reader(ours, self._hear, ours)
                    self._channel, self._silent = ours, False
                    self.came_up.set()
            except ConnectionError:
                pass  # it has ended already
            try:
                return await self._process.wait()
            finally:
                loop.remove_reader(ours)
                self._channel = None
                self._conclude(False)
