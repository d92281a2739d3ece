"""The proof of a day: what it adds up, where days begin, and that whatever is touched shows."""

import asyncio
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.hot import admin
from ledger.proof import Money, Proof
from ledger.proof_reading import midnight, prove
from tests.support.books import begin, books, drain
from tests.support.hot import opened
from tests.support.told import Journal

DAY = date(2026, 3, 20)
ZONE = ZoneInfo("UTC")
NOON = 1_774_008_000_000  # of that day: long ago, as the gates are journalled today
HOUR, DAY_MS = 3_600_000, 86_400_000
GATES = 64  # entries of gates that were opened, one in each shard
LATER = NOON + 30 * DAY_MS  # the clock of whoever asks


async def booked(journal: Journal, redis_url: str, dsn: str) -> None:
    client = admin.administrator(redis_url)
    await client.flushall()
    store = await opened(redis_url)  # whose journal it is: the writer asks
    assert store._connection is not None
    store._connection.close()
    await journal.write(client)
    await client.aclose()
    async with books(dsn) as connection:
        await connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
    await begin(dsn)
    await drain(redis_url, dsn)


def money(proof: Proof, currency: str = "840") -> Money:
    [found] = [m for m in proof.currencies if m.currency == currency]
    return found


def table(proof: Proof) -> dict[str, tuple[int, dict[str, int], int]]:
    return {r.role: (r.opening_minor, r.movements, r.closing_minor) for r in money(proof).roles}


def a_day() -> Journal:
    """One of everything: opened and half spent the day before, then a day of all kinds."""
    j = Journal()
    j.open("A1", NOON - DAY_MS, 100_000, line=5000)
    j.approve("before", NOON - DAY_MS, 1000)
    j.open("A2", NOON, 20_000)
    j.approve("bought", NOON + 1, 6000, fee=100)
    j.complete("bought", NOON + 2, 6100, 4000)
    j.complete("before", NOON + 3, 1000, 1500)
    j.approve("taken back", NOON + 4, 700)
    j.reverse("taken back", NOON + 5, 700)
    j.approve("too late", NOON + 6, 800, "A2")
    j.withdraw("too late", NOON + 7, 800, "A2")
    j.approve("forgotten", NOON + 8, 900, "A2")
    j.end("forgotten", NOON + 9, 900, "expired", "A2")
    j.approve("let go", NOON + 10, 50, "A2")
    j.end("let go", NOON + 11, 50, "released", "A2")
    j.approve("open", NOON + 12, 333, "A2")
    j.refund("back", NOON + 13, 250)
    j.note("batch 1", NOON + 14, "settlement", ("acme", "840", "network", "visa", 5000),
           ("acme", "840", "bank", "", -5000))  # fmt: skip
    j.note("nobody's", NOON + 15, "unmatched", ("acme", "978", "unmatched", "", 70),
           ("acme", "978", "network", "visa", -70))  # fmt: skip
    return j


