"""The connection: replies reach their own callers, deadlines hold, nothing is sent twice."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from authz.hot.errors import Busy, NoReply, NotConnected, Refused
from authz.hot.resp import PENDING_MAX, Connection, connect


def with_server(
    reply: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    scenario: Callable[[Connection], Awaitable[None]],
) -> None:
    """A scripted server on a Unix socket, and one connection to it."""

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reply(reader, writer)
        except (asyncio.IncompleteReadError, ValueError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def whole() -> None:
        with tempfile.TemporaryDirectory(prefix="az") as folder:
            path = str(Path(folder) / "s")
            server = await asyncio.start_unix_server(handled, path)
            connection = await connect(f"unix://{path}")
            try:
                await scenario(connection)
            finally:
                connection.close()
                server.close()
                await asyncio.sleep(0.01)

    asyncio.run(whole())


async def commands(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command's words."""
    count = int((await reader.readline())[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def test_calls_of_one_turn_leave_in_one_write_and_replies_come_in_order(fresh_redis: str) -> None:
    async def scenario() -> None:
        connection = await connect(fresh_redis)
        said = await asyncio.gather(*(connection.call(("ECHO", f"{n}"), 5) for n in range(1000)))
        assert said == [b"%d" % n for n in range(1000)]
        connection.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_late_or_cancelled_reply_is_never_taken_for_anothers(fresh_redis: str) -> None:
    """6,000 calls with deadlines shorter than some replies, a third of them cancelled."""

    async def scenario() -> None:
        connection, dice = await connect(fresh_redis), random.Random(1)
        wrong = []

        async def ask(n: int) -> None:
            if n % 500 == 0:
                await connection.call(("BLPOP", "nothing", "0.02"), 5)
                return
            future = connection.call(("ECHO", f"{n}"), dice.choice([0.001, 0.01, 5]))
            if n % 3 == 0:
                asyncio.get_running_loop().call_later(dice.random() / 100, future.cancel)
            try:
                if await future != b"%d" % n:
                    wrong.append(n)
            except (NoReply, asyncio.CancelledError):
                pass

        for start in range(0, 6000, 200):
            await asyncio.gather(*(ask(n) for n in range(start + 1, start + 201)))
        assert wrong == []
        assert connection.late_replies > 0
        assert await connection.call(("ECHO", "still in step"), 5) == b"still in step"
        connection.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_no_reply_in_time_may_have_run_and_is_sent_once() -> None:
    received = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received.append(await commands(reader))

    async def scenario(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(NoReply) as caught:
            await connection.call(("INCR", "x"), 0.1)
        assert caught.value.may_have_run
        assert 0.09 <= loop.time() - started < 1.0
        await asyncio.sleep(0.2)
        assert received == [[b"INCR", b"x"]]

    with_server(silent, scenario)


def test_deadlines_of_different_lengths_each_hold() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        ended: dict[float, float] = {}

        async def ask(timeout_s: float) -> None:
            with pytest.raises(NoReply):
                await connection.call(("PING",), timeout_s)
            ended[timeout_s] = loop.time() - started

        await asyncio.gather(*(ask(t) for t in (0.3, 0.05, 0.15)))
        assert list(ended) == [0.05, 0.15, 0.3]
        assert all(abs(spent - timeout) < 0.1 for timeout, spent in ended.items())

    with_server(silent, scenario)


def test_a_lost_connection_ends_what_waits_and_refuses_what_comes() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async def scenario(connection: Connection) -> None:
        with pytest.raises(NoReply):
            await connection.call(("PING",), 5)
        with pytest.raises(NotConnected):
            connection.call(("PING",), 5)

    with_server(hang_up, scenario)


def test_an_error_reply_is_refused_and_did_not_run(fresh_redis: str) -> None:
    async def scenario() -> None:
        connection = await connect(fresh_redis)
        with pytest.raises(Refused) as caught:
            await connection.call(("NO-SUCH-COMMAND",), 5)
        assert not caught.value.may_have_run
        connection.close()
        await asyncio.sleep(0)

    asyncio.run(scenario())


def test_calls_that_wait_are_bounded() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def scenario(connection: Connection) -> None:
        waiting = [connection.call(("PING",), 60) for _ in range(PENDING_MAX)]
        with pytest.raises(Busy):
            connection.call(("PING",), 60)
        connection.close()
        await asyncio.gather(*waiting, return_exceptions=True)

    with_server(silent, scenario)


def test_garbage_instead_of_a_reply_closes_the_connection() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n")

    async def scenario(connection: Connection) -> None:
        with pytest.raises(NoReply):
            await connection.call(("PING",), 5)

    with_server(garbage, scenario)


@pytest.mark.parametrize("url", ["http://x", "localhost:6379", ""])
def test_another_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        asyncio.run(connect(url))
