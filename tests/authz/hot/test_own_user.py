"""What the engine asks about networks, asked as its own user, who may do little else."""

import asyncio

from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.store import as_engine
from authz.hot import keys, library
from authz.hot.acts import CutOver
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.hot.totals import tally_of
from tests.authz.hot.test_functions import authorize, reverse, settle, withdraw
from tests.authz.hot.test_outbox import put
from tests.support.hot import account_act, store_and_client, word

SHARD = keys.shard_of("A1")


def test_the_engines_own_user_may_do_all_that_the_engine_asks() -> None:
    async def story(server: EmbeddedValkey) -> None:
        async with store_and_client(server.url) as (administrator, client):
            await administrator.put_account(account_act("A1", 5000))
            await administrator.put_card(put(b"frozen", word()))
            state = RedisHotState()
            connection = await connect(as_engine(server.url))
            state.attach(connection, administrator.run_id)

            assert await state.waiting("generic", 5) == {SHARD: 1}
            [taken] = await state.take_words(SHARD, "generic", 10, 15, 3600, 5)
            for kind in ("refused", "acknowledged"):
                said = await state.settle_word(SHARD, "generic", taken, kind, "00", 5)
                assert said == kind
            act = CutOver(
                message_id="m0", fingerprint="f", attempt="t", deadline_ms=0, network="generic",
                day=0, today=100, answer_ttl_s=60, body=b"b",
            )  # fmt: skip
            assert (await state.cut_over(act, 5)).kind == "moved"
            days = await state.days("generic", 5)
            assert days is not None
            assert (days.in_force, days.ended) == (101, 100)

            tally = tally_of("generic", 101)
            for number in (1, 2):
                posted = authorize(number, posts=1, tally=tally, references=(f"90:x{number}",))
                assert (await state.authorize(posted, 5)).kind == "held"
            await state.apply(reverse(1, tally=tally), 5)
            assert await state.withdraw(withdraw(2), 5) == "released"
            totals = await state.totals("generic", 101, "840", 5)
            assert (totals["debits"], totals["debit_reversals"]) == ((1, 1000), (1, 1000))
            assert await state.forget_totals(SHARD, 102, 5) == 2

            for number in (3, 4):
                referred = authorize(number, planned="referred", review="referred", references=())
                assert (await state.authorize(referred, 5)).review == "opened"
            assert await state.withdraw(withdraw(3), 5) == "forgotten"
            assert await state.due_reviews(SHARD, 10**10, 9, 5) == [("A1", "m4")]
            assert await state.settle_review(settle(4, "ended"), 5) == "ended"
            counts = await state.review_counts(5)
            assert (counts.waiting, counts.opened, counts.ended) == (0, 2, 1)
            connection.close()
            await asyncio.sleep(0)

    with EmbeddedValkey.start(appendfsync="no", acl=(library.ENGINE_ACL,)) as server:
        asyncio.run(story(server))
