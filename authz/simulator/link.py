"""One TCP link of a card network to the engine, as the network holds it.

Connects, signs on, keeps what is unanswered, and stays: after a cut it comes back with
growing pauses and asks again, as repeats, whatever the engine still owes an answer.
"""

import asyncio
from contextlib import suppress
from functools import lru_cache
from typing import cast

from msgspec import Struct

from authz.clock import Clock, utc
from authz.simulator.accents import FRAMING_OF, GENERIC_CODES, as_said, mti_in
from authz.simulator.in_flight import InFlight, Waiting
from authz.simulator.messages import Event, stamp
from authz.simulator.report import Report
from authz.wire.networks import GENERIC, NETWORK_OF, NETWORKS
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError
from iso8583.framing import FRAMINGS, Frame, Framing, KeepAlive
from iso8583.message import Message
from iso8583.mti import response_to, without_repeat
from iso8583.spec import Dialect
from rules.reason import Reason

SIGN_ON, SIGN_OFF, ECHO = "sign_on", "sign_off", "echo"  # of a network's management
RESPONSE_MAX = 4096  # bytes; no answer of the engine is half as long


class Manners(Struct, frozen=True, kw_only=True):
    """How a network behaves on its links; each differs from network to network."""

    network: str = "generic"
    dialect: Dialect = BY_NAME["iso87_ascii"]
    framing: Framing = FRAMINGS["binary2"]
    answer_timeout_s: float = 5.0  # silence, after which a request is asked again
    repeats_max: int = 2  # so often, after silence or a cut; then it is given up
    repeat_after_cut: bool = True  # else what was open at a cut is given up at once
    in_flight_max: int = 5000  # unanswered on one link: a second of a fast engine
    connect_timeout_s: float = 2.0  # also for the answer to the sign-on
    reconnect_min_s: float = 0.05  # doubled after each failure …
    reconnect_max_s: float = 2.0  # … up to this


def manners_in(dialect: str, framing: str | None = None, network: str | None = None) -> Manners:
    """How links speak that dialect, as a rule; or as said."""
    return Manners(
        network=network or NETWORK_OF.get(dialect, "generic"),
        dialect=BY_NAME[dialect],
        framing=FRAMINGS[framing or FRAMING_OF.get(dialect, "binary2")],
    )


