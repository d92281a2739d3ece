"""One worker of `authz serve --workers N`: a whole engine that is handed its links.

Run by authz/app/workers.py as `python -m authz.app.worker`. Standard input is a Unix socket
to the parent. On it come the orders, once; then for each link one byte, the link's place in
the configuration, and with it the socket that the parent accepted. Before it hands a link on
the parent asks whether we still turn our loop, by a byte with no socket; we answer by another.
When the channel ends the parent is gone, however it went, and the worker goes too.

The lock on the spools is the parent's, and inherited: it is held until the last of them is gone.
Its numbers are served on a Unix socket, for the parent to gather.
"""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop
from msgspec import Struct

from authz.app.compose import link_settings, running
from authz.app.reloading import reloading
from authz.app.store import Store
from authz.config import Config
from authz.config_sources import Secret
from authz.log import set_up_log
from authz.server import Server

log = structlog.get_logger()

LENGTH_BYTES = 4  # before the orders
UP = b"u"  # what a worker says once, when it takes links
ASK = b"\xff"  # what the parent asks before each of them; no link has that place
ANSWER = b"a"  # what a worker says to it


class Orders(Struct, frozen=True):
    """What a worker has to know. It holds secrets: no argument, no variable, no file has it."""

    config: Config
    url: str  # of the store, for the administrator
    engine_url: str  # of the store, for the engine
    http_socket: str  # in the parent's private folder
    store_id: str = ""
    number: int = 0  # of this worker


def write_orders(orders: Orders) -> bytes:
    def plain(value: Any) -> str:
        return value.reveal() if isinstance(value, Secret) else str(value)

    body = msgspec.msgpack.encode(orders, enc_hook=plain)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_orders(channel: socket.socket) -> Orders:
    """Raises: EOFError, when the parent went before it had said all."""
    length = int.from_bytes(read_exactly(channel, LENGTH_BYTES), "big")
    body = read_exactly(channel, length)
    return msgspec.msgpack.decode(body, type=Orders, dec_hook=lambda kind, text: kind(text))


def read_exactly(channel: socket.socket, count: int) -> bytes:
    """Not a byte more: the next one brings a link with it."""
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            raise EOFError("the parent is gone")
        data += more
    return data


async def work(orders: Orders, channel: socket.socket) -> None:
    """Answer until told to end, or until the parent is gone; in-flight requests come first."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(orders.url, orders.engine_url, None, False, orders.store_id)
    alone = False
    async with (
        reloading(orders.config.rules.file, orders.url, stop, at_start=False),
        running(
            orders.config,
            store,
            listen=False,
            serve_http=False,
            http_socket=orders.http_socket,
            worker=orders.number,
        ) as run,
    ):
        door = Door(orders.config, channel, run.server, stop)
        channel.setblocking(False)
        loop.add_reader(channel, door.receive)
        channel.send(UP)
        await stop.wait()
        loop.remove_reader(channel)
        alone = door.parent_is_gone
    if alone:
        shutil.rmtree(Path(orders.http_socket).parent, ignore_errors=True)


class Door:
    """Where the parent's links come in."""

    def __init__(
        self, config: Config, channel: socket.socket, server: Server, stop: asyncio.Event
    ) -> None:
        self.parent_is_gone = False
        self._settings = [link_settings(link) for link in config.links]
        self._channel = channel
        self._server = server
        self._stop = stop
        self._adopting: set[asyncio.Task[None]] = set()

    def receive(self) -> None:
        """One link; the loop calls again while more are waiting."""
        try:
            place, files, _, _ = socket.recv_fds(self._channel, 1, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            place, files = b"", []
        if not place:
            self.parent_is_gone = True
            asyncio.get_running_loop().remove_reader(self._channel)
            self._stop.set()
        elif place == ASK:
            with contextlib.suppress(OSError):  # gone, which the next read tells
                self._channel.send(ANSWER)
        elif not files:
            log.error("link_lost", why="too many open files")  # the kernel has closed it
        else:
            task = asyncio.ensure_future(self._adopt(place[0], socket.socket(fileno=files[0])))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _adopt(self, place: int, link: socket.socket) -> None:
        try:
            await self._server.adopt(link, self._settings[place])
        except OSError:
            link.close()  # they left on the way


def main() -> int:
    set_up_log()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until we know which file it means
    channel = socket.socket(fileno=sys.stdin.fileno())
    try:
        orders = read_orders(channel)
    except (EOFError, ConnectionError):
        return 1
    uvloop.run(work(orders, channel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
