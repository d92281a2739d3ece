"""Each line of a network's account in one batch, whatever happens; and batches come to zero."""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path
from random import Random

import asyncpg
import pytest
from hypothesis import settings

from ledger import settlement_read, settling
from ledger.settlement_entry import movement
from ledger.settling import Batcher
from tests.support.batcher import PLACES, Item, Minutes, put, put_settlement, soon
from tests.support.books import Crowd, begin, books, drain
from tests.support.hot import store_and_client

DEEP = settings.default is not None and settings.default.max_examples > 100
ROUNDS = 200 if DEEP else 14
KILLS = 60 if DEEP else 6
ROOT = Path(__file__).parents[2]
CYCLES = 6
Key = tuple[str, str, str, int]  # network, program, currency, cycle


def items(random: Random, many: int) -> list[Item]:
    return [
        Item(
            random.choice(("visa", "mastercard")),
            random.choice(("acme", "other prögram")),
            random.choice(("840", "392")),
            random.choice((1, -1)) * random.randint(1, 10**6),
            random.randint(0, CYCLES - 1),
        )
        for _ in range(many)
    ]


class Oracle:
    """What must be in which batch, by plain dicts."""

    def __init__(self) -> None:
        self.of: dict[Key, list[int]] = {}
        self.closed: set[Key] = set()

    def take(self, some: list[Item]) -> None:
        for one in some:
            cycle = one.cycle
            while (key := (*one[:3], cycle)) in self.closed:
                cycle += 1
            self.of.setdefault(key, []).append(one.amount_minor)

    def close(self, cycle: int) -> None:
        self.closed |= {key for key in self.of if key[3] <= cycle}


async def found(connection: asyncpg.Connection, terms: Minutes) -> dict[Key, list[int]]:
    rows = await connection.fetch(
        "SELECT b.network, b.program, b.currency, b.closes_at_ms, l.amount_minor "
        "FROM settlement_line l JOIN settlement_batch b ON b.id = l.batch_id WHERE NOT l.settles"
    )
    batches: dict[Key, list[int]] = {}
    for network, program, currency, closes, amount in rows:
        key = network, program, currency, closes // 60_000 - terms.t0
        batches.setdefault(key, []).append(amount)
    return batches


