"""A network's business day: moved by its cut-over, once, forwards, for every engine."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
import uvloop

from authz.app.compose import running
from authz.app.store import Store
from authz.config import load_config
from authz.hot import admin, keys
from authz.hot.acts import CutOver
from authz.hot.errors import Cold, NoReply, Refused, TooLate
from authz.hot.memory import MemoryHotState
from authz.hot.networks import SISTER_S, Days
from authz.wire.to_notice import DAYS_AWAY_MAX
from iso8583.dialects import BY_NAME
from ledger.journal import CutOverBody, read_entry
from tests.support.engine import NOON, InMemoryLink, World, code, run, with_changes
from tests.support.hot import store_and_client

SUNDAY = NOON // 86_400_000  # 22 March 2026, a Sunday
Story = Callable[[World, InMemoryLink], Awaitable[None]]


def cut_over(stan: int = 1, **changes: str) -> dict[int, str]:
    return with_changes({7: "0322120000", 11: f"{stan:06}", 70: "201"}, changes)


def play(story: Story, **link: object) -> None:
    async def whole() -> None:
        world = World()
        await story(world, world.link(**link))

    run(whole())


async def day(world: World, network: str = "generic") -> int:
    engine = world.engine
    return await engine.day_of(network, engine.budget(world.clock.monotonic()))


def test_before_any_cut_over_the_calendar_is_in_force() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert await day(world) == SUNDAY
        world.clock.advance(86_400)
        assert await day(world) == SUNDAY + 1

    play(story)


@pytest.mark.parametrize("mti", ["0800", "0820"])
def test_the_next_day_begins_once_however_often_that_is_said(mti: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        repeat = mti[:3] + "1"
        for said in (mti, repeat, mti):
            answer = await link.say(said, cut_over())
            assert (answer.mti, code(answer)) == (f"08{int(mti[2]) + 1}0", "00")
        # Its sister link says the same a minute later, by a message of its own.
        assert code(await link.say(mti, cut_over(2, de7="0322120100"))) == "00"
        assert await day(world) == SUNDAY + 1
        # And the calendar moves nothing any more.
        world.clock.advance(2 * 86_400)
        assert await day(world) == SUNDAY + 1

    play(story)


def test_a_cut_over_half_a_day_later_is_another_one() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("0800", cut_over())
        world.clock.advance(SISTER_S)
        world.hot.now_ms += SISTER_S * 1000
        await link.say("0800", cut_over(2, de7="0323000000"))
        assert await day(world) == SUNDAY + 2

    play(story)


@pytest.mark.parametrize(
    ("told", "answer", "in_force"),
    [
        ("0322", "00", SUNDAY),  # the first may name the day that is
        ("0321", "00", SUNDAY - 1),  # or yesterday's, west of UTC
        ("0325", "00", SUNDAY + 3),  # over a long weekend
        ("0402", "30", SUNDAY),
        ("0230", "30", SUNDAY),
        ("0310", "30", SUNDAY),
    ],
)
def test_a_day_that_is_named_begins(told: str, answer: str, in_force: int) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert abs(in_force - SUNDAY) <= DAYS_AWAY_MAX
        assert code(await link.say("0800", cut_over(de15=told))) == answer
        assert await day(world) == in_force

    play(story)


def test_a_day_never_goes_back() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        for stan, told, answer in ((1, "0324", "00"), (2, "0324", "00"), (3, "0323", "12")):
            assert code(await link.say("0800", cut_over(stan, de15=told))) == answer
            assert await day(world) == SUNDAY + 2
        # The same message with another day is not the same message.
        assert code(await link.say("0800", cut_over(1, de15="0325"))) == "94"
        assert await day(world) == SUNDAY + 2

    play(story)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [({"de7": ""}, "30"), ({"de7": "9922120000"}, "30"), ({"de7": "0301120000"}, "12")],
)
def test_one_that_cannot_be_told_from_its_repeat_moves_nothing(
    changes: dict[str, str], answer: str
) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert code(await link.say("0800", cut_over(**changes))) == answer
        assert await day(world) == SUNDAY

    play(story)


def test_1993_says_it_by_function_code() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        fields = {7: "0322120000", 11: "000001", 12: "260322120000", 15: "260323", 24: "821"}
        answer = await link.say("1804", fields)
        assert (answer.mti, code(answer), answer[15]) == ("1814", "800", "260323")
        assert await day(world, "iso93") == SUNDAY + 1
        assert await day(world, "generic") == SUNDAY
        assert code(await link.say("1804", fields | {11: "000002", 15: "261323"})) == "904"

    play(story, dialect=BY_NAME["iso93_ascii"], network="iso93")


@pytest.mark.parametrize("trouble", [NoReply, Cold, TooLate])
def test_no_answer_in_time_is_91_and_nothing_is_withdrawn(trouble: type[Exception]) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        class Silent:
            async def cut_over(self, act: object, timeout_s: float) -> None:
                raise trouble

        store, world.engine.hot = world.engine.hot, Silent()  # type: ignore[assignment]
        assert code(await link.say("0800", cut_over())) == "91"
        world.engine.hot = store
        assert world.spool.acts == []
        assert code(await link.say("0801", cut_over())) == "00"
        assert await day(world) == SUNDAY + 1

    play(story)


def test_engines_that_share_a_store_share_the_day_and_the_journal_tells_it(
    fresh_redis: str,
) -> None:
    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            world = World(hot=state)
            ms = (
                int((await client.time())[0]) + 5
            ) * 1000  # ahead: it stands, and must not be late
            world.clock.advance((ms - world.clock.now_ms()) / 1000)
            other = world.another_engine(name="e2")
            today, budget = world.engine.today(), other.budget(world.clock.monotonic())
            for engine in (world.engine, other):
                assert await engine.day_of("generic", budget) == today
            assert code(await world.link().say("0800", cut_over(de7=world.moment()))) == "00"
            assert await world.engine.day_of("generic", budget) == today + 1
            assert await other.day_of("generic", budget) == today
            await other.refresh_days(budget)
            assert await other.day_of("generic", budget) == today + 1

            shard = keys.shard_of_network("generic")
            entries = [read_entry(*row) for row in await client.xrange(keys.journal(shard))]
            [told] = [entry for entry in entries if entry.envelope.kind == "cut_over"]
            assert isinstance(told.body, CutOverBody)
            assert (told.envelope.verdict, told.envelope.versions) == ("moved", [today + 1])

    asyncio.run(story())


def test_a_person_sets_a_day_back_and_engines_follow() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        budget = world.engine.budget(world.clock.monotonic())
        slip = cut_over(800, de15="0401")  # ten days ahead
        assert code(await link.say("0800", slip)) == "00"
        assert await day(world) == SUNDAY + 10
        assert code(await link.say("0800", cut_over(801, de15="0323"))) == "12"
        before = await world.hot.days("generic")
        await world.hot.set_day("generic", SUNDAY, SUNDAY, "a person")
        await world.engine.refresh_days(budget)
        assert await day(world) == SUNDAY
        # What was read before it, and what an old answer told, move nothing any more.
        world.engine.learn_days("generic", before)
        assert code(await link.say("0801", slip)) == "00"
        assert await day(world) == SUNDAY
        # And the network goes on from there.
        assert code(await link.say("0800", cut_over(802, de15="0323"))) == "00"
        assert await day(world) == SUNDAY + 1

    play(story)


def test_a_day_of_before_moves_were_counted_is_read_and_moved(fresh_redis: str) -> None:
    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            shard = keys.shard_of_network("visa")
            field = keys.days_field("visa")
            await client.hset(keys.control(shard), field, "110 100 1790000000")
            assert await state.days("visa", 5) == Days(110, 100, 0)
            assert await state.set_day("visa", 101, 100, "p", 5) == ("moved", Days(101, 100, 1))
            assert await client.hget(keys.control(shard), field) == b"101 100 1790000000 1"

    asyncio.run(story())


def test_a_stores_own_answer_to_a_day_is_the_twins(fresh_redis: str) -> None:
    """The same cut-overs to both, over the store's own clock: the same verdicts and days."""

    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            chance = Random(7)
            model = MemoryHotState(int((await client.time())[0]) * 1000)
            for number in range(300):
                network = chance.choice(["generic", "visa"])
                if chance.random() < 0.1:
                    day, said = chance.randrange(98, 105), (102, "a person", 5)
                    real_said = await state.set_day(network, day, *said)
                    assert real_said == await model.set_day(network, day, *said), number
                act = CutOver(
                    message_id=f"{network}{chance.randrange(100)}",
                    fingerprint=chance.choice("ffg"),
                    attempt=f"t{number}", deadline_ms=0, network=network,
                    day=chance.choice([0, *range(100, 106)]), today=102, answer_ttl_s=60,
                    body=b"b",
                )  # fmt: skip
                real, meant = await state.cut_over(act, 5), await model.cut_over(act)
                assert (real.kind, real.detail, real.replayed) == (
                    meant.kind, meant.detail, meant.replayed
                ), number  # fmt: skip
                assert await state.days(act.network, 5) == await model.days(act.network)

    asyncio.run(story())


