"""One reading at a time, and nothing is told that was read before it was asked for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from authz.budget import Budget
from authz.clock import ManualClock
from authz.hot.errors import Busy, Cold, TooLate
from authz.readings import WAITING_MAX, Readings
from tests.support.engine import NOON


class Slow:
    """A hot state that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, str]] = []
        self.now = 0  # what stands in it
        self.at_once = self.most = 0
        self.go = asyncio.Event()
        self.trouble: Exception | None = None

    async def totals(self, network: str, day: int, currency: str, timeout_s: float) -> Any:
        self.asked.append((network, day, currency))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        seen = self.now
        await self.go.wait()
        self.at_once -= 1
        if self.trouble is not None:
            raise self.trouble
        return {"debits": (seen, day)}


def play(story: Callable[[Slow, Readings, Callable[..., Any]], Any]) -> None:
    async def whole() -> None:
        hot = Slow()
        readings, clock = Readings(hot), ManualClock(NOON)

        def ask(day: int = 1, left_s: float = 5.0) -> asyncio.Task[Any]:
            budget = Budget(clock, clock.monotonic(), left_s)
            return asyncio.create_task(readings.totals("visa", day, "840", budget))

        await story(hot, readings, ask)

    asyncio.run(whole())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_who_asks_meanwhile_shares_the_next_one_and_hears_what_came_in_between() -> None:
    async def story(hot: Slow, readings: Readings, ask: Callable[..., Any]) -> None:
        first = ask()
        await turns()
        hot.now = 7  # a purchase is answered while the first reading is under way
        others = [ask() for _ in range(50)]
        await turns()
        assert len(hot.asked) == 1
        hot.go.set()
        assert await first == {"debits": (0, 1)}
        assert [(await other)["debits"][0] for other in others] == [7] * 50
        assert (len(hot.asked), hot.most) == (2, 1)

    play(story)


def test_days_are_read_one_after_the_other_and_each_is_told_its_own() -> None:
    async def story(hot: Slow, readings: Readings, ask: Callable[..., Any]) -> None:
        asked = [ask(day) for day in (1, 2, 3, 2, 1)]
        hot.go.set()
        assert [(await one)["debits"][1] for one in asked] == [1, 2, 3, 2, 1]
        assert ([day for _, day, _ in hot.asked], hot.most) == ([1, 2, 3], 1)

    play(story)


def test_a_trouble_is_told_to_all_who_shared_it_and_the_next_are_read() -> None:
    async def story(hot: Slow, readings: Readings, ask: Callable[..., Any]) -> None:
        hot.trouble = Cold("shut")
        hot.go.set()
        asked = [ask(), ask(), ask(2)]
        for one in asked:
            with pytest.raises(Cold):
                await one
        hot.trouble = None
        assert await ask() == {"debits": (0, 1)}

    play(story)


def test_who_has_no_time_left_goes_and_who_finds_too_many_waiting_is_refused() -> None:
    async def story(hot: Slow, readings: Readings, ask: Callable[..., Any]) -> None:
        patient = ask()
        await turns()
        with pytest.raises(TooLate):
            await ask(left_s=0.01)
        waiting = [ask(day) for day in range(1, WAITING_MAX + 1)]
        await turns()
        with pytest.raises(Busy):
            await ask(99)
        assert not ask(1).done()  # with others it may wait
        hot.go.set()
        await asyncio.gather(patient, *waiting)
        assert hot.most == 1

    play(story)