class Link(asyncio.Protocol):
    """One connection after another to the same address.

    `report` takes what happens; `network.run` hands the same one to all links.
    """

    def __init__(self, host: str, port: int, clock: Clock, manners: Manners | None = None) -> None:
        self.report = Report()
        self.ready = False  # connected and signed on
        self._host, self._port = host, port
        self._clock = clock
        self._manners = manners or Manners()
        self._dialect, self._framing = self._manners.dialect, self._manners.framing
        self._network = NETWORKS[self._manners.network]
        self._generic = GENERIC_CODES[self._network.name]
        self._reader = self._framing.reader(RESPONSE_MAX)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._out: list[bytes] = []
        self._in_flight = InFlight()
        self._management: dict[str, asyncio.Future[str]] = {}  # by STAN, to DE 39
        self._management_stan = 0
        self._cut: asyncio.Future[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    # -- coming and going -------------------------------------------------------

    async def open(self, timeout_s: float = 10.0) -> None:
        """Returns when signed on. Raises: TimeoutError, when nobody lets us in."""
        self._keeper = asyncio.create_task(self._stay())
        try:
            await asyncio.wait_for(self._opened.wait(), timeout_s)
        except TimeoutError:
            await self.close()
            raise

    async def close(self) -> None:
        """Sign off, if there is still somebody to hear it, and hang up."""
        if self.ready:
            with suppress(TimeoutError, ConnectionError):
                await self.manage(SIGN_OFF)
        self.ready = False
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._transport is not None and self._cut is not None:
            self._transport.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._cut, 1.0)

    async def manage(self, what: str) -> str:
        """Send a 0800 and wait for its DE 39, as 1987 says it.

        Raises: TimeoutError, ConnectionError.
        """
        if self._transport is None:
            raise ConnectionError("no connection")
        self._management_stan = self._management_stan % 999_999 + 1
        stan = f"{self._management_stan:06d}"
        answer = asyncio.get_running_loop().create_future()
        self._management[stan] = answer
        moment = f"{utc(self._clock.now_ms()):%y%m%d%H%M%S}"
        code = getattr(self._network.management, what)
        self._write(encode(*self._network.manage(code, moment, stan), self._dialect))
        try:
            return cast(str, await asyncio.wait_for(answer, self._manners.connect_timeout_s))
        finally:
            del self._management[stan]

    async def _stay(self) -> None:
        """Connect, sign on, wait for the cut; and again, with growing pauses."""
        manners = self._manners
        loop = asyncio.get_running_loop()
        pause = manners.reconnect_min_s
        while True:
            try:
                async with asyncio.timeout(manners.connect_timeout_s):
                    await loop.create_connection(lambda: self, self._host, self._port)
                signed_on = await self.manage(SIGN_ON) == "00"
            except (OSError, TimeoutError):
                signed_on = False
            if signed_on and self._transport is not None:
                assert self._cut is not None
                self.ready = True
                self._opened.set()
                pause = manners.reconnect_min_s
                self._ask_again_after_cut()
                await asyncio.shield(self._cut)
            elif self._transport is not None:
                self._transport.abort()
            await asyncio.sleep(pause)
            pause = min(pause * 2, manners.reconnect_max_s)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._cut = asyncio.get_running_loop().create_future()
        self._reader = self._framing.reader(RESPONSE_MAX)
        self._paused = False
        self._out.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ready:
            self.report.cuts += 1
        self.ready = False
        self._transport = None
        for answer in self._management.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the link was cut"))
        if self._cut is not None and not self._cut.done():
            self._cut.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    # -- asking -----------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def usable(self) -> bool:
        return self.ready and not self._paused and self.in_flight < self._manners.in_flight_max

    def send(self, event: Event, due: float, now: float, transmission_time: str) -> None:
        """Put a message into the next write. `due` and `now` in monotonic seconds."""
        elements = stamp(event, transmission_time)
        body = self._encode(event, elements, event.mti)
        self._out.append(self._framing.pack(body))
        key = f"{event.mti[:3]}0 {elements[7]} {elements[11]} {elements[32]}"
        self._in_flight.add(key, Waiting(event, due, now))
        report = self.report
        report.sent += 1
        if not report.sample_key and event.mti == "0100":
            report.sample_key, report.sample_request = key, body

    def _encode(self, event: Event, elements: dict[int, str], mti: str) -> bytes:
        if self._network is GENERIC and self._dialect.fields[22].maximum == 3:
            return encode(mti, elements, self._dialect)  # as it was meant
        said = as_said(self._network.name, self._dialect, event, elements)
        return encode(mti_in(self._network.name, mti), said, self._dialect)

    def flush(self) -> None:
        """One write for all that was put together since the last."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def tick(self, now: float) -> None:
        """Ask again, or give up, what has been silent for too long."""
        if self.ready:
            for key, waiting in self._in_flight.take_silent(now - self._manners.answer_timeout_s):
                self._ask_again(key, waiting, now)
        self.flush()

    def _ask_again_after_cut(self) -> None:
        now = self._clock.monotonic()
        for key, waiting in self._in_flight.take_all():
            self._ask_again(key, waiting, now, allowed=self._manners.repeat_after_cut)
        self.flush()

    def _ask_again(self, key: str, waiting: Waiting, now: float, allowed: bool = True) -> None:
        """As a repeat: the same DE 7, 11 and 32, so the same answer is owed."""
        for each in waiting.all():
            each.twin = None
            if allowed and each.repeats < self._manners.repeats_max:
                each.repeats += 1
                each.asked = now
                mti = each.event.mti[:3] + "1"
                body = self._encode(each.event, each.event.elements, mti)
                self._out.append(self._framing.pack(body))
                self._in_flight.add(key, each)
                self.report.resent += 1
            else:
                self.report.give_up(key)

    def give_up(self) -> None:
        """The run is over: what is still open stays unanswered."""
        for key, waiting in self._in_flight.take_all():
            for _ in waiting.all():
                self.report.give_up(key)

    # -- hearing ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        now = self._clock.monotonic()
        for item in self._reader.feed(data):
            if isinstance(item, Frame):
                try:
                    message = decode(item.body, self._dialect)
                except DecodeError:
                    self.report.unreadable += 1
                    continue
                if message.mti[1] == "8":
                    self._on_management(message)
                else:
                    self._on_response(message, item.body, now)
            elif isinstance(item, KeepAlive):
                self._write_raw(self._framing.keep_alive)
            else:  # over-long or broken: what follows cannot be trusted
                self.report.unreadable += 1
                assert self._transport is not None
                self._transport.abort()
                return

    def _on_response(self, message: Message, body: bytes, now: float) -> None:
        mti = message.mti
        get = message.get
        key = f"{_REQUEST_OF.get(mti, mti)} {get(7, '')} {get(11, '')} {get(32, '')}"
        code, approval = self._in_generic(message), str(get(38, ""))
        report = self.report
        waiting = self._in_flight.take(key)
        if waiting is None:
            report.record_stray(key, code, approval)
            return
        report.record(key, waiting.event.mti, code, approval, waiting.due, now)
        if key == report.sample_key and not report.sample_response:
            report.sample_response = body

    def _on_management(self, message: Message) -> None:
        if message.mti[2] == "1":
            answer = self._management.get(str(message.get(11, "")))
            if answer is not None and not answer.done():
                answer.set_result(self._in_generic(message))
            return
        # The engine asks whether we are there.
        echoed = self._network.echoed_management
        elements = {number: message[number] for number in echoed if number in message}
        elements[39] = self._network.codes.code(Reason.APPROVED, message.mti, False)
        elements = dict(sorted(elements.items()))
        self._write(encode(response_to(message.mti), elements, self._dialect))

    def _in_generic(self, message: Message) -> str:
        """DE 39 as 1987 would say it, so that runs in other networks' words compare."""
        code = str(message.get(39, ""))
        return self._generic.get(code, code)

    def _write(self, body: bytes) -> None:
        self._write_raw(self._framing.pack(body))

    def _write_raw(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def transmission_time(now_ms: int) -> str:
    """DE 7: MMDDhhmmss, UTC."""
    return _of_second(now_ms // 1000)


@lru_cache(maxsize=8)  # messages of one second share it
def _of_second(now_s: int) -> str:
    return f"{utc(now_s * 1000):%m%d%H%M%S}"


# By both versions of the standard; keys are told in 1987's words.
_REQUEST_OF = {
    response_to(version + mti[1:]): without_repeat(mti)
    for mti in ("0100", "0120", "0400", "0420")
    for version in "01"
}
