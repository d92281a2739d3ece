"""The links: the only file that touches a transport.

Every request becomes one task, and an answer leaves as soon as it is there, in
whatever order they come. A task is never cancelled: when its link is gone its answer
is stored all the same, and the repeat gets it over another link.

Above what the hot state answers in time (authz/admission.py) requests wait in their
sessions, and links are not read from. The links take turns at the room that there is.
"""

import asyncio
import socket
from collections import deque
from typing import Protocol, cast

import structlog

from authz.admission import Admission
from authz.clock import Clock, utc
from authz.dispatch import Dispatcher, Refusal
from authz.pulse import BEAT_S, Pulse
from authz.session import (
    NO_MORE,
    Action,
    Ask,
    Close,
    LinkSettings,
    Room,
    Send,
    Session,
    Trouble,
)
from rules.reason import Reason

log = structlog.get_logger()

# Of one read: some eight requests, so a link that must wait holds back no more than these. The
# rest is better off in the socket, unread, than read and told 91.
READ_BYTES = 2048
WRITE_BUFFER_HIGH = 65_536  # bytes that a peer may leave unread before we stop reading from it
STUCK_S = 5.0  # a peer that reads nothing for so long is hung up on
LOG_LINES_MAX = 20  # a second, about bad input: a peer may send a thousand, a reader reads a few
TICK_S = 0.5  # how often idle links are looked at; half a second late is early enough


