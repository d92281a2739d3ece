"""Any life of many cards, in which the store loses everything now and then, and is rebuilt from the
books: it holds what it held, and whatever is said afterwards is answered as if nothing had been.

The lives are those of tests/scenarios/test_many_cards.py; the bookkeeper there knows nothing of it.
"""

from hashlib import sha1

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from authz.app.rebuilding import Lives, rebuild
from authz.audit import audit_store
from authz.hot import keys
from ledger.journal import BODY, ENVELOPE
from ledger.verify import verify
from tests.scenarios.test_many_cards import PHASES, ManyCards, Town
from tests.support.books import begin, books, drain, reconciled
from tests.support.engine import KEYS
from tests.support.pictures import LIFE_MS, chains, differences, lives, lose, picture

DEEP = settings.default is not None and settings.default.max_examples > 100
EXAMPLES = 100 if DEEP else 3

WEEK = Lives(answers_s=700_000)


async def lose_and_rebuild(town: Town, dsn: str) -> None:
    await drain(town.url, dsn, batch=97)
    before, chained, left = (
        await picture(town.client), await chains(town.client), await lives(town.client)
    )  # fmt: skip
    await lose(town.client)
    report = await rebuild(town.url, dsn, KEYS.check, WEEK, "test")
    assert (report.parked, report.notices, report.without_profile) == (0, 0, 0)
    assert differences(before, await picture(town.client)) == []
    for shard, (entries, digest) in (await chains(town.client)).items():
        [(_, fields)] = await town.client.xrange(keys.journal(shard))
        opening = sha1(chained[shard][1].encode() + fields[ENVELOPE] + fields[BODY]).hexdigest()
        assert (entries, digest) == (chained[shard][0] + 1, opening)
    for key, ms in (await lives(town.client)).items():
        assert abs(left[key] - ms) < LIFE_MS, key


def test_a_store_that_is_lost_now_and_then(fresh_redis: str, fresh_postgres: str) -> None:
    class Lost(ManyCards):
        url = fresh_redis

        def __init__(self) -> None:
            super().__init__()
            self._run(self._new_books())

        async def _new_books(self) -> None:
            async with books(fresh_postgres) as connection:
                await connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
            await begin(fresh_postgres)
            await town_is_of(self.town)

        @rule(_of=st.just(0))
        def is_lost(self, _of: int) -> None:
            self._run(lose_and_rebuild(self.town, fresh_postgres))

        def teardown(self) -> None:
            try:
                self._run(self._look_at_the_end())
            finally:
                self._run(self.town.close())
                self.loop.close()

        async def _look_at_the_end(self) -> None:
            await lose_and_rebuild(self.town, fresh_postgres)
            report = await audit_store(self.town.url)
            assert [*report.differences] == []
            await reconcile(self.town.url, fresh_postgres)
            await drain(self.town.url, fresh_postgres)
            await reconcile(self.town.url, fresh_postgres)
            async with books(fresh_postgres) as connection:
                verified = await verify(connection)
                assert verified.ok, verified.differences[:5]
                assert (verified.parked, verified.notices) == (0, 0)

    run_state_machine_as_test(
        Lost, settings=settings(max_examples=EXAMPLES, stateful_step_count=50, phases=PHASES)
    )


async def reconcile(url: str, dsn: str) -> None:
    """Equal, though all that was before is in the books alone, and told from there."""
    report = await reconciled(url, dsn)
    assert [*report.differences] == []
    assert (report.ok, report.cut) == (True, 0)


async def town_is_of(town: Town) -> None:
    """Its cards' key, as `authz load` says it."""
    await town.client.set(keys.PAN_KEY, KEYS.check)
