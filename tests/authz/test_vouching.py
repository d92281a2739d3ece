"""A journal whose beginning is in the books: nothing is wrong, and what is wrong is still told.

The books' writer is played by its group in the streams: how far it has come, and how many it read.
"""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.audit import audit_store
from authz.hot import keys
from authz.hot.errors import TooLate
from tests.authz.test_audit import (
    ACCOUNT,
    JOURNAL,
    SHARD,
    WHOLE,
    advise,
    authorize,
    increase,
    prepared,
    reverse,
    rows,
    step,
)

GROUP = "ledger"


async def said(state: Any, history: list[Any]) -> None:
    for act in history:
        with suppress(TooLate):
            name = type(act).__name__.lower().replace("settlereview", "settle_review")
            await getattr(state, name)(act, 5.0)


async def trimmed(client: Any, key: str, read: int, cut: int) -> None:
    """The books have read so many entries of a stream, and dropped so many."""
    ids = [id for id, _ in await client.xrange(key)]
    read, cut = min(read, len(ids)), min(cut, read, len(ids) - 1)
    with suppress(Exception):
        await client.xgroup_create(key, GROUP, "0")
    at = ids[read - 1] if read else "0-0"
    await client.execute_command("XGROUP", "SETID", key, GROUP, at, "ENTRIESREAD", read)
    await client.xtrim(key, minid=ids[cut], approximate=False)


@settings(max_examples=30)
@given(st.lists(step, max_size=30), st.lists(step, max_size=20), st.integers(0, 40),
       st.integers(0, 40))  # fmt: skip
def test_any_history_passes_wherever_it_was_cut(
    fresh_redis: str, history: list[Any], later: list[Any], read: int, cut: int
) -> None:
    async def story() -> None:
        async with prepared(fresh_redis) as (state, client):
            await said(state, history)
            await trimmed(client, JOURNAL, read, cut)
            assert rows(await audit_store(fresh_redis)) == []
            await said(state, later)
            assert rows(await audit_store(fresh_redis)) == []

    asyncio.run(story())


def told(url: str, cut: int, harm: Any) -> list[Any]:
    """What the audit says after some acts, a cut, and some harm."""

    async def story() -> list[Any]:
        async with prepared(url) as (state, client):
            await said(state, [authorize(n) for n in (1, 2, 3)])
            await said(state, [advise(1, 700), reverse(2), increase(4, 500, 3)])
            await trimmed(client, JOURNAL, 7, cut)
            await said(state, [authorize(5, 300)])
            await harm(client)
            return rows(await audit_store(url))

    return asyncio.run(story())


async def nothing(client: Any) -> None:
    pass


async def lose_one_that_the_books_lack(client: Any) -> None:
    await client.xdel(JOURNAL, (await client.xrevrange(JOURNAL, count=1))[0][0])


async def lose_the_group(client: Any) -> None:
    await client.xgroup_destroy(JOURNAL, GROUP)


async def set_the_position_ahead(client: Any) -> None:
    [(last, _)] = await client.xrevrange(JOURNAL, count=1)
    await client.execute_command("XGROUP", "SETID", JOURNAL, GROUP, last, "ENTRIESREAD", 7)


async def lose_all(client: Any) -> None:
    await client.delete(JOURNAL)


async def rebuilt(client: Any) -> None:
    """What is left of the stream is all that came since."""
    since = await client.xrange(JOURNAL)
    await client.delete(JOURNAL)
    for id, fields in since:
        await client.xadd(JOURNAL, fields, id=id)
    await client.hset(keys.control(SHARD), keys.FROM_BOOKS, "1")


async def rebuilt_and_lost(client: Any) -> None:
    await rebuilt(client)
    await lose_one_that_the_books_lack(client)


CUT = (f"journal of {SHARD}", "cut at its head", "whole")


@pytest.mark.parametrize(
    ("harm", "is_vouched_for"),
    [
        (nothing, True),
        (rebuilt, True),
        (lose_one_that_the_books_lack, False),
        (lose_the_group, False),
        (lose_all, False),
        (rebuilt_and_lost, False),
        (set_the_position_ahead, False),
    ],
)
def test_only_what_the_books_have_may_be_gone(
    fresh_redis: str, harm: Any, is_vouched_for: bool
) -> None:
    found = told(fresh_redis, 5, harm)
    assert (("", *CUT) in found) == (not is_vouched_for)
    assert (found == []) == is_vouched_for


async def more_posted(client: Any) -> None:
    await client.hincrby(WHOLE, "posted:840", 1)


async def more_held(client: Any) -> None:
    await client.hincrby(WHOLE, "held:840", 1)


async def less_used(client: Any) -> None:
    used = [f for f in await client.hkeys(WHOLE) if f.startswith(b"u:") and b"day_count" in f]
    await client.hincrby(WHOLE, used[0], -1)


async def no_record(client: Any) -> None:
    [field] = [f for f in await client.hkeys(WHOLE) if f == b"a:m5"]
    await client.hdel(WHOLE, field)


@pytest.mark.parametrize("harm", [more_posted, more_held, less_used, no_record])
@pytest.mark.parametrize("cut", [0, 5])
def test_damage_is_told_whether_it_was_cut_or_not(fresh_redis: str, harm: Any, cut: int) -> None:
    assert told(fresh_redis, cut, harm)


def test_an_account_that_was_made_since_is_told_whole(fresh_redis: str) -> None:
    """Its chain begins with it, so an entry that is altered breaks it, cut or not."""

    async def alter(client: Any) -> None:
        for id, fields in await client.xrange(JOURNAL):
            if b"m5" in fields[b"e"]:
                await client.xdel(JOURNAL, id)
                await client.xadd(JOURNAL, fields | {b"b": fields[b"b"].replace(b"5411", b"5412")})

    assert told(fresh_redis, 1, nothing) == []  # the gate's entry alone is gone
    assert (ACCOUNT, "digest") in [row[:2] for row in told(fresh_redis, 1, alter)]
