"""What the books say of one shard, brought to where the hot state was looked at.

The books are read first, as of one moment, and the hot state after it: so the hot state is never
behind. What it has journalled since that moment is told on top, from the stream, by the very book
that the writer uses. So two things that move are compared at one place of the journal, to the cent,
whether the writer is in step, far behind, or not there at all.
"""

from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct, field

from ledger.book import chained, tell
from ledger.journal import Envelope
from ledger.known import State, Unbookable
from ledger.store import Books, Known

# Field, as it stands in the hot state, as the books have it.
Row = tuple[str, int | str | None, int | str | None]
GATE = ""  # stands for an account where entries are no account's

PAGE = 1000  # accounts asked for at once
OF_BOOKS = " in the books"


class Chain(NamedTuple):
    """Count and digest of the entries of one account, or of those that are no account's."""

    entries: int = 0
    digest: str = ""


class Stand(NamedTuple):
    """An authorization: what is held and was paid, in minor units; a credit is below zero."""

    held: int = 0
    paid: int = 0
    approved: bool = False


NOTHING = Stand()


class Side(Struct):
    """One account, as one of the two has it."""

    chain: Chain
    amounts: dict[str, tuple[int, int]] = field(default_factory=dict)  # posted, held by currency
    authorizations: dict[str, Stand] = field(default_factory=dict)


class ShardOfBooks:
    """One shard at one moment. Between `begin` and `end` its session is in a transaction."""

    def __init__(self, connection: asyncpg.Connection, shard: int) -> None:
        self._connection, self._shard = connection, shard
        self._transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        self._state = State()
        self._accounts: set[str] = set()  # that were read whole
        self.chains: dict[str, Chain] = {}
        self.position = "0-0"  # of the stream: all up to here is in the books, or parked
        self.seq = 0  # entries of the shard
        self.first_kept = 1  # of these; what came before it was put away
        self.rows: dict[str, list[Row]] = {}  # what could not be told, by account

    async def begin(self) -> None:
        """Raises: asyncpg.PostgresError, OSError."""
        await self._transaction.start()
        head = await self._connection.fetchrow("SELECT * FROM shard WHERE shard = $1", self._shard)
        if head is not None:
            self.position, self.seq = head["stream_id"], head["seq"]
            self.chains[GATE] = Chain(head["gate_entries"], head["gate_digest"])

    async def end(self) -> None:
        await self._transaction.rollback()

    async def load(self) -> None:
        """The chain of each account."""
        for id, entries, digest in await self._connection.fetch(
            "SELECT account_id, entries, digest FROM account WHERE shard = $1", self._shard
        ):
            self.chains[id] = Chain(entries, digest)

    async def load_whole(self) -> None:
        """And what each has, with all of its authorizations."""
        await self.load()
        ids, books, known = [*self.chains], Books(self._connection), Known(set(), set(), set())
        for start in range(0, len(ids), PAGE):
            some = ids[start : start + PAGE]
            await books.load_accounts(some, self._state, known)
            of_them = await self._connection.fetch(
                'SELECT authorization_id FROM "authorization" WHERE account_id = ANY($1::text[])',
                some,
            )
            await books.load_authorizations([row[0] for row in of_them], self._state, known)
        self._accounts = {*ids}

    def add(self, e: Envelope, envelope: bytes, body: bytes, *, whole: bool) -> None:
        """One more entry, as the writer would write it. Without `whole` only chains are told."""
        id = e.account_id
        if whole:
            try:
                tell(self._state, e, envelope, body)
            except (Unbookable, AssertionError, ArithmeticError, LookupError, TypeError,
                    ValueError, msgspec.MsgspecError) as error:  # fmt: skip
                reason = getattr(error, "reason", type(error).__name__)
                self.rows.setdefault(id, []).append((f"entry {e.message_id}", "there", reason))
                return  # it would be parked
        before = self.chains.get(id, Chain())
        digest = chained(before.digest, envelope, body)
        self.chains[id] = Chain(before.entries + 1, digest)

    def sides(self) -> dict[str, Side]:
        """Of all accounts, with what was added."""
        found = {
            id: Side(chain, {
                currency: (balance.posted, balance.held)
                for currency, balance in self._state.balances.get(id, {}).items()
            })
            for id, chain in self.chains.items()
        }  # fmt: skip
        for id, one in self._state.authorizations.items():
            if one.account_id in found:
                stand = Stand(one.held, one.parts.paid, one.approved)
                found[one.account_id].authorizations[id] = stand
        return found


def compare_chains(hot: Chain, books: Chain) -> list[Row]:
    """Equal ones are equal histories, byte for byte."""
    if hot.entries != books.entries:
        return [(f"entries{OF_BOOKS}", hot.entries, books.entries)]
    if hot.digest != books.digest:
        return [(f"digest{OF_BOOKS}", hot.digest, books.digest)]
    return []


def compare(hot: Side, books: Side) -> list[Row]:
    """One account, to the cent, and each of its authorizations."""
    rows = compare_chains(hot.chain, books.chain)
    for currency in sorted(hot.amounts.keys() | books.amounts.keys()):
        there, here = hot.amounts.get(currency, (0, 0)), books.amounts.get(currency, (0, 0))
        for name, a, b in zip(("posted", "held"), there, here):
            if a != b:
                rows.append((f"{name} {currency}{OF_BOOKS}", a, b))
    for id in sorted(hot.authorizations.keys() | books.authorizations.keys()):
        one = hot.authorizations.get(id, NOTHING)
        other = books.authorizations.get(id, NOTHING)
        for name in Stand._fields:
            a, b = getattr(one, name), getattr(other, name)
            if a != b:
                rows.append((f"{name} of authorization {id}{OF_BOOKS}", int(a), int(b)))
    return rows
