"""The journal in the books, for whoever read a stream that was cut: what came before it, verbatim.

A stream and the books are joined by an entry that both have, known by its bytes (chain.py). Where
none of the stream's oldest entries is in the books they may be of another store, and nothing of
them is told.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from ledger.chain import ID_BYTES, content
from ledger.journal import BODY, ENVELOPE, Envelope

Fields = Mapping[bytes, bytes]

read_envelope = msgspec.msgpack.Decoder(Envelope).decode


class Told(NamedTuple):
    """One entry as it came out of the stream, with its place in the shard's chain, from 1."""

    at_ms: int
    seq: int
    fields: dict[bytes, bytes]


async def place_of(connection: asyncpg.Connection, shard: int, entries: Sequence[Fields]) -> int:
    """The least place that one of these entries has in the books; 0 where none is there.

    Raises: asyncpg.PostgresError, OSError.
    """
    times: list[int] = []
    ids: list[bytes] = []
    for fields in entries:
        try:
            id = content(shard, fields[ENVELOPE], fields[BODY])[:ID_BYTES]
            times.append(read_envelope(fields[ENVELOPE]).at_ms)
        except (KeyError, msgspec.MsgspecError):
            continue  # the books have parked it
        ids.append(id)
    found = await connection.fetchval(
        "SELECT min(e.seq) FROM unnest($1::bigint[], $2::bytea[]) n(at_ms, id) "
        "JOIN journal_entry e ON e.at_ms = n.at_ms AND e.id = n.id AND e.shard = $3",
        times, ids, shard,
    )  # fmt: skip
    return int(found or 0)


async def newest(
    connection: asyncpg.Connection, shard: int, until: int, since_ms: int, count: int
) -> list[Told]:
    """Entries of a shard up to this place, the newest first. Raises: as above."""
    return rows_of(await connection.fetch(
        "SELECT at_ms, seq, envelope, body FROM journal_entry "
        "WHERE shard = $1 AND seq <= $2 AND at_ms >= $3 ORDER BY seq DESC LIMIT $4",
        shard, until, since_ms, count,
    ))  # fmt: skip


async def oldest(
    connection: asyncpg.Connection, shard: int, after: int, until: int, count: int
) -> list[Told]:
    """Entries behind one place and up to another, the oldest first. Raises: as above."""
    return rows_of(await connection.fetch(
        "SELECT at_ms, seq, envelope, body FROM journal_entry "
        "WHERE shard = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        shard, after, until, count,
    ))  # fmt: skip


async def store_id(connection: asyncpg.Connection) -> str:
    """Which store's books these are; "" where nothing was ever written into them."""
    return str(await connection.fetchval("SELECT id FROM store") or "")


async def length(connection: asyncpg.Connection, shard: int) -> int:
    """How many entries of a shard are in the books."""
    return int(await connection.fetchval("SELECT seq FROM shard WHERE shard = $1", shard) or 0)


def rows_of(rows: list[asyncpg.Record]) -> list[Told]:
    return [Told(row[0], row[1], {ENVELOPE: row[2], BODY: row[3]}) for row in rows]
