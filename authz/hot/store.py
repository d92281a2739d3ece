"""The hot state in Redis: acts in, verdicts out, each by one function call."""

from asyncio import gather
from collections.abc import Awaitable
from typing import Any, Protocol

import msgspec

from authz.hot import keys
from authz.hot.acts import (
    Apply,
    Authorize,
    Close,
    CutOver,
    Lease,
    Missing,
    Note,
    PutAccount,
    PutCard,
    PutCardSaid,
    SettleReview,
    Short,
    Stale,
    Verdict,
    Withdraw,
)
from authz.hot.errors import Cold, Full, HotStateError, NotConnected, OutOfStep, TooLate
from authz.hot.lists import Page, RedisLists, Standing
from authz.hot.networks import Days, RedisNetworks, verdict_of
from authz.hot.outbox import RedisOutbox, Taken
from authz.hot.quotas import RedisQuotas
from authz.hot.record import AT_APPROVAL, AT_ONCE, touched_by
from authz.hot.resp import Argument, Connection
from authz.hot.reviews import RedisReviews, ReviewCounts
from authz.hot.totals import RedisTotals, Totals
from ledger.journal import Change, WithdrawalBody, encode_body

_pack = msgspec.msgpack.Encoder().encode


class HotState(Protocol):
    """What the engine asks of the hot state; `memory.py` is the other one that answers."""

    async def authorize(self, act: Authorize, timeout_s: float) -> Verdict | Stale | Short: ...
    async def apply(self, act: Apply, timeout_s: float) -> Verdict | Stale | Short: ...
    async def lease(self, act: Lease, timeout_s: float) -> tuple[int, int]: ...
    async def grant(self, shard: str, act: Lease, some: int, timeout_s: float) -> bool: ...
    async def give_back(self, shard: str, act: Lease, timeout_s: float) -> int: ...
    async def close(self, act: Close, timeout_s: float) -> tuple[str, int]: ...
    async def due(
        self, shard: str, now_s: int, count: int, timeout_s: float
    ) -> list[tuple[str, str]]: ...
    async def note(self, act: Note, timeout_s: float) -> Verdict: ...
    async def withdraw(self, act: Withdraw, timeout_s: float) -> str: ...
    async def look_up(self, card_key: str, timeout_s: float) -> tuple[str, str] | None: ...
    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float
    ) -> tuple[int, bytes, int, bytes]: ...
    async def card_keys(
        self, cursor: bytes, count: int, timeout_s: float
    ) -> tuple[bytes, list[str]]: ...
    async def judgement_version(self, timeout_s: float) -> int: ...
    async def standing(self, timeout_s: float) -> Standing: ...
    async def list_page(self, cursor: bytes, count: int, timeout_s: float) -> Page: ...
    async def changes(self, first: int, last: int, timeout_s: float) -> list[Change | None]: ...
    async def cut_over(self, act: CutOver, timeout_s: float) -> Verdict: ...
    async def days(self, network: str, timeout_s: float) -> Days | None: ...
    async def totals(self, network: str, day: int, currency: str, timeout_s: float) -> Totals: ...
    async def forget_totals(self, shard: str, first_day: int, timeout_s: float) -> int: ...
    async def waiting(self, network: str, timeout_s: float) -> dict[str, int]: ...
    async def take_words(
        self, shard: str, network: str, count: int, first_s: int, longest_s: int, timeout_s: float
    ) -> list[Taken]: ...
    async def settle_word(
        self, shard: str, network: str, word: Taken, kind: str, said: str, timeout_s: float
    ) -> str: ...
    async def due_reviews(
        self, shard: str, until_s: int, count: int, timeout_s: float
    ) -> list[tuple[str, str]]: ...
    async def settle_review(self, act: SettleReview, timeout_s: float) -> str: ...
    async def review_counts(self, timeout_s: float) -> ReviewCounts: ...


