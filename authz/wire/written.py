"""An answer as bytes, in a dialect that may lack some of its elements.

A deployment's own dialect need not have all that an answer may. What is left out of an answer is
said (`left_out`); what it cannot do without is never left out: then it is another answer.
Promises: tests/authz/wire/test_written.py.
"""

from msgspec import Struct

from authz.wire.elements import named
from authz.wire.networks import Network
from authz.wire.to_response import Reply, to_response
from authz.wire.totals import NAMES
from iso8583.codec import encode
from iso8583.errors import EncodeError, PartError
from iso8583.message import Message
from iso8583.mti import response_to
from iso8583.spec import Dialect
from rules.reason import Reason


class Written(Struct, frozen=True, gc=False):
    """What is sent, and what it says."""

    body: bytes
    reason: Reason  # as it is said: another one where the answer itself could not be written
    left_out: str = ""  # of which message, and which elements; "": nothing

    def __repr__(self) -> str:
        return f"Written({len(self.body)} bytes, {self.reason})"


def write(message: Message, reply: Reply, network: Network, dialect: Dialect) -> Written:
    """The answer to a message. Raises: EncodeError, where not even DE 39 can be written."""
    try:
        fields = to_response(message, reply, network)
    except PartError:
        # What was decided stands, and is owed: it is said without what cannot be read.
        fields = to_response(message.in_one_piece(), reply, network)
    mti, without = response_to(message.mti), []
    while True:
        try:
            body = encode(mti, fields, dialect)
        except EncodeError as error:
            bad = error.field
            if bad in fields and bad not in needed_of(reply, message):
                without.append(str(bad))
                del fields[bad]
                continue
            instead = instead_of(reply)
            if instead is None:
                raise
            without.append(str(bad))
            said = write(message, Reply(instead), network, dialect)
            return Written(said.body, said.reason, told(message, without))
        return Written(body, reply.reason, told(message, without) if without else "")


def needed_of(reply: Reply, message: Message) -> frozenset[int]:
    """What an answer means nothing without. A partial approval can do without its DE 54."""
    needed = {39}
    if reply.approval_code:
        needed.add(38)
    if reply.approved is not None:
        needed |= {4, 6} if 6 in message else {4}
    if reply.funds is not None:
        needed.add(54)
    if reply.balance is not None:
        needed |= {66, *NAMES}
    return frozenset(needed)


def instead_of(reply: Reply) -> Reason | None:
    """What is said where that cannot be. None: nothing is left to say."""
    if reply.funds is not None or reply.balance is not None:
        return Reason.UNSUPPORTED  # it only asked, and can be told that it gets no answer here
    if reply.approval_code or reply.approved is not None:
        return Reason.MALFUNCTION  # an approval that nobody can be told of: it is taken back
    return None


def told(message: Message, without: list[str]) -> str:
    return f"{named(message)}, field {', '.join(without)}"
