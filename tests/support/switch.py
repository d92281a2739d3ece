"""A card network that waits to be called: it listens, and its members dial."""

import asyncio
from typing import Any

from authz.wire.networks import NETWORKS
from iso8583.codec import decode, encode
from iso8583.framing import Frame, Framing
from iso8583.message import Message
from iso8583.mti import response_to
from iso8583.spec import Dialect


class Switch:
    """Its newest caller is the one it talks to. Answers a sign-on with `code`; None: not at all."""

    def __init__(
        self, dialect: Dialect, framing: Framing, network: str = "generic", code: str | None = ""
    ) -> None:
        self.dialect, self.framing, self.network = dialect, framing, NETWORKS[network]
        approved = self.network.codes.code("approved", "0800", False)  # type: ignore[arg-type]
        self.code = approved if code == "" else code
        self.file_code: str | None = None  # DE 39 of what it says to file updates; None: nothing
        self.updates: list[Message] = []
        self.port = 0
        self.calls = 0
        self.signed_on = asyncio.Event()
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> "Switch":
        """On a free port; afterwards always on that one."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        """As a process that dies: nobody listens, and every link is cut."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self.signed_on.clear()
        await asyncio.sleep(0)

    async def ask(self, mti: str, fields: dict[int, Any]) -> Message:
        self._writers[-1].write(self.framing.pack(encode(mti, fields, self.dialect)))
        return await asyncio.wait_for(self.heard.get(), 5)

    def say(self, mti: str, fields: dict[int, Any]) -> None:
        """On its newest link, whether anybody asked or not."""
        self._writers[-1].write(self.framing.pack(encode(mti, fields, self.dialect)))

    def cut(self) -> None:
        """Its newest link, at once; it goes on listening."""
        self._writers.pop().transport.abort()

    def answer_update(self, update: Message, code: str) -> None:
        fields = {number: update[number] for number in (2, 7, 11, 101) if number in update}
        self.say(response_to(update.mti), fields | ({39: code} if code else {}))

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        self._writers.append(writer)
        frames = self.framing.reader()
        try:
            while data := await reader.read(65_536):
                for item in frames.feed(data):
                    if isinstance(item, Frame):
                        self._hear(decode(item.body, self.dialect), writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _hear(self, message: Message, writer: asyncio.StreamWriter) -> None:
        if message.mti == self.network.files.mti:
            self.updates.append(message)
            if self.file_code is not None:
                self.answer_update(message, self.file_code)
        elif message.mti != self.network.management.mti:
            self.heard.put_nowait(message)
        elif self.code is not None:
            answer = message.to_dict() | {39: self.code}
            mti = message.mti[:2] + "1" + message.mti[3]
            writer.write(self.framing.pack(encode(mti, answer, self.dialect)))
            self.signed_on.set()
