"""Referrals that wait for a person, as they stand in the hot state: see reviews.lua.

The two halves here are the rest of `store.py` and of its twin, `memory.py`.
"""

from collections.abc import Awaitable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from authz.hot import keys
from authz.hot.acts import Apply, Authorize, SettleReview, Verdict
from authz.hot.model import Account
from authz.hot.record import Given
from authz.hot.resp import Argument

REVIEWS_MAX = 1000  # why: reviews.lua
ACCOUNT_REVIEWS_MAX = 32  # likewise
WHATS = ("opened", "full", "approved", "declined", "ended")

_pack = msgspec.msgpack.Encoder().encode


class ReviewCounts(Struct, frozen=True):
    """Cases of the whole store: those that wait, and what became of all that ever were."""

    waiting: int = 0
    opened: int = 0
    full: int = 0  # not opened, for want of room
    approved: int = 0
    declined: int = 0
    ended: int = 0  # nobody looked at them in time

    @classmethod
    def of(cls, replies: list[Any]) -> "ReviewCounts":
        """Out of the replies to COUNTS."""
        rows = [[int(n or 0) for n in row] for row in replies[1::2]]
        return cls(sum(replies[::2]), *map(sum, zip(*rows, strict=True)))


COUNTS: list[tuple[Argument, ...]] = [
    call
    for shard in keys.ALL_SHARDS
    for call in (
        ("ZCARD", keys.reviews(shard)),
        ("HMGET", keys.control(shard), *(f"reviews:{what}" for what in WHATS)),
    )
]


class Case(Struct, frozen=True):
    """An open case as the account's hash has it."""

    card_id: str
    since: int  # seconds since 1970
    body: bytes  # of the journal entry of the referral

    @classmethod
    def kept(cls, packed: bytes) -> "Case":
        card_id, since, body = packed.split(b" ", 2)
        return cls(card_id.decode(), int(since), body)


class RedisReviews:
    """One part of RedisHotState."""

    _run_id: str

    async def due_reviews(
        self, shard: str, until_s: int, count: int, timeout_s: float
    ) -> list[tuple[str, str]]:
        """Cases opened up to then, the oldest first: account and message."""
        members = await self._call(
            ("ZRANGE", keys.reviews(shard), "-inf", until_s, "BYSCORE", "LIMIT", 0, count),
            timeout_s,
        )
        found = (member.decode().rpartition(" ") for member in members)
        return [(account_id, id) for account_id, _, id in found]

    async def settle_review(self, act: SettleReview, timeout_s: float) -> str:
        """approved | declined | ended | gone | open | stale: see reviews.lua."""
        shard, approval = keys.shard_of(act.account_id), (act.profile, act.card_body)
        reply = await self._call(
            (
                "FCALL", "authz_settle_review", 4, keys.control(shard),
                keys.account(act.account_id), keys.reviews(shard), keys.journal(shard),
                self._run_id,
                _pack((
                    act.message_id, act.account_id, act.verdict, act.card_id, act.made_from,
                    act.waited_s,
                )),
                act.body, *(approval if act.verdict == "approved" else ()),
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, act.message_id)
        return str(reply[1], "ascii")

    async def review_counts(self, timeout_s: float) -> ReviewCounts:
        """Of all shards, in two small reads of each."""
        return ReviewCounts.of(await self._call_all(COUNTS, timeout_s))

    async def used(self, account_id: str, counters: list[str], timeout_s: float) -> list[int]:
        """How far these counters of an account stand."""
        if not counters:
            return []
        fields = [f"u:{counter}" for counter in counters]
        found = await self._call(("HMGET", keys.account(account_id), *fields), timeout_s)
        return [int(one or 0) for one in found]

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError

    async def _call_all(self, calls: list[tuple[Argument, ...]], timeout_s: float) -> list[Any]:
        raise NotImplementedError

    def _check(self, reply: Any, message_id: str) -> None:
        raise NotImplementedError


class MemoryReviews:
    """One part of MemoryHotState."""

    now_ms: int
    accounts: dict[str, Account]
    cards: dict[str, tuple[int, bytes, str]]
    journal: list[tuple[str, str, int]]

    def __init__(self) -> None:
        super().__init__()
        # By shard: how many were ever opened, and so on.
        self.review_rows: dict[str, dict[str, int]] = {
            shard: dict.fromkeys(WHATS, 0) for shard in keys.ALL_SHARDS
        }

    def reviewed(self, act: Authorize | Apply, given: Given, told: Verdict) -> Verdict:
        """The answer, with the case that it opens."""
        reason = {"declined": given.planned, "over_limit": given.detail}.get(given.kind)
        reviews = self.accounts[act.account_id].reviews
        if not act.review or reason != act.review or act.message_id in reviews:
            return told
        shard = keys.shard_of(act.account_id)
        has_room = len(self._open(shard)) < REVIEWS_MAX and len(reviews) < ACCOUNT_REVIEWS_MAX
        what = "opened" if has_room else "full"
        self.review_rows[shard][what] += 1
        if what == "opened":
            since = self.now_ms // 1000
            reviews[act.message_id] = f"{act.card_id} {since} ".encode() + act.body
        return replace(told, review=what)

    def drop_review(self, account_id: str, message_id: str) -> None:
        """The answer was withdrawn."""
        if account_id in self.accounts:
            self.accounts[account_id].reviews.pop(message_id, None)

    async def due_reviews(
        self, shard: str, until_s: int, count: int, timeout_s: float = 0
    ) -> list[tuple[str, str]]:
        return [(of, id) for since, of, id in sorted(self._open(shard)) if since <= until_s][:count]

    async def settle_review(self, act: SettleReview, timeout_s: float = 0) -> str:
        self._enter(0)
        account = self.accounts.get(act.account_id)
        packed = account.reviews.get(act.message_id) if account else None
        if account is None or packed is None:
            return "gone"
        since = Case.kept(packed).since
        if act.verdict == "ended" and (since + act.waited_s) * 1000 > self.now_ms:
            return "open"
        if act.verdict == "approved":
            version, _, of = self.cards.get(act.card_id, (-1, b"", ""))
            if version != act.made_from:
                return "stale"
            self.cards[act.card_id] = (version + 1, act.profile, of)
            self.journal.append(("card", act.card_id, 0))
        del account.reviews[act.message_id]
        self.review_rows[keys.shard_of(act.account_id)][act.verdict] += 1
        self.journal.append(("review", act.message_id, 0))
        return act.verdict

    async def review_counts(self, timeout_s: float = 0) -> ReviewCounts:
        waiting = sum(len(account.reviews) for account in self.accounts.values())
        rows = self.review_rows.values()
        return ReviewCounts(waiting, *(sum(row[what] for row in rows) for what in WHATS))

    async def used(self, account_id: str, counters: list[str], timeout_s: float = 0) -> list[int]:
        return [self.accounts[account_id].used[counter] for counter in counters]

    def _open(self, shard: str) -> list[tuple[int, str, str]]:
        return [
            (Case.kept(packed).since, account_id, id)
            for account_id, account in self.accounts.items()
            if keys.shard_of(account_id) == shard
            for id, packed in account.reviews.items()
        ]

    def _enter(self, deadline_ms: int) -> None:
        raise NotImplementedError
