"""Hot state and books side by side: equal wherever the writer stands, and any cent that is not."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from authz import shard_journal
from authz.app import cli
from authz.app.past import Past
from authz.app.rebuilding import Lives, rebuild
from authz.hot import admin, keys
from ledger import past
from ledger.writer import Settings, Writer
from tests.support.books import (
    STREAMS,
    Crowd,
    Heard,
    begin,
    books,
    drain,
    journalled,
    owned,
    reconciled,
    trim,
)
from tests.support.pictures import lose


def test_equal_whether_the_writer_is_behind_or_not_there(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd, client = Crowd(fresh_redis), admin.administrator(fresh_redis)
        for _ in range(3):  # no writer yet, then one that has stopped
            await crowd.approve(150)
            report = await reconciled(fresh_redis, fresh_postgres)
            assert report.ok, report.differences[:5]
            assert report.position == report.entries == len(await journalled(client))
            await drain(fresh_redis, fresh_postgres)
        await client.aclose()

    asyncio.run(story())


def test_equal_while_both_are_moving(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        await crowd.approve(50)
        writer = Writer(fresh_redis, fresh_postgres, STREAMS, Settings(batch=100), Heard())
        writing = asyncio.ensure_future(writer.run())
        positions: list[int] = []

        async def keep_busy() -> None:
            while len(positions) < 2:
                await crowd.approve(50)

        busy = asyncio.ensure_future(keep_busy())
        for _ in range(2):
            report = await reconciled(fresh_redis, fresh_postgres)
            assert report.ok, report.differences[:5]
            positions.append(report.position)
        await busy
        assert positions[0] < positions[1]
        writer.stop()
        await writing

    asyncio.run(story())


IN_BOOKS = {
    "posted 840 in the books": "UPDATE balance SET posted_minor = posted_minor + 1 "
    "WHERE account_id = '{}'",
    "held 840 in the books": "UPDATE balance SET held_minor = held_minor + 1 "
    "WHERE account_id = '{}'",
    "digest in the books": "UPDATE account SET digest = 'x' WHERE account_id = '{}'",
    "entries in the books": "UPDATE account SET entries = entries + 1 WHERE account_id = '{}'",
    "held of authorization": 'UPDATE "authorization" SET held_minor = held_minor + 1 '
    "WHERE account_id = '{}'",
    "paid of authorization": "UPDATE \"authorization\" SET paid_minor = 5 WHERE account_id = '{}'",
    "approved of authorization": 'UPDATE "authorization" SET approved = false '
    "WHERE account_id = '{}'",
}


def test_what_differs_in_the_books_is_told_alone(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(20)
        await drain(fresh_redis, fresh_postgres)
        tables = ("balance", "account", '"authorization"')
        async with books(fresh_postgres) as connection:
            one = await connection.fetchval('SELECT min(account_id) FROM "authorization"')
            for n, table in enumerate(tables):
                await connection.execute(f"CREATE TABLE copy_{n} AS TABLE {table}")
            for field, statement in IN_BOOKS.items():
                await owned(connection, statement.format(one))
                report = await reconciled(fresh_redis, fresh_postgres, light=True)
                assert {d.account for d in report.differences} == {one}, field
                assert {d.field.startswith(field) for d in report.differences} == {True}, field
                for n, table in enumerate(tables):
                    await owned(connection, f"DELETE FROM {table}")
                    await owned(connection, f"INSERT INTO {table} SELECT * FROM copy_{n}")
        assert (await reconciled(fresh_redis, fresh_postgres)).ok

    asyncio.run(story())


def test_what_only_one_of_them_has(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(20)
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            ids = [
                row[0]
                for row in await connection.fetch(
                    'SELECT DISTINCT account_id FROM "authorization" ORDER BY 1 LIMIT 2'
                )
            ]
            await owned(connection, f"DELETE FROM account WHERE account_id = '{ids[0]}'")
            await owned(
                connection,
                "INSERT INTO \"authorization\" SELECT 'more', account_id, card_id, currency, "
                "network, 700, 0, 0, 0, 0, '', true, '', '', 0, 0 FROM \"authorization\" "
                f"WHERE account_id = '{ids[1]}' LIMIT 1",
            )
            await owned(
                connection,
                "INSERT INTO account (account_id, shard, program, currency, credit_line_minor, "
                "created, entries, digest) VALUES "
                f"('nobody', {keys.shard_of('nobody')}, 'p', '840', 0, true, 1, 'x')",
            )
        report = await reconciled(fresh_redis, fresh_postgres)
        told = {(d.account, d.field): (d.hot, d.ledger) for d in report.differences}
        assert told["nobody", "account"] == (None, "in the books")
        assert told[ids[0], "entries in the books"][1] == 0
        assert told[ids[1], "held of authorization more in the books"] == (0, 700)
        assert told[ids[1], "approved of authorization more in the books"] == (0, 1)
        assert {account for account, _ in told} == {"nobody", *ids}

    asyncio.run(story())


def test_a_parked_entry_is_money_that_is_missing(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        crowd, client = Crowd(fresh_redis), admin.administrator(fresh_redis)
        await crowd.approve(5)
        [first, *_] = [e for e in await journalled(client) if e.envelope.kind == "authorization"]
        account = first.envelope.account_id
        key = keys.journal(keys.shard_of(account))
        # Spoiled before the writer comes.
        rows = await client.xrange(key)
        await client.delete(key)
        for _, fields in rows:
            body = b"?" if account.encode() in fields[b"e"] else fields[b"b"]
            await client.xadd(key, {b"e": fields[b"e"] + body[:0], b"b": body})
        await drain(fresh_redis, fresh_postgres)
        report = await reconciled(fresh_redis, fresh_postgres)
        assert (account, "digest in the books") in {
            (d.account, d.field) for d in report.differences
        }
        await client.aclose()

    asyncio.run(story())


def ran(store: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["reconcile", *words, "--redis", store], env=env)


def test_as_a_caller_sees_it(fresh_redis: str, fresh_postgres: str) -> None:
    async def lived() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        await crowd.approve(20)
        await drain(fresh_redis, fresh_postgres)
        await crowd.approve(3)

    asyncio.run(lived())
    result = ran(fresh_redis, "--postgres", fresh_postgres)
    assert result.exit_code == 0, result.output
    # The gates, a thousand accounts and cards, and the approvals.
    assert "Hot state and books are equal as of journal position 2,087: 1,000 acc" in result.stdout
    assert "The books are behind: 3 entries told from the store." in result.stdout
    told = json.loads(ran(fresh_redis, "--postgres", fresh_postgres, "--json", "-").stdout)
    assert (told["ok"], told["position"], told["cut"]) == (True, 2087, 0)
    assert told["books"] == {"compared": True, "entries": 2084, "behind": 3, "why_not": ""}
    assert len(told["positions"]) == 64


def test_books_that_are_named_must_be_there(fresh_redis: str) -> None:
    result = ran(fresh_redis, "--postgres", "postgresql://127.0.0.1:1/none")
    assert (result.exit_code, "cannot be used" in result.stderr) == (1, True)
    assert ran(fresh_redis, "--ledger-dir", "/nowhere/at/all").exit_code == 1


def test_equal_while_the_journal_is_cut_on_under_the_reader(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long past takes its time, and the writer trims meanwhile."""
    monkeypatch.setattr(shard_journal, "PAGE", 5)

    async def story() -> None:
        await begin(fresh_postgres)
        client = admin.administrator(fresh_redis)
        await Crowd(fresh_redis).approve(500)
        await drain(fresh_redis, fresh_postgres)
        assert await trim(client, 20)
        told = Past.before

        async def trimmed_meanwhile(*of: Any) -> AsyncIterator[Any]:
            async for row in told(*of):
                yield row
            await trim(client, 1)

        monkeypatch.setattr(Past, "before", trimmed_meanwhile)
        report = await reconciled(fresh_redis, fresh_postgres)
        assert report.ok, report.differences[:5]
        assert report.entries == report.position
        await client.aclose()

    asyncio.run(story())


def test_equal_while_the_first_entries_of_a_rebuilt_store_are_written(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked whether they are in the books the answer is no, and then they are."""

    async def story() -> None:
        await begin(fresh_postgres)
        client = admin.administrator(fresh_redis)
        await Crowd(fresh_redis).approve(100)
        await drain(fresh_redis, fresh_postgres)
        check = await client.get(keys.PAN_KEY)
        await lose(client)
        await rebuild(fresh_redis, fresh_postgres, check.decode(), Lives(answers_s=3600), "test")
        length, writes = past.length, 0

        async def after_the_writer(connection: asyncpg.Connection, shard: int) -> int:
            nonlocal writes
            writes += 1
            await drain(fresh_redis, fresh_postgres)
            return await length(connection, shard)

        monkeypatch.setattr(past, "length", after_the_writer)
        report = await reconciled(fresh_redis, fresh_postgres)
        assert report.ok, report.differences[:5]
        assert writes == 1
        await client.aclose()

    asyncio.run(story())