def test_lines_are_where_a_plain_model_says(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items in any order, taken in small pages; closes and settlements in between, late items."""
    monkeypatch.setattr(settling, "PAGE", 7)

    async def story() -> None:
        await begin(fresh_postgres)
        random, oracle, terms = Random(5), Oracle(), Minutes(soon())
        settled: set[str] = set()
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            batcher = Batcher(connection, terms, lambda: 1)
            for _ in range(ROUNDS):
                some = items(random, random.randint(1, 12))
                await put(state, some)
                await drain(fresh_redis, fresh_postgres)
                if random.random() < 0.7:
                    assert await settlement_read.check(connection) == []
                await batcher.take()
                oracle.take(some)
                if random.random() < 0.4:
                    cycle = random.randint(0, CYCLES - 1)
                    await batcher.close_due(terms.ends(cycle))
                    oracle.close(cycle)
                if random.random() < 0.4:
                    for batch in await settlement_read.batches(connection, status=("closed",)):
                        if random.random() < 0.5:
                            body = movement(
                                batch.id, batch.key, batch.settling,
                                batch.net_minor - random.choice((0, 0, 7)), "ann",
                            )  # fmt: skip
                            assert await put_settlement(state, batch.id, body) == "noted"
                            settled.add(batch.id)
                assert {k: Counter(v) for k, v in (await found(connection, terms)).items()} == {
                    k: Counter(v) for k, v in oracle.of.items()
                }
            await finish(fresh_redis, fresh_postgres, connection, batcher, state, settled)
            await everything_is_settled(connection)

    asyncio.run(story())


async def finish(redis_url, dsn, connection, batcher, state, settled) -> None:  # type: ignore[no-untyped-def]
    """Close and settle whatever is left."""
    await drain(redis_url, dsn)
    await batcher.take()
    await batcher.close_due(2**62)
    for batch in await settlement_read.batches(connection, status=("closed",)):
        if batch.id not in settled:
            body = movement(batch.id, batch.key, batch.settling, batch.net_minor, "ann")
            await put_settlement(state, batch.id, body)
    await drain(redis_url, dsn)
    await batcher.take()


async def everything_is_settled(connection: asyncpg.Connection) -> None:
    assert await settlement_read.check(connection) == []
    standing = await settlement_read.standing(connection)
    assert standing.batches["open"] == standing.batches["closed"] == 0
    assert standing.entries_not_taken == 0
    left = await connection.fetch(
        "SELECT * FROM trial_balance WHERE role = 'network' AND balance_minor <> 0"
    )
    assert left == []
    # (All that the crowd's accounts have came from the bank; nobody pays with it.)
    bank = await connection.fetch(
        "SELECT program, currency, sum(balance_minor)::bigint FROM trial_balance "
        "WHERE role IN ('bank', 'disputes') AND program <> 'classic' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    net = await connection.fetch(
        "SELECT program, currency, sum(net_minor)::bigint FROM settlement_batch "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [tuple(row) for row in bank] == [tuple(row) for row in net]


def test_killed_at_any_line_and_two_at_once(fresh_redis: str, fresh_postgres: str) -> None:
    """Batchers are killed at seeded points, one beside another, while lines come and cycles end."""

    async def story() -> None:
        await begin(fresh_postgres)
        random, t0 = Random(7), soon()
        crowd, total = Crowd(fresh_redis), 0
        await crowd.approve(200)
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            for number in range(KILLS):
                place = PLACES[number % len(PLACES)]
                beside = await start(fresh_postgres, t0, "never", 1)
                doomed = await start(fresh_postgres, t0, place, random.randint(1, 3))
                while doomed.returncode is None:
                    some = items(random, 25)
                    await put(state, some)
                    total += len(some)
                    await drain(fresh_redis, fresh_postgres, batch=50)
                    await asyncio.sleep(0.02)
                assert await doomed.wait() == -signal.SIGKILL, place
                beside.kill()
                await beside.wait()
            batcher = Batcher(connection, Minutes(t0), lambda: 10**6)
            await batcher.take()
            assert await settlement_read.check(connection) == []
            assert await connection.fetchval("SELECT count(*) FROM settlement_line") == total
            await finish(fresh_redis, fresh_postgres, connection, batcher, state, set())
            await everything_is_settled(connection)

    asyncio.run(story())


async def start(dsn: str, t0: int, place: str, number: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.batcher", dsn, str(t0), place, str(number), cwd=ROOT
    )


def test_books_that_were_lost_find_their_settlements_again(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told again from the journal alone: a settlement waits for the lines of its batch, whatever
    shards they are in, and nobody has to close what was closed."""
    monkeypatch.setattr(settling, "PAGE", 5)

    async def story() -> None:
        random, terms = Random(11), Minutes(soon())
        await begin(fresh_postgres)
        async with store_and_client(fresh_redis) as (state, client):
            async with books(fresh_postgres) as connection:
                batcher = Batcher(connection, terms, lambda: 1)
                for cycle in range(3):
                    await put(state, [one._replace(cycle=cycle) for one in items(random, 25)])
                    await finish(fresh_redis, fresh_postgres, connection, batcher, state, set())
                await put(state, [one._replace(cycle=4) for one in items(random, 10)])
                await drain(fresh_redis, fresh_postgres)
                await batcher.take()
                before = await told(connection)
                assert Counter(status for _, status, _ in before) == {"settled": 22, "open": 5}
                await connection.execute("DROP SCHEMA ledger CASCADE")
            for key in await client.keys("authz:{*}:journal"):
                await client.xgroup_destroy(key, "ledger")
            await begin(fresh_postgres)
            await drain(fresh_redis, fresh_postgres)
            async with books(fresh_postgres) as connection:
                await Batcher(connection, terms, lambda: 1).take()
                assert await told(connection) == before
                assert await settlement_read.check(connection) == []

    asyncio.run(story())


async def told(connection: asyncpg.Connection) -> list[tuple[str, str, int]]:
    found = await settlement_read.batches(connection)
    return sorted((batch.id, batch.status, batch.net_minor) for batch in found)
