"""Old months are put away: the books stay whole, and what is gone is told as gone."""

import asyncio
import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.hot import admin, keys
from ledger import read, retain, settlement_read
from ledger.journal import Envelope
from ledger.proof_reading import prove
from ledger.retain import NotYet, PutAway, first_kept, put_away
from ledger.source import GROUP
from ledger.verify import Verified, verify, verify_shard, verify_sums
from tests.support.books import Crowd, begin, books, drain, owned

NOW_MS = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)
BEGAN_MS = int(datetime(2026, 3, 15, tzinfo=UTC).timestamp() * 1000)
pack = msgspec.msgpack.encode


async def lived_for_months(url: str, dsn: str) -> None:
    """The books of a store, as if what happened in a moment had taken from March to November."""
    await begin(dsn)
    await Crowd(url).approve(3500)  # of a thousand accounts, three or four each
    client = admin.administrator(url)
    rows = [
        (tuple(map(int, id.split(b"-"))), shard, fields)
        for shard in keys.ALL_SHARDS
        for id, fields in await client.xrange(keys.journal(shard))
    ]
    rows.sort(key=lambda row: row[:2])
    await forget(client)
    for n, (_, shard, fields) in enumerate(rows):
        e = msgspec.msgpack.decode(fields[b"e"], type=Envelope)
        at_ms = BEGAN_MS + n * (NOW_MS - BEGAN_MS) // len(rows)
        moved = msgspec.structs.replace(e, at_ms=at_ms)
        await client.xadd(keys.journal(shard), {b"e": pack(moved), b"b": fields[b"b"]})
    await client.aclose()
    await drain(url, dsn)


async def forget(client: Any) -> None:
    """All but which store it is."""
    whose = await client.get(keys.STORE_ID)
    await client.flushall()
    await client.set(keys.STORE_ID, whose)


async def looked(connection: Any) -> dict[str, Any]:
    """What must be the same before and after."""
    balance = (
        "SELECT program, currency, role, subject, balance_minor FROM trial_balance ORDER BY 1,2,3,4"
    )
    return {
        "trial balance": [tuple(row) for row in await connection.fetch(balance)],
        "balances": [tuple(row) for row in await connection.fetch("SELECT * FROM balance")],
        "heads": [tuple(row) for row in await connection.fetch("SELECT * FROM shard")],
    }


