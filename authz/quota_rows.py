"""The audit's look at quotas of programs' ceilings: see authz/hot/quotas.lua."""

from collections.abc import Iterable, Mapping
from typing import Any

from authz.hot import keys
from authz.hot.quotas import centre_of
from authz.shard_journal import Gate
from authz.standing import Row, Seen
from rules.counters import share, spans_shards


def numbers(control: Mapping[str, str], prefix: str) -> dict[str, list[int]]:
    """Granted, used, under which ceiling and end of each; of the centre: in all, largest, end."""
    begins = f"{prefix}%"
    found = {name: value for name, value in control.items() if name.startswith(begins)}
    return {name[2:]: [int(word) for word in value.split()] for name, value in found.items()}


def clock(control: Mapping[str, str], field: str) -> int:
    return int((control.get(field) or "0").split()[0])


def record_rows(gate: Gate, shard: str, accounts: Iterable[Seen]) -> list[Row]:
    """What is used in a shard against the records there. Only where nothing came between the look
    at the gate and the last of the accounts; and only of counters that still move."""
    used: dict[str, int] = {}
    for seen in accounts:
        if seen.position != gate.newest:
            return []
        for record in seen.records.values():
            for one in record.counted_by if record.spent else ():
                if spans_shards(one.counter) and not 0 < one.ends <= gate.quota_clock:
                    used[one.counter] = used.get(one.counter, 0) + share(record.spent, one.scale)
    moving = {
        counter: quota[1]
        for counter, quota in gate.quotas.items()
        if not 0 < quota[3] <= gate.quota_clock
    }
    return [
        (f"quota {counter} of {shard}", moving.get(counter, 0), used.get(counter, 0))
        for counter in sorted(moving.keys() | used.keys())
        if moving.get(counter, 0) != used.get(counter, 0)
    ]


def centre_rows(controls: Iterable[list[Any]]) -> list[Row]:
    """All gates, read in one step: what shards were granted against what the centre says."""
    granted: dict[str, int] = {}
    ends: dict[str, int] = {}
    centres: dict[str, tuple[dict[str, list[int]], int]] = {}
    for shard, flat in zip(keys.ALL_SHARDS, controls, strict=True):
        control = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
        for counter, quota in numbers(control, "q:").items():
            granted[counter] = granted.get(counter, 0) + quota[0]
            ends[counter] = quota[3]
        centres[shard] = numbers(control, "l:"), clock(control, "lw")
    rows: list[Row] = []
    for counter, sum_of_shards in sorted(granted.items()):
        known, at = centres[centre_of(counter)]
        if 0 < ends[counter] <= at:
            continue  # over: it is dropped, of the centre and of each shard in its own time
        in_all, largest, _ = known.get(counter, (0, 0, 0))
        if sum_of_shards > in_all:
            rows.append((f"granted of {counter}", sum_of_shards, f"at most {in_all}"))
        if in_all > largest:
            rows.append((f"leased of {counter}", in_all, f"at most {largest}"))
    return rows
