"""One account as it stands in the hot state, read in one step with its journal position."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.record import Record, decode_record
from authz.hot.resp import Argument
from rules.counters import DAY_S, name_of

# A field, what is there, what should be.
Row = tuple[str, int | str | None, int | str | None]

HEAD_BYTES, BUCKET_BYTES = 34, 12  # of a window of sums

# A place in a shard's journal: milliseconds and sequence.
Position = tuple[int, int]


class Seen(Struct):
    """One account as the hot state has it, at one position of the journal."""

    version: int
    profile: bytes
    amounts: dict[str, int]  # "posted:840", "held:840"
    records: dict[str, Record]
    references: dict[str, str]  # the authorization ids that each names
    used: dict[str, int]
    cards: dict[str, bytes]  # "<version> <profile>"
    entries: int  # of the journal that are this account's,
    digest: str  # and their chain
    position: Position
    reviews: dict[str, int] = {}  # open cases by message: since when
    review_count: int = 0  # how many it says that there are
    clock: int = 0  # what has ended by then does not move any more: authz/hot/counters.lua
    ends: dict[str, int] = {}  # of counters: when nobody looks at them any more
    floors: dict[str, int] = {}  # of a window's field: up to here buckets joined, or have gone


def look_call(account_id: str) -> tuple[Argument, ...]:
    return ("FCALL_RO", "authz_look", 4, *keys.account_keys(account_id))


def read_look(reply: Any) -> tuple[Seen, list[Row]]:
    """An account as `authz_look` replied, and what of it could not be read."""
    account, balance, auth, references, used, cards = (
        dict(zip(flat[::2], flat[1::2], strict=True)) for flat in reply[:6]
    )
    rows: list[Row] = []
    seen = Seen(
        0, account.get(b"profile", b""), {}, {},
        {name.decode(): ids.decode() for name, ids in references.items()}, {},
        {id.decode(): card for id, card in cards.items()},
        0, account.get(b"digest", b"").decode(), position(reply[6]), {},
    )  # fmt: skip
    try:
        seen.entries = int(account.get(b"entries", 0))
        seen.version = int(account.get(b"version", 0))
        seen.review_count = int(account.get(b"reviews", 0))
        seen.amounts = {name.decode(): int(amount) for name, amount in balance.items()}
        seen.clock = int(account.get(b"w", b"0").partition(b" ")[0])
        listed = reply[8] if len(reply) > 8 else []
        for day, lines in zip(listed[::2], listed[1::2], strict=True):
            seen.ends |= {field: int(day) * DAY_S for field in lines.decode().splitlines()}
        for name, packed in used.items():
            read_counter(seen, name.decode(), packed)
    except (ValueError, TypeError, msgspec.MsgspecError):
        rows.append(("balance", "not a number", None))
    cases = reply[7] if len(reply) > 7 else []  # of a library of before there were any
    for id, case in zip(cases[::2], cases[1::2], strict=True):
        since = case.split(b" ", 2)[1:2]
        seen.reviews[id.decode()] = int(since[0]) if since and since[0].isdigit() else -1
    for id, packed in auth.items():
        try:
            seen.records[id.decode()] = decode_record(packed)
        except msgspec.MsgspecError:
            rows.append((f"record {id.decode()}", "unreadable", None))
    return seen, rows


def read_counter(seen: Seen, field: str, packed: bytes) -> None:
    """A counter, or the buckets of a window: authz/hot/counters.lua. Raises: ValueError and others,
    where it is neither."""
    if packed[:1] < b"\x80":
        use = int(packed)
        if use:  # one that has an end stays until then, also at nothing
            seen.used[field] = use
        return
    floor, size, keep, cleared, *entries = (
        sums_of(packed) if packed[:1] == b"\x80" else msgspec.msgpack.decode(packed)
    )
    seen.ends.pop(field, None)  # what is listed is when to look again
    seen.floors[field] = max(floor or -1, cleared - 1)
    for bucket, item, use in zip(entries[::3], entries[1::3], entries[2::3], strict=True):
        name = name_of(field, (bucket, item))
        seen.used[name] = use
        seen.ends[name] = (bucket + 1) * size + keep


def sums_of(packed: bytes) -> list[Any]:
    """Buckets of fixed width, as `packed` of authz/hot/counters.lua writes them."""
    if (len(packed) - HEAD_BYTES) % BUCKET_BYTES:
        raise ValueError("torn")

    def number(first: int, width: int) -> int:
        return int.from_bytes(packed[first : first + width], "big")

    told: list[Any] = [number(1, 5), number(6, 4), number(10, 5), number(15, 5)]
    for first in range(HEAD_BYTES, len(packed), BUCKET_BYTES):
        told += [number(first, 5), "", number(first + 5, 7)]
    return told


def by_account(flat: Sequence[bytes]) -> dict[str, dict[str, int]]:
    ends: dict[str, dict[str, int]] = {}
    for member, score in zip(flat[::2], flat[1::2], strict=True):
        account, _, id = member.decode().partition(" ")
        ends.setdefault(account, {})[id] = int(float(score))
    return ends


def position(stream_id: bytes) -> Position:
    ms, _, sequence = stream_id.partition(b"-")
    return int(ms), int(sequence)


def spell(at: Position) -> str:
    return f"{at[0]}-{at[1]}"
