"""Authorizations at a rate that may change in mid-run, made before they are sent.

Leaner than the network of `authz bench load`, since who asks for an overload is on the same cores:
all bytes are ready, one write a link and a turn, and of an answer no more is kept than its time and
its DE 39. Each message is an authorization of its own; there are no repeats, whatever stays silent.
Latency counts from when a message should have left.
"""

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

from authz.clock import SystemClock, utc
from authz.simulator.messages import Event, stamp
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame

DIALECT, FRAMING = BY_NAME["iso87_ascii"], FRAMINGS["binary2"]
ANSWER_MAX = 4096  # bytes; no answer of the engine is half as long
STANS = 1_000_000  # DE 11 tells the messages of a run apart, so there are no more
ROW = 32  # messages in a row over one link; few and large writes cost both ends less
BATCH_MAX = 256  # messages in one turn of the loop; answers are read in between
TICK_S = 0.001
LATE_S = 0.010  # a message that leaves so long after it was due is a late one
SILENCE_S = 5.0  # without any answer: what is open then stays unanswered
SIGN_ON_S = 10.0
CLOSED_MAX_S = 60.0  # for a closed loop of a few seconds


class Sent:
    """What was sent in a run, and what was heard of it, by number in order of the due times."""

    def __init__(self, count: int) -> None:
        assert count <= STANS
        self.dues = array("d", bytes(8 * count))  # monotonic, s
        self.heard = array("d", bytes(8 * count))  # … of its answer; 0: none
        self.codes = [""] * count  # DE 39
        self.links = bytearray(count)  # the link that it left on
        self.count = 0  # that have left
        self.answered = 0
        self.extra = 0  # answers to what was answered before, or never sent
        self.late_sends = 0  # the generator's own slowness
        self.last_heard = 0.0

    def hear(self, number: int, code: str, now: float) -> None:
        self.last_heard = now
        if number >= self.count or self.codes[number]:
            self.extra += 1
            return
        self.heard[number] = now
        self.codes[number] = code
        self.answered += 1


class Wire(asyncio.Protocol):
    """One link: signs on, writes what it is given, and hears what comes."""

    def __init__(self, number: int, clock: SystemClock) -> None:
        self.number = number
        self.sent = Sent(0)
        self.next: Closed | None = None  # where each answer is followed by a question
        self.lost = False  # by the other side
        self._gone = asyncio.Event()
        self._gone_on_purpose = False
        self._clock = clock
        self._reader = FRAMING.reader(ANSWER_MAX)
        self._signed_on = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = not self._gone_on_purpose
        self._gone.set()

    async def sign_on(self) -> None:
        now = utc(self._clock.now_ms()).strftime("%m%d%H%M%S")
        self.write(FRAMING.pack(encode("0800", {7: now, 11: "000001", 70: "001"}, DIALECT)))
        await asyncio.wait_for(self._signed_on.wait(), SIGN_ON_S)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        now, answers = self._clock.monotonic(), 0
        for item in self._reader.feed(data):
            if not isinstance(item, Frame):
                continue
            message = decode(item.body, DIALECT)
            if message.mti == "0110":
                self.sent.hear(int(str(message[11])), str(message[39]), now)
                answers += 1
            elif message.mti == "0810":
                self._signed_on.set()
        if answers and self.next is not None:
            self.next.send(self, answers)

    async def close(self) -> None:
        """Returns when it is closed."""
        if self._transport is not None:
            self._gone_on_purpose = True
            self._transport.close()
            await self._gone.wait()


async def open_wires(ports: Sequence[int], clock: SystemClock) -> list[Wire]:
    """One link to each of these ports of this machine. Raises: OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    wires = [Wire(number, clock) for number in range(len(ports))]
    for wire, port in zip(wires, ports):
        await loop.create_connection(lambda wire=wire: wire, "127.0.0.1", port)  # type: ignore[misc]
        await wire.sign_on()
    return wires


def frames_of(events: Sequence[Event], clock: SystemClock) -> list[bytes]:
    """Authorizations as bytes, with their number in DE 11."""
    now = utc(clock.now_ms()).strftime("%m%d%H%M%S")
    return [
        FRAMING.pack(encode("0100", stamp(event, now) | {11: f"{number:06}"}, DIALECT))
        for number, event in enumerate(events)
    ]


def times_of(parts: Sequence[tuple[float, float]]) -> "array[float]":
    """When each message of these parts (seconds, rate) is due, in seconds from the start."""
    begins = [0.0, *accumulate(seconds for seconds, _ in parts)]
    return array(
        "d",
        (
            begin + number / rate
            for begin, (seconds, rate) in zip(begins, parts)
            for number in range(round(seconds * rate))
        ),
    )


async def send_at(
    times: Sequence[float], frames: Sequence[bytes], wires: Sequence[Wire], clock: SystemClock
) -> Sent:
    """Send each when it is due, whatever comes back; then wait for the answers."""
    sent = Sent(len(frames))
    for wire in wires:
        wire.sent, wire.next = sent, None
    started, index, turn = clock.monotonic(), 0, 0
    while index < len(frames):
        now = clock.monotonic()
        until = min(bisect_right(times, now - started, index), index + BATCH_MAX)
        while index < until:
            end = min(index + ROW, until)
            wire = wires[turn % len(wires)]
            turn += 1
            for number in range(index, end):
                due = sent.dues[number] = started + times[number]
                sent.links[number] = wire.number
                sent.late_sends += now - due > LATE_S
            sent.count = end
            wire.write(b"".join(frames[index:end]))
            index = end
        left = started + times[index] - clock.monotonic() if index < len(frames) else 0.0
        await asyncio.sleep(max(left, TICK_S) if left > 0 else 0)
    await silence(sent, clock)
    return sent


async def silence(sent: Sent, clock: SystemClock) -> None:
    """Until all is answered, or nothing came for so long."""
    since = clock.monotonic()
    while sent.answered < sent.count:
        if clock.monotonic() - max(since, sent.last_heard) > SILENCE_S:
            return
        await asyncio.sleep(0.01)


class Closed:
    """A closed loop: so many in flight, each answer followed by the next question. What it is
    answered is the most that everything together can do."""

    def __init__(self, frames: Sequence[bytes], clock: SystemClock) -> None:
        self.sent = Sent(len(frames))
        self._frames, self._clock = frames, clock
        self._asked_all = asyncio.Event()

    def send(self, wire: Wire, count: int) -> None:
        sent, now = self.sent, self._clock.monotonic()
        begin, end = sent.count, min(sent.count + count, len(self._frames))
        for number in range(begin, end):
            sent.dues[number] = now
            sent.links[number] = wire.number
        sent.count = end
        if end == len(self._frames):
            self._asked_all.set()
        if end > begin:
            wire.write(b"".join(self._frames[begin:end]))

    async def run(self, wires: Sequence[Wire], depth: int) -> Sent:
        """Raises: TimeoutError, where nobody answers any more."""
        for wire in wires:
            wire.sent, wire.next = self.sent, self
            self.send(wire, max(1, depth // len(wires)))
        await asyncio.wait_for(self._asked_all.wait(), CLOSED_MAX_S)
        await silence(self.sent, self._clock)
        return self.sent