def test_a_day_is_told_by_kind_and_class(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await booked(a_day(), fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            proof = await prove(connection, DAY, ZONE, LATER)
            before = await prove(connection, DAY - timedelta(days=1), ZONE, LATER)
            after = await prove(connection, DAY + timedelta(days=1), ZONE, LATER)
        for one in (proof, before, after):
            assert one.ok, one.unexplained
            assert not one.so_far
            assert one.position == GATES + 18
        assert (before.entries, proof.entries, after.entries) == (2, 16, 0)
        assert (proof.authorizations, proof.approved) == (8, 5)
        rows = table(proof)
        assert rows["bank"] == (100_000, {"account opening": 20_000, "settlement": -5000}, 115_000)
        assert rows["held"][0] == -1000
        assert rows["held"][1] == {
            "approval": -8883, "completion": 7100, "reversal": 700, "expiry": 900, "release": 50,
            "withdrawal": 800,
        }  # fmt: skip
        assert rows["held"][2] == -333
        for one in money(proof).roles:
            if one.role in ("open", "held"):
                assert one.told == one.movements
        assert rows["line"] == (-5000, {}, -5000)
        assert rows["network"][1]["settlement"] == 5000
        assert rows["network"][1]["refund"] == 250
        # What each class closes with is what the day after opens with.
        assert {r: row[2] for r, row in rows.items()} == {
            r: o for r, (o, _, _) in table(after).items()
        }
        holds = money(proof).holds
        assert (holds.opening_minor, holds.closing_minor) == (1000, 333)
        assert holds.placed_minor == 8883
        assert (holds.cleared_minor, holds.reversed_minor, holds.expired_minor,
                holds.released_minor, holds.withdrawn_minor,
                ) == (7100, 700, 900, 50, 800)  # fmt: skip
        assert holds.authorizations_minor == 333
        assert money(proof, "978").roles[0].movements == {"unmatched": -70}
        nothing_to_compare = {"clearing", "batches", "parked", "notices", "suspense"}
        compared = {name for name, check in proof.checks.items() if check.compared}
        assert compared == proof.checks.keys() - nothing_to_compare

    asyncio.run(story())


# By somebody who owns the tables and switches the triggers off: what is done, which ways tell.
OF_ONE = "(SELECT {} FROM journal_entry WHERE message_id = 'forgotten')"
THE_ENTRY = f"(shard, seq) = {OF_ONE.format('shard, seq')}"
TOUCHED = {
    "a line's amount": (
        f"UPDATE posting SET amount_minor = amount_minor + 5 WHERE {THE_ENTRY} AND role = 'held'",
        {"bytes", "day", "kept", "holds"},
    ),
    "both lines, so that they balance": (
        f"UPDATE posting SET amount_minor = amount_minor * 2 WHERE {THE_ENTRY}",
        {"bytes", "kept", "holds"},
    ),
    "whose a line is": (
        f"UPDATE posting SET role = 'fees' WHERE {THE_ENTRY} AND role = 'held'",
        {"bytes", "kept", "holds"},
    ),
    "a line of another day": (
        "UPDATE posting SET amount_minor = amount_minor + 5 WHERE role = 'bank' "
        f"AND at_ms < {NOON}", {"day"},
    ),
    "a line that is gone": (
        f"DELETE FROM posting WHERE {THE_ENTRY} AND role = 'held'",
        {"bytes", "day", "kept", "holds"},
    ),
    "a line of no entry": (
        "INSERT INTO posting SELECT at_ms, shard, seq + 1000, line, program, currency, role, "
        f"subject, amount_minor FROM posting WHERE {THE_ENTRY}", {"day", "kept", "holds"},
    ),
    "an entry that is lost": (
        "DELETE FROM journal_entry WHERE message_id = 'forgotten'",
        {"bytes", "places", "chain", "day", "approved", "holds"},
    ),
    "an entry that is lost with its lines": (
        f"DELETE FROM posting WHERE {THE_ENTRY}; "
        "DELETE FROM journal_entry WHERE message_id = 'forgotten'",
        {"places", "chain", "approved", "kept", "holds"},
    ),
    "an entry that is there twice": (
        "INSERT INTO journal_entry SELECT at_ms + 1, '\\x00', shard, seq, kind, verdict, "
        "message_id, authorization_id, account_id, postings, envelope, body, digest "
        "FROM journal_entry WHERE message_id = 'forgotten'",
        {"places", "bytes", "chain", "approved", "holds"},
    ),
    "an entry's bytes": (
        "UPDATE journal_entry SET envelope = '\\xc1' WHERE message_id = 'forgotten'",
        {"bytes", "chain", "approved", "holds", "day"},
    ),
    "an entry's row": (
        "UPDATE journal_entry SET verdict = 'declined' WHERE message_id = 'forgotten'",
        {"bytes", "approved"},
    ),
    "an entry's day": (
        f"UPDATE journal_entry SET at_ms = {NOON + DAY_MS} WHERE message_id = 'forgotten'",
        {"day", "chain", "holds", "approved"},
    ),
    "a movement's line": (
        "UPDATE posting SET role = 'disputes' WHERE role = 'unmatched'", {"bytes"},
    ),
    "a balance": (
        "UPDATE balance SET held_minor = held_minor + 1 WHERE account_id = 'A2'", {"kept"},
    ),
    "a balance as it was told": (
        "UPDATE balance SET told_posted_minor = told_posted_minor + 1 WHERE account_id = 'A2'",
        {"chain"},
    ),
    "a hold": (
        'UPDATE "authorization" SET held_minor = held_minor + 7 WHERE authorization_id = \'open\'',
        {"kept", "holds"},
    ),
    "what was paid": (
        'UPDATE "authorization" SET paid_minor = 1 WHERE authorization_id = \'open\'', {"holds"},
    ),
    "an approval": (
        'UPDATE "authorization" SET approved = false WHERE authorization_id = \'open\'',
        {"approved"},
    ),
    "an authorization that is lost": (
        'DELETE FROM "authorization" WHERE authorization_id = \'open\'', {"approved", "kept"},
    ),
    "an authorization that nobody asked for": (
        "INSERT INTO \"authorization\" SELECT 'mine', account_id, card_id, currency, network, 0, "
        "paid_minor, fees_minor, cross_border_minor, converted_minor, \"foreign\", true, '', '', "
        "first_at_ms, last_at_ms FROM \"authorization\" WHERE authorization_id = 'open'",
        {"approved"},
    ),
    "a credit line": ("UPDATE account SET credit_line_minor = 1 WHERE account_id = 'A1'", {"kept"}),
    "a parked entry": (
        "INSERT INTO parked SELECT '\\x01', 3, '1-1', 'amount', '\\x80'", {"parked"},
    ),
    "a notice": (
        "INSERT INTO notice SELECT shard, seq, 'gap', account_id, '840 -5 3' FROM journal_entry "
        "WHERE message_id = 'forgotten'", {"notices"},
    ),
}  # fmt: skip


def test_whatever_is_touched_is_unexplained(fresh_redis: str, fresh_postgres: str) -> None:
    async def story() -> None:
        await booked(a_day(), fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            for what, (statement, ways) in TOUCHED.items():
                proof = await touched(connection, statement)
                assert not proof.ok, what
                told = {name for name, check in proof.checks.items() if check.differences}
                assert told == ways, (what, proof.unexplained)
                assert {f.check for f in proof.unexplained} == told
            assert (await prove(connection, DAY, ZONE, LATER)).ok

    asyncio.run(story())


async def touched(connection: asyncpg.Connection, statement: str) -> Proof:
    trial = connection.transaction(isolation="repeatable_read")
    await trial.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await connection.execute(statement)
        return await prove(connection, DAY, ZONE, LATER)
    finally:
        await trial.rollback()


def test_what_nobody_explains_counts_to_the_cent(fresh_redis: str, fresh_postgres: str) -> None:
    """A gap and a body that says nothing, as the writer itself notices and books them."""

    async def story() -> None:
        j = a_day()
        j.posted["A1"] -= 500  # something came between, and never reached the journal
        j.approve("after a gap", NOON + 20, 10)
        j.say("completion", "no body", NOON + 21, "of no kind", posted=-10, held=-10,
              of="unread", account="A2", verdict="applied")  # fmt: skip
        await booked(j, fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            proof = await prove(connection, DAY, ZONE, LATER)
            later = await prove(connection, DAY + timedelta(days=1), ZONE, LATER)
        found = {(f.check, f.what): f.amount_minor for f in proof.unexplained}
        assert found[("notices", "gap")] == 500
        assert found[("chain", "posted before it")] == 500
        assert ("notices", "unreadable_body") in found
        assert found[("suspense", "closing")] == 10
        assert not later.ok  # it still stands there
        assert {f.check for f in later.unexplained} == {"suspense"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 11, 20), "UTC", 24),
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 9, 6), "America/Santiago", 23),  # the hour that is skipped begins at midnight
        (date(2026, 11, 20), "Asia/Kathmandu", 24),
    ],
)
def test_a_day_begins_at_midnight_there(day: date, zone: str, hours: int) -> None:
    begins, ends = (midnight(d, ZoneInfo(zone)) for d in (day, day + timedelta(days=1)))
    assert ends - begins == hours * HOUR
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone)).date()
                   for ms in (begins, ends - 1))  # fmt: skip
    assert first == last == day


