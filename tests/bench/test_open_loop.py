"""The lean open loop: what is sent when, and what is heard of it."""

import asyncio
from itertools import islice

import pytest

from authz.clock import SystemClock
from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from authz.wire.to_response import Reply, to_response
from bench import open_loop
from bench.open_loop import (
    DIALECT,
    FRAMING,
    Closed,
    Sent,
    frames_of,
    open_wires,
    send_at,
    times_of,
)
from bench.slow_link import DRIP_BYTES, DRIP_S, SlowLink
from iso8583.codec import decode, encode
from iso8583.mti import response_to
from rules.reason import Reason


class Approving:
    """An engine that approves everything, but what it is told to be silent about."""

    def __init__(self, silent_on: int = -1) -> None:
        self.silent_on = silent_on
        self.open = self.most_open = 0
        self.heard: list[int] = []
        self.serving: list[asyncio.Task] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.current_task())
        frames = FRAMING.reader()
        while data := await reader.read(65_536):
            asked = [decode(frame.body, DIALECT) for frame in frames.feed(data)]
            self.open += sum(message.mti == "0100" for message in asked)
            self.most_open = max(self.most_open, self.open)
            for message in asked:
                number = int(str(message[11]))
                if message.mti == "0100":
                    self.open -= 1
                    self.heard.append(number)
                    if number == self.silent_on:
                        continue
                fields = to_response(message, Reply(Reason.APPROVED))
                writer.write(FRAMING.pack(encode(response_to(message.mti), fields, DIALECT)))
        writer.close()
        await writer.wait_closed()


def run_against(engine, links, work):
    """`work(frames, wires, clock)` of twenty authorizations."""
    traffic = Traffic(make_population(1, 50), make_merchants(1), 1)
    events = islice((e for e in traffic if e.mti == "0100" and e.again is None), 20)

    async def both():
        clock = SystemClock()
        server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
        async with server:
            wires = await open_wires([server.sockets[0].getsockname()[1]] * links, clock)
            try:
                return await work(frames_of(list(events), clock), wires, clock)
            finally:
                await asyncio.gather(*(wire.close() for wire in wires))
                await asyncio.gather(*engine.serving)
                assert not any(wire.lost for wire in wires)

    return asyncio.run(both())


def test_the_rate_may_change_in_mid_run():
    assert list(times_of([(0.5, 4), (0.2, 10), (1.0, 1)])) == pytest.approx(
        [0, 0.25, 0.5, 0.6, 0.7]
    )


def test_each_message_is_sent_once_and_heard_once():
    engine, times = Approving(), times_of([(0.2, 100)])
    sent = run_against(engine, 2, lambda frames, *rest: send_at(times, frames, *rest))
    assert sorted(engine.heard) == list(range(20))
    assert (sent.count, sent.answered, sent.extra) == (20, 20, 0)
    assert set(sent.codes) == {"00"}
    assert [due - sent.dues[0] for due in sent.dues] == pytest.approx(list(times))
    assert all(heard >= due for heard, due in zip(sent.heard, sent.dues))
    assert set(sent.links) == {0, 1}


def test_what_stays_silent_is_unanswered(monkeypatch):
    monkeypatch.setattr(open_loop, "SILENCE_S", 0.05)
    engine, times = Approving(silent_on=7), times_of([(0.1, 200)])
    sent = run_against(engine, 1, lambda frames, *rest: send_at(times, frames, *rest))
    assert (sent.count, sent.answered) == (20, 19)
    assert (sent.codes[7], sent.heard[7]) == ("", 0.0)


def test_a_closed_loop_has_so_many_in_flight_and_no_more():
    engine = Approving()
    sent = run_against(engine, 2, lambda frames, wires, clock: Closed(frames, clock).run(wires, 6))
    assert (sent.count, sent.answered) == (20, 20)
    assert sorted(engine.heard) == list(range(20))
    assert engine.most_open <= 6


def test_a_second_answer_and_one_to_nothing_are_told_apart():
    sent = Sent(2)
    sent.count = 1
    sent.hear(0, "00", 1.0)
    sent.hear(0, "91", 2.0)
    sent.hear(1, "00", 2.0)
    assert (sent.answered, sent.extra, sent.codes) == (1, 2, ["00", ""])


def test_a_slow_link_passes_all_and_slowly():
    said = bytes(range(256)) * 4

    echoing = []

    async def echo(reader, writer):
        echoing.append(asyncio.current_task())
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def whole():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        clock = asyncio.get_running_loop().time
        async with server, SlowLink(server.sockets[0].getsockname()[1]) as link:
            reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
            link.slow = True
            writer.write(b"x")  # what is being read already passes at once
            assert await reader.readexactly(1) == b"x"
            began = clock()
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
            # All but the first of the pieces wait for the one before them, one way at least.
            assert clock() - began >= (len(said) // DRIP_BYTES - 2) * DRIP_S
            link.slow = False
            writer.write(said)
            assert await reader.readexactly(len(said)) == said
            writer.close()
        await writer.wait_closed()

    asyncio.run(whole())
