"""Words on cards in the store: queued with the change, taken by one, settled once; as the twin."""

import asyncio
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from authz.app.announcements import drop_announcements, look_at_announcements
from authz.hot import keys, outbox
from authz.hot.errors import Refused
from authz.hot.memory import MemoryHotState
from authz.hot.outbox import Taken
from ledger.journal import AnnouncementBody, read_entry
from tests.support.hot import account_act, card_act, store_and_client, word

SHARD = keys.shard_of("A1")
LONG_S = 3600


def play(url: str, story: Any) -> None:
    async def whole() -> None:
        async with store_and_client(url) as (state, client):
            await state.put_account(account_act("A1", 5000))
            await story(state, client)

    asyncio.run(whole())


def put(profile: bytes, *words: Any, card: str = "C1") -> Any:
    return replace(card_act(card, "A1", profile), words=words)


async def take(state: Any, network: str = "generic", first_s: int = 15) -> list[Taken]:
    return list(await state.take_words(SHARD, network, 10, first_s, LONG_S, 5))


def test_what_is_no_news_is_not_told(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        steps = [
            (b"active", "delete", ("created", 0)),  # nobody was told that it is blocked
            (b"frozen", "add", ("moved", 1)),
            (b"frozen", "add", ("same", 0)),
            (b"lost", "add", ("moved", 0)),  # blocked before, blocked now
            (b"active", "delete", ("moved", 1)),
            (b"frozen", "add", ("moved", 1)),
        ]
        for profile, code, expected in steps:
            said = await state.put_card(put(profile, word(code=code)))
            assert (said.verdict, said.queued, said.full) == (*expected, 0)
        assert await state.waiting("generic", 5) == {SHARD: 1}
        # Frozen while nobody gave its number, and told afterwards.
        await state.put_card(put(b"frozen", card="C2"))
        said = await state.put_card(put(b"frozen", word(), card="C2"))
        assert (said.verdict, said.queued) == ("same", 1)

    play(fresh_redis, story)


def test_a_word_is_taken_once_until_it_is_due_again(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.put_card(put(b"frozen", word(), word("visa")))
        [taken] = await take(state)
        assert (taken.card_id, taken.code, taken.sealed, taken.tries) == ("C1", "add", "sealed", 1)
        assert await take(state) == []
        assert len(await take(state, "visa")) == 1
        due = keys.outbox_of(SHARD, "generic")
        now = int((await client.time())[0])
        for tries, wait in ((1, 15), (2, 30), (3, 60)):
            assert abs(await client.zscore(due, "C1") - now - wait) <= 2
            await client.zadd(due, {"C1": 0})
            [again] = await take(state)
            assert again.tries == tries + 1
        for _ in range(40):
            await client.zadd(due, {"C1": 0})
            await take(state)
        assert abs(await client.zscore(due, "C1") - now - LONG_S) <= 3

    play(fresh_redis, story)


def test_an_acknowledgement_ends_it_and_its_number_goes(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.put_card(put(b"frozen", word()))
        [taken] = await take(state)

        async def settle(one: Taken, kind: str, said: str) -> str:
            return str(await state.settle_word(SHARD, "generic", one, kind, said, 5))

        for _ in range(3):  # the same refusal, which is journalled once
            assert await settle(taken, "refused", "29") == "refused"
        assert await state.waiting("generic", 5) == {SHARD: 1}
        assert await settle(taken, "acknowledged", "00") == "acknowledged"
        for kind in ("acknowledged", "refused"):
            assert await settle(taken, kind, "00") == "gone"
        assert await state.waiting("generic", 5) == {}
        [packed] = await client.hvals(keys.outbox(SHARD))
        assert b"sealed" not in packed

        # And a word that came after is not settled by an answer to the one before.
        await state.put_card(put(b"active", word(code="delete")))
        assert await settle(taken, "acknowledged", "00") == "gone"
        [later] = await take(state)
        assert await settle(later, "acknowledged", "00") == "acknowledged"
        assert await client.hgetall(keys.outbox(SHARD)) == {}

        rows = await client.xrange(keys.journal(SHARD))
        told = [read_entry(*row) for row in rows]
        told = [entry for entry in told if isinstance(entry.body, AnnouncementBody)]
        assert [(e.envelope.verdict, e.envelope.detail, e.body.code) for e in told] == [
            ("refused", "29", "add"), ("acknowledged", "00", "add"),
            ("acknowledged", "00", "delete"),
        ]  # fmt: skip

    play(fresh_redis, story)


def test_a_word_without_a_number_turns_what_waits_and_nothing_else(fresh_redis: str) -> None:
    """Frozen by its number and let go on by its id: the block must not be told for ever."""

    async def story(state: Any, client: Any) -> None:
        unfreeze = word(code="delete", sealed=""), word("visa", "delete", "")
        await state.put_card(put(b"frozen", word()))
        for tries in (0, 1):
            if tries:
                await take(state)
            said = await state.put_card(put(b"active", *unfreeze))
            assert (said.verdict, said.queued) == ("moved", 1)
            [taken] = await take(state)
            assert (taken.code, taken.sealed, taken.tries) == ("delete", "sealed", 1)
            said = await state.put_card(put(b"frozen", word(sealed="")))
            assert said.queued == 1
        [taken] = await take(state)
        await state.settle_word(SHARD, "generic", taken, "acknowledged", "00", 5)
        said = await state.put_card(put(b"active", *unfreeze))  # its number is gone
        assert said.queued == 0
        assert await state.waiting("generic", 5) == {}

    play(fresh_redis, story)


@pytest.mark.parametrize("told", [False, True])
def test_a_person_drops_a_word_and_a_block_that_was_told_is_taken_back_later(
    fresh_redis: str, told: bool
) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.put_card(put(b"frozen", word()))
        if told:
            await take(state)
        dropped = await drop_announcements(client, state, "C1", None, "jdoe")
        assert dropped == ["generic"]
        assert await drop_announcements(client, state, "C1", None, "jdoe") == []
        assert await state.waiting("generic", 5) == {}
        assert await look_at_announcements(client, acknowledged=False) == []
        stands = await look_at_announcements(client, acknowledged=True)
        assert [one["state"] for one in stands] == ["dropped"] * told
        for packed in await client.hvals(keys.outbox(SHARD)):
            assert b"sealed" not in packed
        rows = await client.xrange(keys.journal(SHARD))
        last = read_entry(*rows[-1])
        assert isinstance(last.body, AnnouncementBody)
        assert (last.envelope.verdict, last.body.source) == ("dropped", "jdoe")
        said = await state.put_card(put(b"active", word(code="delete")))
        assert said.queued == told

    play(fresh_redis, story)


def test_a_card_is_blocked_though_no_room_is_left_for_telling(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(state: Any, client: Any) -> None:
        due = keys.outbox_of(SHARD, "generic")
        await client.zadd(due, {f"other{n}": 2**40 for n in range(outbox.OUTBOX_MAX)})
        said = await state.put_card(put(b"frozen", word(), word("visa")))
        assert (said.verdict, said.queued, said.full) == ("created", 1, 1)
        monkeypatch.setattr(outbox, "OUTBOX_MAX", 0)
        model = MemoryHotState()
        await model.put_account(account_act("A1", 0))
        meant = await model.put_card(put(b"frozen", word()))
        assert (meant.verdict, meant.queued, meant.full) == ("created", 0, 1)

    play(fresh_redis, story)


def test_the_store_and_its_twin_keep_the_same_words(fresh_redis: str) -> None:
    async def story(state: Any, client: Any) -> None:
        chance = Random(11)
        model = MemoryHotState(int((await client.time())[0]) * 1000)
        await model.put_account(account_act("A1", 5000))
        seen = [Taken("C1", "0/add", "add", "sealed", 1, 0, "")]
        networks = ("generic", "visa")
        for step in range(400):
            network = chance.choice(networks)
            match chance.choice(["put", "put", "take", "settle", "settle"]):
                case "put":
                    words = [
                        word(n, chance.choice(["add", "delete"]), chance.choice(["sealed", ""]))
                        for n in networks
                    ]
                    profile = chance.choice([b"p1", b"p2", b"p3"])
                    act = put(profile, *words, card=chance.choice(["C1", "C2", "C3"]))
                    assert await state.put_card(act) == await model.put_card(act), step
                case "take":
                    # Everything is due: the clocks of the two are not compared here.
                    for card in await client.zrange(keys.outbox_of(SHARD, network), 0, -1):
                        await client.zadd(keys.outbox_of(SHARD, network), {card: 0})
                    for (_, name, _), one in model.outbox.items():
                        if name == network and one.due is not None:
                            one.due = 0
                    real = await take(state, network)
                    meant = await take(model, network)
                    plain = [replace(one, since=0) for one in real]
                    assert plain == [replace(one, since=0) for one in meant], step
                    seen += real
                case "settle":
                    one = chance.choice(seen)
                    kind = chance.choice(["acknowledged", "refused", "dropped"])
                    said = (SHARD, network, one, kind, chance.choice(["00", "29"]), 5)
                    assert await state.settle_word(*said) == await model.settle_word(*said), step
            for each in networks:
                assert await state.waiting(each, 5) == await model.waiting(each)
        assert len(seen) > 50

    play(fresh_redis, story)


@pytest.mark.parametrize("name", ["outbox", "of network", "control", "journal"])
@pytest.mark.parametrize("act", ["put", "take", "settle"])
def test_a_key_of_the_wrong_type_changes_nothing(fresh_redis: str, name: str, act: str) -> None:
    async def story(state: Any, client: Any) -> None:
        await state.put_card(put(b"frozen", word()))
        victim = {
            "outbox": keys.outbox(SHARD), "of network": keys.outbox_of(SHARD, "generic"),
            "control": keys.control(SHARD), "journal": keys.journal(SHARD),
        }[name]  # fmt: skip
        taken = Taken("C1", "1/add", "add", "sealed", 1, 0, "")
        await client.delete(victim)
        await client.set(victim, "wrong type")
        before = {key: await client.dump(key) async for key in client.scan_iter()}
        asked = {
            "put": lambda: state.put_card(put(b"active", word(code="delete"))),
            "take": lambda: take(state),
            "settle": lambda: state.settle_word(SHARD, "generic", taken, "acknowledged", "00", 5),
        }[act]
        with pytest.raises(Refused, match="WRONGTYPE"):
            await asked()
        after = {key: await client.dump(key) async for key in client.scan_iter()}
        assert after == before

    play(fresh_redis, story)
