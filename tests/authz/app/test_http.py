"""A scraper's view: the right answers, and nothing that a bad client can hold or break."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from authz.app import http
from authz.app.http import Health, HttpServer, merge_exposition, start_http

Story = Callable[[HttpServer], Awaitable[None]]
state: dict[str, Any] = {}


async def waited_text() -> bytes:
    await asyncio.sleep(0)
    return b"waited 1\n"


def run(story: Story, text: Any = lambda: b"up 1\n", **options: Any) -> None:
    state["health"] = Health(ready=True)

    async def with_server() -> None:
        server = await start_http(
            "127.0.0.1", 0, text, lambda: state["health"], lambda: {"count": 0}, **options
        )
        try:
            async with asyncio.timeout(10):
                await story(server)
        finally:
            await server.close()

    asyncio.run(with_server())


async def send(server: HttpServer, request: bytes, *, then_end: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    if then_end:
        writer.write_eof()
    try:
        return await reader.read()
    finally:
        await leave(writer)


async def leave(writer: asyncio.StreamWriter) -> None:
    """Closed for good: what is left half open warns in whichever test comes next."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)  # `run` bounds it


async def get(server: HttpServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
    head, _, body = (await send(server, request)).partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


def test_the_three_pages() -> None:
    async def story(server: HttpServer) -> None:
        status, head, body = await get(server, "/metrics?x=1")
        assert (status, body) == (200, b"up 1\n")
        assert "Content-Type: text/plain; version=0.0.4" in head
        assert "Connection: close" in head
        status, head, body = await get(server, "/latency")
        assert (status, json.loads(body)) == (200, {"count": 0})
        status, _, body = await get(server, "/health")
        assert (status, json.loads(body)) == (200, {"live": True, "ready": True, "reason": ""})

    run(story)


def test_not_ready_is_503_with_the_reason() -> None:
    async def story(server: HttpServer) -> None:
        state["health"] = Health(ready=False, reason="the gates are closed")
        status, _, body = await get(server, "/health")
        assert status == 503
        assert json.loads(body) == {"live": True, "ready": False, "reason": "the gates are closed"}

    run(story)


def test_metrics_may_have_to_be_waited_for() -> None:
    async def story(server: HttpServer) -> None:
        assert (await get(server, "/metrics"))[2] == b"waited 1\n"

    run(story, waited_text)


def test_head_has_the_length_and_no_body() -> None:
    async def story(server: HttpServer) -> None:
        status, head, body = await get(server, "/metrics", "HEAD")
        assert (status, body) == (200, b"")
        assert "Content-Length: 5" in head

    run(story)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/health", 405),
    ],
)
def test_other_questions(method: str, path: str, status: int) -> None:
    async def story(server: HttpServer) -> None:
        got, head, _ = await get(server, path, method)
        assert got == status
        assert ("Allow: GET, HEAD" in head) == (status == 405)

    run(story)


GARBAGE = [
    b"\x00\x9f0100\xff\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /metrics\r\n\r\n",
    b"GET metrics HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/2.0\r\n\r\n",
    b"GET  /metrics HTTP/1.1\r\n\r\n",
    b"\r\n\r\n",
]


@pytest.mark.parametrize("request_", GARBAGE, ids=repr)
def test_garbage_is_refused(request_: bytes) -> None:
    async def story(server: HttpServer) -> None:
        assert (await send(server, request_)).startswith(b"HTTP/1.1 400 ")
        assert (await get(server, "/metrics"))[0] == 200

    run(story)


def test_half_a_request_is_refused_and_none_is_let_go() -> None:
    async def story(server: HttpServer) -> None:
        half = await send(server, b"GET /metrics HT", then_end=True)
        assert half.startswith(b"HTTP/1.1 400 ")
        assert await send(server, b"", then_end=True) == b""

    run(story)


def test_an_endless_head_is_cut_off() -> None:
    async def story(server: HttpServer) -> None:
        reply = await send(server, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 431 ")

    run(story)


def test_a_silent_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.05)

    async def story(server: HttpServer) -> None:
        assert await send(server, b"GET /metr") == b""

    run(story)


def test_a_client_that_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WRITE_TIMEOUT_S", 0.05)

    async def story(server: HttpServer) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await until(lambda: len(server._open) == 1)
        await until(lambda: not server._open)
        await leave(writer)

    run(story, lambda: b"x" * 20_000_000)


def test_a_large_page_arrives_whole() -> None:
    async def story(server: HttpServer) -> None:
        assert len((await get(server, "/metrics"))[2]) == 5_000_000

    run(story, lambda: b"x" * 5_000_000)


def test_connections_are_bounded() -> None:
    asked = asyncio.Event()

    async def slow_text() -> bytes:
        await asked.wait()
        return b"up 1\n"

    async def story(server: HttpServer) -> None:
        waiting = [
            asyncio.create_task(get(server, "/metrics")) for _ in range(http.CONNECTIONS_MAX)
        ]
        await until(lambda: len(server._open) == http.CONNECTIONS_MAX and not server._asking)
        with pytest.raises((OSError, IndexError)):
            await get(server, "/health")
        asked.set()
        assert {status for status, _, _ in await asyncio.gather(*waiting)} == {200}
        assert (await get(server, "/metrics"))[0] == 200

    run(story, slow_text)


def test_half_requests_make_room_for_whole_ones() -> None:
    async def story(server: HttpServer) -> None:
        opened = [
            await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(http.CONNECTIONS_MAX)
        ]
        await until(lambda: len(server._open) == http.CONNECTIONS_MAX)
        for n in range(1, 4):
            assert (await get(server, "/health"))[0] == 200
            assert await opened[0][0].read() == b""  # the oldest, and it alone
            assert sum(reader.at_eof() for reader, _ in opened) == 1, n
            assert len(server._open) <= http.CONNECTIONS_MAX
        for _, writer in opened:
            await leave(writer)
        await until(lambda: not server._open)
        assert (await get(server, "/metrics"))[0] == 200

    run(story)


def test_a_broken_number_is_500_by_its_type_only() -> None:
    def broken() -> bytes:
        raise ValueError("4539578763621486")

    async def story(server: HttpServer) -> None:
        status, _, body = await get(server, "/metrics")
        assert (status, body) == (500, b"ValueError\n")

    run(story, broken)


def test_close_does_not_wait_for_clients() -> None:
    async def story(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: len(server._open) == 1)
        await server.close()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await leave(writer)

    run(story)


def test_a_worker_is_asked_by_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def story(server: HttpServer) -> None:
        assert server.port == 0
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(b"up 1\n")
        await leave(writer)

    run(story, unix_socket=path)


def test_merging_is_found_here_too() -> None:
    assert merge_exposition({"0": b"a 1\n"}) == b'a{worker="0"} 1\n'
