"""Links over real TCP: bad input of every kind, and that nobody else suffers from it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from authz import admission
from authz.actions import Send
from authz.admission import PURSE_S
from authz.dispatch import Dispatcher
from authz.link import STUCK_S, Link
from authz.pulse import BEAT_S
from authz.server import LOG_LINES_MAX, Server
from authz.session import LinkSettings
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame, Framing
from iso8583.spec import Dialect
from rules.reason import Reason
from tests.support.dialects import without
from tests.support.engine import KEYS, PAN, World, held, purchase, reversal
from tests.support.iso93 import purchase_1993, reversal_1993

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]


class Heard:
    """What the server told its observer."""

    def __init__(self) -> None:
        self.bad: list[str] = []
        self.answers: list[tuple[str, str]] = []
        self.seconds: list[float] = []

    def answered(self, mti: str, reason: str, seconds: float) -> None:
        self.seconds.append(seconds)
        self.answers.append((mti, reason))

    def bad_input(self, kind: str) -> None:
        self.bad.append(kind)

    def frames(self, count: int) -> None: ...
    def stage(self, name: str, seconds: float) -> None: ...


class Peer:
    """The other end of a link."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        dialect: Dialect = DIALECT,
        framing: Framing = FRAMING,
    ) -> None:
        self.reader, self.writer = reader, writer
        self.dialect, self.framing = dialect, framing
        self.frames = framing.reader()
        self.ready: list[Any] = []

    def send(self, mti: str, fields: dict[int, str]) -> None:
        self.writer.write(self.framing.pack(encode(mti, fields, self.dialect)))

    async def hear(self) -> Any:
        while not self.ready:
            data = await asyncio.wait_for(self.reader.read(65_536), 5)
            if not data:
                raise EOFError
            self.ready += [i for i in self.frames.feed(data) if isinstance(i, Frame)]
        return decode(self.ready.pop(0).body, self.dialect)

    async def ask(self, mti: str, fields: dict[int, str]) -> Any:
        self.send(mti, fields)
        return await self.hear()

    async def gone(self) -> bool:
        """Whether the engine hangs up."""
        while await asyncio.wait_for(self.reader.read(65_536), 10):
            pass
        return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


Story = Callable[[World, Server, Heard, Callable[[], Awaitable[Peer]]], Awaitable[None]]


def play(story: Story, server_changes: dict[str, int] | None = None, **link: Any) -> None:
    """A server with an engine in memory; `story` opens as many links to it as it likes."""

    async def whole() -> None:
        world = await World().open_with(1_000_000)
        heard = Heard()
        server = Server(
            Dispatcher(world.engine, KEYS), world.clock, heard, **(server_changes or {})
        )
        base = {"name": "t", "dialect": DIALECT, "framing": FRAMING, "sign_on_required": False}
        settings = LinkSettings(**(base | link))
        port = await server.listen(settings, "127.0.0.1", 0)
        peers = []

        async def connect() -> Peer:
            streams = await asyncio.open_connection("127.0.0.1", port)
            peers.append(Peer(*streams, settings.dialect, settings.framing))
            return peers[-1]

        try:
            await story(world, server, heard, connect)
        finally:
            for peer in peers:
                peer.writer.close()
            await server.close()
            await asyncio.sleep(0.01)

    uvloop.run(whole())


def test_requests_are_answered_over_tcp() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        assert (await peer.ask("0100", purchase(1, 5000)))[39] == "00"
        assert (await peer.ask("0400", reversal(purchase(1, 5000))))[39] == "00"
        assert held(world) == 0
        await peer.ask("0800", {7: "0322120000", 11: "000001", 70: "301"})
        assert heard.answers == [("0100", "approved"), ("0400", "approved"), ("0800", "approved")]

    play(story)


def test_a_link_of_1993_over_tcp() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        sign_on = {7: "0322120000", 11: "000001", 12: "260322120000", 24: "801"}
        bought = purchase_1993(1, 5000)
        for mti, fields, answer in (
            ("1804", sign_on, ("1814", "800")),
            ("1100", bought, ("1110", "000")),
            ("1101", bought, ("1110", "000")),
            ("1421", reversal_1993(bought), ("1430", "400")),
        ):
            said = await peer.ask(mti, fields)
            assert (said.mti, said[39], said[11]) == (*answer, fields[11])
        assert held(world) == 0
        assert heard.answers[-1] == ("1421", "approved")

    dialect = BY_NAME["iso93_ascii"]
    play(story, dialect=dialect, network="iso93", sign_on_required=True)


