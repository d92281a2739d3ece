"""All links of one engine process.

Every request becomes one task, and an answer leaves as soon as it is there, in
whatever order they come. A task is never cancelled: when its link is gone its answer
is stored all the same, and the repeat gets it over another link.

Above what the hot state answers in time (authz/admission.py) requests wait in their
sessions, and the links take turns at the room that there is. They are read from all the
same, while there is time for that: who would wait for too long is told 91.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from authz.actions import Ask, FileAnswer, Room, Trouble
from authz.admission import Admission
from authz.backoff import Backoff
from authz.budget import waited_s
from authz.clock import Clock, utc
from authz.dialer import Dialer
from authz.dispatch import Dispatcher, Refusal, reply_of
from authz.link import Link
from authz.log import where
from authz.log_lines import Lines
from authz.pulse import BEAT_S, Pulse
from authz.session import LinkSettings
from authz.wire.elements import named
from authz.wire.to_response import Reply
from rules.reason import Reason

log = structlog.get_logger()

LOG_LINES_MAX = 20  # a second, about bad input: a peer may send a thousand, a reader reads a few
TOO_OLD = Reason.TOO_OLD
TICK_S = 0.5  # how often idle links are looked at; half a second late is early enough


class Observer(Protocol):
    """Who hears what happens on the links; the metrics."""

    def answered(self, mti: str, reason: Reason, seconds: float) -> None: ...
    def bad_input(self, kind: str) -> None: ...
    def dialled(self, link: str, outcome: str) -> None: ...
    def frames(self, count: int) -> None: ...
    def stage(self, name: str, seconds: float) -> None: ...


class Server:
    """All links of one engine process."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        clock: Clock,
        observer: Observer,
        *,
        in_flight_max: int = 4096,
        hot_deadline_s: float = 0.150,
    ) -> None:
        self.dispatcher = dispatcher
        self.clock = clock
        self.observer = observer
        self.admission = Admission(hot_deadline_s, in_flight_max)
        self.pulse = Pulse(clock)
        self.file_answered: Callable[[str, FileAnswer], None] = lambda network, answer: None
        self._links: set[Link] = set()
        self._waiting: deque[Link] = deque()  # each once; in turn
        self._resting: deque[Link] = deque()  # each once; in turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._dialing: list[asyncio.Task[None]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._lines = Lines(clock, LOG_LINES_MAX)

    async def listen(self, settings: LinkSettings, host: str, port: int) -> int:
        """Accept links of one kind. Port 0 is any free one; returns the port."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Link(self, settings), host, port)
        self._listeners.append(listener)
        self.start_ticking()
        return cast(int, listener.sockets[0].getsockname()[1])

    async def adopt(self, sock: socket.socket, settings: LinkSettings) -> None:
        """Go on with a link that another process accepted. Raises: OSError, if it is gone."""
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self.start_ticking()
        await loop.connect_accepted_socket(lambda: Link(self, settings), sock)

    def dial(self, settings: LinkSettings, address: tuple[str, int], backoff: Backoff) -> Dialer:
        """Keep a link to that address, from now on."""
        dialer = Dialer(
            lambda: Link(self, settings), settings, address, backoff, self.clock, self.observer
        )
        self._dialing.append(asyncio.get_running_loop().create_task(dialer.run()))
        self.start_ticking()
        return dialer

    def start_ticking(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
            self._beat()

    async def close(self, grace_s: float = 2.0) -> None:
        """Stop accepting and dialling, let what is in flight be answered, hang up."""
        for dialing in self._dialing:
            dialing.cancel()
        if self._dialing:
            await asyncio.wait(self._dialing, timeout=grace_s)
        for listener in self._listeners:
            listener.close()
        for link in list(self._links):
            self._alone(link.hang_up, "the engine is stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for link in list(self._links):
            self._alone(link.leave)
        if self._ticking is not None:
            self._ticking.cancel()
        if self._beating is not None:
            self._beating.cancel()

    def moment(self) -> str:
        """Now, as YYMMDDhhmmss, UTC."""
        return utc(self.clock.now_ms()).strftime("%y%m%d%H%M%S")

    @property
    def link_count(self) -> int:
        return len(self._links)

    def may_log(self) -> bool:
        """Whether this second has a line left for bad input."""
        return self._lines.left()

    def admit(self, link: Link) -> bool:
        """Whether this listener may have one more link."""
        settings = link.settings
        if sum(other.settings is settings for other in self._links) >= settings.links_max:
            return False
        self._links.add(link)
        return True

    def forget(self, link: Link) -> None:
        self._links.discard(link)

    def link_for_files(self, network: str) -> Link | None:
        """An open link of a network over which it is told of cards; None where there is none."""
        for link in self._links:
            if link.is_open and link.settings.network == network and link.settings.file_update:
                return link
        return None

    def room(self, link: Link, asks: int) -> Room:
        """What this link may have of the room there is: so many requests, if there are as many."""
        admission = self.admission
        return Room(
            min(asks, admission.room),
            admission.seats(link.counted),
            self.clock.monotonic() - admission.patience_s,
        )

    @property
    def others_wait(self) -> bool:
        return bool(self._waiting)

    def wait(self, link: Link) -> None:
        """This link has requests held back, and could have them asked."""
        self._waiting.append(link)

    def rest(self, link: Link) -> None:
        """This link asks for more than there is time to refuse: it is read from in its turn."""
        self._resting.append(link)

    def go_on(self) -> None:
        """One request each, in turn, of the links that wait, for as long as there is room."""
        while self._waiting and self.admission.room:
            self._alone(self._waiting.popleft().go_on, 1)

    def serve(self, link: Link, ask: Ask) -> None:
        """Answer one request, in a task of its own."""
        self.admission.asked()
        self._tasks.add(asyncio.get_running_loop().create_task(self._serve(link, ask)))

    async def _serve(self, link: Link, ask: Ask) -> None:
        asked, outcome = self.clock.monotonic(), None
        try:
            settings = link.settings
            outcome = await self.dispatcher.answer(
                ask.message, settings.network, ask.received, settings.partial_approval
            )
            reply = reply_of(outcome)
            if outcome.reason is TOO_OLD:
                # Not in the journal, as all else that is refused as it came.
                link.note(Trouble("too_old", named(ask.message)))
        except Refusal as refusal:
            reply = Reply(refusal.reason, bad_field=refusal.field)
            link.note(Trouble(refusal.kind, refusal.place))
        except Exception as error:
            # Our own fault: this request is told so, the others go on. No traceback of
            # values: frames hold what the message held.
            reply = Reply(Reason.MALFUNCTION)
            log.error("malfunction", link=link.settings.name, error=type(error).__name__,
                      where=where(error))  # fmt: skip
        finally:
            now = self.clock.monotonic()
            # A reconciliation waits for its turn at the totals: that says nothing of the others.
            judged = ask.message.mti[1] != "5"
            self.admission.answered(now, now - asked - waited_s.get(), judged=judged)
        try:
            said = link.reply(ask, reply)
            if outcome is not None and said is not reply.reason:
                # Nobody hears of the approval, so nothing may stay held for it.
                self.dispatcher.take_back(outcome)
        except Exception as error:
            log.error("malfunction", link=link.settings.name, error=type(error).__name__,
                      where=where(error))  # fmt: skip
        finally:
            self.go_on()
            # At its very end: a callback for that would be one more turn of the loop for each.
            self._tasks.discard(cast(asyncio.Task[None], asyncio.current_task()))

    def _beat(self) -> None:
        """The loop is alive. And who has waited too long is told so, answers or not."""
        # The next one first: no trouble below may be the last.
        self._beating = asyncio.get_running_loop().call_later(BEAT_S, self._beat)
        self.pulse.beat()
        self.admission.beat(self.clock.monotonic(), crowd=self.others_wait)
        for link in list(self._links):
            self._alone(link.look)
        self.go_on()
        for _ in range(min(len(self._resting), self.admission.reads)):
            self._alone(self._resting.popleft().read_on)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            moment = self.moment()
            for link in list(self._links):
                self._alone(link.tick, self.clock.monotonic(), moment)

    def _alone(self, act: Callable[..., None], *args: object) -> None:
        """Something is done with one link: its trouble is not the others'."""
        try:
            act(*args)
        except Exception as error:
            if self.may_log():
                log.error("link_failed", error=type(error).__name__, where=where(error))
