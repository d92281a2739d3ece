"""One account as it stands in the hot state, read in one step with its journal position."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.record import Record, decode_record
from authz.hot.resp import Argument

# A field, what is there, what should be.
Row = tuple[str, int | str | None, int | str | None]

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
        seen.used = {name.decode(): int(use) for name, use in used.items()}
    except ValueError:
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
