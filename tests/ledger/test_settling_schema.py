"""What the database refuses of settlement by itself, whoever asks."""

import asyncio
from typing import Any

import asyncpg
import pytest

from ledger import settlement_read
from ledger.settlement_entry import movement
from ledger.settling import Batcher
from tests.support.batcher import Item, Minutes, put, put_settlement, say, soon
from tests.support.books import begin, books, drain
from tests.support.hot import store_and_client

INTO = (
    "INSERT INTO settlement_line SELECT shard, seq, 99, batch_id, settles, at_ms, what, "
    "authorization_id, reference, bin, mcc, amount_minor, interchange_micro, fees_micro, told, "
    "uncounted_fees, expected_micro, counter_currency, counter_minor FROM settlement_line "
)

# As it stands when its batch is open, closed, settled; what must not be done then.
REFUSED = {
    "open": [
        "UPDATE settlement_batch SET status = 'settled'",
        "UPDATE settlement_batch SET status = 'closed'",  # without saying when
        "UPDATE settlement_batch SET network = 'other'",
        "UPDATE settlement_batch SET items = items + 1, status = 'closed', closed_at_ms = 1",
        "DELETE FROM settlement_batch",
        "TRUNCATE settlement_batch CASCADE",
        "UPDATE settlement_line SET amount_minor = 1",
        "DELETE FROM settlement_line",
        "TRUNCATE settlement_line",
        "INSERT INTO settlement_line SELECT * FROM settlement_line",
        INTO.replace("settles,", "true,"),
        INTO.replace("batch_id,", "'no such batch',"),
        "UPDATE settlement_cursor SET seq = seq - 1",
        "DELETE FROM settlement_cursor",
        "INSERT INTO settlement_batch (id, network, program, currency, cycle_date, closes_at_ms, "
        "settles_on, days, opened_at_ms, status) VALUES ('x', 'n', 'p', '840', '2026-01-01', 1, "
        "'2026-01-01', 0, 1, 'closed')",
    ],
    "closed": [
        INTO,
        "UPDATE settlement_batch SET status = 'open'",
        "UPDATE settlement_batch SET items = items + 1",
        "UPDATE settlement_batch SET expected_micro = 0",
        "UPDATE settlement_batch SET status = 'reconciled', reconciled_at_ms = 1",
        "UPDATE settlement_batch SET status = 'settled', settled_at_ms = 1, moved_minor = 1, "
        "moved_currency = '840', settled_shard = 1, settled_seq = 1",  # nothing settles its lines
    ],
    "settled": [
        INTO,
        INTO.replace("settles,", "true,"),
        "UPDATE settlement_batch SET status = 'closed'",
        "UPDATE settlement_batch SET moved_minor = 1",
        "UPDATE settlement_batch SET status = 'reconciled'",
    ],
}


async def refused(connection: asyncpg.Connection, statements: list[str]) -> None:
    for statement in statements:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute(statement)


def test_the_database_refuses_what_would_be_wrong(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            await put(state, [Item("visa", "acme", "840", -5, 0)])
            await drain(fresh_redis, fresh_postgres)
            batcher = Batcher(connection, Minutes(soon()), lambda: 1)
            await batcher.take()
            await refused(connection, REFUSED["open"])
            (id,) = await batcher.close_due(2**62)
            await refused(connection, REFUSED["closed"])
            batch = await settlement_read.batch(connection, id)
            assert batch is not None
            body = movement(id, batch.key, batch.settling, -5, "ann")
            await put_settlement(state, id, body)
            await drain(fresh_redis, fresh_postgres)
            await batcher.take()
            await refused(connection, REFUSED["settled"])
            assert await settlement_read.check(connection) == []

    asyncio.run(story())


def test_a_settlement_that_does_not_fit_its_batch_is_an_item(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """Of no batch, or of another amount: never half of one."""

    async def story() -> None:
        await begin(fresh_postgres)
        terms = Minutes(soon())
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            batcher = Batcher(connection, terms, lambda: 1)

            async def settled(id: str, body: Any) -> None:
                await say(state, body)
                await drain(fresh_redis, fresh_postgres)
                await batcher.take()

            await put(state, [Item("visa", "acme", "840", -5, 0)])
            await drain(fresh_redis, fresh_postgres)
            await batcher.take()
            (batch,) = await settlement_read.batches(connection)
            right = movement(batch.id, batch.key, batch.settling, -5, "ann")
            four = batch.settling._replace(net_minor=-4)
            await settled(batch.id, movement(batch.id, batch.key, four, -4, "ann"))
            await settled("none", movement("none", batch.key, batch.settling, -5, "ann"))
            await batcher.close_due(2**62)
            (batch,) = await settlement_read.batches(connection, status=("closed",))
            assert (batch.items, batch.net_minor) == (3, 4)
            await settled(batch.id, right)  # of another amount than it has now
            assert await settlement_read.batches(connection, status=("settled",)) == []
            assert await settlement_read.check(connection) == []
            assert await settlement_read.kinds(connection, batch.id) == [
                {"what": "settlement", "items": 2, "debit_minor": 9, "credit_minor": 0},
                {"what": "unmatched", "items": 1, "debit_minor": 0, "credit_minor": 5},
            ]

    asyncio.run(story())
