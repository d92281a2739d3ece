"""Lists and policies put in force: once, whole, and by one version each, whoever else does so."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from authz import judgement
from authz.hot import admin, keys
from authz.judgement import entries_in, put_lists, put_policy, standing_in
from ledger.journal import JudgementBody, read_entry
from tests.authz.test_control import run


def test_lists_replace_what_was_there_and_reach_every_gate(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert await put_lists(client, [("country", "KP")], "s") == (1, True)
        assert await put_lists(client, [("country", "KP")], "s") == (1, False)
        assert await put_lists(client, [], "s") == (2, True)
        assert await in_force(client) == (2, {}, set())
        for shard in keys.ALL_SHARDS:
            assert await client.hget(keys.control(shard), "lists") == b"2"

    run(fresh_redis, scenario)


def test_lists_cut_short_are_finished_by_another_run(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "s")
        await client.hset(keys.control("07"), "lists", 0)
        assert await put_lists(client, [("country", "KP")], "s") == (1, False)
        assert await client.hget(keys.control("07"), "lists") == b"1"
        await client.delete(keys.JUDGEMENT, keys.LISTS)  # a version never comes twice, even so
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
        kept = {"block/country/KP", "block/merchant/M9"}
        assert await in_force(client) == (20, {"policy": 'version = "9"'}, kept)
        told = [await versions_in(client, shard) for shard in keys.ALL_SHARDS]
        assert all(versions == list(range(1, 21)) for versions in told)
        assert await changes_in(client) == list(range(1, 21))

    run(fresh_redis, scenario)


def test_a_version_that_was_cut_short_is_told_before_the_next(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "s")
        # Died between the home shard and the gates: engines may have planned with it already.
        with monkeypatch.context() as patch:
            patch.setattr(judgement, "tell_gates", AsyncMock(return_value=1))
            await put_lists(client, [("country", "US")], "s")
        assert await versions_in(client, "07") == [1]
        assert await versions_in(client, keys.HOME) == [1]
        assert await changes_in(client) == [1, 2]
        await put_lists(client, [], "s")
        assert await versions_in(client, "07") == [1, 2, 3]

    run(fresh_redis, scenario)


async def in_force(client: Any) -> tuple[int, dict[str, str], set[str]]:
    standing = await standing_in(client)
    texts = {kind: text for kind, text in standing.texts.items() if text}
    return standing.version, texts, {field async for field, _ in entries_in(client)}


async def versions_in(client: Any, shard: str) -> list[int]:
    """Those that this shard's gate was told of."""
    rows = await client.xrange(keys.journal(shard))
    entries = [read_entry(*row) for row in rows]
    return [e.envelope.versions[0] for e in entries if e.envelope.kind == "lists"]


async def changes_in(client: Any) -> list[int]:
    """Those whose content is journalled."""
    bodies = [read_entry(*row).body for row in await client.xrange(keys.journal(keys.HOME))]
    return [b.version for b in bodies if isinstance(b, JudgementBody) and b.packed]
