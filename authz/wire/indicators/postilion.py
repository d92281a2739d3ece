"""What Postilion says: as the generic reader, and the switch's own key in DE 127.

127.2 is the key that the switch gave a transaction, 127.11 the key of the one that a message is
about. * That these two are what later messages find an authorization by is a reading of their
names in public tables. An XML in 127.25 is not looked into.
"""

from msgspec.structs import replace

from authz.wire.indicators.generic import of_generic
from authz.wire.indicators.said import Indicators, found
from iso8583.message import Message

OWN_KEY, ORIGINAL_KEY = 2, 11


def of_postilion(message: Message) -> Indicators:
    said = of_generic(message)
    if 127 not in message.layout.index:
        return said
    # A message about another one has a key of its own as well, which would find nothing.
    is_first = message.mti[1:3] in ("10", "20") and not said.increments
    wanted = OWN_KEY if is_first else ORIGINAL_KEY
    key = str(found(message, 127, wanted).get(wanted, "")).strip()
    return replace(said, life_cycle=key) if key.strip("0") else said
