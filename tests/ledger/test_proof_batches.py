"""The proof's other witnesses: whatever is touched in clearing records or settlement batches does
not agree any more with the lines of the day.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from authz.app.clearing_resolve import bill
from ledger.clearing.record import Kind
from ledger.proof import Proof
from ledger.proof_reading import prove
from ledger.settling import Batcher
from tests.support import office as support
from tests.support.batcher import Minutes
from tests.support.books import drain

ZONE = ZoneInfo("UTC")
CLEARED = "WHERE record = (SELECT min(record) FROM clearing_item WHERE outcome = 'cleared')"
TOUCHED = {
    "what a record billed": (
        f"UPDATE clearing_item SET billed_minor = billed_minor + 5 {CLEARED}", "clearing", 5,
    ),
    "a record that is gone": (f"DELETE FROM clearing_item {CLEARED}", "clearing", 5000),
    "what became of a record": (
        f"UPDATE clearing_item SET outcome = 'agrees' {CLEARED}", "clearing", 5000,
    ),
    "what the network settles": (
        "UPDATE clearing_item SET settlement_minor = settlement_minor + 9 "
        "WHERE outcome = 'unmatched'", "clearing", 9,
    ),
    "a line of a batch": (
        "UPDATE settlement_line SET amount_minor = amount_minor + 3 "
        "WHERE ctid = (SELECT min(ctid) FROM settlement_line)", "batches", 6,
    ),
    "a line that is in no batch": (
        "DELETE FROM settlement_line WHERE ctid = (SELECT min(ctid) FROM settlement_line)",
        "batches", None,
    ),
    "a batch's sum": (
        "UPDATE settlement_batch SET debit_minor = debit_minor + 4 "
        "WHERE id = (SELECT min(id) FROM settlement_batch)", "batches", 4,
    ),
    "a batch that is settled and not at zero": (
        "UPDATE settlement_batch SET status = 'settled'", "batches", None,
    ),
}  # fmt: skip
YESTERDAYS = [
    f"UPDATE clearing_item SET {change}, concluded_at = concluded_at - interval '1 day' {CLEARED}"
    for change in ("message_id = 'lost'", "outcome = 'unmatched'")
]


def test_records_and_batches_are_witnesses(
    fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with support.office(fresh_redis, fresh_postgres, tmp_path) as it:
            await it.buy(1, 5000)
            await it.buy(2, 6000)
            record, rrn_of = support.record, support.rrn_of
            outcomes = await it.clear([
                record(1, 5000, rrn=rrn_of(1)), record(2, 4000, rrn=rrn_of(2)), record(3, 777),
                record(4, 300, pan=support.NOBODYS), record(5, 250, kind=Kind.REFUND),
            ])  # fmt: skip
            assert [*outcomes.values()] == [
                "cleared", "cleared_below", "forced", "unmatched", "refunded",
            ]  # fmt: skip
            await drain(fresh_redis, fresh_postgres)
            now = await it.connection.fetchval("SELECT max(at_ms) FROM shard")
            batcher = Batcher(it.connection, Minutes(0), lambda: now)
            assert await batcher.take() == 5
            today = datetime.fromtimestamp(now / 1000, UTC).date()
            proof = await prove(it.connection, today, ZONE, now)
            assert proof.ok, proof.unexplained
            assert {"clearing", "batches"} <= {n for n, c in proof.checks.items() if c.compared}
            [money] = proof.currencies
            assert money.counts["refund"] == 1
            assert money.counts["clearing"] == 3

            async def touched(statement: str, day: Any = today) -> Proof:
                trial = it.connection.transaction(isolation="repeatable_read")
                await trial.start()
                try:
                    await it.connection.execute("SET LOCAL session_replication_role = replica")
                    await it.connection.execute(statement)
                    return await prove(it.connection, day, ZONE, now)
                finally:
                    await trial.rollback()

            for what, (statement, way, minor) in TOUCHED.items():
                proof = await touched(statement)
                told = {name for name, check in proof.checks.items() if check.differences}
                assert told == {way}, (what, proof.unexplained)
                assert minor is None or proof.unexplained_minor == minor, (what, proof.unexplained)
            for statement in YESTERDAYS:
                proof = await touched(statement, today - timedelta(days=1))
                assert [f.what for f in proof.unexplained] == ["records without an entry"]
                assert proof.unexplained_minor == 5000

    asyncio.run(story())


def cut(place: str) -> None:
    if place == "posted":
        raise KeyboardInterrupt


def test_what_a_person_billed_and_a_file_under_way_are_explained(
    fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with support.office(fresh_redis, fresh_postgres, tmp_path) as it:
            nobodys = [
                support.record(1, 700, pan=support.NOBODYS),
                support.record(2, 300, kind=Kind.SECOND_PRESENTMENT, of=Kind.PRESENTMENT),
                support.record(3, 200, pan=support.NOBODYS, reversal=True),
            ]
            await it.clear(nobodys)
            # Of nothing, as an account's verification is; alone, and on a hold that it ends.
            await it.buy(7, 400)
            await it.clear([support.record(6, 0), support.record(7, 0, rrn=support.rrn_of(7))])
            await drain(fresh_redis, fresh_postgres)
            file_id = await it.connection.fetchval(
                "SELECT file_id FROM clearing_file ORDER BY planned_at"
            )
            for line in (2, 3, 4):
                await bill(it.desk, file_id, line, "C1", "jdoe")
            with pytest.raises(KeyboardInterrupt):
                await it.clear([support.record(4, 5000), support.record(5, 600)], cut)
            await it.check()
            now = await it.connection.fetchval("SELECT max(at_ms) FROM shard")
            today = datetime.fromtimestamp(now / 1000, UTC).date()
            proof = await prove(it.connection, today, ZONE, now)
            assert proof.ok, proof.unexplained
            [money] = proof.currencies
            assert money.counts["clearing"] == 5
            # And it is a witness: what was billed, and is not as the record says, shows.
            await it.connection.execute(
                "UPDATE clearing_item SET billed_minor = billed_minor + 5 WHERE record = 2 "
                "AND file_id = $1", file_id,
            )  # fmt: skip
            proof = await prove(it.connection, today, ZONE, now)
            assert [f.check for f in proof.unexplained] == ["clearing"]
            assert proof.unexplained_minor == 5

    asyncio.run(story())