class RedisHotState(RedisLists, RedisNetworks, RedisOutbox, RedisQuotas, RedisReviews, RedisTotals):
    """The hot state behind one connection. `attach` gives it one, with the store's run id.

    Raises from every call: HotStateError, whose `may_have_run` tells the caller whether
    something must be withdrawn.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._run_id = ""

    def attach(self, connection: Connection, run_id: str) -> None:
        self._connection, self._run_id = connection, run_id

    def detach(self) -> None:
        self._connection = None

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.connected

    @property
    def run_id(self) -> str:
        return self._run_id

    async def authorize(self, act: Authorize, timeout_s: float) -> Verdict | Stale | Short:
        """Judge and hold, once. Stale: nothing was done, the plan needs newer facts. Short: nothing
        was done, a program's quota is too small here."""
        said = (
            act.message_id, act.fingerprint, act.attempt, act.deadline_ms, act.account_id,
            act.card_id, act.account_version, act.card_version, act.lists_version, act.planned,
            act.hold_minor, act.currency, act.credit_line_minor, act.expires_at,
            act.answer_ttl_s, act.references, act.limits, act.posts, act.sign,
            act.sent_at, act.asked_billed_minor, act.part_reference, int(act.inquires), act.exact,
            act.tally, act.review, int(act.last_word),
        )  # fmt: skip
        reply = await self._act(
            b"authz_authorize", act.account_id, said, timeout_s, act.body, _record(act),
            reviews=bool(act.review),
        )  # fmt: skip
        return _verdict_or_stale(reply)

    async def apply(self, act: Apply, timeout_s: float) -> Verdict | Stale | Short:
        """Take in what belongs to an authorization. Stale, Short: of an increment alone."""
        said = (
            act.message_id, act.fingerprint, act.attempt, act.deadline_ms, act.account_id,
            act.card_id, act.act, act.answer_ttl_s, [reference for _, reference in act.references],
            [rung for rung, _ in act.references], act.currency, act.sign, act.expires_at,
            act.touched, act.decision or (), act.exact, act.terms or (), act.tally, act.review,
            int(act.last_word),
        )  # fmt: skip
        reply = await self._act(
            b"authz_apply", act.account_id, said, timeout_s, act.body, act.kind.encode(),
            reviews=bool(act.review),
        )  # fmt: skip
        return _verdict_or_stale(reply)

    async def close(self, act: Close, timeout_s: float) -> tuple[str, int]:
        """End a hold: closed | open | gone, and what was released."""
        said = (act.act_id, act.account_id, act.authorization_id, act.kind, act.at)
        reply = await self._act(b"authz_close", act.account_id, said, timeout_s, act.body)
        return str(reply[1], "ascii"), reply[2]

    async def due(
        self, shard: str, now_s: int, count: int, timeout_s: float
    ) -> list[tuple[str, str]]:
        """Holds whose date has come, the oldest first: account and authorization."""
        members = await self._call(
            ("ZRANGE", keys.expiry(shard), "-inf", now_s, "BYSCORE", "LIMIT", 0, count), timeout_s
        )
        found = (member.decode().rpartition(" ") for member in members)
        return [(account_id, id) for account_id, _, id in found]

    async def note(self, act: Note, timeout_s: float) -> Verdict:
        """Remember an answer that moves nothing."""
        said = (
            act.message_id, act.fingerprint, act.attempt, act.deadline_ms, act.verdict,
            act.planned, act.answer_ttl_s, act.detail,
        )  # fmt: skip
        shard = keys.shard_of(act.shard_of)
        reply = await self._call(
            (
                "FCALL", "authz_note", 3, keys.control(shard), keys.journal(shard),
                keys.answer(shard, act.message_id), self._run_id, _pack(said), act.body,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, act.message_id)
        return verdict_of(reply)

    async def withdraw(self, act: Withdraw, timeout_s: float) -> str:
        """Take an attempt back: released | forgotten | kept | marked."""
        said = (act.message_id, act.attempt, act.account_id, act.answer_ttl_s)
        body = encode_body(WithdrawalBody(act.attempt))
        reply = await self._act(
            b"authz_withdraw", act.shard_of, said, timeout_s, body, reviews=True
        )
        return str(reply[1], "ascii")

    async def _act(
        self,
        function: bytes,
        account_id: str,
        said: tuple[Any, ...],
        timeout_s: float,
        *passed_on: bytes,
        reviews: bool = False,
    ) -> Any:
        """One act on an account. Its first word is the message id, and the reply's as well."""
        control, account, expiry, journal = keys.account_keys(account_id)
        shard = keys.shard_of(account_id)
        touched = (control, account, expiry, journal, keys.answer(shard, said[0]))
        if reviews:
            touched = (*touched, keys.reviews(shard))  # type: ignore[assignment]
        reply = await self._call(
            (
                b"FCALL", function, len(touched), *touched, self._run_id, _pack(said), *passed_on,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, said[0])
        return reply

    async def look_up(self, card_key: str, timeout_s: float) -> tuple[str, str] | None:
        """The account and card of a card key; None where the card is not ours (yet)."""
        account, card, pending = await self._call(
            ("HMGET", keys.directory(card_key), "account", "card", "pending"), timeout_s
        )
        if account is None or card is None:
            return None
        found = account.decode(), card.decode()
        return None if pending and await self._only_announced(*found, timeout_s) else found

    async def _only_announced(self, account_id: str, card_id: str, timeout_s: float) -> bool:
        """Whether a load has written a card's row and not the card: nobody was given it yet.

        Of an account that is there: where even that is missing, something was lost.
        """
        version, card = await self._call(
            ("HMGET", keys.account(account_id), "version", keys.card_field(card_id)), timeout_s
        )
        return version is not None and card is None

    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float
    ) -> tuple[int, bytes, int, bytes]:
        """Version and profile of an account and of a card on it.

        Raises: Cold where either is not there: the directory says that they exist.
        """
        version, profile, card = await self._call(
            (
                "HMGET", keys.account(account_id), "version", "profile", keys.card_field(card_id),
            ),
            timeout_s,
        )  # fmt: skip
        if version is None or profile is None or card is None:
            raise Cold("a profile that the directory names is missing")
        card_version, _, card_profile = card.partition(b" ")
        return int(version), profile, int(card_version), card_profile

    async def card_keys(
        self, cursor: bytes, count: int, timeout_s: float
    ) -> tuple[bytes, list[str]]:
        """Some of the cards that there are, and the cursor of the next; from 0 on until it is 0.

        `count`: of the store's keys, of all kinds, that are looked through. A card may come twice.
        """
        following, names = await self._call(
            ("SCAN", cursor, "MATCH", keys.directory("*"), "COUNT", count), timeout_s
        )
        return following, [keys.card_key_of(name.decode("utf-8", "replace")) for name in names]

    # -- control acts -------------------------------------------------------------

    async def put_account(self, act: PutAccount, timeout_s: float = 5.0) -> str:
        """created | moved | same | currency_fixed"""
        reply = await self._call(
            (
                "FCALL", "authz_put_account", 4, *keys.account_keys(act.account_id), self._run_id,
                _pack((act.account_id, act.currency, act.opening_minor)), act.profile, act.body,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, act.account_id)
        return str(reply[1], "ascii")

    async def put_card(self, act: PutCard, timeout_s: float = 5.0) -> PutCardSaid:
        shard, words = keys.shard_of(act.account_id), act.words
        outbox = [keys.outbox_of(shard, word.network) for word in words]
        if words:
            outbox.insert(0, keys.outbox(shard))
        reply = await self._call(
            (
                "FCALL", "authz_put_card", 4 + len(outbox), *keys.account_keys(act.account_id),
                *outbox, self._run_id, _pack((act.card_id, act.account_id, words, act.made_from)),
                act.profile, act.body,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, act.card_id)
        return PutCardSaid(str(reply[1], "ascii"), reply[3], reply[4])

    async def put_directory(
        self,
        card_key: str,
        account_id: str,
        card_id: str,
        timeout_s: float = 5.0,
        *,
        pending: bool = False,
    ) -> tuple[str, str]:
        """Make a card findable, unless its key stands for another. Whose it is now.

        `pending`: the card itself is yet to be put. Once it is there this is said again, without.
        """  # fmt: skip
        reply = await self._call(
            (
                "FCALL", "authz_put_directory", 1, keys.directory(card_key), account_id, card_id,
                "pending" if pending else "there",
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, card_id)
        return reply[2].decode(), reply[3].decode()

    async def claim_pan_key(self, check: str, timeout_s: float) -> bool:
        """Whether this is the key of the store's cards. Where it knows of none yet, it is now."""
        before = await self._call(("SET", keys.PAN_KEY, check, "NX", "GET"), timeout_s)
        return before in (None, check.encode())

    async def say_by_file(self, networks: str, timeout_s: float) -> None:
        """By which networks' files money moves, for who clears them: by this engine's word."""
        await self._call(("SET", keys.BY_FILE, networks), timeout_s)

    async def has_account(self, account_id: str, timeout_s: float) -> bool:
        return bool(await self._call(("HEXISTS", keys.account(account_id), "version"), timeout_s))

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        """The reply. What cannot be sent is refused at once. Raises: HotStateError."""
        if self._connection is None:
            raise NotConnected("not connected")
        if timeout_s <= 0:
            raise TooLate("no time is left, so nothing was sent")
        return self._connection.call(arguments, timeout_s)

    async def _call_all(self, calls: list[tuple[Argument, ...]], timeout_s: float) -> list[Any]:
        """These, in one write."""
        if self._connection is None:
            raise NotConnected("not connected")
        return await gather(*(self._connection.call(call, timeout_s) for call in calls))

    def _check(self, reply: Any, message_id: str) -> None:
        """The reply is to this message, or the connection is out of step: stop, not guess."""
        if not isinstance(reply, list) or not reply or reply[0] != message_id.encode():
            if self._connection is not None:
                self._connection.close()
            raise OutOfStep("a reply to another message")
        trouble = _NO_VERDICT.get(reply[1])
        if trouble is not None:
            raise trouble(reply[1].decode())


def _record(act: Authorize) -> bytes:
    """The record of an authorization with nothing before it: stored as it is, if it is approved."""
    posts = act.hold_minor if act.posts == AT_ONCE else 0
    hold = 0 if posts or (act.sign == -1 and act.posts != AT_APPROVAL) else act.hold_minor
    return _pack(
        (
            act.asked_minor, act.asked_currency, act.hold_minor, act.currency, act.card_id,
            act.expires_at, act.message_id, act.references, (),
            touched_by(act.limits), hold,
            (act.fingerprint, "held", "", act.planned, hold, (act.attempt,)),
            act.posts, act.sign, posts, (),
            act.sent_at, act.tally,
        )
    )  # fmt: skip


_NO_VERDICT: dict[bytes, type[HotStateError]] = {
    b"cold": Cold,
    b"full": Full,
    b"late": TooLate,
    b"withdrawn": TooLate,
}


def _verdict_or_stale(reply: Any) -> Verdict | Stale | Short:
    if reply[1] == b"short":
        return Short(tuple(Missing(*reply[at : at + 3]) for at in range(2, len(reply), 3)))
    if reply[1] == b"stale":
        return Stale(int(reply[2]), reply[3], int(reply[4]), reply[5], int(reply[6]))
    return verdict_of(reply)
