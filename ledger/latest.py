"""What the hot state can be rebuilt from: of everything in it the latest, as entries tell it.

Beside the books proper, and in the same transaction. Told in the order of the journal; of one batch
only what is left at its end is written. Decision 0024 says why each is kept as it is.
"""

from typing import Any, NamedTuple

import asyncpg
import msgspec

from ledger.journal import AccountBody, Body, CardBody, CutOverBody, Envelope
from ledger.source import Raw

# Of an answer's list, by the places that prelude.lua and totals.lua name.
TRIED = 10
DECLINED = frozenset({"declined", "over_limit", "no_funds"})
NEVER = 2**62
# Counters of declines are kept for so long after they ended by the store's clock: windows end by
# the clocks of requests, which are far behind it only in tests.
KEPT_AFTER_S = 100 * 86_400
REVIEWED = frozenset({"approved", "declined", "ended"})

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, LookupError, TypeError)

read_body = msgspec.msgpack.Decoder(Body).decode
read_answer = msgspec.msgpack.Decoder().decode
pack = msgspec.msgpack.Encoder().encode


class Profile(NamedTuple):
    """An account's or a card's, as it was journalled last."""

    version: int
    profile: bytes
    account_id: str
    card_key: str = ""


class Review(NamedTuple):
    """A case that waits."""

    card_id: str
    at_s: int
    body: bytes


class Day(NamedTuple):
    """A network's business day. `at_s` 0: a person's word, the last cut-over stays what it was."""

    in_force: int
    ended: int
    at_s: int
    moves: int  # in this batch


