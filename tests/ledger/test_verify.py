"""`authz ledger verify`: books that are whole, and what it says of those that were touched."""

import asyncio

import pytest

from authz.app.commands.ledger import tell
from ledger.verify import Verified, verify, verify_shard
from tests.support.books import Crowd, begin, books, drain

# By somebody who owns the tables and switches the triggers off; what is found, at which entry.
TOUCHED = {
    "an amount": (
        "UPDATE posting SET amount_minor = amount_minor * 2 WHERE shard = 3 AND seq = {}", "digest",
    ),
    "a line": ("DELETE FROM posting WHERE shard = 3 AND seq = {} AND line = 0", "lines"),
    "an entry": ("DELETE FROM journal_entry WHERE shard = 3 AND seq = {}", "entry"),
    "a body": ("UPDATE journal_entry SET body = body || '\\x00' WHERE shard = 3 AND seq = {}",
               "content"),
    "whose a line is": ("UPDATE posting SET subject = 'me' WHERE shard = 3 AND seq = {}", "digest"),
}  # fmt: skip


async def touched(dsn: str, statement: str) -> Verified:
    async with books(dsn) as connection:
        await connection.execute("SET session_replication_role = replica")  # no triggers
        await connection.execute(statement)
        return await verify(connection)


def test_what_is_touched_is_found_at_its_entry(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(600)
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            report = await verify(connection)
            assert report.ok, report.differences
            assert report.entries == 64 + 1000 + 1000 + 600
            assert report.postings == 2 * (1000 + 600)
            seq = await connection.fetchval(
                "SELECT min(seq) FROM journal_entry WHERE shard = 3 AND kind = 'authorization'"
            )
            for statement, what in TOUCHED.values():
                trial = connection.transaction()
                await trial.start()
                await connection.execute("SET LOCAL session_replication_role = replica")
                await connection.execute(statement.format(seq))
                report = Verified()
                head = await connection.fetchrow("SELECT * FROM shard WHERE shard = 3")
                await verify_shard(connection, head, report)
                assert not report.ok
                first = report.differences[0]
                assert (first.where, first.what) == (f"shard 3 entry {seq}", what)
                await trial.rollback()
        report = await touched(
            fresh_postgres,
            "UPDATE balance SET held_minor = held_minor + 1 WHERE account_id < 'A000000009'",
        )
        assert {d.what for d in report.differences} == {
            "what a balance says is open is not the sum of its lines",
            "what a balance says is held is not the sum of its lines",
            "holds are not those of the authorizations",
        }

    asyncio.run(story())


def test_notices_are_told_beside_what_is_parked(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Verified(parked=1, notices=2), to_stderr=False)
    told = capsys.readouterr().out
    assert told.endswith("0 journal entries, 0 postings, 1 parked, 2 notices.\n")
