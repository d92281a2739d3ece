"""One account as it stands in the hot state, read in one step with its journal position."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from authz.hot import keys
from authz.hot.memory import Record
from authz.hot.resp import Argument

# A field, what is there, what should be.
Row = tuple[str, int | str | None, int | str | None]

# A place in a shard's journal: milliseconds and sequence.
Position = tuple[int, int]

read_record = msgspec.msgpack.Decoder(
    tuple[int, int, str, str, int, str, list[tuple[str, str, int, int]], list[tuple[str, int]], int]
).decode


class Seen(Struct):
    """One account as the hot state has it, at one position of the journal."""

    version: int
    profile: bytes
    amounts: dict[str, int]  # "posted:840", "held:840"
    records: dict[str, Record]
    used: dict[str, int]
    position: Position


def look_call(account_id: str) -> tuple[Argument, ...]:
    return ("FCALL_RO", "authz_look", 4, *keys.account_keys(account_id))


def read_look(reply: Any) -> tuple[Seen, list[Row]]:
    """An account as `authz_look` replied, and what of it could not be read."""
    account, balance, auth, _, used = (
        dict(zip(flat[::2], flat[1::2], strict=True)) for flat in reply[:5]
    )
    rows: list[Row] = []
    seen = Seen(0, account.get(b"profile", b""), {}, {}, {}, position(reply[6]))
    try:
        seen.version = int(account.get(b"version", 0))
        seen.amounts = {name.decode(): int(amount) for name, amount in balance.items()}
        seen.used = {name.decode(): int(use) for name, use in used.items()}
    except ValueError:
        rows.append(("balance", "not a number", None))
    for id, packed in auth.items():
        try:
            seen.records[id.decode()] = Record(*read_record(packed))
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
