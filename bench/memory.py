"""How much memory a card with its account takes, in the hot state and in an engine; and how much an
open authorization does.

Loads that many accounts with one card each by the control acts that `authz load` uses, so
keys, profiles and journal entries are the real ones. What the server grew by, divided by
their number, is the figure; samples of each kind of key say where it lies. Then, in a store of its
own, holds under five limits: what the server grew by for each, once the counters were there.

The store runs with `appendfsync no` and does not rewrite its append-only file meanwhile:
memory is measured here, not what a crash would leave.
"""

import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from random import Random
from statistics import mean
from time import monotonic
from typing import Any

import uvloop
from redis.asyncio import Redis

from authz.app.embedded.valkey import EmbeddedValkey
from authz.cards import Known, NearCache
from authz.control import Kept, NewAccount, NewCard, card_profile, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys
from authz.profiles import read_account, read_card, write_profile
from bench.hot import make_acts, one_round, open_accounts, under_policy
from bench.machine import publish, this_machine, valkey_version
from bench.stand import LIMITS
from rules.facts import AccountProfile, AccountState

CARDS = 1_000_000
TARGET_BYTES = 1500  # of hot state for a card with its account
SAMPLE = 2000  # keys of each kind; the kinds differ by a few bytes within themselves
HOLDS = 20_000  # open authorizations, on a thousand accounts
HELD_RULES, HELD_TARGET_BYTES = 50, 900  # of hot state for an open authorization
FIELDS_SAMPLE = 50  # accounts
NEAR_CACHE_CARDS = 20_000  # more of them cost the same each
BATCH = 20_000  # cards whose objects exist at once on our side
PAN_KEYS = PanKeys(b"a key for the bench, of 32 bytes")
BLOCKABLE_MCCS = ("7995", "6051", "5993")
ZONES = ("America/New_York", "America/Chicago", "Europe/Berlin", "Europe/London", "Asia/Tokyo")


def run(
    json_path: str | None, cards: int = CARDS, seed: int = 1, holds: int = HOLDS
) -> dict[str, Any]:
    """Load, measure, print a table, return it. A million take some minutes."""
    with EmbeddedValkey.start(appendfsync="no") as server:
        figures, version = uvloop.run(measure(server.url, cards, seed))
    with EmbeddedValkey.start(appendfsync="no") as server:
        held = uvloop.run(measure_held(server.url, holds))
    near_cache = near_cache_bytes(min(cards, NEAR_CACHE_CARDS), seed)
    answer = {
        **figures,
        "bytes_per_authorization": held,
        "authorization_target_bytes": HELD_TARGET_BYTES,
        "near_cache_bytes_per_card": near_cache,
        "target_bytes": TARGET_BYTES,
        "durability": "no",
        "machine": this_machine(seed=seed, valkey=version, durability="no"),
    }
    publish(answer, table(answer), json_path)
    return answer


@asynccontextmanager
async def empty_store(url: str) -> AsyncIterator[tuple[Redis, RedisHotState]]:
    """A new store, whose append-only file is not rewritten: a fork would count."""
    client = admin.administrator(url)
    await client.config_set("auto-aof-rewrite-percentage", 0)
    await admin.install(client)
    run_id = await admin.open_gates(client, new=True, source="bench")
    connection = await connect(url)
    state = RedisHotState()
    state.attach(connection, run_id)
    try:
        yield client, state
    finally:
        connection.close()
        await client.aclose()


async def measure(url: str, cards: int, seed: int) -> tuple[dict[str, Any], str]:
    """Bytes per card of a store filled here: figures, and the server's version."""
    async with empty_store(url) as (client, state):
        before = await used_memory(client)
        started = monotonic()
        await load(state, cards, seed)
        seconds = monotonic() - started
        grown = await used_memory(client) - before
        journal, entries = await journal_bytes(client)
        kinds = await bytes_by_kind(client, cards, seed)
        rss = int((await client.info("memory"))["used_memory_rss"])
        version = await valkey_version(url)
    figures = {
        "cards": cards,
        "load_per_s": cards / seconds,
        "load_s": seconds,
        "bytes_per_card": {
            "with_journal": grown / cards,
            "without_journal": (grown - journal) / cards,
        },
        "by_kind": {**kinds, "journal": journal / cards},
        "journal_entries_per_card": entries / cards,
        # What no key is charged with: the server's table of keys, mostly.
        "unaccounted": (grown - journal) / cards - sum(kinds.values()),
        "resident_bytes_per_card": rss / cards,
    }
    return figures, version