class Latest:
    """What one batch tells of it. None: it is gone."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}  # by authorization; b"": gone
        self.accounts: dict[str, Profile] = {}
        self.cards: dict[tuple[str, str], Profile] = {}  # by account and card
        # By message: account, counters, when the last of them ends.
        self.declines: dict[str, tuple[str, bytes, int] | None] = {}
        self.newest_s = 0  # of the entries with declines, by the store's clock
        self.reviews: dict[tuple[str, str], Review | None] = {}  # by account and message
        self.tallies: dict[tuple[int, str], tuple[int, int]] = {}  # by shard and name: what is new
        self.days: dict[str, Day] = {}
        self.judgement: dict[int, bytes] = {}

    def add(self, shard: int, e: Envelope, raw: Raw) -> bool:
        """One more entry that stands in the books. False: it says what no function of ours writes,
        and a rebuild will not know of it."""
        try:
            self._add(shard, e, raw)
        except UNREADABLE:
            return False
        return True

    def _add(self, shard: int, e: Envelope, raw: Raw) -> None:
        if raw.record is not None and e.authorization_id:
            self.records[e.authorization_id] = raw.record
        for other in e.absorbed:
            if other != e.authorization_id:
                self.records[other] = b""
        for name, count, amount in e.totals:
            self._count(shard, f"t:{name}", count, amount)
        if e.review:
            self._count(shard, f"reviews:{e.review}", 1)
        if e.kind == "authorization" or e.kind == "increment":
            if e.verdict in DECLINED:
                self._declined(e, raw)
        elif e.kind in RARE:
            self._rare(shard, e, raw)

    def _count(self, shard: int, name: str, count: int, amount: int = 0) -> None:
        before = self.tallies.get((shard, name), (0, 0))
        self.tallies[shard, name] = before[0] + count, before[1] + amount

    def _declined(self, e: Envelope, raw: Raw) -> None:
        if e.review == "opened":
            self.reviews[e.account_id, e.message_id] = Review(
                e.card_id, e.at_ms // 1000, raw.body or b""
            )
        if raw.answer is None or not e.counters:
            return  # it stands in a record, or nothing rose
        given = read_answer(raw.answer.partition(b" ")[2])
        if len(given) > TRIED and given[TRIED]:
            ends = [ends for _, _, ends, _ in given[TRIED]]
            last = max(ends) if 0 not in ends else NEVER
            self.declines[e.message_id] = e.account_id, pack(given[TRIED]), last
            self.newest_s = max(self.newest_s, e.at_ms // 1000)

    def _rare(self, shard: int, e: Envelope, raw: Raw) -> None:
        packed = raw.body or b""
        if e.kind == "withdrawal":
            self.declines[e.message_id] = None
            self.reviews[e.account_id, e.message_id] = None
        elif e.kind == "review":
            self.reviews[e.account_id, e.message_id] = None
            if e.verdict in REVIEWED:
                self._count(shard, f"reviews:{e.verdict}", 1)
        elif e.kind == "judgement":
            self.judgement[e.versions[0]] = packed
        else:
            self._profile(e, packed)

    def _profile(self, e: Envelope, packed: bytes) -> None:
        body = read_body(packed)
        if isinstance(body, AccountBody):
            profile = Profile(e.versions[0], bytes(body.profile), e.account_id)
            self.accounts[e.account_id] = profile
        elif isinstance(body, CardBody):
            self.cards[e.account_id, e.card_id] = Profile(
                e.versions[0], bytes(body.profile), e.account_id, body.card_key
            )
        elif isinstance(body, CutOverBody) and e.verdict == "moved":
            in_force, ended = map(int, e.detail.split())
            before = self.days.get(body.network)
            at_s = e.at_ms // 1000 if not body.source else before.at_s if before else 0
            moves = before.moves + 1 if before else 1
            self.days[body.network] = Day(in_force, ended, at_s, moves)


RARE = frozenset({"withdrawal", "review", "judgement", "account", "card", "cut_over"})


async def write_latest(connection: asyncpg.Connection, latest: Latest) -> None:
    """All but the records, which go with their authorizations, and accounts that are there."""
    for statement, rows in (
        (ACCOUNTS, [(id, p.version, p.profile) for id, p in latest.accounts.items()]),
        (CARDS, [
            (card_id, p.account_id, p.card_key, p.version, p.profile)
            for (_, card_id), p in latest.cards.items()
        ]),
        (DECLINES, [(id, *row) for id, row in latest.declines.items() if row is not None]),
        (REVIEWS, [(*id, *row) for id, row in latest.reviews.items() if row is not None]),
        (TALLIES, [(*name, *value) for name, value in latest.tallies.items()]),
        (DAYS, [(network, *day) for network, day in latest.days.items()]),
        (JUDGEMENT, [*latest.judgement.items()]),
    ):  # fmt: skip
        await send(connection, statement, rows)
    if latest.newest_s:
        oldest = latest.newest_s - KEPT_AFTER_S
        await connection.execute("DELETE FROM decline WHERE ends_s < $1", oldest)
    gone = [id for id, row in latest.declines.items() if row is None]
    if gone:
        await connection.execute("DELETE FROM decline WHERE message_id = ANY($1::text[])", gone)
    ended = [id for id, row in latest.reviews.items() if row is None]
    if ended:
        await connection.execute(
            "DELETE FROM open_review r USING unnest($1::text[], $2::text[]) n(a, m) "
            "WHERE r.account_id = n.a AND r.message_id = n.m",
            [account for account, _ in ended], [message for _, message in ended],
        )  # fmt: skip


async def send(connection: asyncpg.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    """Rows as one array for each column, in one order: two sessions must not wait in a circle."""
    if rows:
        await connection.execute(statement, *map(list, zip(*sorted(rows))))


ACCOUNTS = (
    "UPDATE account a SET version = n.v, profile = n.p "
    "FROM unnest($1::text[], $2::bigint[], $3::bytea[]) n(id, v, p) WHERE a.account_id = n.id"
)
CARDS = (
    "INSERT INTO card (card_id, account_id, card_key, version, profile) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[]) "
    "ON CONFLICT (account_id, card_id) DO UPDATE SET card_key = excluded.card_key, "
    "version = excluded.version, profile = excluded.profile"
)
DECLINES = (
    "INSERT INTO decline (message_id, account_id, counters, ends_s) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[]) "
    "ON CONFLICT (message_id) DO UPDATE SET counters = excluded.counters, ends_s = excluded.ends_s"
)
REVIEWS = (
    "INSERT INTO open_review (account_id, message_id, card_id, at_s, body) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[]) "
    "ON CONFLICT (account_id, message_id) DO UPDATE SET at_s = excluded.at_s, body = excluded.body"
)
TALLIES = (
    "INSERT INTO tally AS t (shard, name, count, amount_minor) "
    "SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[]) "
    "ON CONFLICT (shard, name) DO UPDATE SET count = t.count + excluded.count, "
    "amount_minor = t.amount_minor + excluded.amount_minor"
)
DAYS = (
    "INSERT INTO business_day AS d (network, in_force, ended, at_s, moves) "
    "SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) "
    "ON CONFLICT (network) DO UPDATE SET in_force = excluded.in_force, ended = excluded.ended, "
    "at_s = CASE excluded.at_s WHEN 0 THEN d.at_s ELSE excluded.at_s END, "
    "moves = d.moves + excluded.moves"
)
JUDGEMENT = (
    "INSERT INTO judgement (version, body) SELECT * FROM unnest($1::bigint[], $2::bytea[]) "
    "ON CONFLICT (version) DO UPDATE SET body = excluded.body"
)
