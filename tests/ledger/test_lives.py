"""Any life of many cards, lived on real engines, and then written into the books: hot state and
ledger agree to the cent, account by account and authorization by authorization.

The lives are those of tests/scenarios/test_many_cards.py: purchases, refunds, increments, advices,
shipments, reversals of all of these, withdrawals, expiry, in any order, by two engines at once.
"""

import asyncpg
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from authz.hot import keys
from authz.hot.record import decode_record
from ledger.chart import Role
from ledger.verify import verify
from tests.scenarios.test_many_cards import PHASES, ManyCards, Town
from tests.support.books import begin, books, drain, reconciled, trim

DEEP = settings.default is not None and settings.default.max_examples > 100
LIVES = 100 if DEEP else 6


async def compare(town: Town, connection: asyncpg.Connection) -> None:
    report = await verify(connection)
    assert report.ok, report.differences[:5]
    assert report.parked == 0
    assert report.notices == 0, await connection.fetch("SELECT * FROM notice LIMIT 5")
    suspense = await connection.fetchval(
        "SELECT count(*) FROM posting WHERE role = $1", Role.SUSPENSE.value
    )
    assert suspense == 0
    for holder in town.holders:
        hot = await town.client.hgetall(keys.account(holder.name))
        row = await connection.fetchrow(
            "SELECT posted_minor, held_minor FROM balance WHERE account_id = $1 "
            "AND currency = '840'", holder.name,
        )  # fmt: skip
        assert (int(hot[b"posted:840"]), int(hot[b"held:840"])) == tuple(row)
        account = await connection.fetchrow(
            "SELECT entries, digest FROM account WHERE account_id = $1", holder.name
        )
        assert (int(hot[b"entries"]), hot[b"digest"].decode()) == tuple(account)
        records = {
            name[2:].decode(): decode_record(packed)
            for name, packed in hot.items()
            if name.startswith(b"a:")
        }
        told = {
            row["authorization_id"]: (row["held_minor"], row["paid_minor"])
            for row in await connection.fetch(
                'SELECT * FROM "authorization" WHERE account_id = $1', holder.name
            )
        }
        for id, record in records.items():
            expected = record.holds * record.sign, record.posted * record.sign
            assert told.pop(id, (0, 0)) == expected, id
        assert set(told.values()) <= {(0, 0)}  # what was taken in, or withdrawn


def test_any_life_is_in_the_books(fresh_redis: str, fresh_postgres: str) -> None:
    class Booked(ManyCards):
        url = fresh_redis

        def teardown(self) -> None:
            try:
                self._run(self._book())
            finally:
                super().teardown()

        async def _book(self) -> None:
            async with books(fresh_postgres) as connection:
                await connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
            await begin(fresh_postgres)
            await drain(fresh_redis, fresh_postgres, batch=97)
            async with books(fresh_postgres) as connection:
                await compare(self.town, connection)
            for left in (10**9, 3, 1):  # the journal in the store is whole, short, and shorter
                await trim(self.town.client, left)
                report = await reconciled(fresh_redis, fresh_postgres)
                assert (report.ok, report.cut) == (True, 0), report.differences[:5]
                light = await reconciled(fresh_redis, fresh_postgres, light=True)
                assert light.ok, light.differences[:5]
                assert light.position == report.position

    run_state_machine_as_test(
        Booked, settings=settings(max_examples=LIVES, stateful_step_count=60, phases=PHASES)
    )
