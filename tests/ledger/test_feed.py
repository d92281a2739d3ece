"""The feed of events: in one order, nothing twice and nothing missed, however writers commit."""

import asyncio

from tests.support.books import Crowd, begin, books, drain

NEXT = (
    "SELECT tx::text::bigint AS tx, position, shard, seq, message_id FROM event "
    "WHERE (tx, position) > ($1::text::xid8, $2) ORDER BY tx, position, seq LIMIT 100000"
)


def test_a_reader_with_a_cursor_sees_every_entry_once(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd, seen, at = Crowd(fresh_redis), [], (0, 0)
        async with books(fresh_postgres) as reader, books(fresh_postgres) as sleeper:
            for _ in range(4):
                await crowd.approve(150)
                pause = sleeper.transaction()
                await pause.start()
                await sleeper.execute("SELECT pg_current_xact_id()")  # one that began before them
                await drain(fresh_redis, fresh_postgres, batch=60)
                held_back = await reader.fetch(NEXT, str(at[0]), at[1])
                assert not held_back  # something older may still commit
                await pause.rollback()
                for row in await reader.fetch(NEXT, str(at[0]), at[1]):
                    seen.append((row["shard"], row["seq"]))
                    at = (row["tx"], row["position"])
            total = await reader.fetchval("SELECT count(*) FROM journal_entry")
        assert len(seen) == len(set(seen)) == total
        by_shard: dict[int, int] = {}
        for shard, seq in seen:
            assert seq == by_shard.get(shard, 0) + 1
            by_shard[shard] = seq

    asyncio.run(story())
