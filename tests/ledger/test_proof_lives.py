"""Any life of many cards leaves nothing unexplained: the proof of its day is whole, and what it
says of each currency is what a bookkeeper tells from the messages alone.

The lives are those of tests/scenarios/test_many_cards.py.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from ledger.proof import Proof
from ledger.proof_reading import prove
from tests.scenarios.test_many_cards import PHASES, ManyCards, Town
from tests.support.books import begin, books, drain

DEEP = settings.default is not None and settings.default.max_examples > 100
LIVES = 100 if DEEP else 4
UTC_ZONE = ZoneInfo("UTC")


def balance(proof: Proof, role: str, currency: str = "840") -> int:
    [money] = [m for m in proof.currencies if m.currency == currency]
    return sum(r.closing_minor for r in money.roles if r.role == role)


async def compare(town: Town, connection: asyncpg.Connection) -> None:
    now = await connection.fetchval("SELECT max(at_ms) FROM shard")
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    proof = await prove(connection, today, UTC_ZONE, now)
    assert proof.ok, proof.unexplained[:5]
    assert proof.unexplained_minor == 0
    assert proof.so_far
    posted, held = sum(h.posted for h in town.holders), sum(h.held for h in town.holders)
    assert balance(proof, "open") == held - posted
    assert balance(proof, "held") == -held
    assert balance(proof, "line") == -sum(h.line for h in town.holders)
    [money] = [m for m in proof.currencies if m.currency == "840"]
    assert money.holds.left_minor == money.holds.authorizations_minor == held
    assert all(check.compared for name, check in proof.checks.items() if name in EVERY_LIFE)
    tomorrow = await prove(connection, today + timedelta(days=1), UTC_ZONE, now)
    assert tomorrow.ok, tomorrow.unexplained[:5]
    assert tomorrow.entries == 0
    assert balance(tomorrow, "held") == -held


EVERY_LIFE = ("day", "bytes", "places", "chain", "holds", "kept")


def test_nothing_of_any_life_is_unexplained(fresh_redis: str, fresh_postgres: str) -> None:
    class Proved(ManyCards):
        url = fresh_redis

        def teardown(self) -> None:
            try:
                self._run(self._prove())
            finally:
                super().teardown()

        async def _prove(self) -> None:
            async with books(fresh_postgres) as connection:
                await connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
            await begin(fresh_postgres)
            await drain(fresh_redis, fresh_postgres)
            async with books(fresh_postgres) as connection:
                await compare(self.town, connection)

    run_state_machine_as_test(
        Proved, settings=settings(max_examples=LIVES, stateful_step_count=60, phases=PHASES)
    )
