"""What is asked of the hot state about a network, and not about an account.

The two halves here are the rest of `store.py` and of its twin, `memory.py`.
"""

from collections.abc import Awaitable
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.acts import CutOver, Verdict
from authz.hot.model import Answer
from authz.hot.record import Given
from authz.hot.resp import Argument
from ledger.journal import CutOverBody, encode_body
from rules.facts import Approved

SISTER_S = 43_200  # why: networks.lua

_pack = msgspec.msgpack.Encoder().encode


class Days(Struct, frozen=True):
    """A network's business days, counted from 1970."""

    in_force: int
    ended: int  # the one before, that the last cut-over ended
    moves: int = 0  # how often that changed: what is newer has more

    @classmethod
    def told(cls, text: str) -> "Days":
        """From a verdict's detail."""
        in_force, ended, *moves = text.split()
        return cls(int(in_force), int(ended), *map(int, moves))

    @classmethod
    def kept(cls, packed: bytes) -> "Days":
        """As networks.lua keeps them: with the second of the last cut-over before the moves."""
        in_force, ended, _, *moves = packed.split()
        return cls(int(in_force), int(ended), *map(int, moves))


class RedisNetworks:
    """One half of RedisHotState."""

    _run_id: str

    async def cut_over(self, act: CutOver, timeout_s: float) -> Verdict:
        """End a network's business day: moved | same | older; `detail` tells the days."""
        said = (
            act.message_id, act.fingerprint, act.attempt, act.deadline_ms, act.network, act.day,
            act.today, act.answer_ttl_s,
        )  # fmt: skip
        shard = keys.shard_of_network(act.network)
        reply = await self._call(
            (
                "FCALL", "authz_cut_over", 3, keys.control(shard), keys.journal(shard),
                keys.answer(shard, act.message_id), self._run_id, _pack(said), act.body,
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, act.message_id)
        return verdict_of(reply)

    async def days(self, network: str, timeout_s: float) -> Days | None:
        """The business days of a network; None where it never cut over."""
        shard = keys.shard_of_network(network)
        found = await self._call(("HGET", keys.control(shard), keys.days_field(network)), timeout_s)
        return None if found is None else Days.kept(found)

    async def set_day(
        self, network: str, day: int, today: int, source: str, timeout_s: float
    ) -> tuple[str, Days]:
        """A person's word on which day is in force: moved | same, and what is now."""
        shard = keys.shard_of_network(network)
        reply = await self._call(
            (
                "FCALL", "authz_set_day", 2, keys.control(shard), keys.journal(shard),
                self._run_id, _pack((network, day, today)),
                encode_body(CutOverBody(network, "", "", 0, "", day, source)),
            ),
            timeout_s,
        )  # fmt: skip
        self._check(reply, network)
        return str(reply[1], "ascii"), Days.kept(reply[2])

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError

    def _check(self, reply: Any, message_id: str) -> None:
        raise NotImplementedError


class MemoryNetworks:
    """One half of MemoryHotState."""

    now_ms: int
    answers: dict[str, Answer]
    journal: list[tuple[str, str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.moved: dict[str, tuple[Days, int]] = {}  # with the second of the last cut-over

    async def cut_over(self, act: CutOver, timeout_s: float = 0) -> Verdict:
        self._enter(act.deadline_ms)
        again = self._replay(act.message_id, act.fingerprint, act.attempt)
        if again is not None:
            return again
        days, at = self.moved.get(act.network, (None, 0))
        now_s, kind = self.now_ms // 1000, "moved"
        if days is not None:
            if act.day == 0:
                kind = "same" if now_s - at < SISTER_S else "moved"
            elif act.day <= days.in_force:
                kind = "same" if act.day == days.in_force else "older"
        if days is None or kind == "moved":
            old = days.in_force if days is not None else act.today
            day = act.day or old + 1
            moves = days.moves + 1 if days is not None else 1
            days = Days(day, min(old, day - 1), moves)
            self.moved[act.network] = days, now_s
        detail = f"{days.in_force} {days.ended} {days.moves}"
        given = Given(act.fingerprint, kind, detail, "approved", 0, [act.attempt])
        self._give(act.message_id, given, "")
        self.journal.append(("cut_over", act.message_id, 0))
        return Verdict(kind=kind, planned="approved", detail=detail)

    async def days(self, network: str, timeout_s: float = 0) -> Days | None:
        return self.moved[network][0] if network in self.moved else None

    async def set_day(
        self, network: str, day: int, today: int, source: str, timeout_s: float = 0
    ) -> tuple[str, Days]:
        self._enter(0)
        days, at = self.moved.get(network, (None, 0))
        if days is not None and days.in_force == day:
            return "same", days
        if days is None or day > days.in_force:
            ended = today if days is None else days.in_force
        else:
            ended = days.ended
        now = Days(day, min(ended, day - 1), (0 if days is None else days.moves) + 1)
        self.moved[network] = now, at
        self.journal.append(("cut_over", f"set/{network}/{now.moves}", 0))
        return "moved", now

    def _enter(self, deadline_ms: int) -> None:
        raise NotImplementedError

    def _replay(self, message_id: str, fingerprint: str, attempt: str) -> Verdict | None:
        raise NotImplementedError

    def _give(self, message_id: str, given: Given, id: str) -> None:
        raise NotImplementedError


def verdict_of(reply: Any) -> Verdict:
    """A verdict as every function replies it."""
    _, kind, planned, detail, held, authorization_id, replayed, *part = reply
    return Verdict(
        kind=kind.decode(),
        planned=planned.decode(),
        detail=detail.decode(),
        held_minor=held,
        authorization_id=authorization_id.decode(),
        replayed=bool(replayed),
        approved=Approved(*part) if len(part) == 2 else None,
        review=part[0].decode() if len(part) == 1 else "",
    )
