"""Telling a story to an engine: each step sent over TCP, each answer compared with the table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from authz.clock import Clock, utc
from authz.simulator.link import manners_in
from authz.simulator.stories import CURRENCY, Story
from authz.simulator.story_messages import WITHOUT, Composer, Step, Tongue
from authz.wire.networks import NETWORKS
from iso8583.codec import decode, encode
from iso8583.framing import Frame, Framing, KeepAlive
from iso8583.message import Message
from iso8583.mti import response_to
from iso8583.spec import Dialect

ANSWER_S = 5.0  # an engine answers in 0.2
READ_BYTES = 65_536


class NoAnswer(Exception):
    """The engine cannot be reached, hung up, or was silent. The text says which."""


class Balance(Struct, frozen=True):
    """How the account stands, in minor units."""

    held: int
    available: int


class Told(Struct):
    """One step as it went."""

    number: int
    step: Step
    sent: Message
    answer: Message
    balance: Balance | None  # None: nobody could look
    differs: list[str] = field(default_factory=list)  # what was not as the table says


class Line:
    """A link to an engine on which one thing is said at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        dialect: Dialect, framing: Framing,
    ) -> None:  # fmt: skip
        self._reader, self._writer = reader, writer
        self._dialect, self._framing = dialect, framing
        self._frames = framing.reader()
        self._heard: list[Message] = []

    async def ask(self, mti: str, fields: Mapping[int, Any]) -> tuple[Message, Message]:
        """What was said, and what was answered to it. Raises: NoAnswer."""
        raw = encode(mti, fields, self._dialect)
        hint = ": are --dialect and --framing those of its link?" if mti[1] == "8" else ""
        self._writer.write(self._framing.pack(raw))
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    answer = await self._hear()
                    if (answer.mti, answer.get(11)) == (response_to(mti), fields[11]):
                        return decode(raw, self._dialect), answer
        except TimeoutError:
            raise NoAnswer(f"no answer to a {mti} in {ANSWER_S:g} s{hint}") from None
        except ConnectionError:
            raise NoAnswer(f"the engine hung up on a {mti}{hint}") from None

    async def _hear(self) -> Message:
        while not self._heard:
            data = await self._reader.read(READ_BYTES)
            if not data:
                raise ConnectionError
            for item in self._frames.feed(data):
                if isinstance(item, Frame):
                    self._heard.append(decode(item.body, self._dialect))
                elif isinstance(item, KeepAlive):
                    self._writer.write(self._framing.keep_alive)
        return self._heard.pop(0)


@asynccontextmanager
async def line_to(
    host: str, port: int, tongue: Tongue, clock: Clock, framing: str | None = None
) -> AsyncIterator[Line]:
    """A link that is signed on, until the block ends. Raises: NoAnswer."""
    try:
        async with asyncio.timeout(ANSWER_S):
            streams = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        raise NoAnswer(f"no engine answers on {host}:{port}") from None
    manners = manners_in(tongue.dialect_name, framing, tongue.network)
    line, network = Line(*streams, manners.dialect, manners.framing), NETWORKS[tongue.network]

    async def manage(code: str, stan: str) -> str:
        moment = utc(clock.now_ms()).strftime("%y%m%d%H%M%S")
        _, answer = await line.ask(*network.manage(code, moment, stan))
        return str(answer.get(39, ""))

    try:
        if not network.accepts(await manage(network.management.sign_on, "000001")):
            raise NoAnswer("the engine refuses the sign-on: does it speak another network's way?")
        yield line
        with suppress(NoAnswer):
            await manage(network.management.sign_off, "000002")
    finally:
        streams[1].close()


Look = Callable[[], Awaitable[Balance | None]]


async def tell(
    story: Story, line: Line, composer: Composer, look: Look, hear: Callable[[Told], None]
) -> bool:
    """All steps, in order; `hear` is told each. Whether all went as the table says."""
    held, available = None, None  # as the table has them so far
    ok = True
    for number, step in enumerate(story.steps, start=1):
        sent, answer = await line.ask(step.mti, composer.fields(number))
        composer.answers[number] = answer.to_dict()
        told = Told(number, step, sent, answer, await look())
        told.differs = differences(step, answer, composer)
        held = step.held if step.held is not None else held
        available = step.available if step.available is not None else available
        if told.balance is not None:
            told.differs += unlike("held", in_money(held), in_money(told.balance.held))
            told.differs += unlike(
                "available", in_money(available), in_money(told.balance.available)
            )
        ok = ok and not told.differs
        hear(told)
    return ok


def differences(step: Step, answer: Message, composer: Composer) -> list[str]:
    """What of the answer is not as the table says. Shown are the table's values, and DE 39."""
    found = unlike("DE 39", step.code, answer.get(39, ""))
    for element, expected in step.answer.items():
        value = composer.value(element, expected)
        if answer.get(element, WITHOUT) != value:
            found.append(f"DE {element} is not {value or 'absent'}")
    return found


def unlike(name: str, expected: object, found: object) -> list[str]:
    return [] if expected in (None, found) else [f"{name} is {found}, not {expected}"]


def in_money(minor: int | None) -> str | None:
    """As the stories tell it; None is nothing expected."""
    return None if minor is None else f"{Decimal(minor).scaleb(-2)} USD"


assert CURRENCY == "840", "two decimals"
