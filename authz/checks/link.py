"""The one kept connection to a check: questions go out as they come, replies are matched by id.

A question is never asked twice, and never waits for a connection: where there is none, or no room,
it is not answered, and what follows is the check's policy. Nothing that a check says gets into the
log, and its outcomes are counted by a closed table.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from authz.backoff import Backoff
from authz.checks.settings import CheckConfig
from authz.checks.words import LINE_MAX, Reader, Told, question
from authz.clock import Clock
from rules.facts import AuthorizationRequest

log = structlog.get_logger()

CONNECT_S = 2.0  # it is on this machine, or near: what takes longer answers nothing in 100 ms
RECONNECT_MIN_S, RECONNECT_MAX_S = 0.1, 5.0  # one that restarts is back in a second
STEADY_S = 5.0  # a connection that ended sooner was none: the next waits longer
# Without a word for so long, while questions wait: it accepts, and nobody is there.
SILENT_S = 5.0
# Questions under way: the longest share there is (100 ms of the default deadline) at 20,000 a
# second. Above it the check does not keep up, and more questions would only be later.
IN_FLIGHT_MAX = 2048
UNSENT_MAX = 262_144  # bytes that the check has not read: some 400 questions

OUTCOMES = (
    "answered",
    "late",  # no reply within its share
    "no_time",  # nothing was left of the request's own budget, so it was not asked
    "down",  # not connected, so it was not asked
    "busy",  # too many questions are under way, so it was not asked
    "lost",  # the connection ended before its reply
    "out_of_range",  # told what cannot be
    "stray",  # a reply to no question that waits: late, or of another id
    "broken",  # what is no reply, or a longer line; the connection is closed
)

Answer = asyncio.Future[Told | None]


class Link(asyncio.Protocol):
    """One connection, while it lasts."""

    def __init__(self, check: "Check") -> None:
        self._check = check
        self._transport: asyncio.Transport | None = None
        self._rest = b""  # of a line that has begun; LINE_MAX at the most
        self._is_full = False
        self._unheard_since: float | None = None  # of the first question since the last word
        self.waiting: dict[int, Answer] = {}
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=UNSENT_MAX)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    @property
    def has_room(self) -> bool:
        gone = self._transport is None or self._transport.is_closing()
        return not gone and not self._is_full and len(self.waiting) < IN_FLIGHT_MAX

    def data_received(self, data: bytes) -> None:
        self._unheard_since = None
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if len(line) > LINE_MAX or not self._take(line):
                return self.close("broken")
        if len(self._rest) > LINE_MAX:
            self.close("broken")

    def _take(self, line: bytes) -> bool:
        """One reply. False: it is none, so nothing behind it can be trusted either."""
        reader = self._check.reader
        try:
            answer = self.waiting.get(reader.id_of(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        if answer is None or answer.done():
            self._check.count("stray")
            return True
        try:
            told = reader.told(line)
        except (ValueError, msgspec.MsgspecError):
            self._check.count("out_of_range")
            answer.set_result(None)
            return True
        self._check.count("answered")
        answer.set_result(told)
        return True

    def ask(self, id: int, line: bytes, now: float) -> Answer:
        """The reply to it; `done` ends the waiting."""
        assert self._transport is not None
        answer: Answer = asyncio.get_running_loop().create_future()
        self.waiting[id] = answer
        if self._unheard_since is None:
            self._unheard_since = now
        self._transport.write(line)
        return answer

    def gave_up(self, now: float) -> None:
        """A question was not answered in time; after long enough, nobody is there."""
        if self._unheard_since is not None and now - self._unheard_since > SILENT_S:
            self.close("silent")

    def close(self, why: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if why in OUTCOMES:
                self._check.count(why)
            log.warning("check_hung_up_on", check=self._check.name, why=why)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.lost.set()
        for answer in self.waiting.values():
            if not answer.done():
                self._check.count("lost")
                answer.set_result(None)


class Check:
    """One check of the configuration, connected again whenever it is lost."""

    def __init__(
        self, config: CheckConfig, clock: Clock, backoff: Backoff,
        count: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.name = config.name
        self.when_spent = config.when_spent
        self.share_s = config.share_ms / 1000
        self.reader = Reader(config.tells)
        self._address = config.address()
        self.count = count  # by OUTCOMES
        self._clock = clock
        self._backoff = backoff
        self._link: Link | None = None
        self._asked = 0

    def is_up(self) -> bool:
        return self._link is not None

    async def ask(
        self, request: AuthorizationRequest, card_id: str, account_id: str, left_s: float
    ) -> Told | None:
        """What it tells, within its share and what is left; None where it tells nothing."""
        wait_s = min(self.share_s, left_s)
        link = self._link
        if wait_s <= 0:
            self.count("no_time")
            return None
        if link is None or not link.has_room:
            self.count("down" if link is None else "busy")
            return None
        self._asked += 1
        id = self._asked
        line = question(request, card_id, account_id, id, int(wait_s * 1000))
        answer = link.ask(id, line, self._clock.monotonic())
        timer = asyncio.get_running_loop().call_later(wait_s, self._expire, link, answer)
        try:
            return await answer
        finally:
            timer.cancel()
            del link.waiting[id]

    def _expire(self, link: Link, answer: Answer) -> None:
        if not answer.done():
            self.count("late")
            answer.set_result(None)
            link.gave_up(self._clock.monotonic())

    async def run(self) -> None:
        """Keep it connected, until cancelled."""
        try:
            while True:
                link = await self._connect()
                if link is not None:
                    since = self._clock.monotonic()
                    self._link = link
                    await link.lost.wait()
                    self._link = None
                    log.warning("check_lost", check=self.name)
                    if self._clock.monotonic() - since >= STEADY_S:
                        self._backoff.reset()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            if self._link is not None:
                self._link.close("stopping")
                self._link = None

    async def _connect(self) -> Link | None:
        loop, address = asyncio.get_running_loop(), self._address
        try:
            async with asyncio.timeout(CONNECT_S):
                if isinstance(address, str):
                    _, link = await loop.create_unix_connection(lambda: Link(self), address)
                else:
                    _, link = await loop.create_connection(lambda: Link(self), *address)
        except (OSError, TimeoutError) as error:
            log.warning("check_not_reached", check=self.name, error=type(error).__name__)
            return None
        log.info("check_connected", check=self.name)
        return link
