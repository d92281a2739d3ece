"""The links: the only file that touches a transport.

Every request becomes one task, and an answer leaves as soon as it is there, in
whatever order they come. A task is never cancelled: when its link is gone its answer
is stored all the same, and the repeat gets it over another link.
"""

import asyncio
import socket
from typing import Protocol, cast

import structlog

from authz.clock import Clock, utc
from authz.dispatch import Dispatcher, Refusal
from authz.session import Action, Ask, Close, LinkSettings, Send, Session, Trouble
from rules.reason import Reason

log = structlog.get_logger()

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
    ) -> None:
        self.dispatcher = dispatcher
        self.clock = clock
        self.observer = observer
        self.in_flight = 0
        self._in_flight_max = in_flight_max
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._ticking: asyncio.Task[None] | None = None
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

    async def close(self, grace_s: float = 2.0) -> None:
        """Stop accepting, let what is in flight be answered, hang up."""
        for listener in self._listeners:
            listener.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        if self._ticking is not None:
            self._ticking.cancel()
        for link in list(self._links):
            link.hang_up("the engine is stopping")

    @property
    def link_count(self) -> int:
        return len(self._links)

    @property
    def overloaded(self) -> bool:
        return self.in_flight > self._in_flight_max

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

    def serve(self, link: "Link", ask: Ask) -> None:
        """Answer one request, in a task of its own."""
        self.in_flight += 1
        task = asyncio.get_running_loop().create_task(self._serve(link, ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, link: "Link", ask: Ask) -> None:
        code = ""
        try:
            if self.overloaded:
                reason = Reason.UNAVAILABLE
            else:
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
            self.in_flight -= 1
        link.reply(ask, reason, code)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            sent = utc(self.clock.now_ms()).strftime("%m%d%H%M%S")
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


class Link(asyncio.Protocol):
    """One TCP link: carries bytes to its session, and carries out what that says."""

    def __init__(self, server: Server, settings: LinkSettings) -> None:
        self.settings = settings
        self._server = server
        self._session = Session(settings, server.clock.monotonic())
        self._transport: asyncio.Transport | None = None
        self._stuck_since: float | None = None
        self._closing_since: float | None = None
        self._paused = False
        self._out: list[bytes] = []  # leaves at the end of this turn of the loop

    # -- asyncio.Protocol -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_HIGH)
        if not self._server.admit(self):
            self.note(Trouble("too_many_links"))
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing_since is not None:
            return
        received = self._server.clock.monotonic()
        actions = self._session.receive(data, received)
        self._server.observer.stage("decode", self._server.clock.monotonic() - received)
        self._server.observer.frames(self._session.take_frames())
        self._carry_out(actions, received)

    def pause_writing(self) -> None:
        self._stuck_since = self._server.clock.monotonic()
        self._regulate()

    def resume_writing(self) -> None:
        self._stuck_since = None
        self._regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.forget(self)

    # -- what the server says -----------------------------------------------------

    def reply(self, ask: Ask, reason: Reason, code: str) -> None:
        """Send an answer, if the link is still there."""
        decided = self._server.clock.monotonic()
        send = self._session.answer(ask, reason, code)
        self._write(send.data)
        now = self._server.clock.monotonic()
        self._server.observer.stage("encode", now - decided)
        self._server.observer.answered(ask.message.mti, reason, now - ask.received)
        if self._closing_since is not None:
            self._close_if_done()
        elif self._session.full:
            self._carry_out(self._session.go_on(), now)

    def tick(self, now: float, transmission_time: str) -> None:
        if self._stuck_since is not None and now - self._stuck_since > STUCK_S:
            self.note(Trouble("slow_reader"))
            self._abort()
            return
        if self._closing_since is not None:
            if now - self._closing_since > STUCK_S:
                self._abort()
            return
        self._carry_out(self._session.tick(now, transmission_time), now)

    def hang_up(self, why: str) -> None:
        """Read no more; close when what was asked before has been answered."""
        if self._transport is None or self._closing_since is not None:
            return
        log.info("link_closed", link=self.settings.name, why=why)
        self._closing_since = self._server.clock.monotonic()
        self._regulate()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._transport is not None and self._session.in_flight == 0:
            self._flush()
            self._transport.close()

    def note(self, trouble: Trouble) -> None:
        """A metric and a line in the log: the kind and the place, never the content."""
        self._server.observer.bad_input(trouble.kind)
        if self._server.may_log():
            log.warning(
                "bad_input", link=self.settings.name, kind=trouble.kind, place=trouble.place
            )

    # -- parts ------------------------------------------------------------------

    def _carry_out(self, actions: list[Action], received: float) -> None:
        for action in actions:
            match action:
                case Ask():
                    self._server.serve(self, action)
                case Send(data, mti, reason):
                    self._write(data)
                    if reason is not None:
                        spent = self._server.clock.monotonic() - received
                        self._server.observer.answered(mti, reason, spent)
                case Trouble():
                    self.note(action)
                case Close(why):
                    self.hang_up(why)
                    break
        self._regulate()

    def _write(self, data: bytes) -> None:
        """Join what leaves in one turn of the loop: a write costs as much as deciding."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
            self._regulate()
        self._out.clear()

    def _regulate(self) -> None:
        """Read only while the peer takes its answers and has not too many requests waiting."""
        if self._transport is None or self._transport.is_closing():
            return
        should_pause = (
            self._session.full or self._stuck_since is not None or self._closing_since is not None
        )
        if should_pause and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not should_pause:
            self._transport.resume_reading()
        self._paused = should_pause

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
