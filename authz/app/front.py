"""What a parent says for all its workers, on the same three paths as one engine.

Everything is asked of the workers at the moment of the question, over the Unix socket that
each of them serves its numbers on. Nothing is kept, so nothing is stale.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from authz.app.exposition import merge_exposition
from authz.app.http import EXPOSITION, JSON, Health, HttpServer, Reply
from authz.latency import LatencyRecorder

ASK_S = 1.0  # for one worker's numbers, which take it 3 ms

OF_PARENT = """\
# HELP authz_worker_up 1 while the worker answers its parent.
# TYPE authz_worker_up gauge
authz_worker_up {up}
# HELP authz_worker_restarts_total How often the worker was started again.
# TYPE authz_worker_restarts_total counter
authz_worker_restarts_total {restarts}
"""


class Asked(Protocol):
    """The part of a worker that this needs."""

    restarts: int
    http_socket: Path


class Front(HttpServer):
    """/metrics with a label for each worker; /health of the worst; /latency of all together."""

    def __init__(self, workers: Sequence[Asked], budget_s: float) -> None:
        super().__init__(self.metrics, lambda: Health(ready=False), dict)
        self._workers = workers
        self._budget_s = budget_s

    async def _look(self, path: bytes) -> Reply:
        if path == b"/metrics":
            return Reply(200, await self.metrics(), EXPOSITION)
        if path == b"/latency":
            summary = (await self.latency()).summary()
            return Reply(200, msgspec.json.encode(summary) + b"\n", JSON)
        health = await self.health()
        return Reply(200 if health.ready else 503, msgspec.json.encode(health) + b"\n", JSON)

    async def metrics(self) -> bytes:
        """A worker that gives no answer is told as down, the others' numbers with it."""
        texts = {}
        for number, text in enumerate(await self._ask_all("/metrics")):
            up, restarts = int(text is not None), self._workers[number].restarts
            texts[str(number)] = OF_PARENT.format(up=up, restarts=restarts).encode() + (text or b"")
        return merge_exposition(texts)

    async def health(self) -> Health:
        """Ready when all workers are; else it names the first that is not."""
        for number, said in enumerate(await self._ask_all("/health")):
            if said is None:
                return Health(ready=False, reason=f"worker {number}: gives no answer")
            health = msgspec.json.decode(said, type=Health)
            if not health.ready:
                return Health(ready=False, reason=f"worker {number}: {health.reason}")
        return Health(ready=True)

    async def latency(self) -> LatencyRecorder:
        """Of the workers that answer; one that died has taken its numbers with it."""
        together = LatencyRecorder(self._budget_s)
        for said in await self._ask_all("/latency"):
            if said is not None:
                dumped = msgspec.json.decode(said, type=dict[str, bytes])["recorder"]
                together.merge(LatencyRecorder.parse(dumped))
        return together

    async def _ask_all(self, path: str) -> list[bytes | None]:
        """By the worker's number; None for one that gave no answer."""
        return await asyncio.gather(*(ask(each.http_socket, path) for each in self._workers))


async def ask(http_socket: Path, path: str) -> bytes | None:
    """What a worker says on this path, or None."""
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_unix_connection(http_socket)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                reply = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    head, _, body = reply.partition(b"\r\n\r\n")
    # 503 is how a worker says that it is not ready.
    return body if head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")) else None
