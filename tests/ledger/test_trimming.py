"""The journal in the store is cut, and nobody who reads it notices: the rest is in the books."""

import asyncio
import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from authz.app import cli, history
from authz.app.people import load_population
from authz.app.store import Store, as_engine
from authz.app.store import opened as store_opened
from authz.audit import audit_store
from authz.clock import SystemClock
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.judgement import put_lists, put_policy
from authz.privacy import Pan, PanKeys
from authz.simulator.link import Link, Manners
from authz.simulator.merchants import make_merchants
from authz.simulator.network import run as send
from authz.simulator.population import make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from ledger.journal import AuthorizationBody, Body
from ledger.writer import Settings, Writer
from tests.support.books import STREAMS, Heard, begin, books, drain, trim
from tests.support.engine import KEYS, PAN, World, account, advice_of, purchase, reversal
from tests.support.hot import opened
from tests.support.scene import SECRET, Scene, acknowledged

POLICY = """
version = "1"
[[limit]]
name = "month"
measure = "amount"
ceiling = 6000
window = "month"
"""


def asked(store: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, (*words, "--redis", store), env=env)


def ran(store: str, dsn: str, *words: str) -> str:
    result = asked(store, *words, "--postgres", dsn)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def lived(fresh_redis: str, fresh_postgres: str) -> tuple[str, str]:
    """A store with lists, a policy and some purchases; and its books, in step."""

    async def story() -> None:
        await begin(fresh_postgres)
        state = await opened(fresh_redis)
        client = admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(state, [NewAccount(profile=account(), opening_minor=9000)], "test")
        new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, KEYS, [new], "test")
        await put_policy(client, POLICY, "test")
        link = world.link()
        first = purchase(1, 1000, at_ms=now_ms)
        await link.say("0100", first)
        await link.say("0400", reversal(first))
        await put_lists(client, [("country", "US")], "test")
        await world.engine.keep_up(1)
        await link.say("0100", purchase(2, 500, at_ms=now_ms))
        await link.say("0100", purchase(3, 10, at_ms=now_ms, de43=f"{'SHOP':<38}US"))
        await link.say("0120", advice_of(purchase(4, 700, at_ms=now_ms), 5))
        await link.say("0100", purchase(6, 8000, at_ms=now_ms))
        await put_lists(client, [], "test")
        await drain(fresh_redis, fresh_postgres)
        state._connection.close()  # type: ignore[union-attr]
        await client.aclose()
        await asyncio.sleep(0)

    asyncio.run(story())
    return fresh_redis, fresh_postgres


def cut(store: str, left: int = 1) -> int:
    async def story() -> int:
        client = admin.administrator(store)
        try:
            return await trim(client, left)
        finally:
            await client.aclose()

    return asyncio.run(story())


def seen(store: str, dsn: str) -> dict[str, Any]:
    """All that people are shown of a journal."""
    shown = json.loads(ran(store, dsn, "show", "account", "A1", "--acts", "100", "--json"))
    ids = [act["message_id"] for act in shown["latest_acts"] if act["mti"] == "0100"]
    found = {
        "account": shown,
        "exceptions": ran(store, dsn, "exceptions", "--json"),
        "message": ran(store, dsn, "show", "message", "--stan", "000003", "--json"),
        "backtest": json.loads(ran(store, dsn, "rules", "backtest", "--json", "-")),
    } | {id: ran(store, dsn, "explain", id, "--json") for id in ids}
    assert len(ids) == 4
    return found


def without_places(found: Any) -> Any:
    """Stream ids are of the store; the books have places of their own."""
    if isinstance(found, dict):
        return {k: without_places(v) for k, v in found.items() if k != "stream_id"}
    if isinstance(found, list):
        return [without_places(v) for v in found]
    if isinstance(found, str) and found.startswith("{"):
        return without_places(json.loads(found))
    return found


