"""What operators ask of a running engine, over HTTP: /metrics, /health, /latency.

Served on the event loop itself, not by prometheus-client's server in a thread. Writing the
metrics takes 3 ms of Python wherever it runs; a thread would hold the interpreter for them
in slices of 5 ms, whose start the loop cannot choose, and every number would need a lock.
On the loop it is one short task among others, once per scrape, well inside 200 ms.

Only what a scraper needs: GET and HEAD, one request per connection, everything bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from authz.app.exposition import merge_exposition

__all__ = ["Health", "HttpServer", "merge_exposition", "start_http"]

HEAD_MAX = 8192  # bytes of request line and headers; a scraper sends 300
READ_TIMEOUT_S = 2.0  # for the whole head: a scraper's is one packet, lost once at most
WRITE_TIMEOUT_S = 5.0
# At once: a scraper, a few probes and somebody with curl. Above it the oldest that has not said yet
# what it wants makes room: half requests must not keep a probe from /health.
CONNECTIONS_MAX = 32
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Health(Struct, frozen=True, kw_only=True):
    """Whether to restart us (live), and whether to send us traffic (ready)."""

    live: bool = True
    ready: bool
    reason: str = ""  # why not ready


class Reply(Struct, frozen=True):
    status: int
    body: bytes
    kind: str = TEXT


MetricsText = Callable[[], bytes] | Callable[[], Awaitable[bytes]]


class HttpServer:
    """Started by `start_http`."""

    def __init__(
        self,
        metrics_text: MetricsText,
        health: Callable[[], Health],
        latency: Callable[[], dict[str, Any]],
    ) -> None:
        self._metrics_text = metrics_text
        self._health = health
        self._latency = latency
        self._open: set[asyncio.Task[Any]] = set()
        self._asking: dict[asyncio.Task[Any], None] = {}  # whose head is not read yet, oldest first
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int, unix_socket: str | None) -> None:
        if unix_socket is not None:
            self._server = await asyncio.start_unix_server(self._serve, unix_socket, limit=HEAD_MAX)
        else:
            self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_MAX)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None, "never started"
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= CONNECTIONS_MAX and not self._make_room():
            writer.transport.abort()
            return
        self._open.add(task)
        self._asking[task] = None
        try:
            await self._exchange(reader, writer, task)
        except (OSError, TimeoutError):
            pass  # they left, or they never asked
        finally:
            self._open.discard(task)
            self._asking.pop(task, None)
            writer.transport.abort()

    def _make_room(self) -> bool:
        """Let go of the oldest that has not asked yet. False: all have."""
        oldest = next(iter(self._asking), None)
        if oldest is None:
            return False
        self._open.discard(oldest)
        del self._asking[oldest]
        oldest.cancel()
        return True

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[Any]
    ) -> None:
        """One request, one reply."""
        method = b"GET"
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_TIMEOUT_S)
        except asyncio.LimitOverrunError:
            reply = Reply(431, b"too long\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return
            reply = Reply(400, b"not a request\n")
        else:
            self._asking.pop(task, None)
            method, reply = await self._answer(head)
        writer.write(written(reply, with_body=method != b"HEAD"))
        writer.write_eof()
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writer.drain()
            # They close when they have read it all; an abort before would cut it off.
            while await reader.read(HEAD_MAX):
                pass

    async def _answer(self, head: bytes) -> tuple[bytes, Reply]:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[1].startswith(b"/"):
            return b"GET", Reply(400, b"not a request\n")
        method, target, _ = words
        path = target.partition(b"?")[0]
        if path not in (b"/metrics", b"/health", b"/latency"):
            return method, Reply(404, b"there are /metrics, /health and /latency\n")
        if method not in (b"GET", b"HEAD"):
            return method, Reply(405, b"only GET and HEAD\n")
        try:
            return method, await self._look(path)
        except Exception as error:  # a broken number must not look like a broken link
            return method, Reply(500, f"{type(error).__name__}\n".encode())

    async def _look(self, path: bytes) -> Reply:
        if path == b"/metrics":
            text = self._metrics_text()
            return Reply(200, text if isinstance(text, bytes) else await text, EXPOSITION)
        if path == b"/latency":
            return Reply(200, msgspec.json.encode(self._latency()) + b"\n", JSON)
        health = self._health()
        return Reply(200 if health.ready else 503, msgspec.json.encode(health) + b"\n", JSON)


async def start_http(
    host: str,
    port: int,
    metrics_text: MetricsText,
    health: Callable[[], Health],
    latency: Callable[[], dict[str, Any]],
    *,
    unix_socket: str | None = None,
) -> HttpServer:
    """Listen; port 0 is any free one. A worker's numbers are for its parent: by a Unix socket.

    Raises: OSError, when the address is taken.
    """
    server = HttpServer(metrics_text, health, latency)
    await server.start(host, port, unix_socket)
    return server


def written(reply: Reply, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {reply.status} {REASONS[reply.status]}",
        f"Content-Type: {reply.kind}",
        f"Content-Length: {len(reply.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if reply.status == 405:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join((*lines, "", "")).encode("ascii")
    return head + reply.body if with_body else head
