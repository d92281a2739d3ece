"""What makes an entry of the books known again, and tampering with one visible.

An entry's id is a digest of its bytes, for good: a stream id may come twice with other content
after a failover, and a message id comes again after a withdrawal. The same bytes are the same
entry.

Each shard's entries are chained: a link is the digest of the link before it, of the entry's bytes
and of its postings. Whoever alters, adds or drops one has to make all later links anew.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct

import msgspec

ID_BYTES = 16  # of 32: two different entries in a shard with one id are not to be had by chance
START = b""

pack = msgspec.msgpack.Encoder().encode
head = Struct(">II").pack


def content(shard: int, envelope: bytes, body: bytes) -> bytes:
    """The digest of an entry of a shard: opening the gates writes the same bytes in all of them.
    The envelope's length goes first, so that no byte may change sides."""
    return sha256(head(shard, len(envelope)) + envelope + body).digest()


def link(before: bytes, of: bytes, postings: Sequence[tuple[str, str, str, str, int]]) -> bytes:
    """The next link: `of` is the entry's content, postings are program, currency, role, subject,
    amount of each line, in their order."""
    return sha256(before + of + pack(postings)).digest()
