"""What the hot state holds of the judgement: texts, list entries, and the latest changes.

The two halves here are the rest of `store.py` and of its twin, `memory.py`. How they are changed:
`authz/judgement.py`.
"""

from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.resp import Argument
from ledger.journal import Change, JudgementBody, ListRows, encode_body, pack_change
from rules.judge import TEXTS
from rules.lists import BLOCK

Page = tuple[bytes, list[tuple[str, ListRows]]]  # where to go on, b"0" at the end; fields and rows

PLAIN: ListRows = (("", "", 0, 0),)  # always, and nobody says why

pack_rows = msgspec.msgpack.Encoder().encode
read_rows = msgspec.msgpack.Decoder(ListRows).decode
read_body = msgspec.msgpack.Decoder(JudgementBody).decode


class Standing(Struct, frozen=True):
    """What is in force, but for the entries."""

    version: int = 0
    texts: dict[str, str] = {}  # policy, shadow, rates; "" where there is none
    counts: dict[str, int] = {}  # entries by "<list>/<kind>"


def standing_of(flat: dict[bytes, bytes]) -> Standing:
    """The judgement hash."""
    found = {name.decode(): value for name, value in flat.items()}
    return Standing(
        int(found.get("version", 0)),
        {kind: found.get(kind, b"").decode() for kind in TEXTS},
        {name[2:]: int(value) for name, value in found.items() if name.startswith("n:")},
    )


def field_of(name: str, kind: str, value: str) -> str:
    """A field of the lists: of one value on one list."""
    return f"{name}/{kind}/{value}"


def parts_of(field: str) -> tuple[str, str, str]:
    """List, kind and value."""
    name, kind, value = field.split("/", 2)
    return name, kind, value


class RedisLists:
    """One part of RedisHotState."""

    async def judgement_version(self, timeout_s: float) -> int:
        """At least as new as any gate's; 0 where there never was one."""
        return int(await self._call(("HGET", keys.JUDGEMENT, "version"), timeout_s) or 0)

    async def standing(self, timeout_s: float) -> Standing:
        flat = await self._call(("HGETALL", keys.JUDGEMENT), timeout_s)
        return standing_of(dict(zip(flat[::2], flat[1::2], strict=True)))

    async def list_page(self, cursor: bytes, count: int, timeout_s: float) -> Page:
        """Some of the entries. While they change each is told as it was at one time or another."""
        cursor, flat = await self._call(("HSCAN", keys.LISTS, cursor, "COUNT", count), timeout_s)
        rows = zip(flat[::2], flat[1::2], strict=True)
        return cursor, [(field.decode(), read_rows(packed)) for field, packed in rows]

    async def changes(self, first: int, last: int, timeout_s: float) -> list[Change | None]:
        """What these versions changed; None of those that are not kept any more."""
        wanted = range(first, last + 1)
        found = await self._call(("HMGET", keys.CHANGES, *map(str, wanted)), timeout_s)
        return [None if body is None else read_body(body).change for body in found]

    def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Awaitable[Any]:
        raise NotImplementedError


class MemoryLists:
    """One part of MemoryHotState."""

    def __init__(self) -> None:
        super().__init__()
        self.judged_by = Standing()
        self.listed: dict[str, ListRows] = {}
        self.changed: dict[int, Change] = {}

    @property
    def blocked(self) -> tuple[int, frozenset[tuple[str, str]]]:
        """The version, texts by their kind, and what is blocked always; setting it changes them."""
        texts = {(kind, text) for kind, text in self.judged_by.texts.items() if text}
        return self.judged_by.version, frozenset(
            texts | {parts_of(field)[1:] for field in self.listed if field.startswith(BLOCK)}
        )

    @blocked.setter
    def blocked(self, new: tuple[int, Iterable[tuple[str, str]]]) -> None:
        version, entries = new
        texts = {kind: value for kind, value in entries if kind in TEXTS}
        listed = {field_of(BLOCK, *entry): PLAIN for entry in entries if entry[0] not in TEXTS}
        self.change(version, texts, listed)

    def change(self, version: int, texts: dict[str, str], listed: dict[str, ListRows]) -> None:
        """All of it anew. Versions that were left out changed nothing."""
        before, old = self.judged_by, self.listed
        for between in range(before.version + 1, version):
            self.changed[between] = Change()
        self.changed[version] = Change(
            tuple(
                (kind, before.texts.get(kind, ""), texts.get(kind, ""))
                for kind in TEXTS
                if before.texts.get(kind, "") != texts.get(kind, "")
            ),
            tuple(
                (field, old.get(field), listed.get(field))
                for field in sorted(old.keys() | listed.keys())
                if old.get(field) != listed.get(field)
            ),
        )
        self.judged_by, self.listed = Standing(version, texts), dict(listed)

    async def judgement_version(self, timeout_s: float = 0) -> int:
        return self.judged_by.version

    async def standing(self, timeout_s: float = 0) -> Standing:
        return self.judged_by

    async def list_page(self, cursor: bytes, count: int, timeout_s: float = 0) -> Page:
        return b"0", list(self.listed.items())

    async def changes(self, first: int, last: int, timeout_s: float = 0) -> list[Change | None]:
        return [self.changed.get(version) for version in range(first, last + 1)]


def body_of(version: int, source: str, change: Change) -> bytes:
    return encode_body(JudgementBody(version, source, pack_change(change)))