def test_many_requests_in_one_write_and_byte_by_byte() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        many = b"".join(
            FRAMING.pack(encode("0100", purchase(n, 10), DIALECT)) for n in range(1, 201)
        )
        peer.writer.write(many)
        assert {str((await peer.hear())[11]) for _ in range(200)} == {
            f"{n:06}" for n in range(1, 201)
        }
        for byte in FRAMING.pack(encode("0100", purchase(500, 10), DIALECT)):
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await peer.hear())[11] == "000500"
        assert held(world) == 201 * 10

    play(story)


@pytest.mark.parametrize(
    ("mti", "fields", "answer", "kind"),
    [
        ("0300", purchase(1), "0310", "unknown_mti"),
        ("1100", purchase(1), "1110", "unknown_mti"),
        ("0100", purchase(1, de18=""), "0110", "bad_element"),
        ("0100", purchase(1, de2=""), "0110", "bad_element"),
        ("0100", purchase(1, de7="1399000000"), "0110", "bad_element"),
        ("0400", reversal(purchase(1), de7="0000000000"), "0410", "bad_element"),
    ],
)
def test_what_cannot_be_judged_is_answered_30(
    mti: str, fields: dict[int, str], answer: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        said = await peer.ask(mti, fields)
        assert (said.mti, said[39], said[11]) == (answer, "30", fields[11])
        assert heard.bad == [kind]
        assert (await peer.ask("0100", purchase(77, 10)))[39] == "00"

    play(story)
    # It is not in the journal, so it must be findable in the log; not by its card.
    out = "".join(capsys.readouterr())
    assert f"MTI {mti}, STAN {fields[11]}" in out
    assert PAN not in out


@pytest.mark.parametrize("hours", [-2, 1])
def test_what_is_too_old_or_ahead_of_us_is_in_the_log_like_any_refusal(
    hours: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        at_ms = world.clock.now_ms() + hours * 3_600_000
        assert (await peer.ask("0100", purchase(7, at_ms=at_ms)))[39] == "12"
        assert heard.bad == ["too_old"]

    play(story)
    out = "".join(capsys.readouterr())
    assert "MTI 0100, STAN 000007" in out
    assert PAN not in out


@pytest.mark.parametrize(("network", "named"), [("mastercard", "018"), ("generic", None)])
def test_a_format_error_names_its_element_where_the_network_wants_it(
    network: str, named: str | None
) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        said = await peer.ask("0100", purchase(1, de18=""))
        assert (said[39], said.get(44)) == ("30", named)
        raw = encode("0100", purchase(2), DIALECT).replace(b"5411", b"54A1")
        peer.writer.write(FRAMING.pack(raw))
        said = await peer.hear()
        assert (said[39], said.get(44)) == ("30", named)
        assert (await peer.ask("0100", purchase(3, 10))).get(44) is None

    play(story, network=network)


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 300,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 40,
    "zeros then ones": bytes(100) + b"\xff" * 9000,
    "a length that lies": b"\x00\x05" + encode("0100", purchase(), DIALECT) * 9,
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_harms_no_other_link(what: str) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        good, bad = await connect(), await connect()
        assert (await good.ask("0100", purchase(1, 10)))[39] == "00"
        bad.writer.write(GARBAGE[what])
        for n in range(2, 12):
            assert (await good.ask("0100", purchase(n, 10)))[39] == "00"
        assert await bad.gone()
        assert heard.bad

    play(story, frame_timeout_s=0.3)


def test_the_log_says_where_and_never_what(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        raw = encode("0100", purchase(1), DIALECT)
        peer.writer.write(FRAMING.pack(raw[:-5]) + FRAMING.pack(raw.replace(b"0840", b"08x0")))
        await peer.ask("0100", purchase(2, 10))

    play(story)
    out = "".join(capsys.readouterr())
    assert "bad_input" in out
    assert PAN not in out


def test_half_a_frame_then_silence_ends_that_link_only() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        good, slow = await connect(), await connect()
        slow.writer.write(FRAMING.pack(encode("0100", purchase(1), DIALECT))[:50])
        await asyncio.sleep(0.1)
        world.clock.advance(1.5)
        assert await slow.gone()
        assert heard.bad == ["half_frame"]
        assert (await good.ask("0100", purchase(2, 10)))[39] == "00"

    play(story, frame_timeout_s=1.0)


def test_links_above_the_bound_are_refused_and_the_others_stay() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        first = await connect()
        assert (await first.ask("0100", purchase(1, 10)))[39] == "00"
        await (await connect()).ask("0100", purchase(2, 10))
        assert await (await connect()).gone()
        assert heard.bad == ["too_many_links"]
        assert (await first.ask("0100", purchase(3, 10)))[39] == "00"

    play(story, links_max=2)


class Stuck:
    """A hot state that answers nobody until it is let go."""

    def __init__(self, hot: Any) -> None:
        self.hot, self.go, self.asked = hot, asyncio.Event(), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hot, name)

    async def authorize(self, act: Any, timeout_s: float) -> Any:
        self.asked += 1
        await self.go.wait()
        return await self.hot.authorize(act, timeout_s)


def test_a_flood_of_one_link_is_told_91_and_the_others_are_served() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        flood, good = await connect(), await connect()
        for n in range(5000):
            flood.send("0100", purchase(n, 1))
        line = server.admission.line
        told = [await flood.hear() for _ in range(5000 - 8 - line)]
        assert {message[39] for message in told} == {"91"}
        assert [int(message[11]) for message in told] == list(range(8, 5000 - line))
        assert (stuck.asked, server.admission.waiting) == (8, line)
        good.send("0100", purchase(9999, 1))
        await until(lambda: stuck.asked == 9)
        stuck.go.set()
        assert (await good.hear())[11] == "009999"
        assert {(await flood.hear())[39] for _ in range(8 + line)} == {"00"}

    play(story, {"in_flight_max": 100_000}, in_flight_max=8)


def test_a_flood_rests_when_there_is_no_time_left_to_refuse_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until a beat: what is above it waits in the socket, and the others are served."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        server._beating.cancel()  # type: ignore[union-attr]
        monkeypatch.setattr(admission, "SEATS", 1)
        flood, good = await connect(), await connect()
        for n in range(1, 3):
            flood.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting == 1)
        server.admission.refused(PURSE_S)
        assert (server.admission.may_refuse, server.admission.reads) == (False, 0)
        flood.send("0100", purchase(3, 1))
        assert ((m := await flood.hear())[11], m[39]) == ("000002", "91")
        flood.send("0100", purchase(4, 1))
        good.send("0100", purchase(5, 1))
        await until(lambda: server.admission.waiting == 2)
        [resting] = server._resting
        assert resting.counted == 1  # the third; the fourth is in the socket
        resting.tick(world.clock.monotonic() + 100.0, "260322120000")  # its idle_echo_s, and more
        assert resting._session._echo_sent_at is None  # we do not read, so none of its times runs
        server._beat()  # begins to count
        world.clock.advance(BEAT_S)
        server._beat()
        assert ((m := await flood.hear())[11], m[39]) == ("000003", "91")
        assert not server._resting
        stuck.go.set()
        assert {(await flood.hear())[11] for _ in range(2)} == {"000001", "000004"}
        assert (await good.hear())[39] == "00"

    play(story, {"in_flight_max": 1})


def test_a_link_at_its_own_bound_tells_those_that_waited_too_long_91() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        peer = await connect()
        for n in range(1, 4):
            peer.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting == 2)
        assert server.admission.room > 0
        for _ in range(4):  # in steps: a jump would be a stall of the engine's own
            world.clock.advance(0.02)
            await asyncio.sleep(0.03)
        assert [(await peer.hear())[39] for _ in range(2)] == ["91", "91"]
        stuck.go.set()
        assert (await peer.hear())[39] == "00"

    play(story, in_flight_max=1)


