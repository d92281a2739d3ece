"""A small pipelined connection to Redis: no pool, no lock, no resend.

Calls made in one turn of the event loop leave in one write, and replies are matched
to them in order. A call that was sent is never sent again: "no reply in time" is not
"no", and a repeated hold is money (redis-py's defaults were seen to place three holds
for one request).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from authz.hot.errors import Busy, NoReply, NotConnected, Refused

Argument = str | bytes | int

# Calls that may wait for their reply at once. At 200 ms and 20,000 a second there are
# 4,000 in flight; more than this means that replies no longer keep up.
PENDING_MAX = 8192


class Connection(asyncio.Protocol):
    """One connection. Use `connect`; `call` from the loop that it was made on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[], None]) -> None:
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        # In the order sent. A call past its deadline stays, marked done, until its reply
        # comes, so that a late reply is never taken for another call's.
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self.late_replies = 0

    # -- asyncio.Protocol -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of no such class

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while True:
            try:
                reply = self._reader.gets()
            except hiredis.ProtocolError:
                self.close()
                return
            if reply is False:
                return
            future, _ = self._waiting.popleft()
            if future.done():
                self.late_replies += 1
            elif isinstance(reply, hiredis.ReplyError):
                future.set_exception(Refused(str(reply)))
            else:
                future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(NoReply("the connection was lost"))
        self._on_lost()

    # -- calls ------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self._transport is not None

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def call(self, arguments: tuple[Argument, ...], timeout_s: float) -> asyncio.Future[Any]:
        """Send one command; the future is its reply.

        Raises: NotConnected, Busy (nothing was sent). The future raises Refused (an
            error reply) or NoReply (it was sent; it may have run).
        """
        if self._transport is None:
            raise NotConnected("not connected")
        if len(self._waiting) >= PENDING_MAX:
            raise Busy("too many calls are waiting")
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(arguments))  # type: ignore[arg-type]
        future: asyncio.Future[Any] = self._loop.create_future()
        deadline = self._loop.time() + timeout_s
        self._waiting.append((future, deadline))
        # Callers wait for different times: a withdrawal for seconds, a request for a fraction.
        if self._timer is None or deadline < self._timer_at:
            self._arm(deadline)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._expire)

    def _expire(self) -> None:
        """End the calls whose time is up. One timer serves all, armed for the next of them."""
        self._timer = None
        now = self._loop.time()
        soonest = None
        for future, deadline in self._waiting:
            if future.done():
                continue
            # uvloop's clock has a millisecond's grain; a timer may fire that much early.
            if deadline <= now + 0.001:
                future.set_exception(NoReply("no reply in time"))
            elif soonest is None or deadline < soonest:
                soonest = deadline
        if soonest is not None:
            self._arm(soonest)


async def connect(
    url: str, on_lost: Callable[[], None] = lambda: None, timeout_s: float = 2.0
) -> Connection:
    """A connection to unix:///path, unix://user:password@/path or redis://user:password@host:port.

    Raises: OSError, TimeoutError, Refused (wrong user or password), ValueError (another scheme).
    """
    loop = asyncio.get_running_loop()
    parts = urlsplit(url)
    connection = Connection(loop, on_lost)
    if parts.scheme == "unix":
        opening = loop.create_unix_connection(lambda: connection, unquote(parts.path))
        await asyncio.wait_for(opening, timeout_s)
    elif parts.scheme == "redis":
        host, port = parts.hostname or "127.0.0.1", parts.port or 6379
        tcp = loop.create_connection(lambda: connection, host, port)
        await asyncio.wait_for(tcp, timeout_s)
    else:
        raise ValueError(f"not a redis:// or unix:// address: {parts.scheme or 'no scheme'}")
    if parts.username or parts.password:
        user, password = unquote(parts.username or "default"), unquote(parts.password or "")
        await connection.call(("AUTH", user, password), timeout_s)
    return connection
