"""Hot state and books, side by side: what `authz reconcile` compares, and the watch of the writer.

Which of the two is behind is no difference: `ledger/reconcile.py` brings the books to where the hot
state was looked at.
"""

from collections.abc import AsyncIterator

import asyncpg
import msgspec

from authz.hot import keys
from authz.hot.resp import Connection
from authz.shard_journal import Gate
from authz.standing import Position, Row, Seen, position, spell
from ledger.journal import BODY, ENVELOPE, Envelope
from ledger.reconcile import GATE, Chain, ShardOfBooks, Side, Stand, compare, compare_chains

TIMEOUT_S = 60.0
PAGE = 1000  # entries, or accounts, in one reply

read_envelope = msgspec.msgpack.Decoder(Envelope).decode

# An entry of a stream: its place, its envelope, and both as they are.
Tail = tuple[Position, Envelope, bytes, bytes]


class BesideBooks:
    """What an audit compares each shard with: see `Beside` in authz/audit.py."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._books: ShardOfBooks | None = None
        self.behind = 0  # entries that were told on top of the books
        self.entries = 0  # in the books

    async def begin(self, shard: str) -> None:
        """Before the hot state is looked at."""
        self._books = ShardOfBooks(self._connection, int(shard))
        await self._books.begin()

    async def compare(
        self, store: Connection, shard: str, gate: Gate, accounts: dict[str, Seen]
    ) -> dict[str, list[Row]]:
        """Rows by account; "" for the shard's own entries."""
        books, self._books = self._books, None
        assert books is not None
        try:
            await books.load_whole()
        finally:
            await books.end()
        until = max([gate.newest, *(seen.position for seen in accounts.values())])
        async for at, e, envelope, body in tail(store, shard, books.position, until):
            seen = accounts.get(e.account_id)
            if at <= (seen.position if seen else gate.newest):
                books.add(e, envelope, body, whole=True)
                self.behind += 1
        self.entries += books.seq
        here = books.sides()
        rows = {
            id: compare(hot_side(seen), here.get(id) or Side(Chain()))
            for id, seen in accounts.items()
        }
        rows[GATE] = compare_chains(
            Chain(gate.entries, gate.digest), books.chains.get(GATE, Chain())
        )
        for id in here.keys() - accounts.keys() - {GATE}:
            if not await store.call(("EXISTS", keys.account(id)), TIMEOUT_S):
                rows[id] = [("account", None, "in the books")]
        for id, untold in books.rows.items():
            rows[id] = untold + rows.get(id, [])
        return {id: found for id, found in rows.items() if found}


def hot_side(seen: Seen) -> Side:
    """An account as it was seen."""
    amounts: dict[str, tuple[int, int]] = {}
    for name, amount in seen.amounts.items():
        kind, _, currency = name.partition(":")
        posted, held = amounts.get(currency, (0, 0))
        amounts[currency] = (amount, held) if kind == "posted" else (posted, amount)
    stands = {
        id: Stand(
            record.holds * record.sign,
            record.posted * record.sign,
            bool(record.original) and record.given.kind == "held",
        )
        for id, record in seen.records.items()
    }
    return Side(Chain(seen.entries, seen.digest), amounts, stands)


async def tail(store: Connection, shard: str, after: str, until: Position) -> AsyncIterator[Tail]:
    """What is in a stream behind the books. What nobody can read is parked there, and told by the
    audit."""
    start = f"({after}"
    while True:
        page = await store.call(
            ("XRANGE", keys.journal(shard), start, spell(until), "COUNT", PAGE), TIMEOUT_S
        )
        for stream_id, flat in page:
            fields = dict(zip(flat[::2], flat[1::2], strict=True))
            try:
                envelope, body = fields[ENVELOPE], fields[BODY]
                yield position(stream_id), read_envelope(envelope), envelope, body
            except (KeyError, msgspec.MsgspecError, UnicodeDecodeError):
                continue
        if len(page) < PAGE:
            return
        start = f"({page[-1][0].decode()}"