def test_what_a_lost_link_had_waiting_is_forgotten() -> None:
    """Its seats are others', and nobody would hear the answers."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        peer = await connect()
        for n in range(1, 6):
            peer.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting == 3)
        [link] = server._links
        link._abort()  # as of one that does not read its answers
        await until(lambda: server.link_count == 0)
        assert server.admission.waiting == 0
        stuck.go.set()
        assert (await (await connect()).ask("0100", purchase(7, 1)))[39] == "00"
        assert stuck.asked == 3

    play(story, {"in_flight_max": 2})


def test_what_was_asked_before_a_hang_up_is_answered() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        good = b"".join(FRAMING.pack(encode("0100", purchase(n, 1), DIALECT)) for n in range(10))
        peer.writer.write(good + FRAMING.pack(b"?????") * 3)
        assert {(await peer.hear())[39] for _ in range(10)} == {"00"}
        assert await peer.gone()

    play(story)


class InOrder(Stuck):
    """One that remembers in which order it was asked."""

    def __init__(self, hot: Any) -> None:
        super().__init__(hot)
        self.amounts: list[int] = []  # as they were asked

    async def authorize(self, act: Any, timeout_s: float) -> Any:
        self.amounts.append(act.hold_minor)
        return await super().authorize(act, timeout_s)


def test_above_what_may_wait_a_link_keeps_its_fair_share(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        monkeypatch.setattr(admission, "SEATS", 4)
        first, second = await connect(), await connect()
        for n in range(1, 7):
            first.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting == 4)
        # All seats are taken by another: who comes now has half of them, and no more.
        for n in range(7, 10):
            second.send("0100", purchase(n, 1))
        told = await second.hear()
        assert (told[11], told[39]) == ("000007", "91")
        # And who has more than half of them gives way when it comes again.
        first.send("0100", purchase(10, 1))
        told = [await first.hear() for _ in range(3)]
        assert [(m[11], m[39]) for m in told] == [(f"{n:06}", "91") for n in (3, 4, 5)]
        assert (stuck.asked, server.admission.waiting) == (2, 4)
        stuck.go.set()
        assert [(await first.hear())[39] for _ in range(4)] == ["00"] * 4
        assert [(await second.hear())[39] for _ in range(2)] == ["00"] * 2
        assert (server.admission.waiting, server.admission.holding) == (0, 0)

    play(story, {"in_flight_max": 2})


def test_who_has_waited_too_long_is_told_91_without_being_asked() -> None:
    """Its time runs from when it was read, so the store would have none left to answer in."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        peer = await connect()
        for n in range(1, 4):
            peer.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting == 2)
        for _ in range(4):  # in steps: a jump would be a stall of the engine's own
            world.clock.advance(0.02)
            await asyncio.sleep(0.03)
        assert [(await peer.hear())[39] for _ in range(2)] == ["91", "91"]
        assert stuck.asked == 1
        stuck.go.set()
        assert (await peer.hear())[39] == "00"
        assert held(world) == 1

    play(story, {"in_flight_max": 1})