def test_what_lies_at_midnight_is_of_one_day(fresh_redis: str, fresh_postgres: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    days = [date(2026, 10, 24) + timedelta(days=n) for n in range(3)]  # the second has 25 hours

    async def story() -> None:
        j = Journal()
        j.open("A1", midnight(days[0], berlin), 10_000)
        for day in days[1:]:
            j.approve(f"last before {day}", midnight(day, berlin) - 1, 100)
            j.approve(f"first of {day}", midnight(day, berlin), 10)
        await booked(j, fresh_redis, fresh_postgres)
        async with books(fresh_postgres) as connection:
            proofs = [await prove(connection, day, berlin, LATER) for day in days]
        assert all(proof.ok for proof in proofs)
        assert [proof.approved for proof in proofs] == [1, 2, 1]
        assert [money(proof).holds.placed_minor for proof in proofs] == [100, 110, 10]
        assert [money(proof).holds.opening_minor for proof in proofs] == [0, 100, 210]

    asyncio.run(story())


# -- any three days, against an oracle ---------------------------------------------------------

DEEP = settings.default is not None and settings.default.max_examples > 100
DAYS = 200 if DEEP else 8
KINDS = ["approve", "complete", "reverse", "expired", "released", "withdraw", "refund", "settle"]
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(1, 9999),
              st.integers(0, 3 * DAY_MS // 25)),
    min_size=5, max_size=25,
)  # fmt: skip


def tell(told: list[tuple[str, int, int, int]]) -> tuple[Journal, dict[Any, int]]:
    """The journal; and what moved, by day, class and kind, counted apart from it."""
    j, at = Journal(), NOON - DAY_MS // 2
    moved: dict[Any, int] = defaultdict(int)
    open_holds: dict[str, int] = {}
    ids: list[str] = []

    def move(kind: str, **by_class: int) -> None:
        for role, minor in by_class.items():
            moved[(at - (NOON - DAY_MS // 2)) // DAY_MS, role, kind] += minor

    j.open("A1", at, 50_000)
    move("account opening", open=-50_000, bank=50_000)
    for number, (what, which, amount, wait) in enumerate(told):
        at += wait
        id = ids[which % len(ids)] if ids else ""
        held = open_holds.get(id, 0)
        if what == "approve" or not id:
            id = f"M{number}"
            j.approve(id, at, amount)
            ids.append(id)
            open_holds[id] = amount
            move("approval", open=amount, held=-amount)
        elif what == "complete":
            j.complete(id, at, held, amount)
            open_holds[id] = 0
            move("completion", open=amount - held, held=held, network=-amount)
        elif what == "refund":
            j.refund(f"R{number}", at, amount)
            move("refund", open=-amount, network=amount)
        elif what == "settle":
            j.note(f"S{number}", at, "settlement", ("acme", "840", "network", "visa", amount),
                   ("acme", "840", "bank", "", -amount))  # fmt: skip
            move("settlement", network=amount, bank=-amount)
        elif held:
            open_holds[id] = 0
            name = {"reverse": "reversal", "expired": "expiry", "released": "release",
                    "withdraw": "withdrawal"}[what]  # fmt: skip
            if what == "reverse":
                j.reverse(id, at, held)
            elif what == "withdraw":
                j.withdraw(id, at, held)
            else:
                j.end(id, at, held, what)
            move(name, open=-held, held=held)
    return j, moved


def test_any_days_are_what_an_oracle_adds_up(fresh_redis: str, fresh_postgres: str) -> None:
    @settings(max_examples=DAYS)
    @given(steps)
    def days(told: list[tuple[str, int, int, int]]) -> None:
        journal, moved = tell(told)
        asyncio.run(compare(journal, moved))

    async def compare(journal: Journal, moved: dict[Any, int]) -> None:
        await booked(journal, fresh_redis, fresh_postgres)
        stood: dict[str, int] = defaultdict(int)
        async with books(fresh_postgres) as connection:
            for number in range(4):
                proof = await prove(connection, DAY + timedelta(days=number), ZONE, LATER)
                assert proof.ok, proof.unexplained
                rows = table(proof)
                for role, (opening, movements, closing) in rows.items():
                    assert opening == stood[role]
                    assert movements == {kind: minor for (day, of, kind), minor in moved.items()
                                         if (day, of) == (number, role) and minor}  # fmt: skip
                    stood[role] = closing

    days()
