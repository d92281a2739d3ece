"""Which story a message is taken to, what is refused before one, and what is taken back after."""

from typing import Any

import pytest

from authz.dispatch import STORIES, Dispatcher, Refusal
from authz.hot.errors import Cold
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from rules.reason import Reason
from tests.support.engine import KEYS, PAN, World, held, purchase, run
from tests.support.iso93 import purchase_1993

DIALECT = BY_NAME["iso87_ascii"]


async def asked(world: World, mti: str, fields: dict[int, str], network: str = "generic") -> Any:
    dialect = DIALECT if mti[0] == "0" else BY_NAME["iso93_ascii"]
    message = decode(encode(mti, fields, dialect), dialect)
    return await Dispatcher(world.engine, KEYS).answer(message, network, world.clock.monotonic())


@pytest.mark.parametrize(
    ("mti", "fields", "network", "reason", "kind", "field"),
    [
        ("0300", purchase(), "generic", Reason.FORMAT_ERROR, "unknown_mti", None),
        ("0110", purchase(), "generic", Reason.FORMAT_ERROR, "unknown_mti", None),
        ("0100", purchase(), "iso93", Reason.FORMAT_ERROR, "unknown_mti", None),
        ("1100", purchase_1993(), "generic", Reason.FORMAT_ERROR, "unknown_mti", None),
        ("0100", purchase(de18=""), "generic", Reason.FORMAT_ERROR, "bad_element", 18),
        ("0420", purchase(de11=""), "generic", Reason.FORMAT_ERROR, "bad_element", 11),
        ("0100", purchase(de3="400000"), "generic", Reason.UNSUPPORTED, "unsupported", None),
    ],
)
def test_what_says_nothing_that_could_be_judged(
    mti: str, fields: dict[int, str], network: str, reason: Reason, kind: str, field: int | None
) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        with pytest.raises(Refusal) as caught:
            await asked(world, mti, fields, network)
        refusal = caught.value
        assert (refusal.reason, refusal.kind, refusal.field) == (reason, kind, field)
        assert mti in refusal.place
        assert PAN not in refusal.place
        assert world.hot.answers == {}

    run(story())


def test_every_story_has_its_repeat() -> None:
    for mti in STORIES:
        if mti[1] != "8" and mti[3] == "0":
            assert STORIES[mti] is STORIES[f"{mti[:3]}1"]


@pytest.mark.parametrize("does", ["hold", "increase", "post"])
def test_an_approval_that_nobody_hears_of_is_taken_back(does: str) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        first = await asked(world, "0100", purchase(1, 3000))
        assert first.undo is not None
        before = held(world)
        fields, mti = purchase(2, 500), "0200" if does == "post" else "0100"
        if does == "increase":
            fields = purchase(2, 500, de90=f"0100000001{purchase(1)[7]}{'':0>22}")
        outcome = await asked(world, mti, fields)
        assert outcome.reason is Reason.APPROVED
        Dispatcher(world.engine, KEYS).take_back(outcome)
        [undo] = world.spool.acts
        assert await world.hot.withdraw(undo, 1.0) in ("released", "forgotten")
        assert (held(world), world.hot.accounts["A1"].posted["840"]) == (before, 10_000)

    run(story())


def test_of_what_moved_nothing_there_is_nothing_to_take_back() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        said = [
            await asked(world, "0100", purchase(1, 99_999)),
            await asked(world, "0100", purchase(2, 0, de3="300000")),
            await asked(world, "0100", purchase(3, 5, de2="9999990000000028")),
        ]
        world.hot.open = False
        said.append(await asked(world, "0100", purchase(4, 5)))
        for outcome in said:
            Dispatcher(world.engine, KEYS).take_back(outcome)
        assert [outcome.undo for outcome in said] == [None] * 4
        assert world.spool.acts == []
        assert said[-1].reason is Reason.UNAVAILABLE
        assert ("hot_call", Cold.__name__) in world.watcher.heard

    run(story())
