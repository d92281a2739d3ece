"""What cannot be told is parked alone, whatever it is; everything else goes on."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from redis import Redis

from authz.hot import admin, keys
from ledger.journal import Envelope, WithdrawalBody, encode_body
from ledger.verify import verify
from ledger.writer import Settings, Writer
from tests.support.books import STREAMS, Crowd, Heard, approved, begin, books, drain

pack = msgspec.msgpack.Encoder().encode
BODY = encode_body(WithdrawalBody("t"))


def envelope(**changes: Any) -> bytes:
    base: dict[str, Any] = {
        "layout": 1, "kind": "note", "message_id": "p", "authorization_id": "", "account_id": "",
        "card_id": "", "verdict": "v", "detail": "", "currency": "", "posted_delta": 0,
        "held_delta": 0, "posted_after": 0, "held_after": 0, "at_ms": 1_774_180_800_000,
        "counters": [], "versions": [],
    }  # fmt: skip
    return pack(Envelope(**(base | changes)))


POISON = {
    "unreadable": {b"e": b"\xc1", b"b": BODY},
    "unreadable, as a text": {b"e": b"\xa2\xff\xff", b"b": BODY},
    "unreadable, without a body": {b"e": envelope()},
    "unreadable, with other fields": {b"x": b"y"},
    "time": {b"e": envelope(at_ms=1), b"b": BODY},
    "time, far": {b"e": envelope(at_ms=2**62 - 1), b"b": BODY},
    "unreadable, beyond any number": {b"e": envelope(at_ms=2**63), b"b": BODY},
    "text": {b"e": envelope(message_id="a\0b"), b"b": BODY},
    "text, long": {b"e": envelope(account_id="a" * 300), b"b": BODY},
    "amount": {b"e": envelope(posted_delta=2**60), b"b": BODY},
    "amount_of_nobody": {b"e": envelope(held_delta=1, held_after=1), b"b": BODY},
    # The book would take it; only the database knows that it has no such time.
    "refused_by_database": {b"e": envelope(kind="REFUSE"), b"b": BODY},
}


def test_poison_is_parked_alone(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            await connection.execute(
                "ALTER TABLE journal_entry ADD CONSTRAINT trap CHECK (kind <> 'REFUSE')"
            )
        crowd, client = Crowd(fresh_redis), admin.administrator(fresh_redis)
        ids = await crowd.approve(300)
        for number, fields in enumerate(POISON.values()):
            await client.xadd(keys.journal(f"{number * 5:02}"), fields)  # type: ignore[arg-type]
            ids += await crowd.approve(40)
        heard = await drain(fresh_redis, fresh_postgres)
        assert Counter(await approved(fresh_postgres)) == Counter(ids)
        async with books(fresh_postgres) as connection:
            rows = await connection.fetch("SELECT shard, reason, fields FROM parked")
            found = {row["shard"]: row["reason"] for row in rows}
            assert found == {
                number * 5: what.partition(",")[0] for number, what in enumerate(POISON)
            }
            kept = {row["shard"]: msgspec.msgpack.decode(row["fields"], type=dict[bytes, bytes])
                    for row in rows}  # fmt: skip
            assert [kept[number * 5] for number in range(len(POISON))] == [*POISON.values()]
            report = await verify(connection)
            assert report.ok
            assert report.parked == len(POISON)
        assert heard.parked == len(POISON)
        # Told again, from the start: what is parked stays parked, once.
        for key in STREAMS.values():
            await client.xgroup_setid(key, "ledger", "0")
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            assert await connection.fetchval("SELECT count(*) FROM parked") == len(POISON)
        assert Counter(await approved(fresh_postgres)) == Counter(ids)
        await client.aclose()

    asyncio.run(story())


def test_what_the_database_refuses_is_parked_beside_a_shard_that_never_rests(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            await connection.execute(
                "ALTER TABLE journal_entry ADD CONSTRAINT trap CHECK (kind <> 'REFUSE')"
            )
        client, heard = admin.administrator(fresh_redis), Heard()
        await Crowd(fresh_redis).approve(10)
        fill, filled = keys.journal("00"), 0

        def more(_: str) -> None:
            """Faster than one by one: whenever the writer takes a step, there are two more."""
            nonlocal filled
            for _ in range(2):
                filled += 1
                news = {b"e": envelope(message_id=f"m{filled}"), b"b": BODY}
                beside.xadd(fill, news)  # type: ignore[arg-type]

        with Redis.from_url(fresh_redis) as beside:
            refused = {b"e": envelope(kind="REFUSE"), b"b": BODY}
            await client.xadd(keys.journal("07"), refused)  # type: ignore[arg-type]
            one_lane = Settings(lanes=1, linger_ms=0)
            writer = Writer(fresh_redis, fresh_postgres, STREAMS, one_lane, heard, more)
            running = asyncio.create_task(writer.run())
            async with asyncio.timeout(20):
                while not heard.parked:
                    await asyncio.sleep(0.01)
            writer.stop()
            await running
        assert 0 < heard.failures["refused"] < 100
        await client.aclose()

    asyncio.run(story())


def test_above_the_bound_nothing_is_taken_and_nothing_dropped(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        ids = await Crowd(fresh_redis).approve(100)
        client = admin.administrator(fresh_redis)
        for _ in range(4):
            await client.xadd(keys.journal("00"), {b"x": b"%d" % _})
        heard = Heard()
        bounded = Settings(parked_max=3, lanes=1, backoff_s=0.1)
        writer = Writer(fresh_redis, fresh_postgres, STREAMS, bounded, heard)
        running = asyncio.create_task(writer.run())
        async with asyncio.timeout(20):
            while heard.failures["parked"] < 3:
                await asyncio.sleep(0.02)
        writer.stop()
        await running
        assert heard.parked == heard.entries == 0
        await drain(fresh_redis, fresh_postgres)
        assert Counter(await approved(fresh_postgres)) == Counter(ids)
        await client.aclose()

    asyncio.run(story())


@pytest.mark.parametrize("keep_s", [0, 3600])
def test_trimmed_is_only_what_is_committed_and_old(
    keep_s: int, fresh_redis: str, fresh_postgres: str
) -> None:
    """By default nothing is; a window keeps what is younger."""

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(200)
        client = admin.administrator(fresh_redis)
        before = [await client.xlen(key) for key in STREAMS.values()]
        await drain(fresh_redis, fresh_postgres, trim_keep_s=keep_s)
        assert [await client.xlen(key) for key in STREAMS.values()] == before
        await client.aclose()

    asyncio.run(story())


def test_what_is_trimmed_is_in_the_books(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd, client = Crowd(fresh_redis), admin.administrator(fresh_redis)
        ids = await crowd.approve(300)
        await drain(fresh_redis, fresh_postgres)
        await asyncio.sleep(2.1)
        ids += await crowd.approve(300)
        await drain(fresh_redis, fresh_postgres, trim_keep_s=1)
        left = sum([await client.xlen(key) for key in STREAMS.values()])
        assert 300 <= left < 1000
        ids += await crowd.approve(50)
        await drain(fresh_redis, fresh_postgres, trim_keep_s=1)
        assert Counter(await approved(fresh_postgres)) == Counter(ids)
        await client.aclose()

    asyncio.run(story())


def test_a_store_that_lost_its_end_and_decided_afresh(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """A failover: the ledger has approvals that the store forgot. The repeat's approval is another
    entry of the same authorization: parked, not booked twice; and what came after it is told."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd, client = Crowd(fresh_redis), admin.administrator(fresh_redis)
        ids = await crowd.approve(20)
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            row = await connection.fetchrow(
                "SELECT * FROM journal_entry WHERE message_id = $1", ids[7]
            )
        e = msgspec.msgpack.decode(row["envelope"], type=Envelope)
        again = msgspec.structs.replace(e, at_ms=e.at_ms + 60_000)
        key = keys.journal(f"{row['shard']:02}")
        await client.xadd(key, {b"e": pack(again), b"b": row["body"]})
        new = msgspec.structs.replace(again, message_id="n", authorization_id="n")
        await client.xadd(key, {b"e": pack(new), b"b": row["body"]})
        await drain(fresh_redis, fresh_postgres)
        assert Counter(await approved(fresh_postgres)) == Counter([*ids, "n"])
        async with books(fresh_postgres) as connection:
            assert await connection.fetchval("SELECT reason FROM parked") == "told_twice"
            # The store's numbers no longer follow from what it told before.
            assert await connection.fetchval("SELECT what FROM notice") == "gap"
            assert (await verify(connection)).ok
        await client.aclose()

    asyncio.run(story())