class Observer(Protocol):
    """Who hears what happens on the links; the metrics."""

    def answered(self, mti: str, reason: Reason, seconds: float) -> None: ...
    def bad_input(self, kind: str) -> None: ...
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
        self._links: set[Link] = set()
        self._waiting: deque[Link] = deque()  # each once; in turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._ticking: asyncio.Task[None] | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._log_second = self._logged = 0

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

    def start_ticking(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
            self._beat()

    async def close(self, grace_s: float = 2.0) -> None:
        """Stop accepting, let what is in flight be answered, hang up."""
        for listener in self._listeners:
            listener.close()
        for link in list(self._links):
            link.hang_up("the engine is stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for link in list(self._links):
            link.leave()
        if self._ticking is not None:
            self._ticking.cancel()
        if self._beating is not None:
            self._beating.cancel()

    @property
    def link_count(self) -> int:
        return len(self._links)

    def may_log(self) -> bool:
        """Whether this second has a line left for bad input. The metrics count all of it."""
        second = int(self.clock.monotonic())
        if second != self._log_second:
            self._log_second, self._logged = second, 0
        self._logged += 1
        return self._logged <= LOG_LINES_MAX

    def admit(self, link: "Link") -> bool:
        """Whether this listener may have one more link."""
        settings = link.settings
        if sum(other.settings is settings for other in self._links) >= settings.links_max:
            return False
        self._links.add(link)
        return True

    def forget(self, link: "Link") -> None:
        self._links.discard(link)

    def room(self, link: "Link", asks: int) -> Room:
        """What this link may have of the room there is: so many requests, if there are as many."""
        admission = self.admission
        return Room(
            min(asks, admission.room),
            admission.seats + link.counted,  # those of its own that wait are counted already
            self.clock.monotonic() - admission.patience_s,
        )

    @property
    def others_wait(self) -> bool:
        return bool(self._waiting)

    def wait(self, link: "Link") -> None:
        """This link has requests held back, and could have them asked."""
        self._waiting.append(link)

    def go_on(self) -> None:
        """One request each, in turn, of the links that wait, for as long as there is room."""
        while self._waiting and self.admission.room:
            self._waiting.popleft().go_on(1)

    def serve(self, link: "Link", ask: Ask) -> None:
        """Answer one request, in a task of its own."""
        self.admission.asked()
        task = asyncio.get_running_loop().create_task(self._serve(link, ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, link: "Link", ask: Ask) -> None:
        code, asked = "", self.clock.monotonic()
        try:
            network = link.settings.network
            outcome = await self.dispatcher.answer(ask.message, network, ask.received)
            reason, code = outcome.reason, outcome.approval_code
        except Refusal as refusal:
            reason = refusal.reason
            link.note(Trouble(refusal.kind, refusal.place))
        except Exception as error:
            # Our own fault: this request is told so, the others go on. No traceback of
            # values: frames hold what the message held.
            reason = Reason.MALFUNCTION
            log.error("malfunction", link=link.settings.name, error=type(error).__name__,
                      where=_where(error))  # fmt: skip
        finally:
            now = self.clock.monotonic()
            self.admission.answered(now, now - asked)
        link.reply(ask, reason, code)
        self.go_on()

    def _beat(self) -> None:
        """The loop is alive. And who has waited too long is told so, answers or not."""
        self.pulse.beat()
        for _ in range(len(self._waiting)):
            self._waiting.popleft().go_on(0)
        self.go_on()
        self._beating = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            sent = utc(self.clock.now_ms()).strftime("%y%m%d%H%M%S")
            for link in list(self._links):
                try:
                    link.tick(self.clock.monotonic(), sent)
                except Exception as error:  # one link's trouble is not the others'
                    log.error("tick_failed", error=type(error).__name__, where=_where(error))


def _where(error: BaseException) -> str:
    """File and line of the innermost frame: where, never what."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"


class Link(asyncio.BufferedProtocol):
    """One TCP link: carries bytes to its session, and carries out what that says."""

    def __init__(self, server: Server, settings: LinkSettings) -> None:
        self.settings = settings
        self._server = server
        self._session = Session(settings, server.clock.monotonic())
        self._transport: asyncio.Transport | None = None
        self._stuck_since: float | None = None
        self._closing_since: float | None = None
        self._paused = False
        self._queued = False  # waits for its turn at the server
        self.counted = 0  # frames held back, as the server counts them
        self._in = bytearray(READ_BYTES)
        self._out: list[Send] = []  # leaves at the end of this turn of the loop

    # -- asyncio.BufferedProtocol -----------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH)
        if not self._server.admit(self):
            self.note(Trouble("too_many_links"))
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._in

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing_since is not None:
            return
        server = self._server
        received, now = server.pulse.received(), server.clock.monotonic()
        # Others that wait come first; what is read now joins them.
        room = server.room(self, 0 if server.others_wait else READ_BYTES)
        actions = self._session.receive(bytes(self._in[:nbytes]), now, received, room)
        server.observer.stage("decode", server.clock.monotonic() - now)
        server.observer.frames(self._session.take_frames())
        self._carry_out(actions)

    def pause_writing(self) -> None:
        self._stuck_since = self._server.clock.monotonic()
        self._regulate()

    def resume_writing(self) -> None:
        self._stuck_since = None
        self._regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.forget(self)
        self._session.forget_held_back()  # nobody is there to hear of them
        self._count()

    # -- what the server says -----------------------------------------------------

    def reply(self, ask: Ask, reason: Reason, code: str) -> None:
        """Send an answer, if the link is still there."""
        decided = self._server.clock.monotonic()
        self._write(self._session.answer(ask, reason, code))
        self._server.observer.stage("encode", self._server.clock.monotonic() - decided)
        if self._closing_since is not None:
            self._close_if_done()
        else:
            self._take_turn()
            self._regulate()

    def go_on(self, asks: int) -> None:
        """Its turn has come: so many of those held back may be asked."""
        self._queued = False
        if self._closing_since is None and self._transport is not None:
            self._carry_out(self._session.go_on(self._server.room(self, asks)))

    def tick(self, now: float, moment: str) -> None:
        if self._stuck_since is not None and now - self._stuck_since > STUCK_S:
            self.note(Trouble("slow_reader"))
            self._abort()
            return
        if self._closing_since is not None:
            if now - self._closing_since > STUCK_S:
                self._abort()
            return
        self._carry_out(self._session.tick(now, moment))

    def hang_up(self, why: str) -> None:
        """Take no more; close when what was asked before has been answered."""
        if self._transport is None or self._closing_since is not None:
            return
        log.info("link_closed", link=self.settings.name, why=why)
        self._closing_since = self._server.clock.monotonic()
        self._carry_out(self._session.go_on(NO_MORE))
        self._close_if_done()

    def leave(self) -> None:
        """Close now: what was written still leaves."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def _close_if_done(self) -> None:
        """Say that we are done, and let the peer close: to close with bytes unread would reset
        the connection, and the last answers with it. `tick` ends the wait."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._session.in_flight:
            return
        self._flush()
        transport.write_eof()

    def note(self, trouble: Trouble) -> None:
        """A metric and a line in the log: the kind and the place, never the content."""
        self._server.observer.bad_input(trouble.kind)
        if self._server.may_log():
            log.warning(
                "bad_input", link=self.settings.name, kind=trouble.kind, place=trouble.place
            )

    # -- parts ------------------------------------------------------------------

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Ask():
                    self._server.serve(self, action)
                case Send():
                    self._write(action)
                case Trouble():
                    self.note(action)
                case Close(why):
                    self.hang_up(why)
                    break
        self._count()
        self._take_turn()
        self._regulate()

    def _count(self) -> None:
        """Tell the server how many are held back here."""
        self._server.admission.waiting += self._session.waiting - self.counted
        self.counted = self._session.waiting

    def _take_turn(self) -> None:
        """Queue up for room, where it is room at the server that is missing."""
        if self.counted and not self._queued and not self._session.crowded:
            self._queued = True
            self._server.wait(self)

    def _write(self, send: Send) -> None:
        """Join what leaves in one turn of the loop: a write costs as much as deciding."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(send)

    def _flush(self) -> None:
        if not self._out:
            return  # it left when the link was closed
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join([send.data for send in self._out]))
            self._regulate()
        # Not before: what an answer waited for the others of its turn is part of its time.
        now = self._server.clock.monotonic()
        for send in self._out:
            if send.reason is not None:
                self._server.observer.answered(send.mti, send.reason, now - send.received)
        self._out.clear()

    def _regulate(self) -> None:
        """Read only while the peer takes its answers and has not too many requests waiting.

        From a link that is closing we do read, and drop what comes.
        """
        if self._transport is None or self._transport.is_closing():
            return
        should_pause = self._closing_since is None and (
            self._session.full or self._stuck_since is not None
        )
        if should_pause and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not should_pause:
            self._transport.resume_reading()
        self._paused = should_pause

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
