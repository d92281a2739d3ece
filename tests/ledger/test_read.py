"""Questions to the books: what comes back is what was journalled, and every question goes by an
index."""

import asyncio
import csv
import json
import re
from io import StringIO
from itertools import pairwise
from typing import Any

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.app import cli
from authz.hot import admin, keys
from ledger import read
from ledger.journal import Envelope
from ledger.store import Row
from tests.ledger.test_trimming import lived  # noqa: F401 - a fixture
from tests.support.books import Crowd, begin, books, drain, journalled

MONTH_MS = 2_678_400_000
FROM_MS = 1_777_593_600_000  # 2026-05-01
MANY, ACCOUNTS = 200_000, 400


def envelope(n: int, at_ms: int, account: str, after: int, delta: int, **changes: Any) -> Envelope:
    base: dict[str, Any] = {
        "layout": 1, "kind": "authorization", "message_id": f"m{n}", "authorization_id": f"m{n}",
        "account_id": account, "card_id": f"card{n % 3}", "verdict": "held", "detail": "",
        "currency": "840", "posted_delta": 0, "held_delta": delta, "posted_after": 0,
        "held_after": after, "at_ms": at_ms, "counters": [], "versions": [],
    }  # fmt: skip
    return Envelope(**(base | changes))


async def fill(connection: asyncpg.Connection, entries: list[tuple[int, Envelope]]) -> None:
    """Straight into the table, as who owns it: shard of each, in their order."""
    await connection.execute("SET session_replication_role = replica")
    for month in range(5):
        await connection.execute("SELECT open_month($1)", FROM_MS + month * MONTH_MS)
    seqs: dict[int, int] = {}
    rows = []
    for shard, e in entries:
        seqs[shard] = seqs.get(shard, 0) + 1
        rows.append(Row(
            e.at_ms, seqs[shard].to_bytes(8, "big") + bytes([shard]), shard, seqs[shard], e.kind,
            e.verdict, e.message_id, e.authorization_id, e.account_id, 0,
            msgspec.msgpack.encode(e), b"\x90", b"d",
        ))  # fmt: skip
    await connection.copy_records_to_table(
        "journal_entry", records=rows, columns=list(Row._fields), schema_name="ledger"
    )


