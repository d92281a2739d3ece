"""The card network of a load, in a process of its own: it sends what is ready when it is due, and
notes when which answer came.

The loop is open: no answer is waited for before a message leaves. One thread, a few sockets that
never block, no garbage: so it costs the cores that it shares with what it measures little, and what
it costs can be told. All that can be done before the run (making and encoding messages) or after it
(reading the answers, verdicts, quantiles) is done then.

    python -m bench.generator PLAN RESULT

It signs on, says "ready", and begins at the word "go". It ends by itself, or with its parent.
"""

import gc
import os
import select
import socket
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, process_time

import msgspec
from msgspec import Struct

from authz.clock import SystemClock, utc
from authz.wire.networks import NETWORKS
from bench.hearing import Hearing
from bench.machine import rss_mb
from bench.shapes import read_in_full
from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame, KeepAlive
from iso8583.message import Message
from iso8583.mti import response_to
from rules.reason import Reason

RUN = 32  # messages in a row over one link after a stall; few and large writes cost both ends less
BATCH_MAX = 256  # messages between two looks at the answers
IN_FLIGHT_MAX = 5000  # unanswered on one link: a second of a fast engine; more cannot be sent
RECEIVE_BYTES = 262_144
RESPONSE_MAX = 4096  # bytes; no answer of the engine is half as long
ANSWERED = frozenset({1, 2, 4})  # classes of the messages that a load has: the half byte alike
# in ASCII, EBCDIC and BCD
PATIENCE_S = 10.0  # for the answer to a sign-on
FAREWELL_S = 1.0  # for the engine to hang up after the sign-off
LAG_STEP_S, LAG_STEPS = 0.0001, 2000  # of the loop's own lateness: to 200 ms, the rest in the last


class Plan(Struct, kw_only=True):
    """What is to be sent."""

    host: str
    port: int
    dialect: str
    framing: str
    network: str
    links: int
    # An array of doubles: seconds from the beginning, never less than the one before. What falls
    # due at the same moment shares a write.
    dues: bytes
    frames: list[bytes]  # with their lengths
    keys: list[bytes]  # STAN and acquirer, by which an answer is known
    grace_s: float = 10.0  # after the last message, for the answers


class Noted(Struct, kw_only=True):
    """What became of it. Times by the monotonic clock, which all processes share."""

    begun: float
    sending_s: float  # until the last message had left
    elapsed_s: float  # until the last answer, or until none was waited for any more
    cpu_s: float
    sent: bytes  # an array of doubles: when each left; 0: no link would take it
    heard: bytes  # when each was answered; 0: never
    said: bytes  # hearing.SAID_SIZE bytes of each
    lags: list[int]  # how often the loop woke so many steps late
    lag_max_s: float
    decoded: int  # answers read in full
    misread: int  # … that said something else than what was read
    unmatched: int  # answers to nothing that was open
    unreadable: int
    cuts: int  # links that the engine closed
    memory_mb: float  # at the end


