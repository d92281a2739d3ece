"""One link's conversation, without the link: bytes in, actions out.

No socket, no clock, no logger: the server hands in what came and when, and carries out
what comes back. So every state and every cutting of the stream can be tried in memory.

Its states, and what moves them, are a table: authz/link_states.py, drawn in docs/states.md. A
request that comes where none is taken is refused.

A key change is answered as an echo is, but that we hold no keys: it is unsupported, unless the
link is told to acknowledge it. A cut-over is asked of the engine like any other request.
"""

from collections import deque

from msgspec import Struct

from authz.actions import (
    BOUNDLESS,
    Action,
    Ask,
    Close,
    FileAnswer,
    FileUpdate,
    Room,
    Send,
    Trouble,
)
from authz.link_states import CONNECTED, ENDINGS, TRANSITIONS, Word, takes_requests
from authz.link_states import State as State
from authz.wire.elements import BadElement, named, text
from authz.wire.networks import NETWORKS
from authz.wire.to_response import Reply
from authz.wire.written import write
from iso8583.codec import decode, encode, salvage
from iso8583.errors import DecodeError, PartError
from iso8583.framing import Broken, Frame, Framing, Item, KeepAlive, OverLong, Reader
from iso8583.message import Message
from iso8583.mti import is_request
from iso8583.spec import Dialect
from rules.reason import Reason


class LinkSettings(Struct, frozen=True, kw_only=True):
    """What the two ends of a link have agreed on. Each is explained in docs/configuration.md."""

    name: str
    dialect: Dialect
    framing: Framing
    network: str = "generic"
    partial_approval: bool = False  # its terminals take less, whether they say so or not
    sign_on_required: bool = True
    sign_on_timeout_s: float = 30.0  # for the first sign-on; who never does takes others' seats
    links_max: int = 100
    in_flight_max: int = 256
    max_frame: int = 4096  # bytes
    frame_timeout_s: float = 2.0  # from the first byte of a frame to its last
    idle_echo_s: float = 60.0  # silence after which we ask whether the peer is there
    echo_timeout_s: float = 10.0
    strikes_max: int = 3  # frames in a row that could not even be refused
    sign_on: bool = False  # we sign on, being who dialled
    file_update: str = ""  # DE 101: the peer's file of blocked cards; "" where it keeps none
    key_change: bool = False  # is acknowledged, though there are no keys here to change


# Words on cards without an answer, of one link: what is told of in sixteen seconds, and then it is
# told again. So is one that was forgotten here, and does no harm.
UPDATES_MAX = 4096


def ending(kind: str, place: str = "") -> list[Action]:
    """What went wrong, and that it ends the link."""
    return [Trouble(kind, place), Close(ENDINGS[kind].why)]


