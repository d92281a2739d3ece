"""Any life of many cards, settled: what networks are owed is in batches to the cent, and when these
are settled nothing is owed. Told again from the journal's beginning, it is the same ledger.

The lives are those of tests/scenarios/test_many_cards.py.
"""

import asyncpg
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from authz.app.settling import ConfiguredTerms
from authz.config import Config
from ledger import settlement_read
from ledger.settlement_entry import movement
from ledger.settling import Batcher
from rules.settlement import CycleRule, InterchangeRule
from tests.scenarios.test_many_cards import PHASES, ManyCards, Town
from tests.support.batcher import put_settlement
from tests.support.books import begin, books, drain, whole

DEEP = settings.default is not None and settings.default.max_examples > 100
LIVES = 100 if DEEP else 4
CONFIG = Config(
    cycles=(CycleRule(mccs=("restaurants",), days=0), CycleRule(bins=("999999",), days=2)),
    interchange=(InterchangeRule(mccs=("restaurants",), percent_bp=150, fixed_minor=10),),
)
OWED = """
    SELECT coalesce(sum(balance_minor), 0)::bigint, coalesce(sum(lines), 0)::bigint
    FROM trial_balance WHERE role = 'network'"""


async def settle(town: Town, redis_url: str, dsn: str, connection: asyncpg.Connection) -> None:
    bank = "SELECT coalesce(sum(balance_minor), 0)::bigint FROM trial_balance WHERE role = 'bank'"
    batcher = Batcher(connection, ConfiguredTerms(CONFIG), town.clock.now_ms)
    owed, lines = await connection.fetchrow(OWED)
    before = await connection.fetchval(bank)
    assert await batcher.take() == lines
    assert await settlement_read.check(connection) == []
    await batcher.close_due(2**62)
    batches = await settlement_read.batches(connection)
    assert sum(batch.net_minor for batch in batches) == owed
    assert sum(batch.items for batch in batches) == lines
    by_days = {
        (mcc, days)
        for mcc, days in await connection.fetch(
            "SELECT mcc, days FROM settlement_line JOIN settlement_batch b ON b.id = batch_id"
        )
    }
    # Every line finds what its authorization was about, reversals and withdrawals too.
    assert by_days <= {("5812", 0), ("5411", 2), ("4511", 2), ("7011", 2)}
    for batch in batches:
        body = movement(batch.id, batch.key, batch.settling, batch.net_minor, "ann")
        assert await put_settlement(town.store, batch.id, body) == "noted"
    await drain(redis_url, dsn)
    await batcher.take()
    assert await settlement_read.check(connection) == []
    assert (await settlement_read.standing(connection)).batches["settled"] == len(batches)
    assert (await connection.fetchrow(OWED))[0] == 0
    assert await connection.fetchval(bank) == before + owed


def test_any_life_is_settled(fresh_redis: str, fresh_postgres: str) -> None:
    class Settled(ManyCards):
        url = fresh_redis

        def teardown(self) -> None:
            try:
                self._run(self._book())
            finally:
                super().teardown()

        async def _again(self) -> None:
            async with books(fresh_postgres) as connection:
                await connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
            await begin(fresh_postgres)
            await drain(fresh_redis, fresh_postgres, batch=97)

        async def _book(self) -> None:
            await self._again()
            async with books(fresh_postgres) as connection:
                await settle(self.town, fresh_redis, fresh_postgres, connection)
            told = await whole(fresh_postgres)
            for key in await self.town.client.keys("authz:{*}:journal"):
                await self.town.client.xgroup_destroy(key, "ledger")
            await self._again()
            assert await whole(fresh_postgres) == told

    run_state_machine_as_test(
        Settled, settings=settings(max_examples=LIVES, stateful_step_count=50, phases=PHASES)
    )
