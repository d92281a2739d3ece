"""A network that is switched to its file: what messages posted before is not posted by the file."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from authz import identity
from authz.app.looking import reply
from authz.engine import Settings
from authz.hot import keys
from authz.hot.record import decode_record
from ledger.clearing.record import ClearedItem, Kind
from ledger.proof_reading import prove
from tests.support.clearing import arn_of
from tests.support.engine import advice_of, code, purchase, reversal
from tests.support.office import NETWORK, Office, office, record, rrn_of

Scene = Callable[[Office], Awaitable[None]]


@pytest.fixture
def at_switch(fresh_redis: str, fresh_postgres: str, tmp_path: Path) -> Callable[[Scene], None]:
    """Play a scene where messages post; behind it all is whole, and the day is proved."""

    def play(scene: Scene) -> None:
        async def run() -> None:
            async with office(fresh_redis, fresh_postgres, tmp_path, by_file=frozenset()) as it:
                await scene(it)
                await it.check()
                now = await it.connection.fetchval("SELECT max(at_ms) FROM shard")
                today = datetime.fromtimestamp(now / 1000, UTC).date()
                proof = await prove(it.connection, today, ZoneInfo("UTC"), now)
                assert proof.ok, proof.unexplained

        asyncio.run(run())

    return play


async def completed(it: Office, stan: int, held: int, amount: int, **parts: str) -> None:
    """A 0220 of a purchase, which posts."""
    now_ms = it.world.clock.now_ms()
    fields = purchase(stan, held, at_ms=now_ms)
    number = 1000 * int(parts.get("de71", 1)) + stan
    bill = advice_of(fields, number, de4=f"{amount:012}", at_ms=now_ms, **parts)
    assert code(await it.link.say("0220", bill)) == "00"


def switch(it: Office) -> None:
    """From here on the file posts, and messages only hold."""
    by_file = frozenset({NETWORK})
    it.desk = replace(
        it.desk, engine=it.world.another_engine(Settings(by_file=by_file), "clear2"),
        by_file=by_file,
    )  # fmt: skip


def of(stan: int, number: int, amount: int, **changes: Any) -> ClearedItem:
    return record(number, amount, rrn=rrn_of(stan), **changes)


def test_what_was_posted_online_is_compared(at_switch: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        await completed(it, 1, 5000, 5000)
        await it.buy(2, 3000)
        await completed(it, 2, 3000, 3600)
        await it.buy(3, 700, "0200")
        await it.buy(4, 900, "0200")
        await it.buy(5, 800)  # held, and not completed before the switch
        await completed(it, 6, 450, 450)  # of no authorization that came
        await it.buy(7, 250, "0200", de3="200000")  # a refund
        await it.buy(8, 1100)
        await completed(it, 8, 1100, 1100)
        before = await it.check()
        switch(it)
        [by_code] = [
            identity.approval_code(name.decode().removeprefix("a:"))
            for name, packed in (await reply(it.client, "HGETALL", keys.account("A1"))).items()
            if name.startswith(b"a:") and decode_record(packed).asked == 1100
        ]
        items = [
            of(1, 1, 5000), of(2, 2, 3600), of(3, 3, 700), of(4, 4, 850), of(5, 5, 800),
            of(6, 6, 450), of(7, 7, 250, kind=Kind.REFUND), record(8, 1090, approval_code=by_code),
            of(2, 9, 3600), record(10, 60), of(1, 11, 40, arn=arn_of(1)),
        ]  # fmt: skip
        expected = {
            1: "agrees", 2: "agrees", 3: "agrees", 4: "differs", 5: "cleared", 6: "agrees",
            7: "agrees", 8: "differs", 9: "differs", 10: "forced", 11: "differs",
        }  # fmt: skip
        assert await it.clear(items) == expected
        after = await it.check()
        assert after["network", NETWORK, "840"] == before["network", NETWORK, "840"] - 800 - 60
        details = await it.connection.fetch(
            "SELECT detail FROM clearing_item WHERE outcome = 'differs' ORDER BY record"
        )
        assert [row[0] for row in details] == [
            "posted online: 900 840", "posted online: 1100 840", "told twice",
            "posted online: 5000 840",
        ]  # fmt: skip
        assert await it.clear([of(3, 12, 700), of(5, 13, 5)]) == {
            12: "differs",
            13: "cleared_above",
        }

    at_switch(scene)


def test_what_was_asked_online_and_not_posted_is_posted_by_the_file(at_switch: Any) -> None:
    async def scene(it: Office) -> None:
        now_ms = it.world.clock.now_ms()
        assert code(await it.link.say("0200", purchase(1, 200_000, at_ms=now_ms))) == "51"
        await it.buy(2, 5000)
        undone = reversal(purchase(2, 5000, at_ms=now_ms), at_ms=now_ms)
        assert code(await it.link.say("0400", undone)) == "00"
        switch(it)
        items = [of(1, 1, 200_000), of(2, 2, 5000)]
        assert await it.clear(items) == {1: "forced", 2: "cleared_late"}
        assert (await it.check())["network", NETWORK, "840"] == -205_000
        # What the file has posted is no message's posting.
        assert await it.clear([of(1, 3, 200_001), of(2, 4, 5000)]) == {
            3: "forced", 4: "cleared_late",
        }  # fmt: skip

    at_switch(scene)


def test_parts_that_were_posted_online_and_those_that_were_not(at_switch: Any) -> None:
    """Never twice: what was not posted online of such an authorization waits for a person."""

    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        await completed(it, 1, 5000, 1000, de71="0001", de72="0002")
        before = await it.check()
        assert await it.funds() == (99_000, 4000)
        switch(it)
        items = [
            of(1, n, amount, clearing_number=n, clearing_count=2)
            for n, amount in ((1, 1000), (2, 2000))
        ]
        assert await it.clear(items) == {1: "agrees", 2: "differs"}
        assert await it.check() == before

    at_switch(scene)


def test_what_takes_back_what_was_posted_online_is_compared(at_switch: Any) -> None:
    async def scene(it: Office) -> None:
        now_ms = it.world.clock.now_ms()
        await it.buy(1, 700, "0200")
        await it.buy(2, 900, "0200")
        switch(it)
        assert await it.clear([of(1, 1, 700), of(2, 2, 900)]) == {1: "agrees", 2: "agrees"}
        undone = reversal(purchase(1, 700, at_ms=now_ms), at_ms=now_ms)
        undone[90] = "0200" + undone[90][4:]
        assert code(await it.link.say("0400", undone)) == "00"
        before = await it.check()
        back = [
            of(stan, number, amount, arn=arn_of(stan), reversal=True)
            for stan, number, amount in ((1, 3, 700), (2, 4, 900))
        ]
        assert await it.clear([*back, record(5, 30, reversal=True)]) == {
            3: "agrees", 4: "differs", 5: "unmatched",
        }  # fmt: skip
        after = await it.check()
        assert after["network", NETWORK, "840"] == before["network", NETWORK, "840"] + 30

    at_switch(scene)


def test_what_the_file_has_posted_stays_posted_by_it(at_switch: Any) -> None:
    """Also where a message posts before a run that was cut short is gone on with."""

    def cut(place: str) -> None:
        if place == "posted":
            raise KeyboardInterrupt

    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        await completed(it, 1, 5000, 1000, de71="0001", de72="0002")
        await it.buy(2, 5000)
        switch(it)
        items = [of(1, 1, 1000), of(2, 2, 5000)]
        with pytest.raises(KeyboardInterrupt):
            await it.clear(items, cut)
        await completed(it, 2, 5000, 300)  # by an engine that is not switched yet
        before = await it.check()
        assert await it.clear(items) == {1: "agrees", 2: "cleared"}
        assert await it.check() == before

    at_switch(scene)