@pytest.mark.parametrize(("left", "page"), [(1, 2000), (3, 1)])
def test_who_reads_a_cut_journal_sees_no_difference(
    left: int, page: int, lived: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = seen(*lived)
    assert cut(lived[0], left) > 5
    monkeypatch.setattr(history, "PAGE", page)
    monkeypatch.setattr(history, "PAGE_MIN", page)
    assert without_places(seen(*lived)) == without_places(before)


def test_without_the_books_what_is_missing_is_told(lived: tuple[str, str]) -> None:
    store, dsn = lived
    shown = json.loads(ran(store, dsn, "show", "account", "A1", "--acts", "100", "--json"))
    first = [act["message_id"] for act in shown["latest_acts"] if act["mti"] == "0100"][-1]
    cut(store)
    result = asked(store, "explain", first, "--ledger-dir", "/nowhere/at/all")
    assert result.exit_code == 1
    assert "older entries are no longer in the store: There are no books in" in result.stderr
    other = asked(store, "explain", first, "--postgres", "postgresql://127.0.0.1:1/x")
    assert "cannot be used" in other.stderr


def test_books_of_another_store_are_not_read(lived: tuple[str, str]) -> None:
    """Nothing of the stream is known there, so nothing of them is told."""
    store, dsn = lived
    cut(store)

    async def others() -> None:
        async with books(dsn) as connection:
            await connection.execute("DROP SCHEMA ledger CASCADE")
        await begin(dsn)

    asyncio.run(others())
    result = asked(store, "explain", "nobody", "--postgres", dsn)
    assert "the books know nothing of the oldest entries in the store" in result.stderr


async def in_the_books(dsn: str) -> set[tuple[str, str, str]]:
    """DE 7, 11 and 32 of every approval that stands."""
    async with books(dsn) as connection:
        rows = await connection.fetch(
            'SELECT e.body FROM journal_entry e JOIN "authorization" a ON a.approved '
            "AND a.authorization_id = e.message_id WHERE e.verdict = 'held'"
        )
    bodies = [msgspec.msgpack.decode(row[0], type=Body) for row in rows]
    return {
        (datetime.fromtimestamp(body.sent_at, UTC).strftime("%m%d%H%M%S"), body.stan,
         body.acquirer_id)
        for body in bodies if isinstance(body, AuthorizationBody)
    }  # fmt: skip


def test_an_engine_opens_after_a_restart_of_a_store_whose_journal_is_cut(
    fresh_postgres: str, tmp_path: Path
) -> None:
    """Traffic, a writer that trims what is older than a second, and SIGKILL to the store."""

    async def story() -> None:
        await begin(fresh_postgres)
        scene = Scene(tmp_path)
        writing: asyncio.Future[None] | None = None
        try:
            clock, today = SystemClock(), datetime.now(UTC).date()
            population = make_population(3, 200, today)
            store = Store(scene.valkey.url, as_engine(scene.valkey.url), scene.valkey, fresh=True)
            async with store_opened(store, "test") as state:
                await load_population(state, PanKeys(bytes.fromhex(SECRET)), population, "test")
            await asyncio.to_thread(scene.engine.wait_until_ready)
            settings = Settings(trim_keep_s=1, backoff_s=0.2)
            writer = Writer(scene.valkey.url, fresh_postgres, STREAMS, settings, Heard())
            writing = asyncio.ensure_future(writer.run())
            traffic = Traffic(population, make_merchants(3), 3, first_day=today)
            events = list(islice(traffic, 1600))
            link = Link("127.0.0.1", scene.port, clock, Manners(
                answer_timeout_s=1.0, repeats_max=20, reconnect_max_s=0.2
            ))  # fmt: skip
            await link.open()
            report = Report()
            sending = asyncio.create_task(send(events, [link], 300, 16 / 3, clock, report=report))
            await asyncio.sleep(3)
            await scene.kill_valkey()
            await sending
            await link.close()
            await asyncio.sleep(1.0)  # for the spool of withdrawals
            writer.stop()
            await writing
            await drain(scene.valkey.url, fresh_postgres)
            client = admin.administrator(scene.valkey.url)
            assert await trim(client) > 0
            audit = await audit_store(scene.valkey.url)
            assert audit.ok, audit.differences[:10]
            assert audit.trimmed > 500
            assert report.unanswered == 0
            lost = acknowledged(report) - await in_the_books(fresh_postgres)
            assert not lost, f"{len(lost)} acknowledged approvals are lost"
            await client.aclose()
        finally:
            if writing is not None:
                writing.cancel()
            scene.stop()

    asyncio.run(story())
