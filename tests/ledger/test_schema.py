"""What the database refuses by itself, whoever asks; and how its schema comes about."""

import asyncio

import asyncpg
import pytest

from ledger.database import Migration, SchemaError, connect, migrate, migrations
from tests.support.books import begin, books

MONTH = 1_774_180_800_000  # in March 2026
ENTRY = (
    "INSERT INTO journal_entry VALUES ({at}, '\\x{seq:032x}', {shard}, {seq}, "
    "'k', 'v', 'm', '', '', {lines}, '\\x00', '\\x00', '\\x{seq:064x}')"
)
LINE = (
    "INSERT INTO posting VALUES ({at}, 1, {seq}, 0, 'p', '840', 'open', 'a', 5), "
    "({at}, 1, {seq}, 1, 'p', '{currency}', 'bank', '', {amount})"
)
HEAD = "UPDATE shard SET seq = {seq}, digest = '\\x{digest:064x}' WHERE shard = 1"


def entry(seq: int, shard: int = 1, lines: int = 2, at: int = MONTH) -> str:
    return ENTRY.format(at=at, seq=seq, shard=shard, lines=lines)


def line(seq: int, amount: int = -5, currency: str = "840") -> str:
    return LINE.format(at=MONTH, seq=seq, amount=amount, currency=currency)


def head(seq: int, digest: int = 0) -> str:
    return HEAD.format(seq=seq, digest=digest or seq)


# Statements in one transaction, behind a closed entry 1; what is refused. None: they are fine.
STORIES = {
    "an entry with its lines": ([entry(2), line(2), head(2)], None),
    "an entry without lines": ([entry(2, lines=0), head(2)], None),
    "no balance": ([entry(2), line(2, amount=-4)], "not balanced"),
    "no balance in each currency": ([entry(2), line(2, currency="978")], "not balanced"),
    "a line of nothing": ([entry(2), line(2, amount=0)], "posting_amount_minor_check"),
    "lines for a closed entry": (
        [line(1).replace("1, 1, 0,", "1, 1, 7,").replace("1, 1, 1,", "1, 1, 8,")], "is closed",
    ),
    "a hole": ([entry(3)], "not the next"),
    "the past": ([entry(1, at=MONTH + 1)], "not the next"),
    "a shard that is not there": ([entry(1, shard=9, at=MONTH + 1)], "not the next"),
    "missing lines": ([entry(2), head(2)], "are missing"),
    "another link": ([entry(2), line(2), head(2, digest=9)], "are missing"),
    "a head without its entry": ([head(2)], "are missing"),
    "two heads, one without its entry": (
        ["INSERT INTO shard (shard) VALUES (2)", entry(2), line(2),
         f"UPDATE shard SET seq = seq + 1, digest = '\\x{2:064x}'"],
        "are missing",
    ),
    "a chain that takes another's place": (["UPDATE shard SET shard = 2"], "only grows"),
    "a chain that shrinks": (["UPDATE shard SET seq = 0 WHERE shard = 1"], "only grows"),
    "a chain that goes": (["DELETE FROM shard"], "only added to"),
    "a chain from the middle": (["INSERT INTO shard VALUES (5, 3)"], "begins at its start"),
    "a changed entry": (["UPDATE journal_entry SET verdict = 'x'"], "only added to"),
    "a dropped entry": (["DELETE FROM journal_entry"], "only added to"),
    "no entries": (["TRUNCATE journal_entry"], "only added to"),
    "a changed line": (["UPDATE posting SET amount_minor = 1"], "only added to"),
    "a dropped line": (["DELETE FROM posting"], "only added to"),
    "a changed partition": (["UPDATE posting_2026_03 SET amount_minor = 1"], "only added to"),
    "into a partition": (
        [entry(2), line(2, amount=-4).replace("INTO posting", "INTO posting_2026_03")],
        "not balanced",
    ),
    "an entry into a partition": (
        [entry(3).replace("INTO journal_entry", "INTO journal_entry_2026_03")], "not the next",
    ),
    "a merge": (
        ["MERGE INTO posting p USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE"],
        "only added to",
    ),
}  # fmt: skip


def test_what_the_database_refuses(fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            await connection.execute("SELECT open_month($1)", MONTH)
            await connection.execute("INSERT INTO shard (shard) VALUES (1)")
            async with connection.transaction():
                for statement in (entry(1), line(1), head(1)):
                    await connection.execute(statement)
            for name, (statements, refused) in STORIES.items():
                trial = connection.transaction()
                await trial.start()
                try:
                    for statement in statements[:-1]:
                        await connection.execute(statement)
                    if refused is None:
                        await connection.execute(statements[-1])
                    else:
                        with pytest.raises(
                            asyncpg.IntegrityConstraintViolationError, match=refused
                        ):
                            await connection.execute(statements[-1])
                except BaseException as error:
                    error.add_note(name)
                    raise
                finally:
                    await trial.rollback()

    asyncio.run(story())


def test_migrations_run_once_also_when_two_begin_at_once(fresh_postgres: str) -> None:
    async def story() -> None:
        connections = [await connect(fresh_postgres) for _ in range(3)]
        ran = await asyncio.gather(*(migrate(connection) for connection in connections))
        assert sorted(ran) == [0, 0, len(migrations())]
        for connection in connections:
            await connection.close()

    asyncio.run(story())


def test_a_changed_or_newer_migration_is_refused(fresh_postgres: str) -> None:
    async def story() -> None:
        async with books(fresh_postgres) as connection:
            one, two = (
                Migration(1, "0001_a", "CREATE TABLE a ()"),
                Migration(2, "0002_b", "SELECT 1"),
            )
            assert await migrate(connection, [one, two]) == 2
            with pytest.raises(SchemaError, match="0001_a was changed"):
                await migrate(connection, [one._replace(sql="CREATE TABLE b ()"), two])
            with pytest.raises(SchemaError, match="newer version"):
                await migrate(connection, [one])
            broken = Migration(3, "0003_c", "CREATE TABLE c (); SELECT 1/0")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await migrate(connection, [one, two, broken])
            assert await connection.fetchval("SELECT to_regclass('c')") is None

    asyncio.run(story())