class Session:
    """The state of one link."""

    def __init__(self, settings: LinkSettings, now: float) -> None:
        self.settings = settings
        self.state = State.CONNECTED
        self.in_flight = 0
        self._held_back: deque[tuple[Item, float]] = deque()
        self._frames = self._refused = 0
        self._network = NETWORKS[settings.network]
        known = self._network.management
        self._words = {
            known.sign_on: Word.SIGN_ON, known.sign_off: Word.SIGN_OFF, known.echo: Word.ECHO,
        }  # fmt: skip
        self._reader: Reader = settings.framing.reader(settings.max_frame)
        self._strikes = 0
        self._began_at = self._heard_at = now
        self._frame_since: float | None = None
        self._echo_sent_at: float | None = None
        self._sign_on: tuple[str, float] | None = None  # STAN and time of one not yet answered
        self._updates: dict[str, FileUpdate] = {}  # told and not answered, by STAN, oldest first
        self._stan = 0  # of what we ask ourselves

    @property
    def crowded(self) -> bool:
        """Whether the link's own bound lets no more be asked, whatever the engine could take."""
        return self.in_flight >= self.settings.in_flight_max

    @property
    def waiting(self) -> int:
        """How many frames are held back."""
        return len(self._held_back)

    @property
    def is_open(self) -> bool:
        """Whether requests are taken in this state."""
        return takes_requests(self.state, self.settings.sign_on_required)

    @property
    def _awaits_sign_on(self) -> bool:
        return self.state is CONNECTED and self.settings.sign_on_required

    def take_frames(self) -> int:
        """How many frames have come since this was last asked."""
        count, self._frames = self._frames, 0
        return count

    def take_refused(self) -> int:
        """How many were told 91 for want of room since this was last asked."""
        count, self._refused = self._refused, 0
        return count

    def begin(self, now: float, moment: str) -> list[Action]:
        """The link stands. `moment` is now as YYMMDDhhmmss, UTC."""
        if not self.settings.sign_on:
            return []
        sign_on = self._manage(self._network.management.sign_on, moment)
        self._sign_on = (f"{self._stan:06}", now)
        return [sign_on]

    # -- what comes in ----------------------------------------------------------

    def receive(
        self, data: bytes, now: float, received: float | None = None, room: Room = BOUNDLESS
    ) -> list[Action]:
        """Take what the link brought. `now` in seconds, by the monotonic clock.

        `received` is when it came, where that is not now: the engine itself may have stood still.
        """
        items = self._reader.feed(data)
        if not self._awaits_sign_on or any(not isinstance(item, KeepAlive) for item in items):
            # Keep-alives alone do not say who is there: before a sign-on they count for nothing.
            self._heard_at = now
            self._echo_sent_at = None
        self._frames += len(items)
        came = now if received is None else received
        self._held_back.extend((item, came) for item in items)
        actions = self.go_on(room)
        if not self._reader.waiting:
            self._frame_since = None
        elif self._frame_since is None or items:
            self._frame_since = now
        return actions

    def go_on(self, room: Room = BOUNDLESS) -> list[Action]:
        """What was read, in order, as far as there is room now; the rest is held back.

        A read may bring more requests than may be in flight. As many are held back as have
        seats; one more, and the oldest is told 91. So is one that has waited too long since
        its read. It costs no more than its answer.
        """
        actions: list[Action] = []
        most = self.in_flight + room.asks
        while self._held_back:
            item, received = self._held_back[0]
            may_ask = self.in_flight < most and not self.crowded
            too_old = received < room.since
            if not (may_ask or too_old or len(self._held_back) > room.seats):
                break
            self._held_back.popleft()
            match item:
                case Frame():
                    self._on_frame(item, received, actions, may_ask and not too_old)
                case KeepAlive():
                    actions.append(Send(self.settings.framing.keep_alive))
                case OverLong():
                    self._on_over_long(item, received, actions)
                case Broken():
                    actions += ending("framing", str(item.error))
            if self._strikes >= self.settings.strikes_max:
                actions.append(Close(ENDINGS["unanswerable"].why))
                self._held_back.clear()
        return actions

    def _on_frame(
        self, frame: Frame, received: float, actions: list[Action], may_ask: bool
    ) -> None:
        if self.settings.framing.header.is_reject(frame.header):
            # What we sent is handed back: nobody asks.
            code = self.settings.framing.header.reject_code(frame.header)
            actions.append(Trouble("rejected", f"code {code}" if code else ""))
            return
        header = self.settings.framing.reply_header(frame.header)
        try:
            message = decode(frame.body, self.settings.dialect)
        except DecodeError as error:
            actions.append(Trouble("decode", str(error)))
            read = salvage(frame.body, self.settings.dialect)
            self._refuse(read, header, received, actions, error.field)
            return
        self._strikes = 0
        try:
            self._on_message(message, header, received, actions, may_ask)
        except PartError as error:  # of what is looked into here; a story says it in dispatch.py
            actions.append(Trouble("bad_part", f"{named(message)}, {error}"))
            if is_request(message.mti):
                self._refuse(message, header, received, actions, error.field)

    def _on_message(
        self,
        message: Message,
        header: bytes,
        received: float,
        actions: list[Action],
        may_ask: bool,
    ) -> None:
        if not is_request(message.mti):
            self._on_response(message, actions)
        elif message.mti[1] == "8":
            self._on_management(message, header, received, actions, may_ask)
        else:
            self._ask(message, header, received, actions, may_ask)

    def _ask(
        self,
        message: Message,
        header: bytes,
        received: float,
        actions: list[Action],
        may_ask: bool,
    ) -> None:
        """Put it to the engine, where the state and the room let us."""
        if not self.is_open:
            actions.append(Trouble("not_signed_on", named(message)))
            actions.append(self._reply(message, Reply(Reason.NOT_SIGNED_ON), header, received))
        elif not may_ask:
            self._refused += 1
            actions.append(self._reply(message, Reply(Reason.UNAVAILABLE), header, received))
        else:
            self.in_flight += 1
            actions.append(Ask(message, header, received))

    def _on_over_long(self, frame: OverLong, received: float, actions: list[Action]) -> None:
        """Refuse it if its beginning is a message's; if not, the stream has lost its step."""
        actions.append(Trouble("over_long", f"{frame.declared} bytes"))
        head = salvage(frame.head, self.settings.dialect)
        if head is None:
            actions.append(Close(ENDINGS["over_long"].why))
        else:
            header = self.settings.framing.reply_header(frame.header)
            self._refuse(head, header, received, actions)

    def _refuse(
        self,
        message: Message | None,
        header: bytes,
        received: float,
        actions: list[Action],
        bad_field: int | None = None,
    ) -> None:
        """Answer 30 where MTI and STAN could be read; count a strike where not."""
        if message is None or not is_request(message.mti) or not text(message, 11):
            self._strikes += 1
            actions.append(Trouble("unanswerable"))
            return
        self._strikes = 0
        reply = Reply(Reason.FORMAT_ERROR, bad_field=bad_field)
        actions.append(self._reply(message, reply, header, received))

    def _on_management(
        self,
        message: Message,
        header: bytes,
        received: float,
        actions: list[Action],
        may_ask: bool,
    ) -> None:
        known = self._network.management
        reason = Reason.APPROVED
        code = text(message, known.field)
        if message.mti[0] != self._network.version:
            actions.append(Trouble("unknown_mti", named(message)))
            reason = Reason.FORMAT_ERROR
        elif code == known.cut_over:
            self._ask(message, header, received, actions, may_ask)
            return
        elif (word := self._words.get(code)) is not None:
            self.state = TRANSITIONS[self.state, word]
        elif code not in known.key_change:
            trouble = BadElement(known.field, "not a function we know")
            actions.append(Trouble("management", f"{named(message)}, {trouble}"))
            reason = Reason.FORMAT_ERROR
        elif not self.settings.key_change:
            actions.append(Trouble("unsupported", f"{named(message)}, key change"))
            reason = Reason.UNSUPPORTED
        actions.append(self._reply(message, Reply(reason), header, received))

    def _on_response(self, message: Message, actions: list[Action]) -> None:
        """Only our own words ask for one; anything else answers nothing we said."""
        if message.mti[1:3] in ("31", "33"):
            told = self._updates.pop(text(message, 11), None)
            if told is not None:
                said = text(message, 39)
                done = self._network.has_updated(told.code, said)
                actions.append(FileAnswer(told.card_id, told.token, done, said))
                return
        if message.mti[1:3] not in ("81", "83"):
            actions.append(Trouble("unexpected_response", message.mti))
        elif self._sign_on is not None and text(message, 11) == self._sign_on[0]:
            self._sign_on = None
            if self._network.accepts(text(message, 39)):
                self.state = TRANSITIONS[self.state, Word.ACCEPTED]
            else:
                actions += ending("sign_on_refused", message.mti)

    def forget_held_back(self) -> None:
        """The link is gone: what was not asked yet need not be."""
        self._held_back.clear()

    # -- what goes out ----------------------------------------------------------

    def answer(self, ask: Ask, reply: Reply) -> Send:
        """The reply to a request that was asked of the engine. Once for each `Ask`."""
        self.in_flight -= 1
        assert self.in_flight >= 0
        return self._reply(ask.message, reply, ask.header, ask.received)

    def _reply(self, message: Message, reply: Reply, header: bytes, received: float) -> Send:
        said = write(message, reply, self._network, self.settings.dialect)
        body = self.settings.framing.pack(said.body, header)
        return Send(body, message.mti, said.reason, received, said.left_out)

    # -- time -------------------------------------------------------------------

    def not_read(self, now: float) -> None:
        """Until now nothing was read, by our own choice: none of the peer's times ran meanwhile."""
        self._heard_at = now
        if self._frame_since is not None:
            self._frame_since = now
        if self._echo_sent_at is not None:
            self._echo_sent_at = now

    def tick(self, now: float, moment: str) -> list[Action]:
        """Called every half second or so. `moment` is now as YYMMDDhhmmss, UTC."""
        if (
            self._frame_since is not None
            and now - self._frame_since > self.settings.frame_timeout_s
        ):
            return ending("half_frame")
        if self._sign_on is not None and now - self._sign_on[1] > self.settings.echo_timeout_s:
            return ending("sign_on_unanswered")
        if self._awaits_sign_on and now - self._began_at > self.settings.sign_on_timeout_s:
            return ending("no_sign_on")
        if self._echo_sent_at is not None:
            if now - self._echo_sent_at > self.settings.echo_timeout_s:
                return ending("echo_unanswered")
            return []
        if now - self._heard_at <= self.settings.idle_echo_s:
            return []
        self._echo_sent_at = now
        return [self._manage(self._network.management.echo, moment)]

    def update_file(self, told: FileUpdate, moment: str) -> Send:
        """Tell the network of a card. Its answer comes as a `FileAnswer`, however late.

        A word that is told again is a message of its own: its STAN is the link's, which may
        have changed.
        """
        assert self.settings.file_update
        stan = self._next_stan()
        if len(self._updates) >= UPDATES_MAX:
            del self._updates[next(iter(self._updates))]
        self._updates[stan] = FileUpdate(told.card_id, told.token, told.code, "")  # no number kept
        mti, fields = self._network.update_file(
            told.code, told.number, self.settings.file_update, moment, stan
        )
        return Send(self.settings.framing.pack(encode(mti, fields, self.settings.dialect)))

    def _next_stan(self) -> str:
        self._stan = self._stan % 999_999 + 1
        return f"{self._stan:06}"

    def _manage(self, code: str, moment: str) -> Send:
        """A network management request of our own."""
        mti, fields = self._network.manage(code, moment, self._next_stan())
        body = encode(mti, fields, self.settings.dialect)
        return Send(self.settings.framing.pack(body))
