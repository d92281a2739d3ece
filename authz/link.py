"""One TCP link: the only file that touches a transport.

It carries bytes to its session and carries out what that says. What is shared by all links
(room, turns, tasks) is the server's business.
"""

import asyncio
from typing import TYPE_CHECKING, cast

import structlog

from authz.actions import NO_MORE, Action, Ask, Close, FileAnswer, FileUpdate, Send, Trouble
from authz.log import where
from authz.session import LinkSettings, Session
from authz.wire.to_response import Reply
from rules.reason import Reason

if TYPE_CHECKING:
    from authz.server import Server

log = structlog.get_logger()

# Of one read: some twenty requests. uvloop reads up to 32 times before others have their turn, and
# so many that are told 91 take 8 ms.
READ_BYTES = 4096
WRITE_BUFFER_HIGH = 65_536  # bytes that a peer may leave unread before we stop reading from it
STUCK_S = 5.0  # a peer that reads nothing for so long is hung up on


class Link(asyncio.BufferedProtocol):
    """One TCP link: carries bytes to its session, and carries out what that says."""

    def __init__(self, server: "Server", settings: LinkSettings) -> None:
        self.settings = settings
        self._server = server
        self._session = Session(settings, server.clock.monotonic())
        self._transport: asyncio.Transport | None = None
        self._stuck_since: float | None = None
        self._closing_since: float | None = None
        self._paused = False
        self._queued = False  # waits for its turn at the server
        self._resting = False  # not read from: there was no time to tell more of them 91
        self.lost = asyncio.Event()
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
            return
        server = self._server
        self._carry_out(self._session.begin(server.clock.monotonic(), server.moment()))

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
        if self._session.take_refused():
            # All of this read's time: what else it brought waits, and that is little work.
            server.admission.refused(server.clock.monotonic() - now)
            if not server.admission.may_refuse and not self._resting:
                self._resting = True
                server.rest(self)
                self._regulate()

    def pause_writing(self) -> None:
        self._stuck_since = self._server.clock.monotonic()
        self._regulate()

    def resume_writing(self) -> None:
        self._stuck_since = None
        self._regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.forget(self)
        self.lost.set()
        self._session.forget_held_back()  # nobody is there to hear of them
        self._count()

    @property
    def is_open(self) -> bool:
        """Whether requests are taken."""
        return self._session.is_open and self._closing_since is None

    # -- what the server says -----------------------------------------------------

    def reply(self, ask: Ask, reply: Reply) -> Reason | None:
        """Send an answer, if the link is still there. Returns what it says; None: nothing."""
        decided = self._server.clock.monotonic()
        said = None
        try:
            send = self._session.answer(ask, reply)
        except Exception as error:  # its place here is free again; those behind it go on
            log.error("not_answered", link=self.settings.name, error=type(error).__name__,
                      where=where(error))  # fmt: skip
        else:
            said = send.reason
            self._write(send)
        self._server.observer.stage("encode", self._server.clock.monotonic() - decided)
        if self._closing_since is not None:
            self._close_if_done()
        else:
            self._take_turn()
            self._regulate()
        return said

    def go_on(self, asks: int) -> None:
        """Its turn has come: so many of those held back may be asked."""
        self._queued = False
        if self._closing_since is None and self._transport is not None:
            self._carry_out(self._session.go_on(self._server.room(self, asks)))

    def look(self) -> None:
        """Tell those that were held back for too long."""
        if self.counted and self._closing_since is None:
            self._carry_out(self._session.go_on(self._server.room(self, 0)))

    def read_on(self) -> None:
        """There is time again."""
        self._resting = False
        self._session.not_read(self._server.clock.monotonic())
        self._regulate()

    def tick(self, now: float, moment: str) -> None:
        if self._stuck_since is not None and now - self._stuck_since > STUCK_S:
            self.note(Trouble("slow_reader"))
            self._abort()
            return
        if self._closing_since is not None:
            if now - self._closing_since > STUCK_S:
                self._abort()
            return
        if not self._resting:  # what its peer says is in the socket, unread: none of its times runs
            self._carry_out(self._session.tick(now, moment))

    def update_file(self, told: FileUpdate) -> None:
        """Tell the network of a card."""
        self._write(self._session.update_file(told, self._server.moment()))

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
                case FileAnswer():
                    self._server.file_answered(self.settings.network, action)
                case Close(why):
                    self.hang_up(why)
                    break
        self._count()
        self._take_turn()
        self._regulate()

    def _count(self) -> None:
        """Tell the server how many are held back here."""
        waiting = self._session.waiting
        if waiting != self.counted:
            self._server.admission.count(self.counted, waiting)
            self.counted = waiting

    def _take_turn(self) -> None:
        """Queue up for room, where it is room at the server that is missing."""
        if self.counted and not self._queued and not self._session.crowded:
            self._queued = True
            self._server.wait(self)

    def _write(self, send: Send) -> None:
        """Join what leaves in one turn of the loop: a write costs as much as deciding."""
        if send.left_out:
            self.note(Trouble("unwritable", send.left_out))
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
        """Read only while the peer takes its answers, and not while the link rests.

        From a link that is closing we do read, and drop what comes.
        """
        if self._transport is None or self._transport.is_closing():
            return
        should_pause = self._closing_since is None and (
            self._resting or self._stuck_since is not None
        )
        if should_pause and not self._paused:
            self._transport.pause_reading()
        elif self._paused and not should_pause:
            self._transport.resume_reading()
        self._paused = should_pause

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
