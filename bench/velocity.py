"""Velocity: what ten limits cost in the atomic call.

Holds on the same server, by turns: on accounts under no limit at all, and on others under ten, of
which six roll, with so many buckets used in each of their windows before. A turn's cost is the
processor time that the server spent, per call: what the call itself takes of everybody else.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import uvloop
from redis.asyncio import Redis

from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys
from authz.hot.acts import Authorize
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from bench.hot import (
    PLENTY_MINOR,
    ROUNDS,
    Round,
    make_acts,
    one_round,
    open_accounts,
    side,
)
from bench.machine import publish, this_machine, valkey_version
from rules.counters import parts_of
from rules.facts import AccountProfile, CardProfile, Limit
from rules.judge import Judge
from rules.policy import DIFFERENT, DIFFERENT_MAX, read_policy

CALLS, BUCKETS = 6000, 20
PROMISED = 3.0  # times the call under no limit
MERCHANTS = 20  # fewer than are allowed: nothing is declined
LIMITS = (
    ("count", "10s"), ("amount", "10m"), ("count", "1h"), ("declines", "1h"), ("merchants", "1d"),
    ("amount", "30d"), ("amount", "day"), ("count", "week"), ("countries", "month"),
    ("amount", "lifetime"),
)  # fmt: skip


def policy() -> str:
    """Ten limits that everything stays under."""
    rows = (
        f'[[limit]]\nname = "limit {n}"\nmeasure = "{measure}"\nwindow = "{window}"\n'
        f"ceiling = {DIFFERENT_MAX if measure in DIFFERENT else PLENTY_MINOR}\n"
        for n, (measure, window) in enumerate(LIMITS)
    )
    return 'version = "bench"\n' + "".join(rows)


def run(
    json_path: str | None, rounds: int = ROUNDS, calls: int = CALLS, buckets: int = BUCKETS
) -> dict[str, Any]:
    """Measure, print, and return the figures."""
    with EmbeddedValkey.start(appendfsync="no") as server:
        none, ten, version = uvloop.run(measure(server.url, rounds, calls, buckets))
    answer = {
        "ratio": ten["server_us"] / none["server_us"],
        "promised": PROMISED,
        "none": none,
        "ten": ten,
        "limits": len(LIMITS),
        "buckets": buckets,
        "machine": this_machine(valkey=version, durability="no"),
    }
    publish(answer, table(answer), json_path)
    return answer


async def measure(
    url: str, rounds: int, calls: int, buckets: int
) -> tuple[dict[str, float], dict[str, float], str]:
    client = admin.administrator(url)
    await admin.install(client)
    run_id = await admin.open_gates(client, new=True, source="bench")
    connection = await connect(url)
    hot = RedisHotState()
    hot.attach(connection, run_id)
    accounts, cards = await open_accounts(hot)
    cards = [
        msgspec.structs.replace(card, daily_amount_minor=None, daily_count=None) for card in cards
    ]
    half, judge = len(accounts) // 2, Judge(read_policy(policy()))
    without = make_acts(accounts[:half], cards[:half], merchants=MERCHANTS)
    under = make_acts(accounts[half:], cards[half:], judge, MERCHANTS)
    await use_buckets(client, accounts[half:], cards[half:], judge, buckets)
    sides: tuple[list[Round], list[Round]] = ([], [])
    try:
        for number in range(rounds + 1):
            for acts, rounds_of_it in zip((without, under), sides, strict=True):
                done = await one_round(hot, client, list(islice(acts, calls)), again=False)
                if number > 0:
                    rounds_of_it.append(done)
        version = await valkey_version(url)
    finally:
        connection.close()
        await client.aclose()
        await asyncio.sleep(0)
    return side(sides[0]), side(sides[1]), version


async def use_buckets(
    client: Redis,
    accounts: list[AccountProfile],
    cards: list[CardProfile],
    judge: Judge,
    buckets: int,
) -> None:
    """Of each rolling window so many buckets are used, as if by holds of before."""
    acts: Iterator[Authorize] = make_acts(accounts, cards, judge, MERCHANTS)
    async with client.pipeline(transaction=False) as pipeline:
        for act in islice(acts, len(accounts)):
            for limit in act.limits:
                if limit.size and buckets:
                    field, packed = used(limit, buckets)
                    pipeline.hset(keys.account(act.account_id), f"u:{field}", packed)
        await pipeline.execute()


def used(limit: Limit, buckets: int) -> tuple[str, bytes]:
    """The field of a window, as authz/hot/counters.lua keeps it."""
    field, newest, item = parts_of(limit.counter)
    assert newest is not None
    first = max(newest - buckets, limit.since)
    entries: list[Any] = [0, limit.size, limit.until - (newest + 1) * limit.size, 0]
    for number in range(buckets):
        bucket = first + (newest - first) * number // buckets
        entries += [bucket, f"|M{number % MERCHANTS:014d}" if item else "", 1000]
    merged: list[Any] = entries[:4]
    for place in range(4, len(entries), 3):  # two of one bucket are one, unless they are different
        if merged[-3:-1] == entries[place : place + 2] and len(merged) > 4:
            merged[-1] += entries[place + 2]
        else:
            merged += entries[place : place + 3]
    if item:
        return field, msgspec.msgpack.encode(merged)
    packed = b"\x80" + b"".join(n.to_bytes(w, "big") for n, w in zip(merged[:4], (5, 4, 5, 5)))
    total = sum(merged[6::3])
    packed += limit.since.to_bytes(5, "big") + total.to_bytes(7, "big") + (1).to_bytes(2, "big")
    for place in range(4, len(merged), 3):
        packed += merged[place].to_bytes(5, "big") + merged[place + 2].to_bytes(7, "big")
    return field, packed


def table(answer: dict[str, Any]) -> Iterator[str]:
    yield f"authz_authorize, a hold, {answer['buckets']} buckets used in each rolling window"
    yield f"{'':<12}" + "".join(f"{word:>11}" for word in ("server µs", "client µs", "per s"))
    for name, key in (("no limit", "none"), ("ten limits", "ten")):
        f = answer[key]
        cells = (f"{f['server_us']:.1f}", f"{f['client_us']:.1f}", f"{f['per_s']:,.0f}")
        yield f"{name:<12}" + "".join(f"{cell:>11}" for cell in cells)
    yield f"{'  ratio':<12}{answer['ratio']:>10.2f}×  (promised: at most {PROMISED:.0f})"