def test_links_take_turns_at_the_room_there_is() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        world.engine.hot = store = InOrder(world.hot)
        flood, modest = await connect(), await connect()
        for n in range(1, 151):
            flood.send("0100", purchase(n, 1))
        await until(lambda: server.admission.waiting > 0)
        modest.send("0100", purchase(999, 7))
        await until(lambda: len(server._waiting) == 2)
        store.go.set()
        assert (await modest.hear())[39] == "00"
        assert store.amounts.index(7) <= 2
        assert [(await flood.hear())[39] for _ in range(150)] == ["00"] * 150

    play(story, {"in_flight_max": 1})


def test_what_lay_unread_while_the_engine_stood_still_is_told_91() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        assert (await peer.ask("0100", purchase(1, 10)))[39] == "00"
        # The clock goes on and the loop does not, as in a process that was stopped.
        server._beating.cancel()  # type: ignore[union-attr]
        world.clock.advance(2.0)
        peer.send("0100", purchase(2, 10))
        assert (await peer.hear())[39] == "91"
        assert held(world) == 10
        server._beat()
        await until(lambda: server.pulse.received() == world.clock.monotonic())
        assert (await peer.ask("0101", purchase(2, 10)))[39] == "00"
        assert held(world) == 20

    play(story)


def test_a_closing_link_that_waits_for_nobody_is_cut_off_in_the_end() -> None:
    """An answer that never comes, or a peer that never closes, keeps no link open."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        peer = await connect()
        peer.send("0100", purchase(1, 1))
        await until(lambda: stuck.asked == 1)
        [link] = server._links
        link.hang_up("a test")
        world.clock.advance(STUCK_S)
        link.tick(world.clock.monotonic(), "260322120000")
        assert server.link_count == 1
        world.clock.advance(0.1)
        link.tick(world.clock.monotonic(), "260322120000")
        await until(lambda: server.link_count == 0)
        stuck.go.set()

    play(story)


def test_an_answer_is_timed_when_it_has_been_handed_over() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        await peer.ask("0100", purchase(1, 1))
        [link] = server._links
        before = len(heard.answers)
        link._write(Send(b"", "0100", Reason.APPROVED, world.clock.monotonic()))
        world.clock.advance(0.01)
        assert len(heard.answers) == before
        await until(lambda: len(heard.answers) == before + 1)
        assert round(heard.seconds[-1], 6) == 0.01

    play(story)


def test_an_answer_whose_link_is_gone_is_stored_for_the_repeat() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        stuck = world.engine.hot = Stuck(world.hot)
        peer = await connect()
        peer.send("0100", purchase(1, 10))
        await asyncio.sleep(0.05)
        peer.writer.transport.abort()
        await asyncio.sleep(0.05)
        stuck.go.set()
        await asyncio.sleep(0.05)
        assert held(world) == 10
        again = await (await connect()).ask("0101", purchase(1, 10))
        assert again[39] == "00"
        assert held(world) == 10

    play(story)


def test_our_own_fault_is_answered_96_and_the_engine_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        class Broken(Stuck):
            async def authorize(self, act: Any, timeout_s: float) -> Any:
                raise AssertionError(f"with {PAN} in it")

        hot, world.engine.hot = world.hot, Broken(world.hot)
        peer = await connect()
        assert (await peer.ask("0100", purchase(1, 10)))[39] == "96"
        world.engine.hot = hot
        assert (await peer.ask("0101", purchase(1, 10)))[39] == "00"

    play(story)
    out = "".join(capsys.readouterr())
    assert "malfunction" in out
    assert PAN not in out


def test_trouble_with_one_link_stops_neither_the_beat_nor_the_other_links(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: list[Link] = []

    def look(link: Link) -> None:
        looked.append(link)
        if link is looked[0]:
            raise AssertionError(f"with {PAN} in it")

    monkeypatch.setattr(Link, "look", look)

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peers = [await connect(), await connect()]
        await until(lambda: len(set(looked)) == 2 and looked.count(looked[0]) > 3)
        for stan, peer in enumerate(peers, 1):
            assert (await peer.ask("0100", purchase(stan, 10)))[39] == "00"

    play(story)
    out = "".join(capsys.readouterr())
    assert 1 <= out.count("link_failed") <= LOG_LINES_MAX * 4  # in so many seconds, at most
    assert PAN not in out


def test_a_peer_that_reads_nothing_is_hung_up_on() -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        echo = FRAMING.pack(encode("0800", {7: "0322120000", 11: "000001", 70: "301"}, DIALECT))
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]

        async def pour() -> None:
            while "slow_reader" not in heard.bad:
                peer.writer.write(echo * 2000)
                await asyncio.sleep(0.02)
                world.clock.advance(0.2)

        await asyncio.wait_for(pour(), 20)

    play(story)


@pytest.mark.parametrize(
    ("lacking", "code", "stays"),
    [((54,), "10", 1_000_000), ((38,), "96", 0), ((39,), None, 0)],
)
def test_an_approval_that_cannot_be_said_is_taken_back_and_those_behind_it_go_on(
    lacking: tuple[int, ...], code: str | None, stays: int
) -> None:
    """A configuration refuses such dialects but the first: this is what holds if one gets by."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        for stan in (1, 2):  # the second waits until the first has left the only seat
            peer.send("0100", purchase(stan, 2_000_000))
        if code is not None:
            assert (await peer.hear())[39] == code
            await peer.hear()
        await until(lambda: len(world.watcher.heard) == 2 and not server._tasks)
        for undo in world.spool.acts:
            assert await world.hot.withdraw(undo, 1.0) == "released"
        assert held(world) == stays
        assert (server.admission.in_flight, server.admission.waiting) == (0, 0)
        [link] = server._links
        assert link._session.in_flight == 0

    dialect = without(DIALECT, *lacking)
    play(story, dialect=dialect, partial_approval=True, in_flight_max=1)
