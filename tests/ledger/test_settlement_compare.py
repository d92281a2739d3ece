"""A network's totals against our batches: what differs is named, what agrees is reconciled."""

import asyncio
from datetime import UTC, date, datetime

import asyncpg

from ledger import settlement_read
from ledger.settlement_advice import Advice, Total
from ledger.settlement_compare import compare
from ledger.settlement_entry import movement
from ledger.settling import Batcher
from tests.support.batcher import Item, Minutes, put, put_settlement, soon
from tests.support.books import begin, books, drain
from tests.support.hot import store_and_client

T0 = soon()
DAY = datetime.fromtimestamp(T0 * 60, UTC).date()


def advice(file_id: str, *rows: tuple[str, dict[str, int]], **about: str) -> Advice:
    """One row for each currency of Visa's, about all programs unless told."""
    program, batch = about.get("program", ""), about.get("batch", "")
    return Advice(
        file_id,
        tuple(
            Total(at, "visa", currency, DAY, None, program, batch, told)
            for at, (currency, told) in enumerate(rows, 2)
        ),
    )


async def status(connection: asyncpg.Connection) -> dict[str, str]:
    return {b.program + b.currency: b.status for b in await settlement_read.batches(connection)}


def test_totals_are_compared_and_agreement_is_kept(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            batcher = Batcher(connection, Minutes(T0), lambda: 1)

            async def settle(program: str) -> None:
                for batch in await settlement_read.batches(connection, status=("closed",)):
                    if batch.program == program:
                        body = movement(batch.id, batch.key, batch.settling, batch.net_minor, "ann")
                        await put_settlement(state, batch.id, body)
                await drain(fresh_redis, fresh_postgres)
                await batcher.take()

            await put(state, [
                Item("visa", "acme", "840", -70, 0), Item("visa", "other", "840", -30, 0),
                Item("visa", "acme", "392", 5, 0), Item("visa", "acme", "840", 9, 0),
            ])  # fmt: skip
            await drain(fresh_redis, fresh_postgres)
            await batcher.take()
            all_of_it = {"items": 3, "net_minor": -91, "debit_minor": 9, "credit_minor": 100}

            alone = advice("f0", ("840", {"items": 2}), program="acme")
            assert (await compare(connection, alone, 1)).not_told == ()  # the other one is open
            early = await compare(connection, advice("f1", ("840", all_of_it)), 1)
            assert early.rows[0].differences == (("still open", None, 2),)
            await batcher.close_due(2**62)
            first = await compare(connection, advice("f1", ("840", all_of_it)), 1)
            assert first.agrees
            assert first.reconciled == ()  # the bank has moved nothing yet
            await settle("acme")
            # It agreed before it was settled: reconciled at once. The yen were in no file.
            assert await status(connection) == {
                "acme840": "reconciled", "acme392": "settled", "other840": "closed",
            }  # fmt: skip

            right = advice("f3", ("840", {"net_minor": -30}), program="other")
            assert (await compare(connection, right, 2)).reconciled == ()  # not settled yet
            wrong = advice("f2", ("840", {"net_minor": -31, "items": 1}), program="other")
            told = await compare(connection, wrong, 2)
            assert told.rows[0].differences == (("net_minor", -31, -30),)
            (missing,) = told.not_told
            assert ".acme.840" in missing
            await settle("other")
            # The newest file that counts it has the last word, though an earlier one agreed.
            assert (await status(connection))["other840"] == "settled"
            again = await compare(connection, wrong, 3)
            assert again == told  # nothing is kept twice
            assert await connection.fetchval("SELECT count(*) FROM network_total") == 5
            # The right one once more, as it was: now that is the newest.
            assert len((await compare(connection, right, 4)).reconciled) == 1

            nothing = advice("f4", ("978", {"net_minor": -1}))
            (row,) = (await compare(connection, nothing, 5)).rows
            assert (row.batches, row.differences) == ((), (("no such batch", -1, None),))
            (yen,) = await settlement_read.batches(connection, status=("settled",))
            named = advice("f5", ("392", {"net_minor": 5, "charges_minor": 0}), batch=yen.id)
            assert (await compare(connection, named, 6)).reconciled == (yen.id,)

    asyncio.run(story())


def test_a_batch_that_comes_to_nothing_is_settled_by_an_entry_without_lines(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            batcher = Batcher(connection, Minutes(T0), lambda: 1)
            await put(state, [Item("visa", "a", "840", n, 0) for n in (5, -5)])
            await drain(fresh_redis, fresh_postgres)
            await batcher.take()
            await batcher.close_due(2**62)
            (batch,) = await settlement_read.batches(connection)
            body = movement(batch.id, batch.key, batch.settling, 0, "ann")
            assert body.lines == ()
            await put_settlement(state, batch.id, body)
            await drain(fresh_redis, fresh_postgres)
            await batcher.take()
            assert await status(connection) == {"a840": "settled"}
            assert await settlement_read.check(connection) == []
            assert batch.cycle_date == date.fromisoformat(str(DAY))

    asyncio.run(story())