async def measure_held(url: str, holds: int) -> dict[str, float]:
    """Bytes per open authorization, on accounts that had one before: so their counters are there,
    and stay as many."""
    async with empty_store(url) as (client, state):
        accounts, cards = await open_accounts(state)
        acts = make_acts(accounts, *under_policy(cards, HELD_RULES, LIMITS))
        await one_round(state, client, list(islice(acts, len(accounts))), again=False)
        before = await used_by_holds(client, accounts)
        await one_round(state, client, list(islice(acts, holds)), again=False)
        after = await used_by_holds(client, accounts)
        grown = {kind: (after[kind] - before[kind]) / holds for kind in after}
        fields = await bytes_by_field(client, accounts[:FIELDS_SAMPLE])
    return {
        "hot_state": grown["used"] - grown["journal"],
        "record_and_answer": fields["a:"],
        "references": fields["r:"],
        "expiry": grown["expiry"],
        # Of its table of fields, mostly, which has room for more than there are.
        "rest_of_the_account": grown["accounts"] - fields["a:"] - fields["r:"],
        "journal": grown["journal"],
    }


async def used_by_holds(client: Redis, accounts: list[AccountProfile]) -> dict[str, int]:
    """Bytes: of the whole server, of the accounts, of the dates of holds, of the journal."""
    found = {"used": await used_memory(client)}
    of = {
        "journal": [keys.journal(shard) for shard in keys.ALL_SHARDS],
        "accounts": [keys.account(one.account_id) for one in accounts],
        "expiry": [keys.expiry(shard) for shard in keys.ALL_SHARDS],
    }
    for kind, names in of.items():
        sizes = [await client.memory_usage(name, samples=0) for name in names]
        found[kind] = sum(size or 0 for size in sizes)
    return found


async def bytes_by_field(client: Redis, accounts: list[AccountProfile]) -> dict[str, float]:
    """Bytes per authorization of each kind of field, told from hashes of that kind alone."""
    bytes_of, records = {"a:": 0, "r:": 0}, 0
    for account in accounts:
        fields: Any = await client.hgetall(keys.account(account.account_id))
        for kind in bytes_of:
            some = {name: fields[name] for name in fields if name.startswith(kind.encode())}
            await client.hset("bench", mapping=some)
            bytes_of[kind] += int(await client.memory_usage("bench", samples=0) or 0)
            await client.delete("bench")
            records += len(some) if kind == "a:" else 0
    return {kind: size / records for kind, size in bytes_of.items()}


async def load(state: RedisHotState, cards: int, seed: int) -> None:
    for start in range(0, cards, BATCH):
        numbers = range(start, min(start + BATCH, cards))
        for put in (accounts_of, cards_of):
            await put(state, numbers, seed)


async def accounts_of(state: RedisHotState, numbers: range, seed: int) -> None:
    outcome = await put_accounts(state, (new_account(n, seed) for n in numbers), "bench")
    assert outcome.created == len(numbers)


async def cards_of(state: RedisHotState, numbers: range, seed: int) -> None:
    outcome = await put_cards(state, PAN_KEYS, (new_card(n, seed) for n in numbers), "bench")
    assert outcome.created == len(numbers)


def new_account(number: int, seed: int) -> NewAccount:
    dice = Random(seed * CARDS + number)
    profile = AccountProfile(
        f"A{number:09d}", "classic", "840", dice.choice((0, 100_000, 500_000)),
        dice.choice(ZONES), AccountState.ACTIVE,
    )  # fmt: skip
    return NewAccount(profile=profile, opening_minor=dice.randrange(10_000, 1_000_000))


