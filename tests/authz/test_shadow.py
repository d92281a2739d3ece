"""A draft beside the live policy: it counts, after the answer, and changes nothing."""

import asyncio
from collections import Counter
from typing import Any

from authz.hot.memory import MemoryHotState
from authz.metrics import SHADOW_RULES_MAX, Metrics
from authz.shadow import AT_ONCE, LATER_S, OUTCOMES, WAITING_MAX, Shadow
from rules.judge import Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.reason import Reason
from tests.support.engine import World, account, card, code, purchase, run, used

LIVE = (
    'version = "1"\n[[rule]]\nname = "no vices"\nwhen = { mcc = ["7995"] }\noutcome = "decline"\n'
)
DRAFT = (
    'version = "2"\n[[rule]]\nname = "no food"\nwhen = { mcc = ["5411"] }\noutcome = "decline"\n'
    '[[limit]]\nname = "none"\nmeasure = "amount"\nceiling = 0\nwindow = "day"\n'
)


def judgement(world: World, *entries: tuple[str, str]) -> None:
    assert isinstance(world.hot, MemoryHotState)
    world.hot.blocked = world.hot.blocked[0] + 1, frozenset(entries)


def test_a_draft_counts_after_the_answer_and_changes_nothing() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        counts: Counter[tuple[str, str]] = Counter()
        world.engine.shadow.count = lambda *said: counts.update([said])
        judgement(world, ("policy", LIVE), ("shadow", DRAFT))
        link = world.link()
        assert code(await link.say("0100", purchase(1, 100))) == "00"
        assert not counts, "the answer comes first"
        assert code(await link.say("0101", purchase(1, 100))) == "00"
        assert code(await link.say("0100", purchase(2, 100, de18="7995"))) == "05"
        assert code(await link.say("0100", purchase(3, 100, de18="5999"))) == "00"
        await asyncio.sleep(20 * LATER_S)
        assert counts == {
            ("no food", "decline"): 1, ("no food", "newly_declined"): 1,
            ("none", "approve"): 2, ("none", "newly_approved"): 1,
        }  # fmt: skip
        assert used(world) == {}, "a draft's limits count nothing"
        judgement(world, ("policy", LIVE))
        assert code(await link.say("0100", purchase(4, 100))) == "00"
        await asyncio.sleep(5 * LATER_S)
        assert counts.total() == 5

    run(story())


def test_a_draft_that_cannot_be_read_is_none() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        judgement(world, ("shadow", "version = 7"))
        assert code(await world.link().say("0100", purchase(1, 100))) == "00"
        assert world.engine.shadow.judge is None

    run(story())


def test_what_waits_is_bounded_and_judged_a_few_at_a_time() -> None:
    async def story() -> None:
        shadow, counts = Shadow(), Counter[str]()
        shadow.count = lambda rule, outcome: counts.update([outcome])
        shadow.replace(Judge(read_policy(DRAFT)))
        world = await World().open_with(10_000)
        told: list[Any] = []
        world.engine.shadow.judge = shadow.judge
        world.engine.shadow.note = lambda *said: told.append(said)  # type: ignore[method-assign]
        await world.link().say("0100", purchase(1, 100))
        request = told[0][0]
        for _ in range(WAITING_MAX + 3):
            shadow.note(request, card(), account(), Lists(), Reason.APPROVED)
        assert counts == {"missed": 3}
        shadow.work()
        assert counts["decline"] == counts["newly_declined"] == AT_ONCE
        shadow.replace(None)
        await asyncio.sleep(5 * LATER_S)
        assert counts["decline"] == AT_ONCE

    run(story())


def test_the_metric_has_bounded_series() -> None:
    metrics = Metrics()
    for n in range(SHADOW_RULES_MAX + 5):
        metrics.shadowed(f"r{n}", OUTCOMES[0])
    text = metrics.text().decode()
    assert 'authz_shadow_total{outcome="approve",rule="r0"} 1.0' in text
    assert 'authz_shadow_total{outcome="approve",rule="other"} 5.0' in text