@pytest.mark.parametrize("name", ["control", "journal", "answer"])
def test_a_key_of_the_wrong_type_changes_nothing(fresh_redis: str, name: str) -> None:
    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            act = CutOver(
                message_id="m1", fingerprint="f", attempt="t", deadline_ms=0, network="generic",
                day=0, today=102, answer_ttl_s=60, body=b"b",
            )  # fmt: skip
            shard = keys.shard_of_network("generic")
            victim = {
                "control": keys.control(shard), "journal": keys.journal(shard),
                "answer": keys.answer(shard, "m1"),
            }[name]  # fmt: skip
            await client.delete(victim)
            await client.sadd(victim, "wrong type")
            before = {key: await client.dump(key) async for key in client.scan_iter()}
            with pytest.raises(Refused):
                await state.cut_over(act, 5)
            assert before == {key: await client.dump(key) async for key in client.scan_iter()}

    asyncio.run(story())


def test_an_engine_that_runs_learns_of_a_cut_over_elsewhere_within_a_second_or_two(
    fresh_redis: str, tmp_path: Path
) -> None:
    async def story() -> None:
        flags = {
            "link.port": 0, "metrics.port": 0, "engine.state_dir": tmp_path / "state",
            "embedded.data_dir": tmp_path / "data",
        }  # fmt: skip
        config = load_config(None, {"HOME": str(tmp_path)}, flags)
        async with store_and_client(fresh_redis) as (state, client):
            store = Store(fresh_redis, fresh_redis, None, False, await admin.store_id(client))
            async with running(config, store, serve_http=False) as run_:
                engine = run_.engine
                async with asyncio.timeout(5):
                    while not run_.keeper.ready:
                        await asyncio.sleep(0.01)
                budget = engine.budget(engine.clock.monotonic())
                today = await engine.day_of("generic", budget)
                act = CutOver(
                    message_id="m1", fingerprint="f", attempt="t", deadline_ms=0,
                    network="generic", day=0, today=today, answer_ttl_s=60, body=b"b",
                )  # fmt: skip
                assert (await state.cut_over(act, 5)).kind == "moved"
                async with asyncio.timeout(2):
                    while engine.tally("generic") != f"generic/{today + 1} ":
                        await asyncio.sleep(0.05)

    uvloop.run(story())
