"""What makes an entry of the books known again, and tampering with one visible.

An entry's id is a digest of its bytes, for good: a stream id may come twice with other content
after a failover, and a message id comes again after a withdrawal. The same bytes are the same
entry.

Each shard's entries are chained: a link is the digest of the link before it, of the entry's bytes
and of its postings. Whoever alters, adds or drops one has to make all later links anew.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

ID_BYTES = 16  # of 32: two different entries in a shard with one id are not to be had by chance
START = b""

pack = msgspec.msgpack.Encoder().encode


def content(shard: int, envelope: bytes, body: bytes) -> bytes:
    """The digest of an entry of a shard: opening the gates writes the same bytes in all of them.
    The envelope's length goes first, so that no byte may change sides."""
    head = shard.to_bytes(4, "big") + len(envelope).to_bytes(4, "big")
    return sha256(head + envelope + body).digest()


def link(before: bytes, of: bytes, postings: Iterable[tuple[str, str, str, str, int]]) -> bytes:
    """The next link: `of` is the entry's content, postings are program, currency, role, subject,
    amount of each line, in their order."""
    return sha256(before + of + pack(list(postings))).digest()