def new_card(number: int, seed: int) -> NewCard:
    """Controls as people have them: one card in three or four has each."""
    dice = Random(seed * CARDS + number)
    return NewCard(
        pan=Pan(f"999901{number:010d}"),
        account_id=f"A{number:09d}",
        expiry="3012",
        transaction_limit_minor=100_000 if dice.random() < 0.3 else None,
        daily_amount_minor=500_000 if dice.random() < 0.25 else None,
        daily_count=60 if dice.random() < 0.15 else None,
        blocked_mccs=BLOCKABLE_MCCS if dice.random() < 0.12 else (),
    )


async def used_memory(client: Redis) -> int:
    return int((await client.info("memory"))["used_memory"])


async def journal_bytes(client: Redis) -> tuple[int, int]:
    """Of all shards, told from a sample of each stream's nodes; and the entries in them."""
    total = entries = 0
    for shard in keys.ALL_SHARDS:
        total += int(await client.memory_usage(keys.journal(shard), samples=100) or 0)
        entries += int(await client.xlen(keys.journal(shard)))
    return total, entries


async def bytes_by_kind(client: Redis, cards: int, seed: int) -> dict[str, float]:
    """Mean bytes of one key of each kind, its name included."""
    dice = Random(f"sample {seed}")
    numbers = dice.sample(range(cards), min(SAMPLE, cards))
    key_of: dict[str, Callable[[int], str]] = {
        "account": lambda n: keys.account(f"A{n:09d}"),  # its card and balance are in it
        "directory": lambda n: keys.directory(PAN_KEYS.card_key(new_card(n, seed).pan)),
    }
    means = {}
    for kind, key in key_of.items():
        async with client.pipeline(transaction=False) as pipeline:
            for number in numbers:
                pipeline.memory_usage(key(number), samples=0)
            sizes = await pipeline.execute()
        assert None not in sizes, kind
        means[kind] = mean(sizes)
    return means


def near_cache_bytes(cards: int, seed: int) -> float:
    """Bytes that an engine's memory of one card takes: key, profiles and their strings."""
    rows = list(stored_profiles(cards, seed))
    cache = NearCache(cards)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for card_key, account, card in rows:
            # Copied as it comes from the wire with each message: the cache keeps the first.
            cache.put(card_key.decode(), Known(read_card(card), 1, read_account(account), 1))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache) == cards
    return (after - before) / cards


def stored_profiles(cards: int, seed: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Card key, account profile and card profile, as they lie in the hot state."""
    for number in range(cards):
        account, card = new_account(number, seed), new_card(number, seed)
        card_id = PAN_KEYS.card_id(card.pan)
        profile = card_profile(card, card_id, Kept(card_id))
        yield (
            PAN_KEYS.card_key(card.pan).encode(),
            write_profile(account.profile),
            write_profile(profile),
        )


def table(answer: dict[str, Any]) -> Iterator[str]:
    per_card, kinds = answer["bytes_per_card"], answer["by_kind"]
    rows = [
        *((f"  {kind}", size) for kind, size in kinds.items()),
        ("  table of keys, and what no key is charged with", answer["unaccounted"]),
        ("hot state, with journal", per_card["with_journal"]),
        (f"hot state, without journal (target {TARGET_BYTES:,})", per_card["without_journal"]),
        ("near-cache of an engine", answer["near_cache_bytes_per_card"]),
    ]
    yield f"{answer['cards']:,} cards, each with an account: bytes per card"
    for name, size in rows:
        # A server of few cards has less than its own ups and downs.
        yield f"{name:<50}" + (f"{size:>10,.0f}" if size >= 0 else f"{'too few':>10}")
    held = answer["bytes_per_authorization"]
    yield f"open authorizations under {LIMITS} limits, some to an account: bytes of each"
    for name, key in (
        ("  record with its answer", "record_and_answer"), ("  references", "references"),
        ("  its date among the holds", "expiry"),
        ("  tables of fields, and what no key is charged with", "rest_of_the_account"),
        (f"hot state (target {HELD_TARGET_BYTES:,})", "hot_state"), ("journal", "journal"),
    ):  # fmt: skip
        yield f"{name:<52}{held[key]:>8,.0f}"
    yield (
        f"loaded in {answer['load_s']:.1f} s, {answer['load_per_s']:,.0f} a second "
        "(appendfsync no, no rewrite of the append-only file: memory is measured, not safety)"
    )
