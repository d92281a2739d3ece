"""Networks are told of blocked cards over real links, until they acknowledge.

Late, twice, refused, cut, restarted. A switch that keeps a file of blocked cards is the other side.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop
from msgspec.structs import replace

from authz.announcer import AT_ONCE, FIRST_S, LONGEST_S, Announcer
from authz.announcing import Announcing, networks_told
from authz.app.announcements import look_at_announcements
from authz.app.compose import running
from authz.app.store import Store
from authz.backoff import Backoff
from authz.config import load_config
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.dispatch import Dispatcher
from authz.hot import admin
from authz.hot.errors import NoReply
from authz.privacy import Pan, PanKeys
from authz.profiles import write_profile
from authz.sealing import Sealer
from authz.server import Server
from authz.session import LinkSettings
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from rules.facts import CardState
from tests.authz.test_server import Heard, until
from tests.support.engine import KEYS, PAN, World, account, card
from tests.support.hot import card_act, store_and_client
from tests.support.switch import Switch

GENERIC = {"dialect": BY_NAME["iso87_ascii"], "framing": FRAMINGS["binary2"]}
OF_1993 = {"dialect": BY_NAME["iso93_ascii"], "framing": FRAMINGS["ascii4"], "network": "iso93"}
OTHER_PAN = "9999990000000028"


class Always:
    ready = True


class Scene:
    """An engine in memory whose links keep files, a switch that it dials, and what it was told."""

    def __init__(self, world: World, **speaks: Any) -> None:
        self.world, self.bad = world, Heard()
        self.bad.dialled = lambda link, outcome: None  # type: ignore[attr-defined]
        base = {"name": "north", "sign_on": True, "file_update": "BLOCKED"}
        self.settings = LinkSettings(**(base | (speaks or GENERIC)))
        self.network = self.settings.network
        self.server = Server(Dispatcher(world.engine, KEYS), world.clock, self.bad)  # type: ignore[arg-type]
        self.switch = Switch(self.settings.dialect, self.settings.framing, self.network)
        self.told = list[str]()
        self.announcer = self.another()

    def another(self, keys: PanKeys = KEYS) -> Announcer:
        """As an engine has that was started anew: it remembers nothing."""
        announcer = Announcer(
            self.world.hot, Always(), (self.network,), self.server.link_for_files, Sealer(keys),
            self.told.append,
        )  # fmt: skip
        self.server.file_answered = announcer.answered
        return announcer

    async def open(self) -> None:
        await self.switch.open()
        backoff = Backoff(0.01, 0.1, Random(1))
        self.server.dial(self.settings, ("127.0.0.1", self.switch.port), backoff)
        await self.signed_on()

    async def signed_on(self) -> None:
        await until(lambda: self.server.link_for_files(self.network) is not None)

    async def turn(self, state: CardState, pan: str = PAN, card_id: str = "C1") -> Any:
        """The card's new state, announced."""
        profile = card(card_id, state=state)
        act = card_put(profile, Announcing(KEYS, (self.network,)).of(Pan(pan), card_id, state))
        return await self.world.hot.put_card(act)

    def later(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.world.hot.now_ms += seconds * 1000

    async def pending(self) -> int:
        return sum((await self.world.hot.waiting(self.network)).values())


def card_put(profile: Any, words: Any) -> Any:
    act = card_act(profile.card_id, profile.account_id, write_profile(profile))
    return replace(act, words=words)


def play(story: Callable[[Scene], Awaitable[None]], **speaks: Any) -> None:
    async def whole() -> None:
        scene = Scene(await World().open_with(10_000), **speaks)
        await scene.open()
        try:
            await story(scene)
        finally:
            await scene.server.close()
            await scene.switch.close()

    uvloop.run(whole())


@pytest.mark.parametrize(
    ("speaks", "mti", "field", "codes", "approved"),
    [(GENERIC, "0302", 91, ("1", "3"), "00"), (OF_1993, "1304", 24, ("301", "303"), "300")],
    ids=["1987", "1993"],
)
def test_a_block_and_its_end_are_told_and_acknowledged(
    speaks: dict[str, Any], mti: str, field: int, codes: tuple[str, str], approved: str
) -> None:
    async def story(scene: Scene) -> None:
        scene.switch.file_code = approved
        for state, code in zip((CardState.FROZEN, CardState.ACTIVE), codes, strict=True):
            assert (await scene.turn(state)).queued == 1
            assert await scene.announcer.tick() == 1
            await until(lambda: len(scene.told) % 2 == 0)
            update = scene.switch.updates[-1]
            assert (update.mti, update[2], update[101], update[field]) == (
                mti, PAN, "BLOCKED", code
            )  # fmt: skip
            assert await scene.pending() == 0
        assert scene.told == ["sent", "acknowledged"] * 2
        assert scene.world.hot.outbox == {}
        scene.later(2 * LONGEST_S)
        assert await scene.announcer.tick() == 0

    play(story, **speaks)


@pytest.mark.parametrize("state", [CardState.LOST, CardState.STOLEN, CardState.CLOSED])
def test_other_states_are_told_as_well_and_one_after_the_other_once(state: CardState) -> None:
    async def story(scene: Scene) -> None:
        scene.switch.file_code = "00"
        assert (await scene.turn(CardState.FROZEN)).queued == 1
        assert (await scene.turn(state)).queued == 0
        assert (await scene.turn(CardState.EXPIRED)).queued == 0
        assert await scene.announcer.tick() == 1
        await until(lambda: "acknowledged" in scene.told)

    play(story)


def test_silence_is_told_again_later_and_later() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        for tries, wait in enumerate((FIRST_S, 2 * FIRST_S, 4 * FIRST_S), 1):
            assert await scene.announcer.tick() == 1
            scene.later(wait - 1)
            assert await scene.announcer.tick() == 0
            await until(lambda count=tries: len(scene.switch.updates) == count)
            scene.later(1)
        assert len({update[11] for update in scene.switch.updates}) == 3
        scene.switch.file_code = "00"
        assert await scene.announcer.tick() == 1
        await until(lambda: "acknowledged" in scene.told)
        assert await scene.pending() == 0

    play(story)


def test_an_answer_that_comes_late_or_twice_settles_once() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        scene.later(FIRST_S)
        await scene.announcer.tick()
        await until(lambda: len(scene.switch.updates) == 2)
        first, second = scene.switch.updates
        for update in (first, first, second, second):
            scene.switch.answer_update(update, "00")
        await until(lambda: len(scene.bad.bad) == 2)
        # To the first: acknowledged. Its twin and the second's answer nothing that was asked.
        assert sorted(scene.told) == ["acknowledged", "gone", "sent", "sent"]
        assert scene.bad.bad == ["unexpected_response"] * 2
        assert await scene.pending() == 0

    play(story)


def test_a_late_answer_to_a_block_does_not_settle_its_end() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        await until(lambda: len(scene.switch.updates) == 1)
        await scene.turn(CardState.ACTIVE)
        scene.switch.answer_update(scene.switch.updates[0], "00")
        await until(lambda: "gone" in scene.told)
        assert await scene.pending() == 1
        scene.switch.file_code = "00"
        assert await scene.announcer.tick() == 1
        await until(lambda: "acknowledged" in scene.told)
        assert [update[91] for update in scene.switch.updates] == ["1", "3"]
        assert await scene.pending() == 0

    play(story)


def test_a_refusal_is_kept_and_told_again_until_somebody_has_mended_it() -> None:
    async def story(scene: Scene) -> None:
        scene.switch.file_code = "27"
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        await until(lambda: "refused" in scene.told)
        [waiting] = scene.world.hot.outbox.values()
        assert (waiting.standing.said, waiting.standing.tries) == ("27", 1)
        assert await scene.announcer.tick() == 0
        scene.later(FIRST_S)
        scene.switch.file_code = "00"
        assert await scene.announcer.tick() == 1
        await until(lambda: "acknowledged" in scene.told)

    play(story)


@pytest.mark.parametrize(
    ("state", "code", "became"),
    [
        (CardState.FROZEN, "26", "acknowledged"),  # it was there, and is replaced
        (CardState.ACTIVE, "25", "acknowledged"),  # it was not there
        (CardState.FROZEN, "25", "refused"),
        (CardState.ACTIVE, "26", "refused"),
        (CardState.FROZEN, "", "refused"),
        (CardState.FROZEN, "91", "refused"),
    ],
)
def test_which_answers_leave_nothing_to_do(state: CardState, code: str, became: str) -> None:
    async def story(scene: Scene) -> None:
        if state is CardState.ACTIVE:
            await scene.turn(CardState.FROZEN)
        await scene.turn(state)
        scene.switch.file_code = code
        await scene.announcer.tick()
        await until(lambda: len(scene.told) == 2)
        assert scene.told == ["sent", became]

    play(story)


def test_a_link_that_is_lost_in_between_costs_nothing_but_time() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        await until(lambda: len(scene.switch.updates) == 1)
        scene.switch.cut()
        await until(lambda: scene.server.link_for_files(scene.network) is None)
        await scene.turn(CardState.STOLEN, OTHER_PAN, "C2")
        # Nothing is taken while nobody can be told: what waits is due the moment the link is back.
        assert await scene.announcer.tick() == 0
        await scene.signed_on()
        scene.switch.file_code = "00"
        assert await scene.announcer.tick() == 1
        await until(lambda: scene.told.count("acknowledged") == 1)
        scene.later(FIRST_S)
        assert await scene.announcer.tick() == 1
        await until(lambda: scene.told.count("acknowledged") == 2)
        assert await scene.pending() == 0

    play(story)


def test_before_the_sign_on_and_after_the_sign_off_nothing_is_told() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        scene.switch.say("0800", {7: "0322120000", 11: "000009", 70: "002"})
        await until(lambda: scene.server.link_for_files(scene.network) is None)
        assert await scene.announcer.tick() == 0
        scene.switch.say("0800", {7: "0322120000", 11: "000010", 70: "001"})
        await scene.signed_on()
        assert await scene.announcer.tick() == 1

    play(story)


def test_an_engine_that_starts_anew_goes_on_where_the_other_was() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        await until(lambda: len(scene.switch.updates) == 1)
        announcer = scene.another()
        # The answer to what the other told is nobody's; it is told once more.
        scene.switch.answer_update(scene.switch.updates[0], "00")
        await until(lambda: "gone" in scene.told)
        scene.later(FIRST_S)
        scene.switch.file_code = "00"
        assert await announcer.tick() == 1
        await until(lambda: "acknowledged" in scene.told)

    play(story)


def test_what_another_key_has_sealed_is_told_to_nobody_and_said() -> None:
    async def story(scene: Scene) -> None:
        await scene.turn(CardState.FROZEN)
        announcer = scene.another(PanKeys(b"another key for tests, 32 bytes!"))
        assert await announcer.tick() == 0
        assert scene.told == ["unreadable"]
        assert scene.switch.updates == []
        [waiting] = scene.world.hot.outbox.values()
        assert waiting.standing.said == "unreadable"
        scene.later(FIRST_S)
        assert await scene.another().tick() == 1

    play(story)


def test_an_answer_that_the_store_does_not_take_is_asked_for_again() -> None:
    async def story(scene: Scene) -> None:
        scene.switch.file_code = "00"
        await scene.turn(CardState.FROZEN)
        settle = scene.world.hot.settle_word

        async def silent(*said: Any) -> str:
            raise NoReply

        scene.world.hot.settle_word = silent
        await scene.announcer.tick()
        await until(lambda: "failed" in scene.told)
        scene.world.hot.settle_word = settle
        scene.later(FIRST_S)
        await scene.announcer.tick()
        await until(lambda: "acknowledged" in scene.told)
        assert await scene.pending() == 0

    play(story)


def test_a_tick_tells_a_bounded_number() -> None:
    async def story(scene: Scene) -> None:
        scene.switch.file_code = "00"
        for number in range(AT_ONCE + 10):
            await scene.turn(CardState.LOST, f"9999990000{number:06}", f"C{number}")
        assert await scene.announcer.tick() == AT_ONCE
        await until(lambda: scene.told.count("acknowledged") == AT_ONCE)
        assert await scene.announcer.tick() == 10
        await until(lambda: scene.told.count("acknowledged") == AT_ONCE + 10)
        assert len({update[2] for update in scene.switch.updates}) == AT_ONCE + 10

    play(story)


def test_no_number_is_printed_by_what_carries_it() -> None:
    async def story(scene: Scene) -> None:
        shown = list[str]()
        link = scene.server.link_for_files(scene.network)
        assert link is not None
        tell = link.update_file
        link.update_file = lambda told: (shown.append(repr(told)), tell(told))[1]  # type: ignore[func-returns-value, assignment, method-assign]
        await scene.turn(CardState.FROZEN)
        await scene.announcer.tick()
        assert shown == ["FileUpdate(C1, 2/add)"]
        assert PAN not in repr(scene.world.hot.outbox)

    play(story)


def test_an_engine_tells_what_was_loaded_before_it_started_and_was_killed_between(
    fresh_redis: str, tmp_path: Path
) -> None:
    """The whole of it: a store, a load, an engine that ends before the answer, and another one."""

    async def whole() -> None:
        key = "ab" * 32
        keys = PanKeys(bytes.fromhex(key))
        switch = await Switch(GENERIC["dialect"], GENERIC["framing"]).open()
        file = tmp_path / "authz.toml"
        file.write_text(
            f"[[link]]\nname = 'north'\nconnect = '127.0.0.1:{switch.port}'\n"
            "file_update = 'BLOCKED'\nreconnect_min_s = 0.01\n"
        )
        flags = {
            "metrics.port": 0, "engine.state_dir": tmp_path / "state",
            "embedded.data_dir": tmp_path / "data",
        }  # fmt: skip
        config = load_config(file, {"HOME": str(tmp_path), "AUTHZ_PAN_KEY": key}, flags)
        async with store_and_client(fresh_redis) as (state, client):
            announcing = Announcing(keys, networks_told(config.links))
            await put_accounts(state, [NewAccount(profile=account())], "s")
            new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812", state=CardState.LOST)
            done = await put_cards(state, keys, [new], "s", announcing)
            assert (done.announced, done.not_announced) == (1, 0)
            assert (await put_cards(state, keys, [new], "s", announcing)).announced == 0
            store = Store(fresh_redis, fresh_redis, None, False, await admin.store_id(client))

            async with running(config, store, serve_http=False):
                await until(lambda: len(switch.updates) == 1)
            [row] = await look_at_announcements(client, False)
            assert (row["network"], row["state"], row["tries"]) == ("generic", "told", 1)
            async for due in client.scan_iter(match="authz:{*}:outbox:generic"):
                await client.zadd(due, {row["card_id"]: 0})  # its time has come
            switch.file_code = "00"
            async with running(config, store, serve_http=False) as run:
                await until(lambda: len(switch.updates) == 2)
                await until(lambda: b'outcome="acknowledged"} 1' in run.metrics.text())
            assert await look_at_announcements(client, False) == []
            [row] = await look_at_announcements(client, True)
            assert (row["code"], row["state"], row["last_answer"]) == ("add", "acknowledged", "00")

            dumps = [await client.dump(each) async for each in client.scan_iter()]
            assert not any(PAN.encode() in raw for raw in dumps if raw)
        await switch.close()

    uvloop.run(whole())
