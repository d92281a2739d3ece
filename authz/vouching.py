"""Who has the entries that a stream has no more: the store's own word, without asking the books.

The books' writer keeps in each stream how far they have come, as the position of a group, and how
many entries it read up to there. All that was ever added behind that position must still be there;
then what is missing is in the books, and nobody lost it. Of a store that was rebuilt the books have
what came before its streams, and its gates say so.
Promises: tests/authz/test_vouching.py.
"""

from asyncio import gather
from typing import Any

from authz.hot import keys
from authz.hot.resp import Connection
from authz.shard_journal import Gate

GROUP = b"ledger"  # of ledger/source.py, which the engine does not import
TIMEOUT_S = 60.0
PAGE = 1000
# The writer trims while we count, so a count may be short; it does not trim all the time.
TRIES = 5


async def is_vouched_for(connection: Connection, shard: str, gate: Gate) -> bool:
    """Whether all that this shard's stream has no more is in the books. Raises: HotStateError."""
    if gate.added == gate.length:
        return gate.from_books  # nothing of the stream itself is missing
    if gate.length == 0:
        return False  # what is trimmed leaves the newest entry
    key = keys.journal(shard)
    for _ in range(TRIES):
        stream, groups = await together(
            connection, ("XINFO", "STREAM", key), ("XINFO", "GROUPS", key)
        )
        about = pairs(stream)
        for group in map(pairs, groups):
            read = group.get(b"entries-read")
            if group[b"name"] != GROUP or read is None:
                continue
            behind = about[b"entries-added"] - read
            until = about[b"last-generated-id"]
            if await count(connection, key, group[b"last-delivered-id"], until) == behind:
                return True
    return False


async def count(connection: Connection, key: str, after: bytes, until: bytes) -> int:
    """Entries of a stream behind one and up to another."""
    found = 0
    while True:
        page = await connection.call(("XRANGE", key, b"(" + after, until, "COUNT", PAGE), TIMEOUT_S)
        found += len(page)
        if len(page) < PAGE:
            return found
        after = page[-1][0]


async def together(connection: Connection, *calls: tuple[Any, ...]) -> list[Any]:
    """These calls in one step. They are handed over in one go, so nobody's come between."""
    sent = [connection.call(call, TIMEOUT_S) for call in (("MULTI",), *calls, ("EXEC",))]
    replies: list[Any] = (await gather(*sent))[-1]
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def pairs(flat: list[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
