"""What adds up and is wrong all the same: each damage is told, and alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz import judgement
from authz.app.embedded.valkey import EmbeddedValkey
from authz.audit import audit_store
from authz.control import put_accounts
from authz.hot import admin, keys
from authz.hot.errors import TooLate
from authz.hot.lists import PLAIN, pack_rows
from authz.hot.model import NAMED_MAX
from authz.judgement import put_lists, put_policy
from tests.authz.test_audit import (
    ACCOUNT,
    EXPIRY,
    JOURNAL,
    SHARD,
    WHOLE,
    account,
    authorize,
    lived,
    prepared,
    reverse,
    rows,
    withdraw,
)

Damage = Callable[[Any], Awaitable[None]]
SHARED = ("37:shared",)


async def nothing(client: Any) -> None: ...


async def change_the_act(client: Any, place: int, value: Any) -> None:
    record = msgspec.msgpack.decode(await client.hget(WHOLE, "a:m3"))
    record[8][0][place] = value
    await client.hset(WHOLE, "a:m3", msgspec.msgpack.encode(record))


async def date_an_act_back(client: Any) -> None:
    await change_the_act(client, 2, 1_790_000_099)


async def lose_a_listed_merchant(client: Any) -> None:
    await client.hdel(keys.LISTS, "block/merchant/M1")


async def list_another_country(client: Any) -> None:
    await client.hset(keys.LISTS, "block/country/US", pack_rows(PLAIN))


async def lose_the_lists(client: Any) -> None:
    await client.delete(keys.JUDGEMENT)


async def load_lists_and_die(client: Any) -> None:
    with patch.object(judgement, "tell_gates", AsyncMock(return_value=1)):
        await put_lists(client, [("merchant", "M2")], "test")


async def count_them_wrongly(client: Any) -> None:
    await client.hset(keys.JUDGEMENT, "n:block/merchant", 2)


async def lose_a_policy(client: Any) -> None:
    await put_policy(client, 'version = "1"', "test")
    await client.hset(keys.JUDGEMENT, "policy", "")


async def name_a_record_that_is_another(client: Any) -> None:
    await client.hset(WHOLE, "r:90:x1", "m1 m2")


async def name_nobody(client: Any) -> None:
    await client.hset(WHOLE, "r:90:x1", "m1 m77")


async def forget_the_names(client: Any) -> None:
    await client.hset(WHOLE, "r:90:x1", "*")


async def lose_an_account_whole(client: Any) -> None:
    for id, fields in await client.xrange(JOURNAL):
        if msgspec.msgpack.decode(fields[b"e"])[4] == ACCOUNT:
            await client.xdel(JOURNAL, id)
    await client.delete(WHOLE, EXPIRY)


DAMAGE: list[tuple[Damage, list[tuple[Any, ...]]]] = [
    (nothing, []),
    (date_an_act_back, [(ACCOUNT, "act r3 of record m3", "full, 0", "as journalled")]),
    (lose_a_listed_merchant, [("", "lists", "1 entries differ", "version 1")]),
    (list_another_country, [("", "lists", "1 entries differ", "version 1")]),
    (lose_the_lists, [("", "lists", "version 0", "version 1")]),
    (load_lists_and_die, []),
    (count_them_wrongly, [("", "number of block/merchant", 2, 1)]),
    (lose_a_policy, [("", "lists", "1 entries differ", "version 2")]),
    (
        name_a_record_that_is_another,
        [(ACCOUNT, "reference 90:x1", "m2", "not of this record")],
    ),
    (name_nobody, [(ACCOUNT, "reference 90:x1", "m77", None)]),
    (forget_the_names, [(ACCOUNT, "reference 90:x1", "*", "1 ids")]),
    (lose_an_account_whole, [("", f"entries of {SHARD}", 2, 10)]),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGE, ids=lambda x: getattr(x, "__name__", ""))
def test_each_damage_is_told_alone(
    fresh_redis: str, damage: Damage, expected: list[tuple[Any, ...]]
) -> None:
    async def scenario() -> list[tuple[Any, ...]]:
        async with lived(fresh_redis) as (_, client):
            await put_lists(client, [("merchant", "M1"), ("country", "KP")], "test")
            await damage(client)
            return rows(await audit_store(fresh_redis))

    assert asyncio.run(scenario()) == expected


def test_lists_that_nobody_loaded_are_told(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (_, client):
            await list_another_country(client)
            assert rows(await audit_store(fresh_redis)) == [
                ("", "lists", "1 entries differ", "version 0")
            ]

    asyncio.run(scenario())


def test_a_journal_that_was_cut_tells_of_no_loose_ends(fresh_redis: str) -> None:
    async def scenario() -> None:
        async with lived(fresh_redis) as (_, client):
            await put_lists(client, [("merchant", "M1")], "test")
            for shard in keys.ALL_SHARDS:
                await client.xtrim(keys.journal(shard), maxlen=0, approximate=False)
            assert (await audit_store(fresh_redis, may_be_trimmed=True)).ok

    asyncio.run(scenario())


def test_many_that_share_a_reference_and_go_again(fresh_redis: str) -> None:
    """It says "*" for good, whatever becomes of them."""

    async def scenario() -> None:
        async with prepared(fresh_redis) as (state, client):
            for n in range(NAMED_MAX + 2):
                await state.authorize(authorize(n, 1, limits=(), references=SHARED), 5)
            assert (await client.hget(WHOLE, "r:37:shared")) == b"*"
            for n in range(NAMED_MAX + 2):
                await state.withdraw(withdraw(n), 5)
                assert rows(await audit_store(fresh_redis)) == []

    asyncio.run(scenario())


references = st.lists(st.sampled_from(["90:x1", "90:x2", *SHARED]), min_size=1, max_size=3)
step = st.one_of(
    st.builds(
        lambda n, attempt, names: authorize(n, 1, attempt=attempt, references=tuple(names)),
        st.integers(1, 12),
        st.sampled_from(["t1", "t2"]),
        references,
    ),
    st.builds(
        lambda n, left, names: reverse(n, left, tuple(("de37", name) for name in names)),
        st.integers(1, 12),
        st.sampled_from([-1, 0, 1, 2]),
        references,
    ),
    st.builds(withdraw, st.integers(1, 12), st.sampled_from(["t1", "t2"])),
)


@settings(max_examples=30)
@given(st.lists(step, min_size=20, max_size=60))
def test_any_crowd_at_few_references_passes(fresh_redis: str, history: list[Any]) -> None:
    async def scenario() -> None:
        async with prepared(fresh_redis) as (state, client):
            for act in history:
                with suppress(TooLate):
                    await getattr(state, type(act).__name__.lower())(act, 5.0)
            # A message of an answer whose life is over may come again, and say something else.
            async for key in client.scan_iter("authz:*:answer:*"):
                await client.delete(key)
            await state.apply(reverse(1, 2, (("de37", SHARED[0]),)), 5)
            assert rows(await audit_store(fresh_redis)) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("rewritten", [False, True])
def test_the_stream_counts_over_a_restart(tmp_path: Path, rewritten: bool) -> None:
    async def before(url: str) -> None:
        async with lived(url) as (state, client):
            await put_accounts(state, [account(f"B{n}") for n in range(100)], "test")
            await lose_an_account_whole(client)
            if rewritten:
                await client.bgrewriteaof()
                async with asyncio.timeout(20):
                    while (await client.info("persistence"))["aof_rewrite_in_progress"]:
                        await asyncio.sleep(0.05)

    with EmbeddedValkey.start(tmp_path / "store") as valkey:
        asyncio.run(before(valkey.url))
        valkey.kill()
    with EmbeddedValkey.start(tmp_path / "store") as valkey:
        report = asyncio.run(audit_store(valkey.url))
        assert [field for _, field, _, _ in rows(report)] == [f"entries of {SHARD}"]
        assert admin.JOURNAL_CAP > report.entries > 100
