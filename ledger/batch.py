"""One batch: what was read, what it was told to be, and what is remembered for the next."""

import asyncio
from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from ledger.book import chained, needed, tell
from ledger.chain import ID_BYTES, content, link
from ledger.journal import Envelope
from ledger.known import State, Unbookable
from ledger.source import Raw
from ledger.store import Batch, Books, Head, Known, Parked, Row

# Accounts remembered between batches, some 1.5 kB each with their balances: 75 MB for each lane.
HOLDERS_MAX = 50_000

TURN = 100  # entries told in one go, some 5 ms

read_envelope = msgspec.msgpack.Decoder(Envelope).decode
pack = msgspec.msgpack.Encoder().encode


class Seen(Struct, frozen=True, gc=False):
    """One entry, with its envelope where that could be read."""

    shard: int
    raw: Raw
    content: bytes
    id: bytes  # the first of it
    e: Envelope | None


class Page:
    """What was read of several streams, cut to so many entries."""

    def __init__(self, pages: Mapping[int, list[Raw]], most: int) -> None:
        self.raws: dict[int, list[Raw]] = {}
        self.seen: list[Seen] = []
        for shard, raws in pages.items():
            raws = raws[: most - len(self.seen)]
            if not raws:
                break
            self.raws[shard] = raws
            self.seen += [look(shard, raw) for raw in raws]

    @property
    def entries(self) -> int:
        return len(self.seen)

    def of(self, shards: Collection[int]) -> list[tuple[int, bytes]]:
        """Time and id of the entries of these shards."""
        return [(s.e.at_ms if s.e else 0, s.id) for s in self.seen if s.shard in shards]

    def ends_new(self, shard: int, there: set[bytes]) -> bool:
        """Whether the last entry of a shard was none that is there already."""
        last = self.raws[shard][-1]
        return look(shard, last).id not in there


def look(shard: int, raw: Raw) -> Seen:
    if raw.envelope is None or raw.body is None:
        digest = content(shard, b"", pack(raw.fields))
        return Seen(shard, raw, digest, digest[:ID_BYTES], None)
    e: Envelope | None
    try:
        e = read_envelope(raw.envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        e = None
    if e is not None and not -(2**62) < e.at_ms < 2**62:
        e = None
    digest = content(shard, raw.envelope, raw.body)
    return Seen(shard, raw, digest, digest[:ID_BYTES], e)


class Cache:
    """What is known of accounts and authorizations, as the database has it.

    It holds as long as our locks do: nobody else moves what belongs to our shards. After an error
    it is cleared, since what was told may not have been written.
    """

    def __init__(self) -> None:
        self.state, self.known = State(), Known(set(), set(), set())
        self._looked: set[str] = set()  # accounts that were looked for

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    async def load(self, books: Books, page: Page) -> None:
        """All that the entries of a page need to be told."""
        accounts = {s.e.account_id for s in page.seen if s.e and fine(s.e.account_id)} - {""}
        missing = list(accounts - self._looked)
        if missing:
            await books.load_accounts(missing, self.state, self.known)
            self._looked |= accounts
        ids = {id for s in page.seen if s.e for id in needed(s.e) if fine(id)}
        if ids:
            await books.load_authorizations(list(ids), self.state, self.known)

    def commit(self, batch: Batch) -> None:
        """What was written is known. Authorizations are read again when they are met again."""
        self.known.holders.update(batch.holders)
        self.known.balances.update(batch.balances)
        self.known.authorizations.clear()
        self.state.authorizations.clear()
        if len(self._looked) > HOLDERS_MAX:
            self.clear()


def fine(id: str) -> bool:
    """Whether the database can be asked for it; the book refuses others."""
    return "\0" not in id


async def assemble(
    page: Page,
    heads: Mapping[int, Head],
    cache: Cache,
    there: set[bytes],
    condemned: set[bytes],
) -> Batch:
    """Tell the entries of a page that are new, and put together what is to be written."""
    batch, state = Batch(), cache.state
    heads_now = batch.heads
    batch.known = cache.known
    twice: set[bytes] = set()
    for shard, raws in page.raws.items():
        batch.heads[shard] = msgspec.structs.replace(
            heads[shard], stream_id=raws[-1].stream_id.decode()
        )
    for number, seen in enumerate(page.seen, 1):
        if number % TURN == 0:
            await asyncio.sleep(0)  # the database has an answer for another lane
        id = seen.id
        if id in there or id in twice:
            continue  # committed before, and not acknowledged; or the same bytes twice in one page
        twice.add(id)
        shard = seen.shard
        try:
            if id in condemned:
                raise Unbookable("refused_by_database")
            heads_now[shard] = told(batch, state, seen, heads_now[shard])
        except Unbookable as error:
            batch.parked.append(parked(seen, error.reason))
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Ours, and for a person to look at; the others of the batch have nothing to do with it.
            batch.parked.append(parked(seen, type(error).__name__))
    for shard, head in batch.heads.items():
        if head.seq > heads[shard].seq:
            batch.feed.append((shard, heads[shard].seq + 1, head.seq))
    return batch


def told(batch: Batch, state: State, seen: Seen, head: Head) -> Head:
    """One entry, told and added to the batch; the head of its shard afterwards."""
    e, raw = seen.e, seen.raw
    if e is None:
        raise Unbookable("unreadable")
    assert raw.envelope is not None
    assert raw.body is not None
    postings, notices, movement = tell(state, e, raw.envelope, raw.body)
    seq, shard = head.seq + 1, seen.shard
    lines = [(*account, amount) for account, amount in postings]
    digest = link(head.digest, seen.content, lines)
    batch.rows.append(
        Row(
            e.at_ms, seen.id, shard, seq, e.kind, e.verdict, e.message_id, e.authorization_id,
            e.account_id, len(postings), raw.envelope, raw.body, digest, raw.answer,
        )
    )  # fmt: skip
    if not batch.latest.add(shard, e, raw):
        notices = (*notices, ("not_for_rebuild", e.kind))
    for number, line in enumerate(lines):
        batch.lines.append((e.at_ms, shard, seq, number, *line))
    if movement is not None:
        batch.movements.append((e.message_id, shard, seq, movement.what, movement.reference))
    for what, details in notices:
        batch.notices.append((shard, seq, what, e.account_id, details))
    gate_entries, gate_digest = head.gate_entries, head.gate_digest
    if e.account_id:
        batch.holders[e.account_id] = shard
        if e.kind == "account":
            batch.described.add(e.account_id)
        if e.currency:
            batch.balances.add((e.account_id, e.currency))
    else:
        gate_entries += 1
        gate_digest = chained(gate_digest, raw.envelope, raw.body)
    for id in needed(e):
        if id in state.authorizations:
            batch.authorizations.add(id)
    return Head(seq, digest, gate_entries, gate_digest, head.stream_id, max(head.at_ms, e.at_ms))


def parked(seen: Seen, reason: str) -> Parked:
    fields = dict(zip(seen.raw.fields[::2], seen.raw.fields[1::2]))
    return Parked(seen.id, seen.shard, seen.raw.stream_id.decode(), reason, pack(fields))
