"""The writer against real servers: every entry once, in any batches, whatever is in its way."""

import asyncio
from collections import Counter

from tests.support.books import Crowd, approved, begin, drain, unbalanced, whole


def test_every_approval_is_in_the_books_once(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        ids = await crowd.approve(1000)
        heard = await drain(fresh_redis, fresh_postgres)
        assert heard.parked == 0
        assert not heard.failures
        assert Counter(await approved(fresh_postgres)) == Counter(ids)
        assert await unbalanced(fresh_postgres) == 0
        more = await crowd.approve(100)
        await drain(fresh_redis, fresh_postgres)
        assert Counter(await approved(fresh_postgres)) == Counter(ids + more)

    asyncio.run(story())


def test_told_from_zero_in_other_batches_it_is_the_same_ledger(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        from redis.asyncio import Redis

        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(700)
        await drain(fresh_redis, fresh_postgres)
        first = await whole(fresh_postgres)
        async with Redis.from_url(fresh_redis) as client:
            for key in await client.keys("authz:{*}:journal"):
                await client.xgroup_destroy(key, "ledger")
        from tests.support.books import books

        async with books(fresh_postgres) as connection:
            await connection.execute("DROP SCHEMA ledger CASCADE")
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres, batch=130, lanes=1)
        assert await whole(fresh_postgres) == first

    asyncio.run(story())
