"""What a session tells its link to do, and what room it is given. Plain data, no transport."""

import sys

from msgspec import Struct

from iso8583.message import Message
from rules.reason import Reason


class Send(Struct, frozen=True):
    """Write these bytes. They hold a card number, so they are not shown."""

    data: bytes
    mti: str = ""  # of the request that this answers, if any; for the metrics
    reason: Reason | None = None  # as it was said
    received: float = 0.0  # when that request came
    left_out: str = ""  # what of the answer this dialect cannot write; where, never what

    def __repr__(self) -> str:
        return f"Send({len(self.data)} bytes)"


class Ask(Struct, frozen=True):
    """Put this request to the engine; `Session.answer` makes the reply of what it says."""

    message: Message
    header: bytes
    received: float  # when its last byte was read: its budget runs from there


class FileUpdate(Struct, frozen=True):
    """What a network is to be told of one card. It holds a card number, so it is not shown."""

    card_id: str
    token: str  # of this word on it: its answer is known by that
    code: str  # add | delete
    number: str

    def __repr__(self) -> str:
        return f"FileUpdate({self.card_id}, {self.token})"


class FileAnswer(Struct, frozen=True):
    """What the network answered to one."""

    card_id: str
    token: str
    done: bool
    said: str  # DE 39


class Trouble(Struct, frozen=True):
    """The peer did something wrong: for a metric and a log line. Says where, never what."""

    kind: str
    place: str = ""


class Close(Struct, frozen=True):
    """Hang up, once what was sent has left."""

    why: str


Action = Send | Ask | FileAnswer | Trouble | Close


class Room(Struct, frozen=True):
    """What the engine can take at the moment, of all links' requests together."""

    asks: int = sys.maxsize  # so many more may be asked
    seats: int = sys.maxsize  # so many of this link may wait; what is above is told 91 at once
    since: float = float("-inf")  # what came before this has waited too long to be asked


BOUNDLESS = Room()
NO_MORE = Room(asks=0, seats=0)  # the link is closing: who still waits is told 91
