"""The journal read backwards: order over shards, bounds, and why a request was declined."""

import asyncio
from typing import Any

import pytest

from authz.app import history
from authz.app.history import Reach, newest_first, told
from authz.hot import admin, keys
from tests.support.engine import PAN, World, advice_of, purchase, reversal
from tests.support.hot import account_act, opened

ACCOUNTS = [f"A{n}" for n in range(12)]  # on several shards


def read(url: str, shards: tuple[str, ...], reach: Reach, since_ms: int = 0) -> list[Any]:
    async def story() -> list[Any]:
        client = admin.administrator(url)
        try:
            return [entry async for entry in newest_first(client, shards, reach, since_ms)]
        finally:
            await client.aclose()

    return asyncio.run(story())


@pytest.fixture
def store(fresh_redis: str) -> str:
    async def story() -> None:
        state = await opened(fresh_redis)
        for id in ACCOUNTS:
            await state.put_account(account_act(id, 100), 5)
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(story())
    return fresh_redis


@pytest.mark.parametrize("page", [1, 2, 2000])
def test_all_shards_are_one_journal(store: str, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", page)
    monkeypatch.setattr(history, "PAGE_MIN", 1)
    reach = Reach(1000)
    entries = read(store, keys.ALL_SHARDS, reach)
    accounts = [e.envelope.account_id for e in entries if e.envelope.kind == "account"]
    assert sorted(accounts) == sorted(ACCOUNTS)
    times = [tuple(map(int, entry.stream_id.split("-"))) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert (reach.looked_at, reach.whole) == (64 + len(ACCOUNTS), True)


def test_a_reading_has_an_end(store: str) -> None:
    reach = Reach(5)
    assert len(read(store, keys.ALL_SHARDS, reach)) == 5
    assert (reach.looked_at, reach.whole) == (5, False)


def test_from_a_time_on(store: str) -> None:
    everything = read(store, keys.ALL_SHARDS, Reach(1000))
    newest = int(everything[0].stream_id.split("-")[0])
    reach = Reach(1000)
    some = read(store, keys.ALL_SHARDS, reach, newest)
    assert [e.stream_id for e in some] == [
        e.stream_id for e in everything if e.stream_id.startswith(f"{newest}-")
    ]
    assert reach.whole
    assert read(store, keys.ALL_SHARDS, Reach(1000), newest + 1) == []


def test_an_entry_that_cannot_be_read_is_counted(store: str) -> None:
    shard = keys.shard_of("A1")

    async def spoil() -> None:
        client = admin.administrator(store)
        await client.xadd(keys.journal(shard), {b"e": b"?", b"b": b"?"})
        await client.xadd(keys.journal(shard), {b"x": b"?"})
        await client.aclose()

    before = len(read(store, (shard,), Reach(1000)))
    asyncio.run(spoil())
    reach = Reach(1000)
    assert len(read(store, (shard,), reach)) == before
    assert (reach.unreadable, reach.whole) == (2, True)


# 100.00 on the account, at most two and 80.00 a day. What stands in each act's way, newest first.
LIFE = [
    ("0400", {"verdict": "reversed", "reason": "", "held_delta_minor": -2000,
              "amount_minor": 2000, "remaining_minor": 0}),
    ("0100", {"verdict": "over_limit", "reason": "daily_count_limit", "ceiling_count": 2}),
    ("0100", {"verdict": "held", "reason": "approved", "held_delta_minor": 1000}),
    ("0100", {"verdict": "over_limit", "reason": "daily_amount_limit", "ceiling_minor": 8000}),
    ("0100", {"verdict": "held", "reason": "approved", "held_delta_minor": 2000}),
    ("0100", {"verdict": "declined", "reason": "mcc_blocked", "detail": ""}),
]  # fmt: skip


def test_each_act_says_what_stood_in_its_way(fresh_redis: str) -> None:
    async def story() -> None:
        hot, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        world = World(hot)
        world = await world.open_with(
            10_000, daily_count=2, daily_amount_minor=8000, blocked_mccs=("7995",)
        )
        now = world.clock._now_ms = (await client.time())[0] * 1000 + 5000
        link = world.link()
        await link.say("0100", purchase(1, 500, at_ms=now, de18="7995"))
        await link.say("0100", purchase(2, 2000, at_ms=now))
        await link.say("0100", purchase(3, 7000, at_ms=now))
        await link.say("0100", purchase(4, 1000, at_ms=now))
        await link.say("0100", purchase(5, 1000, at_ms=now))
        await link.say("0400", reversal(purchase(2, 2000, at_ms=now), at_ms=now))
        await client.aclose()
        hot._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(story())
    entries = read(fresh_redis, (keys.shard_of("A1"),), Reach(1000))
    acts = [told(entry) for entry in entries][: len(LIFE)]
    for act, (mti, expected) in zip(acts, LIFE, strict=True):
        assert act["mti"] == mti
        assert {name: act[name] for name in expected} == expected
    assert [act["stan"] for act in acts[1:]] == ["000005", "000004", "000003", "000002", "000001"]
    assert PAN not in repr(acts)


def test_too_little_money_says_how_much_there_was(fresh_redis: str) -> None:
    async def story() -> None:
        hot, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        world = await World(hot).open_with(10_000)
        now = world.clock._now_ms = (await client.time())[0] * 1000 + 5000
        await world.link().say("0100", purchase(1, 10_001, at_ms=now))
        await client.aclose()
        hot._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(story())
    newest = told(read(fresh_redis, (keys.shard_of("A1"),), Reach(1))[0])
    assert (newest["reason"], newest["available_minor"]) == ("funds_insufficient", 10_000)
    assert (newest["amount_minor"], newest["amount_currency"]) == (10_001, "840")


@pytest.mark.parametrize(
    ("network", "taken_for", "decided_by"),
    [("postilion", "completion", "merchant"), ("visa", "advice", "network stand-in")],
)
def test_who_told_of_a_tank_is_told_by_what_it_did(
    fresh_redis: str, network: str, taken_for: str, decided_by: str
) -> None:
    """A 0120 of a pump completes with one network, and sets the hold with another."""

    async def story() -> None:
        hot, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        world = await World(hot).open_with(10_000)
        now = world.clock._now_ms = (await client.time())[0] * 1000 + 5000
        link = world.link(network=network)
        asked = purchase(1, 9000, at_ms=now, de18="5542")
        await link.say("0100", asked)
        await link.say("0120", advice_of(asked, 700, at_ms=now, de4=f"{2500:012}"))
        await client.aclose()
        hot._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(story())
    newest = told(read(fresh_redis, (keys.shard_of("A1"),), Reach(1))[0])
    assert (newest["taken_for"], newest["decided_by"]) == (taken_for, decided_by)
