"""authz serve --workers N: a parent that accepts, and N workers that answer.

Card networks hold few, long links. SO_REUSEPORT spreads connections by a hash of their
addresses, which leaves a worker idle when there is only a handful; so the parent accepts
and hands each socket on to the next worker in turn, of those that answer when they are asked.
No byte of a link passes through it.

The parent also starts the store, where it is our own, starts a worker that died again, and
speaks for all of them on /metrics, /health and /latency. A dead worker's links are lost and
the network connects again; what the worker had still to withdraw is in its spool, which its
successor works off.
"""

import asyncio
import contextlib
import shutil
import signal
import socket
from pathlib import Path

import click
import structlog

from authz.app.announce import CannotListen, announce_when_ready, listening, tell
from authz.app.embedded.process import short_folder
from authz.app.front import Front
from authz.app.reloading import reloading
from authz.app.spools import SpoolsTaken, spools_locked
from authz.app.store import NO_STORE, Store, check_pan_key, find_store, learn_id, prepare
from authz.app.supervise import Worker
from authz.clock import SystemClock
from authz.config import Config, ConfigError
from authz.hot.admin import NotFit

log = structlog.get_logger()
clock = SystemClock()

LINK_KINDS_MAX = 255  # a link's place travels as one byte, of which one value is a question
BACKLOG = 128  # connections that the kernel keeps for us; all networks at once are fewer
START_S = 5.0  # after it links are served by the workers that did come up
PAUSE_S = 0.1  # before accepting again, when the system would not
# A link waits so long for a worker, when all are silent or dead: as long as one takes to start
# again. Then it is closed, so that the network does not take it for a link.
HAND_ON_S = 2.0
HANDING_MAX = 128  # links of one listener that wait so; the kernel keeps the others


async def serve_with_workers(config: Config, announce: Path | None) -> int:
    """Run until SIGTERM or SIGINT; the workers answer first what is in flight."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if len(config.links) > LINK_KINDS_MAX:
        raise click.ClickException(f"With workers there can be {LINK_KINDS_MAX} listeners.")
    try:
        store = await find_store(config)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    folder = short_folder()
    try:
        await prepare(store, "authz serve")
        await learn_id(store)
        await check_pan_key(store, config)  # it is drawn here: workers would race to draw it
        async with (
            spools_locked(config, store.id) as lock,
            reloading(config.rules.file, store.url, stop),
        ):
            crew = Crew(config, store, folder, lock)
            try:
                await crew.start()
                tell(config, crew.ports, crew.front.port)
                ready = asyncio.ensure_future(
                    announce_when_ready(crew.is_ready, crew.ports, crew.front.port, announce)
                )
                await stop.wait()
                ready.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ready
            finally:
                await crew.stop()
    except (SpoolsTaken, CannotListen, NotFit, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        store.stop()
    return 0


class Crew:
    """The workers, and the listeners whose links they are given in turn."""

    def __init__(self, config: Config, store: Store, folder: Path, lock: int) -> None:
        self.ports: dict[str, int] = {}  # by the link's name
        self.workers = [
            Worker(number, config, store, folder, lock) for number in range(config.engine.workers)
        ]
        self.front = Front(self.workers, config.engine.budget_ms / 1000)
        self._config = config
        self._turn = -1
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def is_ready(self) -> bool:
        """Whether every worker decides requests."""
        return (await self.front.health()).ready

    async def start(self) -> None:
        """Listen, and start the workers. Raises: CannotListen."""
        loop = asyncio.get_running_loop()
        metrics = self._config.metrics
        with listening("metrics", metrics.host, metrics.port, "--metrics-port"):
            await self.front.start(metrics.host, metrics.port, None)
        for place, link in enumerate(self._config.links):
            if link.connect is not None:
                continue  # one of the workers dials it
            # asyncio finds and binds the addresses; what it would accept with stays unused.
            with listening("ISO 8583", link.host, link.port, "--port"):
                bound = await loop.create_server(
                    asyncio.Protocol, link.host, link.port, start_serving=False
                )
            self.ports[link.name] = bound.sockets[0].getsockname()[1]
            for listener in [each.dup() for each in bound.sockets]:
                listener.setblocking(False)
                listener.listen(BACKLOG)
                self._listeners.append(listener)
                self._accepting.append(asyncio.ensure_future(self._accept(place, listener)))
            bound.close()
        for worker in self.workers:
            worker.start()

    async def stop(self) -> None:
        """No new links; then let the workers finish."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        if self.front.port:
            await self.front.close()

    async def _accept(self, place: int, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                for worker in self.workers:  # the first would get all who are waiting already
                    await worker.came_up.wait()
        room = asyncio.Semaphore(HANDING_MAX)
        async with asyncio.TaskGroup() as handing:
            while True:
                await room.acquire()
                try:
                    link, _ = await loop.sock_accept(listener)
                except OSError as error:  # out of files, most likely; the kernel keeps them
                    room.release()
                    log.warning("cannot_accept", error=type(error).__name__)
                    await asyncio.sleep(PAUSE_S)
                    continue
                # Each by itself: one that finds no worker must not hold up those behind it.
                task = handing.create_task(self._place(place, link))
                task.add_done_callback(lambda _: room.release())

    async def _place(self, place: int, link: socket.socket) -> None:
        """Find a worker for a link, or close it."""
        with link:  # the worker has its own hold on it
            until = clock.monotonic() + HAND_ON_S
            while not await self._hand_on(place, link):
                if clock.monotonic() > until:
                    log.warning("link_refused", why="no worker takes it")
                    return
                await asyncio.sleep(0.02)

    async def _hand_on(self, place: int, link: socket.socket) -> bool:
        """To the next in turn, or whoever after it can take it."""
        for _ in self.workers:
            self._turn = (self._turn + 1) % len(self.workers)
            worker = self.workers[self._turn]
            if await worker.answers() and worker.take(place, link):
                return True
        return False
