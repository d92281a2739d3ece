"""What `authz settle` does beside writing: lines are taken, and batches closed when their time came
and all that was journalled before it is in."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from authz.app.settling import Batching, ConfiguredTerms
from authz.config import Config
from authz.config_settlement import SettlementConfig
from ledger import settlement_read
from ledger.settlement import Item
from ledger.settlement_metrics import SettlementMetrics
from ledger.source import Source
from rules.settlement import CycleRule, InterchangeRule
from tests.support.batcher import Item as Put
from tests.support.batcher import put
from tests.support.books import begin, books, drain
from tests.support.hot import store_and_client

HOUR_MS = 3_600_000


def test_batches_wait_for_what_was_journalled_before_their_end(
    fresh_redis: str, fresh_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = (1, 3600.0)

    async def lag(_: Any) -> tuple[int, float]:
        return waiting

    async def story() -> None:
        nonlocal waiting
        await begin(fresh_postgres)
        async with store_and_client(fresh_redis) as (state, _), books(fresh_postgres) as connection:
            await put(
                state, [Put("visa", "acme", "840", -500, 0), Put("visa", "acme", "392", 7, 0)]
            )
            await drain(fresh_redis, fresh_postgres)
            monkeypatch.setattr(Source, "lag", lag)
            registry, now_ms = CollectorRegistry(), 0
            metrics = SettlementMetrics(registry)
            batching = Batching(Config(), fresh_redis, fresh_postgres, metrics, lambda: now_ms)
            await batching.look()
            batches = await settlement_read.batches(connection)
            assert {batch.status for batch in batches} == {"open"}
            now_ms = max(batch.closes_at_ms for batch in batches) + HOUR_MS // 2
            await batching.look()  # an entry of an hour ago is not in the books yet
            assert (await settlement_read.standing(connection)).batches["open"] == 2
            lines = generate_latest(registry).decode().splitlines()
            assert 'authz_settlement_batches{status="open"} 2.0' in lines
            assert 'authz_settlement_net_minor{currency="840"} -500.0' in lines
            assert 'authz_settlement_net_minor{currency="392"} 7.0' in lines
            assert "authz_settlement_overdue_seconds 1800.0" in lines
            waiting = (0, 0.0)
            await batching.look()
            assert (await settlement_read.standing(connection)).batches["closed"] == 2
            lines = generate_latest(registry).decode().splitlines()
            assert {
                "authz_settlement_closed_total 2.0",
                "authz_settlement_lines_total 2.0",
                "authz_settlement_overdue_seconds 0.0",
                "authz_settlement_entries_not_taken 0.0",
            } <= set(lines)

    asyncio.run(story())


def test_what_is_away_is_counted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        registry, tried = CollectorRegistry(), asyncio.Event()
        config = Config(settlement=SettlementConfig(every_s=0.001))
        batching = Batching(config, "redis://127.0.0.1:1", "", SettlementMetrics(registry), int)
        times = 0

        async def look(*, for_ever: bool = False) -> None:
            nonlocal times
            times += 1
            if times == 3:
                tried.set()
            raise OSError

        monkeypatch.setattr(batching, "look", look)
        running = asyncio.create_task(batching.run())
        await tried.wait()
        running.cancel()
        assert b"authz_settlement_failures_total 3.0" in generate_latest(registry)

    asyncio.run(story())


def test_terms_are_those_of_the_configuration() -> None:
    config = Config(
        cycles=(CycleRule(mccs=("fuel",), days=0, cut_off="12:00"),),
        interchange=(InterchangeRule(bins=("4",), percent_bp=100),),
        settlement=SettlementConfig(
            holidays={"840": ("2026-11-23",)}, calendars={"978": "every_day"}
        ),
    )
    terms = ConfiguredTerms(config)
    saturday = 1_795_262_400_000  # 2026-11-21 12:00 UTC
    fuel = Item("visa", "acme", "840", "411111", "5541", True)
    assert str(terms.cycle(fuel, saturday).day) == "2026-11-24"  # Monday is a holiday of our own
    other = terms.cycle(fuel._replace(currency="978", mcc=""), saturday)
    assert (str(other.day), str(other.settles_on)) == ("2026-11-21", "2026-11-22")
    assert terms.expected_micro(fuel, -10_000) == 100_000_000
    assert terms.expected_micro(fuel._replace(bin="511111"), -10_000) == 0
