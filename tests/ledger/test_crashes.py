"""P5, every cent once: the writer is killed anywhere, twice at once, without its servers.

Each story ends with every approval in the books exactly once, in books that are whole, and with the
chains of every account and gate as the hot state has them: byte for byte what was journalled.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys
from ledger.source import Source
from ledger.verify import verify
from ledger.writer import Settings, Writer
from tests.support.books import STREAMS, Crowd, Heard, approved, begin, books, drain, trim
from tests.support.doomed_writer import PLACES

DEEP = settings.default is not None and settings.default.max_examples > 100
KILLS = 200 if DEEP else 20
ROOT = Path(__file__).parents[2]


async def start(redis_url: str, dsn: str, *doom: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.doomed_writer", redis_url, dsn, *doom, cwd=ROOT
    )


async def all_is_there_once(redis_url: str, dsn: str, ids: list[str]) -> None:
    assert Counter(await approved(dsn)) == Counter(ids)
    async with books(dsn) as connection:
        report = await verify(connection)
        assert report.ok, report.differences[:5]
        assert report.parked == report.notices == 0
        client = admin.administrator(redis_url)
        for row in await connection.fetch("SELECT account_id, entries, digest FROM account"):
            hot = await client.hmget(keys.account(row[0]), "entries", "digest")
            assert [int(hot[0] or 0), (hot[1] or b"").decode()] == [row[1], row[2]], row[0]
        for row in await connection.fetch("SELECT shard, gate_entries, gate_digest FROM shard"):
            hot = await client.hmget(keys.control(f"{row[0]:02}"), "entries", "digest")
            assert [int(hot[0] or 0), (hot[1] or b"").decode()] == [row[1], row[2]]
        await client.aclose()


def test_books_from_a_backup_read_again_what_they_lack(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """The group's position is ahead of them: it was set by the books that are lost."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd, ids = Crowd(fresh_redis), []
        ids += await crowd.approve(500)
        await drain(fresh_redis, fresh_postgres)
        name = urlsplit(fresh_postgres).path.removeprefix("/")
        copy = f"{name}_restored"
        backup, elsewhere = (fresh_postgres.replace(name, to, 1) for to in (copy, "postgres"))
        async with books(elsewhere) as connection:
            await connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
            try:
                ids += await crowd.approve(500)
                await drain(fresh_redis, fresh_postgres)
                ids += await crowd.approve(100)
                await drain(fresh_redis, backup, batch=150)
                await all_is_there_once(fresh_redis, backup, ids)
                source = Source(fresh_redis, STREAMS)
                assert (await source.lag())[0] == 0
                await source.close()
            finally:
                await connection.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')

    asyncio.run(story())


