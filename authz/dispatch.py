"""Which story a message is, and how its answer gets back: a table from MTI to story."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from authz.administer import administer
from authz.advise import advise
from authz.authorize import authorize
from authz.cut_over import cut_over
from authz.engine import Engine, Outcome
from authz.increase import increase
from authz.privacy import PanKeys
from authz.reverse import reverse
from authz.totals import total_up
from authz.wire.elements import BadElement, named, text
from authz.wire.indicators import READERS, Indicators
from authz.wire.meanings import ALLOWED, what_it_does
from authz.wire.networks import NETWORKS
from authz.wire.to_notice import to_administrative, to_cut_over, to_reconciliation
from authz.wire.to_request import (
    Unsupported,
    to_advice,
    to_increment,
    to_request,
    to_reversal,
)
from authz.wire.to_response import Reply
from authz.wire.version_1993 import as_1987
from iso8583.errors import PartError
from iso8583.message import Message
from rules.facts import Does
from rules.reason import Reason

INCREASE = Does.INCREASE


class Refusal(Exception):
    """The message was refused at the border. `place` says where, never what."""

    def __init__(self, reason: Reason, kind: str, place: str, field: int | None = None) -> None:
        super().__init__(place)
        self.reason = reason
        self.kind = kind
        self.place = place
        self.field = field  # the element that is to blame, if one is


def reply_of(outcome: Outcome) -> Reply:
    """What the wire says of it."""
    return Reply(
        outcome.reason,
        outcome.approval_code,
        approved=outcome.approved,
        funds=outcome.funds,
        balance=outcome.balance,
    )


class Heard(Struct, frozen=True, gc=False):
    """A request, what its network says in elements of its own, and when it came."""

    message: Message
    network: str
    says: Indicators
    does: Does | None  # None: takes back
    received: float


class Dispatcher:
    """Takes a decoded request to its story."""

    def __init__(self, engine: Engine, keys: PanKeys) -> None:
        self._engine = engine
        self._keys = keys

    async def answer(
        self, message: Message, network: str, received: float, partial_ok: bool = False
    ) -> Outcome:
        """The engine's answer to a request. `received`: by the monotonic clock, at its last byte.
        `partial_ok`: its terminal takes less than it asked for, even if it does not say so.

        Raises: Refusal, where the message says nothing that the engine could judge.
        """
        version = NETWORKS[network].version
        # One table for both versions: their classes and functions mean the same.
        story = STORIES.get(f"0{message.mti[1:]}")
        if story is None or message.mti[0] != version:
            raise Refusal(Reason.FORMAT_ERROR, "unknown_mti", named(message))
        try:
            says = READERS[network](message)
            if partial_ok:
                says = replace(says, partial_ok=True)
            if version == "1":
                message = as_1987(message)
            does = None
            if message.mti[1:3] in ALLOWED:  # neither reversals nor notices do one of several
                does = what_it_does(network, message.mti, text(message, 18), says)
            return await story(self, Heard(message, network, says, does, received))
        except BadElement as error:
            place = f"{named(message)}, {error}"
            raise Refusal(Reason.FORMAT_ERROR, "bad_element", place, error.field) from None
        except PartError as error:
            # Composites are opened when somebody first looks into one, and only those that the
            # engine needs are: a network may change what we do not read.
            place = f"{named(message)}, {error}"
            raise Refusal(Reason.FORMAT_ERROR, "bad_part", place, error.field) from None
        except Unsupported as error:
            raise Refusal(Reason.UNSUPPORTED, "unsupported", f"{named(message)}, {error}") from None

    def take_back(self, outcome: Outcome) -> None:
        """Of that approval nobody was told, and nobody will be."""
        if outcome.undo is not None:
            self._engine.spool.note(outcome.undo)

    def _authorization(self, heard: Heard) -> Awaitable[Outcome]:
        told = (heard.message, heard.network, self._keys, self._engine.now_ms(), heard.says)
        if heard.does is INCREASE:
            return increase(self._engine, to_increment(*told), heard.received)
        return authorize(self._engine, to_request(*told), heard.received)

    async def _reversal(self, heard: Heard) -> Outcome:
        told = (heard.message, heard.network, self._keys, self._engine.now_ms(), heard.says)
        return await reverse(self._engine, to_reversal(*told), heard.received)

    async def _advice(self, heard: Heard) -> Outcome:
        assert heard.does is not None
        told = (heard.message, heard.network, self._keys, self._engine.now_ms(), heard.says)
        return await advise(self._engine, to_advice(*told, heard.does), heard.received)

    async def _cut_over(self, heard: Heard) -> Outcome:
        """The one function of network management that a session does not answer itself."""
        now_ms = self._engine.now_ms()
        told = to_cut_over(heard.message, heard.network, now_ms)
        return await cut_over(self._engine, told, heard.received)

    async def _reconciliation(self, heard: Heard) -> Outcome:
        now_ms = self._engine.now_ms()
        asked = to_reconciliation(heard.message, heard.network, now_ms)
        return await total_up(self._engine, asked, heard.received)

    async def _administrative(self, heard: Heard) -> Outcome:
        now_ms = self._engine.now_ms()
        told = to_administrative(heard.message, heard.network, now_ms)
        return await administer(self._engine, told, heard.received)


Story = Callable[[Dispatcher, Heard], Awaitable[Outcome]]

STORIES: dict[str, Story] = {
    "0100": Dispatcher._authorization,
    "0101": Dispatcher._authorization,
    "0120": Dispatcher._advice,
    "0121": Dispatcher._advice,
    "0200": Dispatcher._authorization,
    "0201": Dispatcher._authorization,
    "0220": Dispatcher._advice,
    "0221": Dispatcher._advice,
    "0400": Dispatcher._reversal,
    "0401": Dispatcher._reversal,
    "0420": Dispatcher._reversal,
    "0421": Dispatcher._reversal,
    "0500": Dispatcher._reconciliation,
    "0501": Dispatcher._reconciliation,
    "0520": Dispatcher._reconciliation,
    "0521": Dispatcher._reconciliation,
    "0620": Dispatcher._administrative,
    "0621": Dispatcher._administrative,
    # 1804 and its like are told by their last three digits, whoever begins.
    **{f"08{function}{origin}": Dispatcher._cut_over for function in "02" for origin in "012345"},
}
