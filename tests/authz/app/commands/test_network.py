"""authz network, as a caller sees it; what engines make of it is in tests/scenarios."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.audit import audit_store
from authz.hot import admin, keys
from ledger.journal import CutOverBody, read_entry
from tests.support.hot import store_and_client

TODAY = datetime.now(UTC).date()
PAN = "4000000000000001"


def run(url: str, *words: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    result = CliRunner().invoke(cli.main, ["network", "day", *words, "--redis", url], env=env)
    assert PAN not in result.output
    return result


def on(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


@pytest.fixture
def store(fresh_redis: str) -> str:
    async def make() -> None:
        async with store_and_client(fresh_redis):
            pass

    asyncio.run(make())
    return fresh_redis


def entries(url: str) -> list[Any]:
    async def read() -> list[Any]:
        client = admin.administrator(url)
        try:
            rows = await client.xrange(keys.journal(keys.shard_of_network("visa")))
        finally:
            await client.aclose()
        return [read_entry(*row) for row in rows]

    return [e for e in asyncio.run(read()) if isinstance(e.body, CutOverBody)]


def test_a_day_is_set_ahead_and_back_and_the_audit_agrees(store: str) -> None:
    assert run(store, "visa").stdout == f"visa: {on(0)}, by the calendar: it never cut over\n"
    for day, ended, said in (
        (10, 0, f"was the calendar's, and is {on(10)}"),
        (1, 0, f"was {on(10)}, and is {on(1)}"),
        (1, 0, f"is {on(1)}"),
        (-2, -3, f"was {on(1)}, and is {on(-2)}"),
        (0, -2, f"was {on(-2)}, and is {on(0)}"),
    ):
        result = run(store, "visa", on(day), "--by", "J. Doe", "--because", "a slip")
        assert result.exit_code == 0, result.output
        assert result.stdout == f"visa: the business day {said}, {on(ended)} ended before it\n"
    assert run(store, "visa").stdout == f"visa: {on(0)}, {on(-2)} ended before it\n"
    assert "never cut over" in run(store, "mastercard").stdout
    told = entries(store)
    assert len(told) == 4
    assert {entry.body.source for entry in told} == {"authz network day: J. Doe: a slip"}
    assert asyncio.run(audit_store(store)).ok


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("visa", on(1)), "--by, which names a person"),
        (("visa", on(1), "--by", " "), "--by, which names a person"),
        (("visa", "--by", "jdoe"), "go with a date"),
        (("visa", "tomorrow", "--by", "jdoe"), "does not match"),
        (("visa", on(36), "--by", "jdoe"), "more than 35 days"),
        (("visa", on(-36), "--by", "jdoe"), "more than 35 days"),
        (("nowhere", on(1), "--by", "jdoe"), "not one of"),
        (("visa", on(1), "--by", PAN), "standard input"),
    ],
)
def test_wrong_use(store: str, words: tuple[str, ...], said: str) -> None:
    result = run(store, *words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
    assert entries(store) == []


def test_a_store_that_is_shut_or_not_there(fresh_redis: str) -> None:
    result = run(fresh_redis, "visa", on(1), "--by", "jdoe")
    assert (result.exit_code, "The store is empty" in result.stderr) == (1, True)
    result = run("unix:///nowhere/at.all", "visa", on(1), "--by", "jdoe")
    assert result.exit_code == 1
