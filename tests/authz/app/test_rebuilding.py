"""A rebuild gives back all that the books have, once, and only to a store that is empty. Lives of
cards are in tests/ledger/test_rebuild_lives.py; here is what is of no account, and what goes wrong.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from authz.app import rebuilding
from authz.app.rebuilding import Lives, Rebuilt, rebuild
from authz.audit import audit_store
from authz.clock import SystemClock
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.hot import rebuild as hot_rebuild
from authz.hot.acts import CutOver
from authz.hot.errors import Full
from authz.hot.keeper import Keeper
from authz.hot.store import RedisHotState
from authz.judgement import add_entries, put_policy, remove_entries
from authz.privacy import Pan
from ledger import rebuild as ledger_rebuild
from ledger.journal import CutOverBody, encode_body
from ledger.rebuild import NothingToRebuildFrom, reading
from ledger.store import OtherStore
from ledger.verify import verify
from ledger.writer import Settings, Writer
from rules.judge import POLICY
from tests.scenarios.test_program_limits import NOON, Town, limit
from tests.scenarios.test_referral import stage
from tests.support.books import STORE, STREAMS, Crowd, Heard, approved, begin, books, drain
from tests.support.engine import KEYS, account
from tests.support.hot import account_act, opened, store_and_client
from tests.support.pictures import differences, lose, picture

WEEK = Lives(answers_s=700_000)
PLAIN = (("", "", 0, 0),)


@asynccontextmanager
async def lost(url: str, dsn: str, now_s: int = 0) -> AsyncIterator[Rebuilt]:
    """The store, drained, lost and rebuilt: as it was."""
    client = admin.administrator(url)
    try:
        await client.set(keys.PAN_KEY, KEYS.check)
        await begin(dsn)
        await drain(url, dsn)
        before = await picture(client, now_s)
        await lose(client)
        report = await rebuild(url, dsn, KEYS.check, WEEK, "test")
        assert differences(before, await picture(client, now_s)) == []
        yield report
        audited = await audit_store(url, may_be_trimmed=True)
        assert audited.differences == []
    finally:
        await client.aclose()


def cut_over(number: int) -> CutOver:
    body = CutOverBody("visa", "0800", f"{number:06}", 0, "", 20_000 + number)
    return CutOver(
        message_id=f"m{number}", fingerprint="f", attempt="t", deadline_ms=0, network="visa",
        day=20_000 + number, today=19_999, answer_ttl_s=3600, body=encode_body(body),
    )  # fmt: skip


async def load(url: str, many: int = 3) -> None:
    async with store_and_client(url) as (hot, client):
        rows = [NewAccount(profile=account(f"A{n}"), opening_minor=10_000) for n in range(many)]
        await put_accounts(hot, rows, "test")
        cards = [
            NewCard(pan=Pan(f"99999900000{n:05}"), account_id=f"A{n}", expiry="3912")
            for n in range(many)
        ]
        await put_cards(hot, KEYS, cards, "test")
        await client.set(keys.PAN_KEY, KEYS.check)


def test_policy_lists_and_changes_come_back(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        client = admin.administrator(fresh_redis)
        await put_policy(client, limit("count", 3), "test")
        await add_entries(client, {f"block/merchant/M{n}": PLAIN for n in range(50)}, "test")
        await remove_entries(client, [f"block/merchant/M{n}" for n in range(10)], "test")
        await put_policy(client, limit("count", 5), "test")
        await client.aclose()
        async with lost(fresh_redis, fresh_postgres) as report:
            assert report.judgement == 4
        async with store_and_client(fresh_redis) as (hot, client):
            standing = await hot.standing(5)
            assert standing.counts == {"block/merchant": 40}
            assert "ceiling = 5" in standing.texts[POLICY]
            # And the next change is told from there.
            await add_entries(client, {"block/merchant/M7": PLAIN}, "test")
            assert await hot.judgement_version(5) == 5

    asyncio.run(story())


def test_business_days_come_back(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        async with store_and_client(fresh_redis) as (hot, _):
            for number in range(3):
                act = cut_over(number)
                assert (await hot.cut_over(act, 5)).kind == "moved"
            days = await hot.days(act.network, 5)
        async with lost(fresh_redis, fresh_postgres):
            pass
        async with store_and_client(fresh_redis) as (hot, _):
            assert await hot.days(act.network, 5) == days
            again = await hot.cut_over(act, 5)  # its answer is known
            assert (again.kind, again.replayed) == ("moved", True)

    asyncio.run(story())


def test_open_cases_come_back_and_are_decided(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        async with stage(fresh_redis) as here:
            for stan in (1, 2, 3):
                assert await here.buy(stan) == "01"
            before = await here.waiting()
            words = ("review", "decline", before[0]["review_id"], "--by", "J. Doe")
            await here.run(*words)
            left = {case["review_id"]: case["transaction_minor"] for case in await here.waiting()}
            assert len(left) == 2
            async with lost(fresh_redis, fresh_postgres, here.now_ms // 1000):
                again = {c["review_id"]: c["transaction_minor"] for c in await here.waiting()}
                assert again == left
            first, second = left
            await here.run("review", "decline", first, "--by", "J. Doe")
            assert [case["review_id"] for case in await here.waiting()] == [second]
            here.state._connection.close()  # type: ignore[union-attr]
            await here.client.aclose()
            await asyncio.sleep(0)
            raise Enough  # what the stage asks at its end needs the whole journal

    with pytest.raises(Enough):
        asyncio.run(story())


class Enough(Exception):
    pass


def test_ceilings_of_a_program_are_as_used_as_before(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        town = await Town(fresh_redis).open(limit("count", 12))
        said = [await town.buy(number, 100) for number in range(8)]
        assert {buy.reason for buy in said} == {"approved"}
        async with lost(fresh_redis, fresh_postgres, NOON // 1000):
            said = [await town.buy(number, 100) for number in range(8, 20)]
            assert sum(buy.reason == "approved" for buy in said) == 4
        for connection in town.connections:
            connection.close()
        await town.client.aclose()

    asyncio.run(story())


# -- refusals ----------------------------------------------------------------------------


def test_a_store_that_holds_something_is_refused(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            before = await picture(client)
            with pytest.raises(admin.NotFit, match="not empty"):
                await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
            assert await picture(client) == before
            assert await admin.state_of_gates(client) == "open"

    asyncio.run(story())


def test_a_store_that_was_just_opened_may_be_given_the_old_one(
    fresh_redis: str, fresh_postgres: str
) -> None:
    """As a supervisor does, that starts an engine again on an empty folder."""

    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            before = await picture(client)
            id = await admin.store_id(client)
            await lose(client)
            await admin.open_gates(client, new=True, source="test")
            assert await admin.store_id(client) != id
            await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
            assert differences(before, await picture(client)) == []
            assert await admin.store_id(client) == id

    asyncio.run(story())


def test_another_key_of_cards_is_refused(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            await lose(client)
            with pytest.raises(admin.NotFit, match="PAN key"):
                await rebuild(fresh_redis, fresh_postgres, "another", WEEK, "test")
            assert await client.dbsize() == 0

    asyncio.run(story())


def test_there_is_one_at_a_time(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            await lose(client)
            async with reading(fresh_postgres):
                with pytest.raises(NothingToRebuildFrom, match="Another rebuild"):
                    await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
                assert await client.dbsize() == 0
            await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")

    asyncio.run(story())


def test_empty_books_give_nothing(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        with pytest.raises(NothingToRebuildFrom, match="empty"):
            await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")

    asyncio.run(story())


def test_the_journal_of_another_store_gets_into_no_books(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            await lose(client)
        await load(fresh_redis, 5)
        async with books(fresh_postgres) as connection:
            before = await connection.fetchval("SELECT sum(seq) FROM shard")
            with pytest.raises(ExceptionGroup) as trouble:
                await drain(fresh_redis, fresh_postgres)
            assert trouble.value.subgroup(OtherStore) is not None
            assert await connection.fetchval("SELECT sum(seq) FROM shard") == before

    asyncio.run(story())


# -- killed, and beside others -----------------------------------------------------------


class Killed(BaseException):
    """As if: nothing after it runs."""


def test_killed_anywhere_it_is_begun_anew(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of its calls to the store in turn; until it gets through."""
    calls = count()
    dies_at = 0

    def dying(honest: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            said = await honest(*arguments, **named)
            if next(calls) == dies_at:
                raise Killed
            return said

        return call

    for owner, name in (
        (hot_rebuild.Loader, "_page"), (hot_rebuild.Loader, "_settled"), (Redis, "unlink"),
        (rebuilding, "begin"), (admin, "let_in"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))

    async def story() -> None:
        nonlocal calls, dies_at
        dies_at = -1
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        client = admin.administrator(fresh_redis)
        before = await picture(client)
        await lose(client)
        calls, died = count(), 0
        while died < 100:
            calls, dies_at = count(), died
            try:
                await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
            except Killed:
                died += 1
                assert await admin.state_of_gates(client) == "rebuilding"
                with pytest.raises(admin.NotFit, match="run authz rebuild again"):
                    await admin.open_gates(client, new=True, source="test")
            else:
                break
        assert died > 5
        assert differences(before, await picture(client)) == []
        assert await admin.state_of_gates(client) == "open"
        await client.aclose()

    asyncio.run(story())


def test_a_page_has_fewer_accounts_where_they_have_many_records(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rebuild, "FIRST", 1)
    monkeypatch.setattr(ledger_rebuild, "RECORDS", 60)

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(2000)
        await drain(fresh_redis, fresh_postgres)
        async with reading(fresh_postgres) as reader:
            pages = [page async for page in reader.accounts()]
        records = [sum(len(account.records) for account in page) for page in pages]
        assert (sum(map(len, pages)), sum(records)) == (1000, 2000)
        assert 30 < max(records) <= 2 * 60
        assert len(pages) > 20

    asyncio.run(story())


def test_nobody_is_let_in_before_it_is_through(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that has not looked since the store was lost knows of nothing."""
    let_in = admin.let_in

    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (hot, client):
            asked = count(1)

            async def and_asked(*of: Any, **named: Any) -> str:
                run = await let_in(*of, **named)
                with pytest.raises(Full):
                    await hot.put_account(account_act("new", next(asked)), 5)
                return run

            monkeypatch.setattr(admin, "let_in", and_asked)
            await lose(client)
            await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
            assert (await hot.put_account(account_act("new", 5), 5)) == "created"
            assert next(asked) == 2

    asyncio.run(story())


def test_a_writer_that_runs_goes_on_with_the_new_journal(
    fresh_redis: str, fresh_postgres: str
) -> None:
    async def story() -> None:
        crowd = Crowd(fresh_redis)
        await begin(fresh_postgres)
        writer = Writer(
            fresh_redis, fresh_postgres, STREAMS, Settings(batch=200), Heard(), store_keys=STORE
        )
        ids = await crowd.approve(500)
        await drain(fresh_redis, fresh_postgres)
        running = asyncio.create_task(writer.run())
        for _ in range(2):
            ids += await crowd.approve(300)
            await until_in_the_books(fresh_postgres, len(ids))
            async with store_and_client(fresh_redis) as (_, client):
                check = (await client.get(keys.PAN_KEY) or b"").decode()
                await lose(client)
            await rebuild(fresh_redis, fresh_postgres, check, WEEK, "test")
        ids += await crowd.approve(300)
        await until_in_the_books(fresh_postgres, len(ids))
        writer.stop()
        await running
        assert sorted(await approved(fresh_postgres)) == sorted(ids)
        async with books(fresh_postgres) as connection:
            report = await verify(connection)
            assert report.ok, report.differences[:3]
            assert (report.parked, report.notices) == (0, 0)

    asyncio.run(story())


async def until_in_the_books(dsn: str, many: int) -> None:
    async with books(dsn) as connection, asyncio.timeout(30):
        while await counted(connection) < many:
            await asyncio.sleep(0.02)


async def counted(connection: asyncpg.Connection) -> int:
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM journal_entry WHERE kind = 'authorization' AND verdict = 'held'"
        )
    )


def test_an_engine_waits_for_it_and_begins_anew(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        client, hot, forgot = admin.administrator(fresh_redis), RedisHotState(), list[int]()
        (await opened(fresh_redis))._connection.close()  # type: ignore[union-attr]

        async def reopen(run_id: str) -> str:
            raise AssertionError("nothing is audited here")

        async def on_ready(offset_ms: int) -> None: ...

        id = await admin.store_id(client)
        keeper = Keeper(
            fresh_redis, hot, SystemClock(), reopen, on_ready, id, KEYS.check,
            lambda: forgot.append(1),
        )  # fmt: skip
        task = asyncio.create_task(keeper.run())
        await until(lambda: keeper.ready)
        await lose(client)
        await until(lambda: not keeper.ready)
        assert "authz rebuild" in keeper.why_not
        await client.set(keys.REBUILDING, 1)
        await client.set(keys.STORE_ID, id)
        await until(lambda: "is being rebuilt" in keeper.why_not)
        await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
        await until(lambda: keeper.ready)
        assert forgot == [1]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.aclose()

    asyncio.run(story())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_books_that_end_in_the_middle_are_told_of(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await load(fresh_redis)
        await begin(fresh_postgres)
        await drain(fresh_redis, fresh_postgres)
        async with store_and_client(fresh_redis) as (_, client):
            before = await picture(client)
            await lose(client)
            async with books(fresh_postgres) as connection:
                await connection.execute("ALTER TABLE decline RENAME TO away")
                with pytest.raises(asyncpg.UndefinedTableError):
                    await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
                assert await admin.state_of_gates(client) == "rebuilding"
                await connection.execute("ALTER TABLE away RENAME TO decline")
            await rebuild(fresh_redis, fresh_postgres, KEYS.check, WEEK, "test")
            assert differences(before, await picture(client)) == []

    asyncio.run(story())
