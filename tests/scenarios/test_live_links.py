"""One engine, a link to each network at once over real TCP, one of them dialled; both stores."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
import uvloop

from authz.backoff import Backoff
from authz.dispatch import Dispatcher
from authz.server import Server
from authz.session import LinkSettings
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame, Framing
from iso8583.headers import BASE1
from iso8583.message import Message
from iso8583.spec import Dialect
from rules.facts import CardState
from tests.authz.test_dialer import Listening
from tests.support.engine import KEYS, NOON, World, account, card
from tests.support.hot import opened
from tests.support.iso93 import reversal_1993
from tests.support.networks import NAMED_BY, PURCHASE, ZERO_FILLED, Fields, back
from tests.support.switch import Switch

# Network, dialect, framing; iso93 is dialled, the others call.
SPOKEN = {
    "visa": ("visa", "vap"),
    "mastercard": ("mastercard", "binary2"),
    "postilion": ("postilion", "binary2"),
    "generic": ("iso87_ascii", "ascii4"),
    "iso93": ("iso93_ascii", "hex4"),
}
PANS = {name: f"99999900000{n}0" + "00" for n, name in enumerate(SPOKEN)}
OURS, THEIRS = bytes.fromhex("111111"), bytes.fromhex("222222")
VISA_HEADER = b"\x16\x01\x02" + bytes(2) + OURS + THEIRS + b"\x05" + bytes(10)


class Caller:
    """A network that calls; every message with the header of its framing."""

    def __init__(self, port: int, dialect: Dialect, framing: Framing) -> None:
        self.port, self.dialect, self.framing = port, dialect, framing
        self.headers: list[bytes] = []

    async def open(self) -> "Caller":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.frames = self.framing.reader()
        return self

    async def ask_raw(self, body: bytes, header: bytes = b"") -> bytes:
        if self.framing.header is BASE1:
            header = header or VISA_HEADER
        self.writer.write(self.framing.pack(body, header))
        while True:
            data = await asyncio.wait_for(self.reader.read(65_536), 5)
            assert data, "the engine hung up"
            for item in self.frames.feed(data):
                assert isinstance(item, Frame)
                self.headers.append(item.header)
                return item.body

    async def ask(self, mti: str, fields: Fields) -> Message:
        return decode(await self.ask_raw(encode(mti, fields, self.dialect)), self.dialect)


class Networks:
    """All of them, open to one engine."""

    def __init__(self, world: World, server: Server, now_ms: int) -> None:
        self.world, self.server, self.now_ms = world, server, now_ms
        self.lines: dict[str, Any] = {}

    async def open(self) -> None:
        for name, (dialect, framing) in SPOKEN.items():
            speaks = {
                "name": name, "dialect": BY_NAME[dialect], "framing": FRAMINGS[framing],
                "network": name, "sign_on_required": False,
            }  # fmt: skip
            if name == "iso93":
                switch = await Switch(BY_NAME[dialect], FRAMINGS[framing], name).open()
                dialled = LinkSettings(**(speaks | {"sign_on": True}))
                backoff = Backoff(0.01, 0.1, Random(1))
                self.server.dial(dialled, ("127.0.0.1", switch.port), backoff)
                await asyncio.wait_for(switch.signed_on.wait(), 5)
                self.lines[name] = switch
            else:
                port = await self.server.listen(LinkSettings(**speaks), "127.0.0.1", 0)
                self.lines[name] = await Caller(port, BY_NAME[dialect], FRAMINGS[framing]).open()

    async def close(self) -> None:
        for line in self.lines.values():
            if isinstance(line, Caller):
                line.writer.close()
            else:
                await line.close()

    def purchase(self, name: str, stan: int, amount: int, **more: Any) -> Fields:
        """With the card of that network, and an id of its own."""
        own = {"visa": {"id": f"3{stan:014}"}, "mastercard": {"reference": f"R{stan:05}"}}
        card = {"de2": PANS[name]}
        return PURCHASE[name](stan, amount, at_ms=self.now_ms, **own.get(name, {}), **card, **more)

    def back(self, name: str, bought: Fields, stan: int) -> Fields:
        at_ms = self.now_ms + 1000
        if name == "iso93":
            return reversal_1993(bought, stan, at_ms=at_ms)
        if name == "generic":
            return back(
                bought, stan, at_ms=at_ms, de37=bought[37], de41=bought[41], de42=bought[42]
            )
        return back(bought, stan, at_ms=at_ms, de90=ZERO_FILLED, **NAMED_BY[name](bought))


Story = Callable[[Networks, str], Awaitable[None]]


def play(story: Story, store: str | None, opening: int = 10_000, **limits: Any) -> None:
    """The story of each network, all at once."""

    async def whole() -> None:
        world, now_ms = World(), NOON
        if store is not None:
            now_ms = time.time_ns() // 1_000_000
            world = World(await opened(store))
            world.engine.store_offset_ms = now_ms - NOON
        for n, name in enumerate(SPOKEN):
            await world.put_account(account(f"A{n}"), opening)
            await world.put_card(card(f"C{n}", f"A{n}", **limits), PANS[name])
        server = Server(Dispatcher(world.engine, KEYS), world.clock, Listening())
        networks = Networks(world, server, now_ms)
        try:
            await networks.open()
            await asyncio.gather(*(story(networks, name) for name in SPOKEN))
        finally:
            await networks.close()
            await server.close()
            if store is not None:
                world.hot._connection.close()
            await asyncio.sleep(0.01)

    uvloop.run(whole())


@pytest.fixture(params=["memory", "real"])
def store(request: pytest.FixtureRequest) -> str | None:
    """None: the model of plain dicts."""
    return request.getfixturevalue("fresh_redis") if request.param == "real" else None


def mti_of(name: str, mti: str) -> str:
    return f"1{mti[1:]}" if name == "iso93" else mti


def test_every_network_lives_through_the_same_story(store: str | None) -> None:
    approved = dict.fromkeys(SPOKEN, "00") | {"iso93": "000"}
    reversed_ = dict.fromkeys(SPOKEN, "00") | {"iso93": "400"}
    no_funds = dict.fromkeys(SPOKEN, "51") | {"iso93": "116"}

    async def story(networks: Networks, name: str) -> None:
        line = networks.lines[name]
        first = networks.purchase(name, 1, 10_000)
        second = networks.purchase(name, 2, 1)
        mti = mti_of(name, "0100")

        told = await line.ask(mti, first)
        assert (told.mti, told[39]) == (mti_of(name, "0110"), approved[name])
        repeat = await line.ask(mti_of(name, "0101"), first)
        assert (repeat[38], repeat[39]) == (told[38], told[39])
        assert (await line.ask(mti, second))[39] == no_funds[name]
        for mti_back in ("0420", "0421") if name == "iso93" else ("0400", "0401", "0420"):
            said = await line.ask(mti_of(name, mti_back), networks.back(name, first, 900))
            assert said[39] == reversed_[name]
        # All of it is free again, and what was declined stays so.
        assert (await line.ask(mti, second))[39] == no_funds[name]
        third = networks.purchase(name, 3, 10_000)
        assert (await line.ask(mti, third))[39] == approved[name]

    play(story, store)


def test_the_same_bytes_get_the_same_bytes() -> None:
    async def story(networks: Networks, name: str) -> None:
        line = networks.lines[name]
        if name == "iso93":
            return  # a switch that is dialled hears messages, not bytes
        raw = encode("0100", networks.purchase(name, 1, 4000), line.dialect)
        assert await line.ask_raw(raw) == await line.ask_raw(raw)

    play(story, None)


@pytest.mark.parametrize(
    ("state", "codes"),
    [
        (CardState.FROZEN, {"visa": "78", "iso93": "104"}),
        (CardState.CLOSED, {"visa": "46", "mastercard": "14", "postilion": "14", "generic": "14",
                            "iso93": "111"}),
    ],
)  # fmt: skip
def test_a_decline_in_each_networks_code(state: CardState, codes: dict[str, str]) -> None:
    async def story(networks: Networks, name: str) -> None:
        asked = networks.purchase(name, 1, 100)
        told = await networks.lines[name].ask(mti_of(name, "0100"), asked)
        assert told[39] == codes.get(name, "62")

    play(story, None, state=state)


def test_a_format_error_in_each_networks_words_and_the_next_message_is_heard() -> None:
    broken: dict[str, Fields] = {
        "visa": {62: b"\x40" + bytes(7)}, "mastercard": {48: "R61".encode("cp037")},
        "postilion": {127: b"\x40" + bytes(7) + b"99"}, "generic": {18: ""}, "iso93": {26: ""},
    }  # fmt: skip

    async def story(networks: Networks, name: str) -> None:
        line, mti = networks.lines[name], mti_of(name, "0100")
        asked = networks.purchase(name, 1, 100)
        wrong = {n: v for n, v in sorted((asked | broken[name]).items()) if v != ""}
        told = await line.ask(mti, wrong)
        assert told[39] == ("904" if name == "iso93" else "30")
        assert told.get(44) == {"mastercard": "048", "visa": "5"}.get(name)
        assert (await line.ask(mti, asked))[39] in ("00", "000")

    play(story, None)


def test_a_visa_answer_goes_back_to_where_it_was_asked() -> None:
    async def story(networks: Networks, name: str) -> None:
        if name != "visa":
            return
        line = networks.lines[name]
        body = await line.ask_raw(encode("0100", networks.purchase(name, 1, 100), line.dialect))
        [header] = line.headers
        assert header[5:8] + header[8:11] == THEIRS + OURS
        assert int.from_bytes(header[3:5], "big") == 22 + len(body)
        assert (header[:3], header[11:]) == (VISA_HEADER[:3], VISA_HEADER[11:])

    play(story, None)


def test_what_visa_hands_back_is_not_answered_and_an_empty_frame_is() -> None:
    async def story(networks: Networks, name: str) -> None:
        if name != "visa":
            return
        line = networks.lines[name]
        body = encode("0110", {11: "000001", 39: "00"}, line.dialect)
        size = (26 + 22 + len(body)).to_bytes(2, "big")
        reject = b"\x1a\x01\x02" + size + bytes(17) + b"\x80\x00" + b"\x00\x27"
        # Behind the reject's header stands the one that we had sent.
        line.writer.write(size + bytes(2) + reject + VISA_HEADER + body)
        line.writer.write(bytes(4))
        assert await asyncio.wait_for(line.reader.readexactly(4), 5) == bytes(4)
        # Nothing else came back: the next answer is that to the next question.
        told = await line.ask("0100", networks.purchase(name, 1, 100))
        assert told[39] == "00"
        assert networks.server.observer.bad == ["rejected"]  # type: ignore[attr-defined]

    play(story, None)
