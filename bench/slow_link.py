"""A TCP proxy on this machine that can be made slow: a link that drips."""

import asyncio
from types import TracebackType
from typing import Self

READ_BYTES = 65_536
DRIP_BYTES, DRIP_S = 256, 0.010  # about one message; 25 kB a second each way


class SlowLink:
    """Between one link and the engine. While `slow`, a few bytes at a time pass, in each direction;
    what comes meanwhile waits here and in the sockets."""

    def __init__(self, port: int) -> None:
        self.slow = False
        self.port = 0
        self._to = port
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        for pump in (self._pump(reader, back), self._pump(there, writer)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(DRIP_BYTES if self.slow else READ_BYTES):
                writer.write(data)
                await writer.drain()
                if self.slow:
                    await asyncio.sleep(DRIP_S)
        except ConnectionError:
            pass  # the other direction ends by it, too
        finally:
            writer.close()
