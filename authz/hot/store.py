"""The hot state in Redis: acts in, verdicts out, each by one function call."""

import asyncio
from typing import Any, Protocol

from authz.hot import keys
from authz.hot.acts import (
    Authorize,
    Note,
    PutAccount,
    PutCard,
    Reverse,
    Stale,
    Verdict,
    Withdraw,
)
from authz.hot.errors import Cold, Full, HotStateError, NotConnected, TooLate
from authz.hot.resp import Argument, Connection
from ledger.journal import WithdrawalBody, encode_body


class HotState(Protocol):
    """What the engine asks of the hot state; `memory.py` is the other one that answers."""

    async def authorize(self, act: Authorize, timeout_s: float) -> Verdict | Stale: ...
    async def reverse(self, act: Reverse, timeout_s: float) -> Verdict: ...
    async def note(self, act: Note, timeout_s: float) -> Verdict: ...
    async def withdraw(self, act: Withdraw, timeout_s: float) -> str: ...
    async def look_up(self, card_key: str, timeout_s: float) -> tuple[str, str] | None: ...
    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float
    ) -> tuple[int, bytes, int, bytes]: ...
    async def lists(self, timeout_s: float) -> tuple[int, frozenset[tuple[str, str]]]: ...


class RedisHotState:
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

    async def authorize(self, act: Authorize, timeout_s: float) -> Verdict | Stale:
        """Judge and hold, once. Stale: nothing was done, the plan needs newer facts."""
        k = keys.account_keys(act.account_id)
        arguments: list[Argument] = [
            "FCALL", "authz_authorize", 10, *k,
            keys.card(act.account_id, act.card_id), _answer_key(act.account_id, act.message_id),
            self._run_id, act.message_id, act.fingerprint, act.attempt, act.deadline_ms,
            act.account_id, act.card_id, act.account_version, act.card_version, act.lists_version,
            act.planned, act.hold_minor, act.asked_minor, act.currency, act.credit_line_minor,
            act.sent_at, act.expires_at, act.answer_ttl_s, act.body,
            len(act.references), *act.references, len(act.limits),
        ]  # fmt: skip
        for limit in act.limits:
            arguments += (limit.counter, limit.use, limit.ceiling, limit.scale, limit.reason)
        reply = await self._call(arguments, timeout_s)
        _check(reply, act.message_id)
        if reply[1] == b"stale":
            return Stale(int(reply[2]), reply[3], int(reply[4]), reply[5], int(reply[6]))
        return _verdict(reply)

    async def reverse(self, act: Reverse, timeout_s: float) -> Verdict:
        """Release, or leave a tombstone. Once, however often it is asked."""
        k = keys.account_keys(act.account_id)
        reply = await self._call(
            [
                "FCALL", "authz_reverse", 9, *k, _answer_key(act.account_id, act.message_id),
                self._run_id, act.message_id, act.fingerprint, act.attempt, act.deadline_ms,
                act.account_id, act.card_id, act.remaining_minor, act.sent_at, act.answer_ttl_s,
                act.body, *act.references,
            ],
            timeout_s,
        )  # fmt: skip
        _check(reply, act.message_id)
        return _verdict(reply)

    async def note(self, act: Note, timeout_s: float) -> Verdict:
        """Remember an answer that moves nothing."""
        shard = keys.shard_of(act.shard_of)
        reply = await self._call(
            [
                "FCALL", "authz_note", 3, keys.control(shard), keys.journal(shard),
                keys.answer(shard, act.message_id), self._run_id, act.message_id, act.fingerprint,
                act.attempt, act.deadline_ms, act.verdict, act.planned, act.answer_ttl_s, act.body,
            ],
            timeout_s,
        )  # fmt: skip
        _check(reply, act.message_id)
        return _verdict(reply)

    async def withdraw(self, act: Withdraw, timeout_s: float) -> str:
        """Take an attempt back: released | forgotten | kept | marked."""
        k = keys.account_keys(act.shard_of)
        body = encode_body(WithdrawalBody(act.attempt))
        reply = await self._call(
            [
                "FCALL", "authz_withdraw", 9, *k, _answer_key(act.shard_of, act.message_id),
                self._run_id, act.message_id, act.attempt, act.account_id, act.answer_ttl_s, body,
                *act.references,
            ],
            timeout_s,
        )  # fmt: skip
        _check(reply, act.message_id)
        return str(reply[1], "ascii")

    async def look_up(self, card_key: str, timeout_s: float) -> tuple[str, str] | None:
        """The account and card of a card key; None where the card is not ours."""
        reply = await self._call(["HMGET", keys.directory(card_key), "account", "card"], timeout_s)
        if reply[0] is None or reply[1] is None:
            return None
        return reply[0].decode(), reply[1].decode()

    async def profiles(
        self, account_id: str, card_id: str, timeout_s: float
    ) -> tuple[int, bytes, int, bytes]:
        """Version and profile of an account and of a card on it.

        Raises: Cold where either is not there: the directory says that they exist.
        """
        of_account = keys.account_keys(account_id)[1]
        account, card = await asyncio.gather(
            self._call(["HMGET", of_account, "version", "profile"], timeout_s),
            self._call(["HMGET", keys.card(account_id, card_id), "version", "profile"], timeout_s),
        )
        if None in account or None in card:
            raise Cold("a profile that the directory names is missing")
        return int(account[0]), account[1], int(card[0]), card[1]

    async def lists(self, timeout_s: float) -> tuple[int, frozenset[tuple[str, str]]]:
        """The blocklists and their version: at least as new as any gate's."""
        members = await self._call(["SMEMBERS", keys.LISTS], timeout_s)
        version, entries = 0, set()
        for member in members:
            kind, _, value = member.decode().partition(":")
            if kind == "version":
                version = max(version, int(value))
            else:
                entries.add((kind, value))
        return version, frozenset(entries)

    # -- control acts -------------------------------------------------------------

    async def put_account(self, act: PutAccount, timeout_s: float = 5.0) -> str:
        """created | moved | same | currency_fixed"""
        reply = await self._call(
            [
                "FCALL", "authz_put_account", 8, *keys.account_keys(act.account_id), self._run_id,
                act.account_id, act.profile, act.currency, act.opening_minor, act.body,
            ],
            timeout_s,
        )  # fmt: skip
        _check(reply, act.account_id)
        return str(reply[1], "ascii")

    async def put_card(self, act: PutCard, timeout_s: float = 5.0) -> str:
        """created | moved | same | no_account"""
        reply = await self._call(
            [
                "FCALL", "authz_put_card", 9, *keys.account_keys(act.account_id),
                keys.card(act.account_id, act.card_id), self._run_id, act.card_id, act.account_id,
                act.profile, act.body,
            ],
            timeout_s,
        )  # fmt: skip
        _check(reply, act.card_id)
        return str(reply[1], "ascii")

    async def put_directory(
        self, card_key: str, account_id: str, card_id: str, timeout_s: float = 5.0
    ) -> None:
        """Make a card findable. After `put_card`: what the directory names must be there."""
        await self._call(
            ["HSET", keys.directory(card_key), "account", account_id, "card", card_id], timeout_s
        )

    async def _call(self, arguments: list[Argument], timeout_s: float) -> Any:
        if self._connection is None:
            raise NotConnected("not connected")
        if timeout_s <= 0:
            raise TooLate("no time is left, so nothing was sent")
        return await self._connection.call(tuple(arguments), timeout_s)


def _answer_key(account_id: str, message_id: str) -> str:
    return keys.answer(keys.shard_of(account_id), message_id)


_NO_VERDICT: dict[bytes, type[HotStateError]] = {
    b"cold": Cold,
    b"full": Full,
    b"late": TooLate,
    b"withdrawn": TooLate,
}


def _check(reply: Any, message_id: str) -> None:
    """The reply is to this message, or the connection is out of step: stop rather than guess."""
    if reply[0] != message_id.encode():
        raise AssertionError("a reply to another message")
    trouble = _NO_VERDICT.get(reply[1])
    if trouble is not None:
        raise trouble(reply[1].decode())


def _verdict(reply: Any) -> Verdict:
    _, kind, planned, detail, held, authorization_id, replayed = reply
    return Verdict(
        kind=kind.decode(),
        planned=planned.decode(),
        detail=detail.decode(),
        held_minor=held,
        authorization_id=authorization_id.decode(),
        replayed=bool(replayed),
    )
