"""An engine on a loopback port that does what a test's script says. Not the engine."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from itertools import islice

from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame, KeepAlive
from iso8583.message import Message
from iso8583.mti import response_to

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
ECHOED = (2, 3, 4, 7, 11, 32, 37, 41, 42, 49, 70)


def answer(message: Message, code: str = "00", approval: str = "ABC123") -> bytes:
    """The framed answer to a request."""
    elements = {number: message[number] for number in ECHOED if number in message}
    elements[39] = code
    if code == "00" and message.mti[1] == "1":
        elements[38] = approval
    return FRAMING.pack(encode(response_to(message.mti), dict(sorted(elements.items())), DIALECT))


class Connection(asyncio.Protocol):
    """One connection: management is answered here, everything else by the script."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine

    def connection_made(self, transport):
        self.transport = transport
        self.reader = FRAMING.reader(4096)
        self.engine.connections.append(self)

    def data_received(self, data):
        requests = []
        items = self.reader.feed(data)
        self.engine.keep_alives += sum(isinstance(item, KeepAlive) for item in items)
        messages = [decode(item.body, DIALECT) for item in items if isinstance(item, Frame)]
        for message in messages:
            if message.mti[1] != "8":
                requests.append(message)
            elif message.mti == "0810":
                self.engine.heard.append(message)
            else:
                self.engine.heard.append(message)
                self.transport.write(answer(message, self.engine.management_code))
        self.engine.requests += requests
        if requests:
            self.engine.script(self, requests)

    def write(self, *framed: bytes) -> None:
        self.transport.write(b"".join(framed))


class Engine:
    """What came in, and the script: a function of the connection and its new requests."""

    def __init__(self, script: Callable[[Connection, list[Message]], None]) -> None:
        self.script = script
        self.management_code = "00"
        self.connections: list[Connection] = []
        self.heard: list[Message] = []  # network management
        self.requests: list[Message] = []
        self.keep_alives = 0
        self.port = 0


@asynccontextmanager
async def engine(script):
    scripted = Engine(script)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(scripted), "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        for connection in scripted.connections:
            connection.transport.abort()
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def some_events(count: int, seed: int = 1):
    """Traffic of a small population, begun and followed up."""
    return list(islice(Traffic(make_population(seed, 100), make_merchants(seed), seed), count))


def firsts(count: int):
    """Authorizations only, each its own."""
    return [e for e in some_events(2 * count) if e.mti == "0100" and not e.again][:count]
