"""change_judgement: all of a change or nothing, one after the other; and what is kept of them."""

from typing import Any

import pytest
from redis.exceptions import ResponseError

from authz.hot import admin, keys
from authz.hot.lists import PLAIN, MemoryLists, body_of, pack_rows, read_body
from authz.judgement import put_change, put_lists, standing_in
from ledger.journal import Change
from tests.authz.test_control import run

OF_IT = {
    "control": keys.control(keys.HOME), "journal": keys.journal(keys.HOME),
    "judgement": keys.JUDGEMENT, "lists": keys.LISTS, "changes": keys.CHANGES,
}  # fmt: skip


async def change(
    state: Any, client: Any, *, made_from: int, version: int, body: bytes = b"b",
    put: int = 2, words: tuple[Any, ...] = ("version", "9", "block/country/KP", b"r"),
) -> str:  # fmt: skip
    reply = await client.fcall(
        "authz_change_judgement", 5, *OF_IT.values(), state.run_id, made_from, version, body,
        2, put, *words,
    )  # fmt: skip
    assert reply[0] == OF_IT["control"].encode()
    return str(reply[1], "ascii")


async def everything(client: Any) -> dict[bytes, bytes]:
    return {key: await client.dump(key) for key in await client.keys("*")}


@pytest.mark.parametrize("name", OF_IT)
def test_a_key_of_the_wrong_type_changes_nothing(fresh_redis: str, name: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "test")
        await client.delete(OF_IT[name])
        if name == "control":
            await client.set(OF_IT[name], "x")
        else:
            await client.zadd(OF_IT[name], {"x": 1})
        before = await everything(client)
        with pytest.raises(ResponseError):
            await change(state, client, made_from=1, version=2)
        assert await everything(client) == before

    run(fresh_redis, scenario)


BAD: list[dict[str, Any]] = [
    {"version": 1}, {"version": 0}, {"put": 3}, {"put": 40}, {"version": 2.5}, {"made_from": "x"},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_arguments_change_nothing(fresh_redis: str, bad: dict[str, Any]) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_lists(client, [("country", "KP")], "test")
        before = await everything(client)
        with pytest.raises(ResponseError):
            await change(state, client, **({"made_from": 1, "version": 2} | bad))
        assert await everything(client) == before

    run(fresh_redis, scenario)


def test_only_the_one_that_was_made_from_what_is_there_is_taken(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        words = ("policy", "p", "block/country/KP", pack_rows(PLAIN))
        assert await change(state, client, made_from=0, version=1, words=words) == "moved"
        before = await everything(client)
        assert await change(state, client, made_from=0, version=2) == "older"
        assert await change(state, client, made_from=2, version=3) == "older"
        assert await everything(client) == before
        assert await change(state, client, made_from=1, version=4, words=words) == "moved"
        assert (await standing_in(client)).version == 4
        await client.hset(keys.control(keys.HOME), "run_id", "another")
        assert await change(state, client, made_from=4, version=5) == "cold"

    run(fresh_redis, scenario)


def test_of_changes_the_newest_are_kept_by_number_and_by_size(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        for version in range(1, 5):
            body = bytes(3 << 20)
            said = await change(
                state, client, made_from=version - 1, version=version, body=body, put=0,
                words=("policy", "p"),
            )  # fmt: skip
            assert said == "moved"
        assert sorted(await client.hkeys(keys.CHANGES)) == [b"3", b"4"]
        assert await client.hmget(keys.JUDGEMENT, "first", "bytes") == [b"3", str(6 << 20).encode()]
        large = bytes(9 << 20)
        await change(
            state, client, made_from=4, version=5, body=large, put=0, words=("policy", "p")
        )
        assert await client.hkeys(keys.CHANGES) == [b"5"]

    run(fresh_redis, scenario)


def test_the_twin_tells_what_the_store_tells(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        twin = MemoryLists()
        for n in range(1, 6):
            listed = {f"block/merchant/M{m}": PLAIN for m in range(n % 4)}
            texts = {"policy": f"p{n // 2}", "rates": "", "shadow": ""}
            old = twin.judged_by.texts
            twin.change(n, texts, listed)
            made = twin.changed[n]
            assert old != texts or made.texts == ()

            async def as_made(_: Any, made: Change = made) -> Change:
                return made

            assert (await put_change(client, "test", as_made))[0] == n
        assert await state.judgement_version(1) == await twin.judgement_version()
        assert await state.changes(0, 6, 1) == await twin.changes(0, 6)
        _, there = await state.list_page(b"0", 10, 1)
        _, expected = await twin.list_page(b"0", 10)
        assert sorted(there) == sorted(expected)
        assert (await state.standing(1)).texts == twin.judged_by.texts

    run(fresh_redis, scenario)


def test_a_store_of_another_layout_is_refused(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await client.hset(keys.control("07"), "layout", 3)
        with pytest.raises(admin.NotFit, match="another layout"):
            await admin.state_of_gates(client)

    run(fresh_redis, scenario)


def test_a_body_says_what_it_changed() -> None:
    made = Change((("policy", "", "p"),), (("block/country/KP", None, PLAIN),))
    body = read_body(body_of(3, "test", made))
    assert (body.version, body.source, body.change) == (3, "test", made)
