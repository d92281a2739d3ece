"""What was judged by, as of any version: today's lists and texts, with what changed since undone.

The journal of their home shard keeps of each change what was before it and what is since. So a
version is told from the changes after it, however much came before them, and a journal that was cut
tells of all that it still has.
"""

import zlib
from functools import lru_cache
from typing import Any, TypeGuard

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.app.history import Reach, newest_first
from authz.app.past import Past
from authz.catching_up import periods_of
from authz.hot import keys
from authz.hot.lists import field_of, parts_of, read_rows, standing_of
from authz.judgement import entries_in, standing_in
from ledger.journal import Change, JudgementBody, ListRows
from rules.facts import AuthorizationRequest, CardProfile
from rules.judge import POLICY, RATES, Judge, make_judge
from rules.lists import ASKED, KINDS, Lists, networks_of

ENTRIES_MAX = 1_000_000  # of one shard: what its journal holds at the most


class AsItWas(Struct):
    """Lists, as far as they were asked for, and texts."""

    lists: Lists
    texts: dict[str, str]

    def undo(self, change: Change, only: frozenset[str] | None = None) -> None:
        self.texts |= {kind: before for kind, before, _ in change.texts}
        for field, before, _ in change.entries:
            self.put(field, before, only)

    def redo(self, change: Change) -> None:
        self.texts |= {kind: after for kind, _, after in change.texts}
        for field, _, after in change.entries:
            self.put(field, after)

    def put(self, field: str, rows: ListRows | None, only: frozenset[str] | None = None) -> None:
        if only is None or field in only:
            self.lists.put(*parts_of(field), periods_of(rows))

    def judge(self) -> Judge:
        """Raises: PolicyError, RatesError."""
        return judge_of(self.texts.get(POLICY, ""), self.texts.get(RATES, ""))


judge_of = lru_cache(maxsize=64)(make_judge)


async def as_it_is(client: Redis, request: AuthorizationRequest, card: CardProfile) -> AsItWas:
    """What this request would be judged by now: of the lists only what they say of it."""
    fields = fields_for(request, card)
    async with client.pipeline(transaction=True) as both:
        both.hgetall(keys.JUDGEMENT)
        both.hmget(keys.LISTS, fields)
        flat, found = await both.execute()
    standing = standing_of(flat)
    now = AsItWas(Lists(standing.version), dict(standing.texts))
    for field, packed in zip(fields, found, strict=True):
        now.put(field, None if packed is None else read_rows(packed))
    return now


async def as_it_was(
    client: Redis,
    version: int,
    request: AuthorizationRequest,
    card: CardProfile,
    past: Past | None = None,
) -> AsItWas | None:
    """The same, of the version that it was judged by; None where the journal does not tell."""
    was = await as_it_is(client, request, card)
    newest, was.lists.version = was.lists.version, version
    wanted, oldest = frozenset(fields_for(request, card)), newest + 1
    if version == newest:
        return was
    async for entry in newest_first(client, (keys.HOME,), Reach(ENTRIES_MAX), past=past):
        body = entry.body
        if not is_change(body) or body.version > newest:
            continue
        if body.version == version:
            return was
        if body.version < version:
            break
        try:
            was.undo(body.change, wanted)
        except (msgspec.MsgspecError, zlib.error):
            break
        oldest = body.version
    return was if version == 0 and oldest == 1 else None


def is_change(body: Any) -> TypeGuard[JudgementBody]:
    """And not the word to a gate that there was one."""
    return isinstance(body, JudgementBody) and bool(body.packed)


def fields_for(request: AuthorizationRequest, card: CardProfile) -> list[str]:
    """All that the lists may say of a request."""
    return [
        field_of(name, kind, spelt)
        for kind, names in ASKED
        for value in (KINDS[kind].value(request, card),)
        for spelt in (networks_of(value) if kind == "ip" else (value,))
        for name in names
    ]


class Judgements:
    """Every version, one after the other: it stands at one of them, and steps to the next. Memory:
    the entries once, and of each version its change as the journal packs it."""

    def __init__(self) -> None:
        self._was = AsItWas(Lists(), {})
        self._bodies: list[JudgementBody] = []  # all that the journal has, the oldest first
        self._place: dict[int, int] = {}  # of a version: behind so many of them
        self._at = 0

    async def learn(self, client: Redis, past: Past | None = None) -> None:
        """What is in force, and all changes. Those since that reading began are in them, so the
        last of them has it right whatever was read meanwhile."""
        standing = await standing_in(client)
        self._was.texts = dict(standing.texts)
        async for field, rows in entries_in(client):
            self._was.put(field, rows)
        async for entry in newest_first(client, (keys.HOME,), Reach(ENTRIES_MAX), past=past):
            if is_change(entry.body):
                self._bodies.append(entry.body)
        self._bodies.reverse()
        self._place = {body.version: n for n, body in enumerate(self._bodies, 1)}
        before_all = self._bodies[0].version - 1 if self._bodies else standing.version
        self._place[before_all] = 0
        self._at = self._place.get(standing.version, 0)
        self._go_to(len(self._bodies))

    def at(self, version: int) -> AsItWas | None:
        """As of that version, until the next one is asked for; None where it is not told of."""
        place = self._place.get(version)
        if place is None:
            return None
        self._go_to(place)
        self._was.lists.version = version
        return self._was

    def _go_to(self, place: int) -> None:
        while self._at < place:
            self._was.redo(self._bodies[self._at].change)
            self._at += 1
        while self._at > place:
            self._at -= 1
            self._was.undo(self._bodies[self._at].change)
