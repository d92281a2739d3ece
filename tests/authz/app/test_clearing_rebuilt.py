"""A hot state that was lost and told anew knows what was cleared, and goes on with it."""

import asyncio
from pathlib import Path

from authz.app.clearing_run import clear
from authz.app.rebuilding import Lives, rebuild
from authz.hot import keys
from ledger.clearing.reading import read_clearing
from tests.support.books import drain
from tests.support.clearing import arn_of
from tests.support.engine import KEYS
from tests.support.office import NETWORK, NOBODYS, at_desk, office, record, rrn_of

WEEK = Lives(answers_s=7 * 86_400)


def test_what_was_cleared_is_known_after_a_rebuild(
    fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with office(fresh_redis, fresh_postgres, tmp_path) as it:
            await it.buy(1, 5000)
            await it.buy(2, 9000)
            parts = [
                record(n, 3000, rrn=rrn_of(2), clearing_number=n - 1, clearing_count=3)
                for n in (2, 3, 4)
            ]
            done = [
                record(1, 5000, rrn=rrn_of(1)),
                parts[0],
                record(5, 700),
                record(6, 10, pan=NOBODYS),
            ]
            path = it.file(done)
            first = await it.outcomes(path)
            later = it.file(
                [
                    *parts[1:],
                    record(7, 5000, arn=arn_of(1), reversal=True),
                    record(8, 200, arn=arn_of(5), reversal=True),
                    done[2],
                    done[3],
                ]
            )
            await it.check()
            await it.connection.close()
        async with at_desk(fresh_redis, fresh_postgres) as desk:
            await desk.client.flushall()
        await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
        async with at_desk(fresh_redis, fresh_postgres) as desk:
            again = await clear(desk, read_clearing(path), NETWORK)
            assert again["done_before"]
            assert {row["outcome"]: row["records"] for row in again["outcomes"]} == dict(first)
            found = await clear(desk, read_clearing(later), NETWORK)
            assert {row["outcome"]: row["records"] for row in found["outcomes"]} == {
                "cleared_part": 2,
                "reversed": 2,
                "repeated": 2,
            }
            amounts = await desk.client.hmget(keys.account("A1"), ["posted:840", "held:840"])
        assert [int(amount) for amount in amounts] == [100_000 - 9000 - 500, 0]
        await drain(fresh_redis, fresh_postgres)

    asyncio.run(story())
