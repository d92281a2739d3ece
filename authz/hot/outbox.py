"""What networks are to be told of our cards, as it waits in the hot state: see outbox.lua.

The two halves here are the rest of `store.py` and of its twin, `memory.py`.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.resp import Argument
from ledger.journal import AnnouncementBody, encode_body

OUTBOX_MAX = 10_000  # why: outbox.lua

_pack = msgspec.msgpack.Encoder().encode


class Word(Struct, frozen=True, array_like=True):
    """What one network is to be told of one card."""

    network: str
    code: str  # add: it is blocked here; delete: it is not any more
    sealed: (
        str  # its number, under a key that the store does not have; "": that of the word that waits
    )


class Taken(Struct, frozen=True, array_like=True):
    """A word that is due, taken to be told."""

    card_id: str
    token: str  # of this word; a later one on the same card has another
    code: str
    sealed: str
    tries: int  # this one included
    since: int  # seconds since 1970
    said: str  # the network's last answer, or ours where it could not be told; "" for none


class Standing(Struct, array_like=True):
    """A word as the outbox's hash has it."""

    token: str
    code: str
    sealed: str  # "": acknowledged or dropped, and the number is gone
    tries: int
    since: int
    said: str


class RedisOutbox:
    """One part of RedisHotState."""

    _run_id: str

    async def waiting(self, network: str, timeout_s: float) -> dict[str, int]:
        """How many words on cards wait to be acknowledged, by shard; of those where any do."""
        counts = await self._call_all(
            [("ZCARD", keys.outbox_of(shard, network)) for shard in keys.ALL_SHARDS], timeout_s
        )
        return {shard: n for shard, n in zip(keys.ALL_SHARDS, counts, strict=True) if n}

    async def take_words(
        self, shard: str, network: str, count: int, first_s: int, longest_s: int, timeout_s: float
    ) -> list[Taken]:
        """What is due to be told. It is due again by itself, later each time."""
        said = (network, count, first_s, longest_s)
        reply = await self._call(
            (
                "FCALL", "authz_take_words", 4, *outbox_keys(shard, network), self._run_id,
                _pack(said),
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, network)
        return [
            msgspec.convert([i.decode() if isinstance(i, bytes) else i for i in word], Taken)
            for word in reply[2]
        ]

    async def settle_word(
        self,
        shard: str,
        network: str,
        word: Taken,
        kind: str,
        said: str,
        timeout_s: float,
        source: str = "",
    ) -> str:
        """What came of telling it: acknowledged | refused; dropped, by a person, who is its source;
        gone, where nobody waits for that."""
        packed = _pack((word.card_id, network, word.token, kind, said))
        body = encode_body(AnnouncementBody(network, word.code, word.tries, source))
        reply = await self._call(
            (
                "FCALL", "authz_settle_word", 4, *outbox_keys(shard, network), self._run_id,
                packed, body,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, word.card_id)
        return str(reply[1], "ascii")

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError

    async def _call_all(self, calls: list[tuple[Argument, ...]], timeout_s: float) -> list[Any]:
        raise NotImplementedError

    def _check(self, reply: Any, message_id: str) -> None:
        raise NotImplementedError


def outbox_keys(shard: str, network: str) -> tuple[str, str, str, str]:
    return (
        keys.control(shard),
        keys.journal(shard),
        keys.outbox(shard),
        keys.outbox_of(shard, network),
    )


@dataclass
class Waiting:
    standing: Standing
    due: int | None  # None: acknowledged


class MemoryOutbox:
    """One part of MemoryHotState."""

    now_ms: int
    journal: list[tuple[str, str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.outbox: dict[tuple[str, str, str], Waiting] = {}  # by shard, network and card

    def plan_words(
        self, shard: str, card_id: str, words: tuple[Word, ...], version: int
    ) -> tuple[int, int]:
        """Queue what is news. Returns how many were, and how many found no room."""
        queued = full = 0
        for word in words:
            place = (shard, word.network, card_id)
            there = self.outbox.get(place)
            sealed = word.sealed or (there.standing.sealed if there else "")
            if (there.standing.code if there else "delete") == word.code or not sealed:
                continue
            waits = there is not None and there.due is not None
            if not waits and len(self._waiting(shard, word.network)) >= OUTBOX_MAX:
                full += 1
                continue
            token, now_s = f"{version}/{word.code}", self.now_ms // 1000
            self.outbox[place] = Waiting(Standing(token, word.code, sealed, 0, now_s, ""), now_s)
            queued += 1
        return queued, full

    async def waiting(self, network: str, timeout_s: float = 0) -> dict[str, int]:
        counts = {shard: len(self._waiting(shard, network)) for shard in keys.ALL_SHARDS}
        return {shard: n for shard, n in counts.items() if n}

    async def take_words(
        self, shard: str, network: str, count: int, first_s: int, longest_s: int,
        timeout_s: float = 0,
    ) -> list[Taken]:  # fmt: skip
        self._enter(0)
        now_s = self.now_ms // 1000
        due = [(at, card) for card, at in self._waiting(shard, network).items() if at <= now_s]
        taken = []
        for _, card_id in sorted(due)[:count]:
            there = self.outbox[shard, network, card_id]
            e = there.standing
            there.due = now_s + min(first_s * 2 ** min(e.tries, 32), longest_s)
            e.tries += 1
            taken.append(Taken(card_id, e.token, e.code, e.sealed, e.tries, e.since, e.said))
        return taken

    async def settle_word(
        self, shard: str, network: str, word: Taken, kind: str, said: str, timeout_s: float = 0,
        source: str = "",
    ) -> str:  # fmt: skip
        self._enter(0)
        place = (shard, network, word.card_id)
        there = self.outbox.get(place)
        if there is None or there.standing.token != word.token or not there.standing.sealed:
            return "gone"
        ends = kind in ("acknowledged", "dropped")
        if ends or there.standing.said != said:
            self.journal.append(("announcement", word.token, 0))
        there.standing.said = said
        if ends:
            there.standing.sealed, there.due = "", None
            if there.standing.code == "delete" or (kind == "dropped" and not there.standing.tries):
                del self.outbox[place]
        return kind

    def _waiting(self, shard: str, network: str) -> dict[str, int]:
        return {
            card: one.due
            for (at, name, card), one in self.outbox.items()
            if (at, name) == (shard, network) and one.due is not None
        }

    def _enter(self, deadline_ms: int) -> None:
        raise NotImplementedError