def test_every_question_goes_by_an_index(fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        async with books(fresh_postgres) as connection:
            await fill(connection, [])
            await connection.execute(
                "INSERT INTO journal_entry SELECT $1::bigint + n * $2::bigint, int8send(n), "
                "(n % $3) % 64, n / 64 + 1, 'authorization', 'held', 'm' || n, 'm' || n, "
                "'A' || n % $3, 2, $4, $5, 'd' FROM generate_series(0::bigint, $6::bigint - 1) n",
                FROM_MS, 4 * MONTH_MS // MANY, ACCOUNTS,
                msgspec.msgpack.encode(envelope(0, 0, "A", 0, 1)), b"\x90", MANY,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO posting SELECT at_ms, shard, seq, seq % 100, 'p', '840', 'open', "
                "account_id, 1 FROM journal_entry ON CONFLICT DO NOTHING"
            )
            await connection.execute("ANALYZE")
            questions: dict[str, tuple[Any, ...]] = {
                read.ACCOUNT: ("A7",),
                read.BALANCES: ("A7",),
                read.AUTHORIZATION: ("m7",),
                read.ACTS: (["m7", "m8"], 100),
                read.NEWEST: ("A7", FROM_MS + 2 * MONTH_MS, 5, 0, 51),
                read.CARRIED: ("A7",),
                read.LINES: (7, [5, 9], FROM_MS, FROM_MS + MONTH_MS),
            }
            for question, arguments in questions.items():
                plan = await explained(connection, question, arguments)
                scanned = re.findall(r"Seq Scan on \S*(journal_entry|posting)\S*", plan)
                assert not scanned, plan
            # A page reads a page's worth, however much lies before it.
            plan = await explained(connection, read.NEWEST, questions[read.NEWEST])
            assert max(int(n) for n in re.findall(r"actual rows=(\d+)", plan)) <= 60, plan
            page = await read.history(connection, "A7", limit=50)
            assert len(page.entries) == 50

    asyncio.run(story())


async def explained(connection: Any, question: str, arguments: tuple[Any, ...]) -> str:
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {question}", *arguments)
    return "\n".join(row[0] for row in rows)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-5, 9)), max_size=60),
    st.integers(1, 7),
    st.integers(0, 65),
)
def test_pages_are_the_history_and_do_not_shift(
    fresh_postgres: str, moves: list[tuple[int, int, int]], limit: int, later: int
) -> None:
    """Against a list in Python: of an account, and of a card; entries that come between two pages
    change none of those that follow."""

    async def story() -> None:
        await begin(fresh_postgres)
        at, held, told = FROM_MS, 0, []
        for n, (gap, card, delta) in enumerate(moves):
            at, held = at + gap, held + delta  # several in one millisecond, too
            told.append(envelope(n, at, "A", held, delta, card_id=f"c{card}"))
        async with books(fresh_postgres) as connection:
            await connection.execute("SET session_replication_role = replica")
            await connection.execute("TRUNCATE journal_entry")
            await fill(connection, [(3, e) for e in told])
            for card in ("", "c1"):
                expected = [e.message_id for e in told[::-1] if card in ("", e.card_id)]
                found, after, pages = list[str](), "", 0
                while True:
                    page = await read.history(
                        connection, "A", card_id=card, after=after, limit=limit
                    )
                    found += [entry.message_id for entry in page.entries]
                    after, pages = page.after, pages + 1
                    if not after:
                        break
                    await connection.execute(
                        "INSERT INTO journal_entry SELECT $1, 'x' || $2::int::text::bytea, 3, $2, "
                        "kind, verdict, 'new', '', 'A', 0, envelope, body, digest "
                        "FROM journal_entry LIMIT 1",
                        at + 1, 10_000 + 100 * pages + (card != ""),
                    )  # fmt: skip
                assert found == expected
                assert pages == max(-(-len(expected) // limit), 1)
                await connection.execute("DELETE FROM journal_entry WHERE message_id = 'new'")

    asyncio.run(story())


@pytest.mark.parametrize("cursor", ["", "1", "x-1", "1-x", "-", "1-1-1", "9" * 50 + "-1", "1--1"])
def test_what_is_no_cursor(cursor: str) -> None:
    if cursor:
        with pytest.raises(ValueError, match="not a cursor"):
            read.place_of(cursor)


def test_a_statement_adds_up_over_any_days(fresh_redis: str, fresh_postgres: str) -> None:
    """One day's closing is the next one's opening; the last is what the balance says."""

    async def story() -> None:
        await begin(fresh_postgres)
        await Crowd(fresh_redis).approve(1200)
        await drain(fresh_redis, fresh_postgres)
        client = admin.administrator(fresh_redis)
        times = sorted({e.envelope.at_ms for e in await journalled(client)})
        await client.aclose()
        async with books(fresh_postgres) as connection:
            busy = await connection.fetchval(
                "SELECT account_id FROM journal_entry WHERE account_id <> '' "
                "GROUP BY account_id ORDER BY count(*) DESC LIMIT 1"
            )
            bounds = [0, *times[:: len(times) // 5], times[-1] + 1]
            parts = [await read.statement(connection, busy, a, b) for a, b in pairwise(bounds)]
            whole = await read.statement(connection, busy, 0, times[-1] + 1)
            found = await read.account(connection, busy)
        assert all(part.adds_up for part in (*parts, whole))
        for one, other in pairwise(parts):
            assert one.sums[0].closing_held_minor == other.sums[0].opening_held_minor
        assert [e.seq for part in parts for e in part.lines] == [e.seq for e in whole.lines]
        assert found is not None
        assert found.balances[0].held_minor == whole.sums[0].closing_held_minor
        assert found.balances[0].posted_minor == whole.sums[0].closing_posted_minor
        assert whole.sums[0].opening_posted_minor == 0
        assert len(whole.lines) > 2

    asyncio.run(story())


def test_a_statement_with_a_hole_does_not_add_up(fresh_postgres: str) -> None:
    async def story() -> None:
        await begin(fresh_postgres)
        told = [envelope(n, FROM_MS + n, "A", 10 * (n + 1), 10) for n in range(5)]
        async with books(fresh_postgres) as connection:
            await fill(connection, [(3, e) for e in told if e.message_id != "m2"])
            await connection.execute("INSERT INTO balance VALUES ('A', '840', 0, 50, 0, 50)")
            assert not (await read.statement(connection, "A", 0, FROM_MS + 9)).adds_up
            assert (await read.statement(connection, "A", 0, FROM_MS + 2)).adds_up
            assert not (await read.statement(connection, "A", FROM_MS + 3, FROM_MS + 9)).adds_up
            assert (await read.statement(connection, "A", FROM_MS + 4, FROM_MS + 9)).adds_up
            nothing = await read.statement(connection, "A", FROM_MS + 10, FROM_MS + 11)
            assert (nothing.lines, nothing.sums[0].opening_held_minor) == ([], 50)
            assert (await read.statement(connection, "nobody", 0, 9)).sums == []

    asyncio.run(story())


def test_a_statement_has_a_bound(fresh_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "LINES_MAX", 3)

    async def story() -> None:
        await begin(fresh_postgres)
        told = [envelope(n, FROM_MS + n, "A", 10 * (n + 1), 10) for n in range(4)]
        async with books(fresh_postgres) as connection:
            await fill(connection, [(3, e) for e in told])
            assert len((await read.statement(connection, "A", 0, FROM_MS + 3)).lines) == 3
            with pytest.raises(read.TooLong):
                await read.statement(connection, "A", 0, FROM_MS + 4)

    asyncio.run(story())


def asked(dsn: str, *words: str) -> Result:
    return CliRunner().invoke(cli.main, [*words, "--postgres", dsn])


def plain(dsn: str, *words: str) -> Any:
    result = asked(dsn, *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_as_a_caller_sees_it(lived: tuple[str, str]) -> None:  # noqa: F811
    """The account of tests/ledger/test_trimming.py: two purchases, one reversed, an advice."""
    _, dsn = lived
    account = plain(dsn, "ledger", "account", "A1", "--json")
    [balance] = account["balances"]
    assert (balance["posted_minor"], balance["held_minor"]) == (9000, 700)
    assert balance["available_minor"] == 8300

    history = plain(dsn, "ledger", "history", "A1", "--limit", "3", "--json")
    assert len(history["entries"]) == 3
    rest = plain(dsn, "ledger", "history", "A1", "--after", history["after"], "--json")
    ids = [e["message_id"] for e in (*history["entries"], *rest["entries"])]
    assert len(ids) == len({*ids}) == account["entries"]
    assert rest["after"] == ""

    *_, first = [e for e in rest["entries"] if e["kind"] == "authorization"]
    life = plain(dsn, "ledger", "authorization", first["authorization_id"], "--json")
    assert [act["kind"] for act in life["acts"]] == ["authorization", "reversal"]
    assert (life["approved"], life["held_minor"]) == (True, 0)
    roles = [[line["role"] for line in act["postings"]] for act in life["acts"]]
    assert roles == [["open", "held"], ["held", "open"]] or all(len(r) == 2 for r in roles)
    assert all(sum(line["amount_minor"] for line in act["postings"]) == 0 for act in life["acts"])

    statement = plain(dsn, "statement", "A1", "--from", "2020-01-01", "--json", "-")
    assert statement["adds_up"]
    [total] = statement["sums"]
    assert (total["opening_posted_minor"], total["closing_posted_minor"]) == (0, 9000)
    assert total["closing_held_minor"] == sum(e["held_delta_minor"] for e in statement["lines"])
    rows = [*csv.DictReader(StringIO(asked(dsn, "statement", "A1", "--csv").stdout))]
    assert [row["message_id"] for row in rows] == [e["message_id"] for e in statement["lines"]]
    text = asked(dsn, "statement", "A1").stdout
    assert "opening  0.00 USD, of it held 0.00 USD" in text
    assert "closing  90.00 USD, of it held 7.00 USD" in text
    assert "held delta" in asked(dsn, "ledger", "history", "A1").stdout
    assert "available" in asked(dsn, "ledger", "account", "A1").stdout


WRONG = [
    (("statement", "A1", "--from", "yesterday"), 2, "--from: not a time of ISO 8601"),
    (("statement", "A1", "--from", "2026-02-02", "--to", "2026-02-01"), 2, "--to: not after"),
    (("statement", "A1", "--csv", "--json", "-"), 2, "one of them"),
    (("statement", "4000000000000002"), 2, "A card number is read from standard input"),
    (("statement", "nobody"), 1, "The books know no such account"),
    (("ledger", "history", "nobody"), 1, "The books know no such account"),
    (("ledger", "account", "nobody"), 1, "The books know no such account"),
    (("ledger", "authorization", "nobody"), 1, "The books know no such authorization"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG)
def test_what_cannot_be_answered(
    words: tuple[str, ...], code: int, said: str, fresh_postgres: str
) -> None:
    asyncio.run(begin(fresh_postgres))
    result = asked(fresh_postgres, *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_what_the_store_does_not_have_is_shown_from_the_books(lived: tuple[str, str]) -> None:  # noqa: F811
    store, dsn = lived
    life = plain(dsn, "ledger", "history", "A1", "--json")["entries"]
    id = next(e["authorization_id"] for e in life if e["authorization_id"])

    async def lose() -> None:
        client = admin.administrator(store)
        await client.delete(keys.account("A1"))
        await client.aclose()

    asyncio.run(lose())
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    for words in (("account", "A1"), ("authorization", id)):
        words = ("show", *words, "--redis", store, "--json")
        result = CliRunner().invoke(cli.main, [*words, "--postgres", dsn], env=env)
        found = json.loads(result.stdout)
        assert (found["from"], found["account_id"]) == ("the books; the store has none", "A1")
        assert CliRunner().invoke(cli.main, words, env=env).exit_code == 1


def test_a_cell_is_no_formula() -> None:
    from authz.app.commands.statement import safe

    assert [safe(v) for v in ("=1+1", "@x", "SHOP", -5, "")] == ["'=1+1", "'@x", "SHOP", -5, ""]
