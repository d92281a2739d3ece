"""An administrative advice: acknowledged, journalled once, and nothing of its text kept."""

import asyncio

import pytest

from authz.hot import keys
from authz.hot.errors import NoReply
from iso8583.dialects import BY_NAME
from ledger.journal import AdministrativeBody, read_entry
from tests.support.engine import NOON, PAN, World, code, run, with_changes
from tests.support.hot import store_and_client

SECRET_TEXT = f"please call about {PAN}"
OF_1993 = {"dialect": BY_NAME["iso93_ascii"], "network": "iso93"}


def advice(stan: int = 1, **changes: str) -> dict[int, str]:
    fields = {
        2: PAN, 7: "0322120000", 11: f"{stan:06}", 33: "123456", 48: SECRET_TEXT, 60: SECRET_TEXT,
        102: PAN,
    }  # fmt: skip
    return with_changes(fields, changes)


@pytest.mark.parametrize(
    ("mti", "answer", "speaks"),
    [
        ("0620", "00", {}),
        ("0621", "00", {}),
        ("1620", "600", OF_1993),
        ("1621", "600", OF_1993),
    ],
)
def test_it_is_acknowledged_and_taken_note_of_once(
    mti: str, answer: str, speaks: dict[str, object]
) -> None:
    async def story() -> None:
        world = World()
        link = world.link(**speaks)
        for _ in range(3):
            said = await link.say(mti, advice())
            assert (said.mti, code(said)) == (f"{mti[:2]}30", answer)
            assert not {48, 60, 102} & set(said)
        assert [kind for kind, _, _ in world.hot.journal] == ["note"]
        assert world.watcher.heard[0] == ("hot_call", "noted")

    run(story())


@pytest.mark.parametrize(
    ("mti", "changes", "answer"),
    [
        ("0620", {"de11": ""}, "30"),
        ("0620", {"de7": ""}, "30"),
        ("0620", {"de7": "1322120000"}, "30"),
        ("0600", {}, "30"),
        ("0640", {}, "30"),
        ("1620", {}, "30"),
        ("0620", {"de7": "0301120000"}, "00"),  # too old to be told from its repeat
    ],
)
def test_what_cannot_be_taken_note_of_leaves_nothing(
    mti: str, changes: dict[str, str], answer: str
) -> None:
    async def story() -> None:
        world = World()
        assert code(await world.link().say(mti, advice(**changes))) == answer
        assert world.hot.journal == []

    run(story())


def test_the_same_id_with_other_elements_is_another_message() -> None:
    async def story() -> None:
        link = World().link()
        assert code(await link.say("0620", advice())) == "00"
        assert code(await link.say("0620", advice(de60=""))) == "94"

    run(story())


def test_no_answer_in_time_is_91_and_the_attempt_is_withdrawn() -> None:
    async def story() -> None:
        world = World()

        class Silent:
            async def note(self, act: object, timeout_s: float) -> None:
                raise NoReply

        store, world.engine.hot = world.engine.hot, Silent()  # type: ignore[assignment]
        assert code(await world.link().say("0620", advice())) == "91"
        [act] = world.spool.acts
        world.engine.hot = store
        assert await store.withdraw(act) == "marked"
        assert code(await world.link().say("0621", advice())) == "00"
        assert len(world.hot.journal) == 1

    run(story())


def test_the_journal_of_a_store_holds_none_of_its_text(fresh_redis: str) -> None:
    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            world = World(hot=state)
            ms = (int((await client.time())[0]) + 5) * 1000
            world.clock.advance((ms - NOON) / 1000)
            assert code(await world.link().say("0620", advice(de7=world.moment()))) == "00"

            stream = keys.journal(keys.shard_of_network("generic"))
            rows = await client.xrange(stream)
            body = read_entry(*rows[-1]).body
            assert isinstance(body, AdministrativeBody)
            assert (body.network, body.stan, body.forwarder_id) == ("generic", "000001", "123456")
            assert body.elements == (2, 7, 11, 33, 48, 60, 102)
            dumps = [await client.dump(key) async for key in client.scan_iter()]
            assert not any(PAN.encode() in raw for raw in dumps if raw)
            assert PAN.encode() not in repr(rows).encode()

    asyncio.run(story())