def test_books_from_a_backup_say_where_the_journal_does_not_reach_back(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """What they lack was trimmed, since the books that are lost had it."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        await crowd.approve(500)
        await drain(fresh_redis, fresh_postgres)
        name = urlsplit(fresh_postgres).path.removeprefix("/")
        copy = f"{name}_restored"
        backup, elsewhere = (fresh_postgres.replace(name, to, 1) for to in (copy, "postgres"))
        async with books(elsewhere) as connection:
            await connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
            try:
                await crowd.approve(500)
                await drain(fresh_redis, fresh_postgres)
                client = admin.administrator(fresh_redis)
                assert await trim(client)
                await client.aclose()
                for dsn in (backup, backup, fresh_postgres):
                    await crowd.approve(10)
                    await drain(fresh_redis, dsn)
                places = "SELECT shard, seq FROM shard ORDER BY shard"
                async with books(fresh_postgres) as whole, books(backup) as restored:
                    noticed = "SELECT DISTINCT shard FROM notice WHERE what = 'cut' ORDER BY shard"
                    once = "SELECT count(*) FROM notice WHERE what = 'cut'"
                    assert await whole.fetch("SELECT * FROM notice") == []
                    had = dict(await whole.fetch(places))
                    has = dict(await restored.fetch(places))
                    lacking = [shard for shard, seq in has.items() if seq < had[shard]]
                    assert lacking
                    assert [row[0] for row in await restored.fetch(noticed)] == lacking
                    assert await restored.fetchval(once) == len(lacking)
            finally:
                await connection.execute(f'DROP DATABASE "{copy}" WITH (FORCE)')

    asyncio.run(story())


def test_killed_at_any_line(fresh_redis: str, fresh_postgres: str) -> None:
    """At seeded points between read, insert, commit, acknowledge and trim, while money moves."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd, random, ids = Crowd(fresh_redis), Random(20_260_322), []
        for number in range(KILLS):
            ids += await crowd.approve(120)
            place = PLACES[number % len(PLACES)]
            writer = await start(fresh_redis, fresh_postgres, place, str(random.randint(1, 3)))
            ids += await crowd.approve(300)
            try:
                code = await asyncio.wait_for(writer.wait(), 20)
            except TimeoutError:
                writer.kill()
                await writer.wait()
                raise
            assert code == -signal.SIGKILL, (place, code)
        await drain(fresh_redis, fresh_postgres)
        await all_is_there_once(fresh_redis, fresh_postgres, ids)

    asyncio.run(story())


def test_a_second_writer_beside_the_first(fresh_redis: str, fresh_postgres: str) -> None:
    """Three at once, of which two are killed: shards change hands, entries do not."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd, ids = Crowd(fresh_redis), []
        ids += await crowd.approve(500)
        never = ("read", "1000000")
        writers = [await start(fresh_redis, fresh_postgres, *never) for _ in range(3)]
        for writer in writers[:2]:
            ids += await crowd.approve(700)
            writer.kill()
            ids += await crowd.approve(700)
        await asyncio.sleep(1.5)  # the last one has taken over what was theirs
        writers[2].kill()
        await asyncio.gather(*(writer.wait() for writer in writers))
        await drain(fresh_redis, fresh_postgres)
        await all_is_there_once(fresh_redis, fresh_postgres, ids)

    asyncio.run(story())


def test_a_writer_that_stood_still_does_no_harm_when_it_goes_on(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """SIGSTOP, its sessions ended by the server, another takes over; then SIGCONT."""

    async def story() -> None:
        await begin(fresh_postgres)
        crowd = Crowd(fresh_redis)
        ids = await crowd.approve(600)
        sleeper = await start(fresh_redis, fresh_postgres, "read", "1000000")
        await asyncio.sleep(1.0)
        os.kill(sleeper.pid, signal.SIGSTOP)
        ids += await crowd.approve(600)
        async with books(fresh_postgres) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'authz settle%' AND datname = current_database()"
            )
        await drain(fresh_redis, fresh_postgres)
        os.kill(sleeper.pid, signal.SIGCONT)
        ids += await crowd.approve(600)
        await asyncio.sleep(1.0)
        sleeper.kill()
        await sleeper.wait()
        await drain(fresh_redis, fresh_postgres)
        await all_is_there_once(fresh_redis, fresh_postgres, ids)

    asyncio.run(story())


@pytest.mark.parametrize("which", ["postgres", "redis"])
def test_a_server_that_is_killed_and_comes_back(which: str) -> None:
    """In mid-batch, several times; approvals go on while Postgres is away."""

    async def story(folder: Path) -> None:
        postgres = EmbeddedPostgres.start(folder / "books")
        store = EmbeddedValkey.start(folder / "store")
        try:
            await begin(postgres.dsn)
            crowd, heard = Crowd(store.url), Heard()
            ids = await crowd.approve(400)
            quick = Settings(batch=150, linger_ms=5, backoff_s=0.3)
            writer = Writer(store.url, postgres.dsn, STREAMS, quick, heard)
            running = asyncio.create_task(writer.run())
            for _ in range(3):
                ids += await crowd.approve(400)
                await asyncio.sleep(0.1)
                if which == "postgres":
                    postgres.kill()
                    ids += await crowd.approve(200)
                    postgres = await asyncio.to_thread(EmbeddedPostgres.start, folder / "books")
                else:
                    store.kill()
                    await asyncio.sleep(0.3)
                    store = await asyncio.to_thread(EmbeddedValkey.start, folder / "store")
                    await reopened(store.url)
            await until_drained(store.url)
            writer.stop()
            await running
            assert heard.failures[which] > 0
            await drain(store.url, postgres.dsn)
            await all_is_there_once(store.url, postgres.dsn, ids)
        finally:
            store.stop()
            postgres.stop()

    with tempfile.TemporaryDirectory(prefix="authz-") as parent:
        os.chmod(parent, 0o711)
        asyncio.run(story(Path(parent)))


async def until_drained(url: str) -> None:
    source = Source(url, STREAMS)
    async with asyncio.timeout(30):
        while (await source.lag())[0]:
            await asyncio.sleep(0.05)
    await source.close()


async def reopened(url: str) -> None:
    """As an engine would after its audit."""
    client = admin.administrator(url)
    await admin.open_gates(client, new=False, source="test")
    await client.aclose()