class Line:
    """One link."""

    def __init__(self, plan: Plan) -> None:
        self.framing = FRAMINGS[plan.framing]
        self.dialect = BY_NAME[plan.dialect]
        self.network = NETWORKS[plan.network]
        self.reader = self.framing.reader(RESPONSE_MAX)
        self.is_plain = self.framing is FRAMINGS["binary2"]
        self.rest = b""  # of a plain stream: the beginning of a frame
        self.backlog = bytearray()  # what the kernel would not take; IN_FLIGHT_MAX bounds it
        self.in_flight = 0
        self.alive = True
        self.socket = socket.create_connection((plan.host, plan.port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sign_on(self) -> None:
        """Raises: OSError, ConnectionError where we are not let in."""
        self.socket.sendall(self._management(self.network.management.sign_on))
        while True:
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionError("the engine hung up before we had signed on")
            for body in self.bodies(data):
                read = read_in_full(body, self.dialect)
                if read is not None and read[1].mti[1:3] in ("81", "83"):
                    if not self.network.accepts(str(read[1].get(39, ""))):
                        raise ConnectionError("the engine did not let us sign on")
                    self.socket.setblocking(False)
                    return

    def sign_off(self) -> None:
        """As far as somebody hears it."""
        try:
            self.socket.settimeout(FAREWELL_S)
            self.socket.sendall(self._management(self.network.management.sign_off))
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(RECEIVE_BYTES):
                pass
        except OSError:
            pass
        self.socket.close()

    def _management(self, code: str) -> bytes:
        moment = f"{utc(SystemClock().now_ms()):%y%m%d%H%M%S}"
        return self.framing.pack(encode(*self.network.manage(code, moment, "000001"), self.dialect))

    def bodies(self, data: bytes) -> list[bytes]:
        """Raises: ConnectionError, where what follows cannot be trusted."""
        if self.is_plain:
            return self.plain_bodies(data)
        found = []
        for item in self.reader.feed(data):
            if isinstance(item, Frame):
                found.append(item.body)
            elif isinstance(item, KeepAlive):
                self.write(self.framing.keep_alive)
            else:
                raise ConnectionError("no frame of this framing")
        return found

    def plain_bodies(self, data: bytes) -> list[bytes]:
        """Of two bytes of length and nothing else: a third of the reader's time."""
        data, found, at = self.rest + data, [], 0
        whole = len(data)
        while at + 2 <= whole:
            size = data[at] << 8 | data[at + 1]
            if at + 2 + size > whole:
                break
            if size:
                found.append(data[at + 2 : at + 2 + size])
            else:
                self.write(self.framing.keep_alive)
            at += 2 + size
        self.rest = data[at:]
        return found

    def write(self, data: bytes) -> None:
        """One call of the kernel's; what it does not take now waits."""
        if self.backlog:
            self.backlog += data
            return
        try:
            taken = self.socket.send(data)
        except BlockingIOError:
            taken = 0
        except OSError:
            self.alive = False
            return
        if taken < len(data):
            self.backlog += data[taken:]

    def write_on(self) -> None:
        waiting, self.backlog = bytes(self.backlog), bytearray()
        self.write(waiting)

    def answer(self, message: Message) -> None:
        """The engine asks whether we are there, or tells us of something: yes."""
        if message.mti[2] != "0" and message.mti[2] != "2":
            return
        fields = {
            number: message[number]
            for number in self.network.echoes(message.mti)
            if number in message
        }
        fields[39] = self.network.codes.code(Reason.APPROVED, message.mti, False)
        body = encode(response_to(message.mti), dict(sorted(fields.items())), self.dialect)
        self.write(self.framing.pack(body))


class Generator:
    """A plan, carried out."""

    def __init__(self, plan: Plan, lines: Sequence[Line]) -> None:
        self._plan, self._lines = plan, lines
        self._dues = array("d")
        self._dues.frombytes(plan.dues)
        self._total = len(plan.frames)
        self._index = 0  # of the next message
        self._turn = 0  # whose turn it is among the links
        self._frames = plan.frames
        self._sent = array("d", bytes(8 * self._total))
        self._came: list[tuple[float, list[bytes]]] = []  # when, and which answers; not yet read
        self._class_at = BY_NAME[plan.dialect].mti_size // 4  # the byte that ends in an MTI's class
        self._lags, self._lag_max = [0] * (LAG_STEPS + 1), 0.0
        self._cuts = 0
        self._begun = self._sending_s = self._elapsed_s = self._cpu_s = 0.0

    def run(self) -> None:
        """Everything sent, and what was answered in time kept."""
        cpu, begun = process_time(), monotonic()
        by_socket = {line.socket.fileno(): line for line in self._lines}
        reading = [*by_socket, sys.stdin.fileno()]
        dues, total = self._dues, self._total
        next_at, sending_s, last = begun, 0.0, begun
        deadline = begun + (dues[-1] if total else 0.0) + self._plan.grace_s
        while True:
            now = monotonic()
            if self._index < total:
                if now >= next_at:
                    self._send(now, begun)
                    sending_s = now - begun
                    next_at = begun + dues[self._index] if self._index < total else now
                wake_at = next_at
            elif now > deadline or not any(x.in_flight > 0 for x in self._lines if x.alive):
                break
            else:
                wake_at = deadline
            writing = [fd for fd in by_socket if by_socket[fd].backlog]
            readable, writable, _ = select.select(reading, writing, (), max(0.0, wake_at - now))
            if not readable and wake_at > now:
                self._note_lag(monotonic() - wake_at)
            for fd in writable:
                by_socket[fd].write_on()
            for fd in readable:
                line = by_socket.get(fd)
                if line is None:
                    raise SystemExit("the parent is gone")
                last = self._hear(line) or last
                if not line.alive:
                    reading.remove(fd)
                    del by_socket[fd]
        self._begun, self._sending_s = begun, sending_s
        self._elapsed_s, self._cpu_s = max(sending_s, last - begun), process_time() - cpu

    def noted(self) -> Noted:
        """What became of it: the answers are read now, when that costs nobody's time."""
        hearing = Hearing(self._plan.keys, self._sent, BY_NAME[self._plan.dialect])
        for when, bodies in self._came:
            hearing.take(when, bodies)
        return Noted(
            begun=self._begun, sending_s=self._sending_s, elapsed_s=self._elapsed_s,
            cpu_s=self._cpu_s, sent=self._sent.tobytes(), heard=hearing.heard.tobytes(),
            said=bytes(hearing.said), lags=self._lags, lag_max_s=self._lag_max,
            decoded=hearing.decoded, misread=hearing.misread, unmatched=hearing.unmatched,
            unreadable=hearing.unreadable, cuts=self._cuts, memory_mb=rss_mb(os.getpid()),
        )  # fmt: skip

    def _send(self, now: float, begun: float) -> None:
        """Whatever is due by now, in turns over the links; one write for each."""
        index = self._index
        until = bisect_right(self._dues, now - begun, index, min(self._total, index + BATCH_MAX))
        while index < until:
            end = min(until, index + RUN)
            line = self._usable()
            if line is not None:
                line.write(b"".join(self._frames[index:end]))
                line.in_flight += end - index
                self._sent[index:end] = array("d", (now,)) * (end - index)
            index = end
        self._index = index

    def _usable(self) -> Line | None:
        """The next link whose turn it is and that takes a message."""
        for _ in self._lines:
            self._turn = (self._turn + 1) % len(self._lines)
            line = self._lines[self._turn]
            if line.alive and line.in_flight < IN_FLIGHT_MAX:
                return line
        return None

    def _hear(self, line: Line) -> float:
        """What a link brought; when it came."""
        try:
            data = line.socket.recv(RECEIVE_BYTES)
            now = monotonic()
            bodies = line.bodies(data) if data else []
        except BlockingIOError:
            return 0.0
        except OSError:  # broken, or cut
            data, now, bodies = b"", monotonic(), []
        if not data:
            line.alive = False
            self._cuts += 1
            line.socket.close()
        if any(body[self._class_at] & 15 not in ANSWERED for body in bodies):
            bodies = [body for body in bodies if not self._managed(line, body)]
        line.in_flight -= len(bodies)
        self._came.append((now, bodies))
        return now

    def _managed(self, line: Line, body: bytes) -> bool:
        """Whether it is no answer, but the engine's own word, or one on ours."""
        if body[self._class_at] & 15 in ANSWERED:
            return False
        read = read_in_full(body, line.dialect)
        if read is not None:
            line.answer(read[1])
        return read is not None

    def _note_lag(self, late_s: float) -> None:
        self._lags[min(int(max(late_s, 0.0) / LAG_STEP_S), LAG_STEPS)] += 1
        self._lag_max = max(self._lag_max, late_s)


def main(plan_path: str, result_path: str) -> None:
    plan = msgspec.msgpack.decode(Path(plan_path).read_bytes(), type=Plan)
    lines: list[Line] = []
    try:
        for _ in range(plan.links):
            lines.append(Line(plan))
            lines[-1].sign_on()
    except OSError as error:
        raise SystemExit(f"link {len(lines) or 1} of {plan.links}: {error}") from None
    generator = Generator(plan, lines)
    # What is here now stays; a collection in mid-run would be the generator's own stall.
    gc.collect()
    gc.disable()
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        raise SystemExit("the parent is gone")
    generator.run()
    print("done", flush=True)
    Path(result_path).write_bytes(msgspec.msgpack.encode(generator.noted()))
    print("written", flush=True)
    for line in lines:
        line.sign_off()


if __name__ == "__main__":
    main(*sys.argv[1:])