def test_the_books_are_whole_after_each_time(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await lived_for_months(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            before, whole = await looked(connection), await verify(connection)
            assert whole.ok, whole.differences[:3]
            dry = await put_away(connection, 6, NOW_MS, dry_run=True)
            assert (await verify(connection)).entries == whole.entries
            first = await put_away(connection, 6, NOW_MS)
            assert first == dry
            assert first.months == ["2026_03", "2026_04"]
            assert await put_away(connection, 6, NOW_MS) == PutAway(
                months=[], before_ms=first.before_ms
            )
            second = await put_away(connection, 4, NOW_MS)
            assert second.months == ["2026_05", "2026_06"]
            assert second.entries > 500
            report = await verify(connection)
            assert report.ok, report.differences[:5]
            assert report.put_away == first.entries + second.entries
            assert report.entries + report.put_away == whole.entries
            assert report.postings + first.postings + second.postings == whole.postings
            assert await looked(connection) == before
            assert await settlement_read.check(connection) == []
            for day in (date(2026, 7, 1), date(2026, 11, 20)):
                proof = await prove(connection, day, ZoneInfo("UTC"), NOW_MS)
                assert proof.ok, msgspec.json.encode(proof)[:2000]
            there = await connection.fetch(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE nspname = 'ledger_archive' AND relkind = 'r' ORDER BY 1"
            )
            names = [row[0] for row in there]
            assert names == [f"{t}_{m}" for t in ("journal_entry", "posting") for m in (
                "2026_03", "2026_04", "2026_05", "2026_06")]  # fmt: skip
            gone = sum([await connection.fetchval(f"SELECT count(*) FROM ledger_archive.{name}")
                        for name in names[:4]])  # fmt: skip
            assert gone == report.put_away
        # And the writer goes on.
        client = admin.administrator(fresh_redis)
        [(_, last)] = await client.xrevrange(keys.journal("00"), count=1)
        e = msgspec.msgpack.decode(last[b"e"], type=Envelope)
        more = msgspec.structs.replace(e, at_ms=NOW_MS, kind="note", message_id="n", account_id="",
                                       authorization_id="", card_id="", currency="", held_delta=0,
                                       posted_delta=0, held_after=0, posted_after=0)  # fmt: skip
        await client.xadd(keys.journal("00"), {b"e": pack(more), b"b": last[b"b"]})
        await client.aclose()
        assert (await drain(fresh_redis, fresh_postgres)).entries == 1
        async with books(fresh_postgres) as connection:
            assert (await verify(connection)).ok

    asyncio.run(story())


HARM = {
    "a sum": "UPDATE carried SET amount_minor = amount_minor + 1 WHERE role = 'bank'",
    "an account's sum": "UPDATE carried SET amount_minor = amount_minor + 1 WHERE subject = "
    "(SELECT min(subject) FROM carried WHERE role = 'open')",
    "an end of a chain": "UPDATE anchor SET digest = sha256(digest) WHERE shard = 7",
    "a place of it": "UPDATE anchor SET seq = seq - 1 WHERE shard = 7",
    "an entry that is kept": "DELETE FROM journal_entry WHERE shard = 7 AND seq = "
    "(SELECT seq + 1 FROM anchor WHERE shard = 7)",
    "a month more": "UPDATE retention SET sums = sha256(sums)",
}


def test_who_alters_what_was_carried_is_seen(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await lived_for_months(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            await put_away(connection, 5, NOW_MS)
            assert (await verify(connection)).ok
            for what, statement in HARM.items():
                transaction = connection.transaction()
                await transaction.start()
                await owned(connection, statement)
                assert await broken(connection), what
                await transaction.rollback()
            for statement in ("DELETE FROM anchor", "DELETE FROM carried",
                              "UPDATE retention SET entries = 1"):  # fmt: skip
                with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                    await connection.execute(statement)

    asyncio.run(story())


async def broken(connection: Any) -> bool:
    """Whether it is seen; in the transaction of who looks."""
    report = Verified()
    for row in await connection.fetch("SELECT * FROM shard WHERE shard = 7"):
        await verify_shard(connection, row, report)
    await verify_sums(connection, report)
    return not report.ok


def test_what_is_gone_is_told_as_gone(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> str:
        await lived_for_months(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            one = await connection.fetchval(
                'SELECT account_id FROM "authorization" GROUP BY 1 ORDER BY count(*) DESC LIMIT 1'
            )
            end = NOW_MS + 1
            whole = await read.statement(connection, one, 0, end)
            done = await put_away(connection, 4, NOW_MS)
            with pytest.raises(read.PutAway):
                await read.statement(connection, one, 0, end)
            kept = await read.statement(connection, one, done.before_ms, end)
            assert kept.adds_up
            assert kept.sums[0].closing_held_minor == whole.sums[0].closing_held_minor
            assert kept.sums[0].closing_posted_minor == whole.sums[0].closing_posted_minor
            assert kept.lines == [e for e in whole.lines if e.at_ms >= done.before_ms]
            assert 0 < len(kept.lines) < len(whole.lines)
            old, new = [
                await connection.fetchval(
                    'SELECT authorization_id FROM "authorization" '
                    f"ORDER BY first_at_ms {way} LIMIT 1"
                )
                for way in ("ASC", "DESC")
            ]
            life = await read.authorization(connection, old)
            assert life is not None
            assert (life.acts, life.may_have_more) == ([], True)
            life = await read.authorization(connection, new)
            assert life is not None
            assert (len(life.acts), life.may_have_more) == (1, False)
            return str(one)

    one = asyncio.run(story())
    refused = asked(fresh_postgres, "statement", one, "--from", "2026-01-01")
    assert "Entries before 2026-07-01T00:00:00.000+00:00 were put away" in refused.stderr


def test_a_month_that_is_no_piece_of_the_chains_stays(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """The store's clock went back over the end of a month."""

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(5)
        client = admin.administrator(fresh_redis)
        [(_, first), *_] = await client.xrange(keys.journal("03"))
        e = msgspec.msgpack.decode(first[b"e"], type=Envelope)
        await forget(client)
        for at_ms in (BEGAN_MS, BEGAN_MS + 90 * 86_400_000, BEGAN_MS + 1):
            moved = msgspec.structs.replace(e, at_ms=at_ms)
            await client.xadd(keys.journal("03"), {b"e": pack(moved), b"b": first[b"b"]})
        await client.aclose()
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            with pytest.raises(NotYet, match="2026_03: the entries of shard 3 are no piece"):
                await put_away(connection, 6, NOW_MS)
            assert await connection.fetchval("SELECT count(*) FROM anchor") == 0
            assert (await verify(connection)).ok

    asyncio.run(story())


def test_books_that_are_in_use_are_left_alone(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retain, "LOCK_TIMEOUT_MS", 50)

    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection, books(fresh_postgres) as other:
            await connection.execute("SELECT open_month($1)", BEGAN_MS)
            transaction = other.transaction()
            await transaction.start()
            await other.fetch("SELECT * FROM journal_entry")
            with pytest.raises(NotYet, match="in use"):
                await put_away(connection, 4, NOW_MS)
            await transaction.rollback()
            async with other.transaction():
                await other.execute("SELECT pg_advisory_xact_lock($1)", retain.LOCK)
                with pytest.raises(NotYet, match="another one"):
                    await put_away(connection, 4, NOW_MS)
            assert (await put_away(connection, 4, NOW_MS)).months == ["2026_03"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("months", "first"),
    [(4, (2026, 7)), (6, (2026, 5)), (10, (2026, 1)), (11, (2025, 12)), (13, (2025, 10))],
)
def test_the_first_month_that_is_kept(months: int, first: tuple[int, int]) -> None:
    assert first_kept(months, NOW_MS) == datetime(*first, 1, tzinfo=UTC)


def asked(dsn: str, *words: str) -> Result:
    return CliRunner().invoke(cli.main, [*words, "--postgres", dsn])


def test_as_a_caller_sees_it(fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            await connection.execute("SELECT open_month($1)", BEGAN_MS)

    asyncio.run(story())
    assert asked(fresh_postgres, "ledger", "retain").exit_code == 2
    assert asked(fresh_postgres, "ledger", "retain", "--months", "3").exit_code == 2
    words = ("ledger", "retain", "--months", "4", "--json")
    for more, done in ((("--dry-run",), False), ((), True)):
        result = asked(fresh_postgres, *words, *more)
        told = json.loads(result.stdout)
        assert (told["months"], told["done"]) == (["2026_03"], done)


def test_what_was_put_away_is_not_booked_again(fresh_redis: str, fresh_postgres: str) -> None:
    """The journal is told from its beginning: whose place in it was lost knows no better."""

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(5)
        client, key = admin.administrator(fresh_redis), keys.journal("03")
        rows = [
            (msgspec.msgpack.decode(fields[b"e"], type=Envelope), fields[b"b"])
            for _, fields in await client.xrange(key)
        ]
        await forget(client)
        for n, (e, body) in enumerate(rows):
            at_ms = BEGAN_MS + n if n < len(rows) - 1 else NOW_MS
            moved = msgspec.structs.replace(e, at_ms=at_ms)
            await client.xadd(key, {b"e": pack(moved), b"b": body})
        await drain(fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            assert (await put_away(connection, 4, NOW_MS)).entries == len(rows) - 1
            before = await looked(connection)
            await client.xgroup_setid(key, GROUP, "0")
            await drain(fresh_redis, fresh_postgres)
            assert await looked(connection) == before
            assert (await verify(connection)).parked == len(rows) - 1
            assert (await put_away(connection, 4, NOW_MS)).months == []
        await client.aclose()

    asyncio.run(story())
