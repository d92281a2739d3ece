"""Lists and policies put in force: once, whole, and by one version each, whoever else does so."""

import asyncio
from typing import Any

from authz.hot import admin, keys
from authz.judgement import put_lists, put_policy
from ledger.journal import ListsBody, read_entry
from tests.authz.test_control import run


def test_lists_replace_what_was_there_and_reach_every_gate(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert await put_lists(client, [("country", "KP")], "s") == (1, True)
        assert await put_lists(client, [("country", "KP")], "s") == (1, False)
        assert await put_lists(client, [], "s") == (2, True)
        assert await state.lists(5) == (2, frozenset())
        for shard in keys.ALL_SHARDS:
            assert await client.hget(keys.control(shard), "lists") == b"2"

    run(fresh_redis, scenario)


def test_lists_cut_short_are_finished_by_another_run(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "s")
        await client.hset(keys.control("07"), "lists", 0)
        assert await put_lists(client, [("country", "KP")], "s") == (1, False)
        assert await client.hget(keys.control("07"), "lists") == b"1"
        await client.delete(keys.LISTS)  # a version never comes twice, even so
        assert await put_lists(client, [("country", "KP")], "s") == (2, True)

    run(fresh_redis, scenario)


def test_two_who_load_at_once_never_share_a_version(fresh_redis: str) -> None:
    """Each shard's journal has every version, in order and with one content; nobody's is lost."""

    async def scenario(state: Any, client: Any) -> None:
        other = admin.administrator(fresh_redis)

        async def lists() -> None:
            for n in range(10):
                await put_lists(client, [("country", "KP"), ("merchant", f"M{n}")], "lists")

        async def policies() -> None:
            for n in range(10):
                await put_policy(other, f'version = "{n}"', "policies")

        await asyncio.gather(lists(), policies())
        await other.aclose()
        kept = {("country", "KP"), ("merchant", "M9"), ("policy", 'version = "9"')}
        assert await state.lists(5) == (20, kept)
        told = []
        for shard in keys.ALL_SHARDS:
            bodies = [read_entry(*row).body for row in await client.xrange(keys.journal(shard))]
            lists_of = [b for b in bodies if isinstance(b, ListsBody)]
            told.append([(b.version, b.entries) for b in lists_of])
            assert [version for version, _ in told[-1]] == list(range(1, 21))
        assert all(one == told[0] for one in told)

    run(fresh_redis, scenario)


def test_a_version_that_was_cut_short_is_journalled_before_the_next(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "s")
        # Died between the set and the gates: engines may have planned with it already.
        await client.sadd(keys.LISTS, "version:2", "country:US")
        await put_lists(client, [], "s")
        rows = await client.xrange(keys.journal("07"))
        bodies = [read_entry(*row).body for row in rows]
        assert [b.version for b in bodies if isinstance(b, ListsBody)] == [1, 2, 3]

    run(fresh_redis, scenario)
