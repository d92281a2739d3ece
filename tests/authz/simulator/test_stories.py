"""Every story is told to a real engine over TCP, and goes as its table says."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from authz.app.story import Stage, as_text, listed, own_stage
from authz.simulator.stories import BY_NAME, STORIES, Story, asks
from authz.simulator.story_messages import GENERIC, WITHOUT, Composer, Quoted
from authz.simulator.storyteller import NoAnswer, Told, line_to


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """An engine and a store for all stories; each has an account and a card of its own."""
    with asyncio.Runner() as runner:
        whole = own_stage()
        yield runner.run(whole.__aenter__())
        runner.run(whole.__aexit__(None, None, None))


def told(stage: Stage, story: Story) -> list[Told]:
    heard: list[Told] = []
    asyncio.run(stage.tell(story, heard.append))
    return heard


@pytest.mark.parametrize("name", BY_NAME)
def test_it_goes_as_the_table_says(stage: Stage, name: str) -> None:
    story = BY_NAME[name]
    heard = told(stage, story)
    assert len(heard) == len(story.steps)
    text = "\n".join(as_text(one, story.tongue) for one in heard)
    assert not [what for one in heard for what in one.differs], text
    assert all(one.balance is not None for one in heard)
    # For human eyes, and so masked: no card number anywhere.
    assert not re.search(r"9999\d{12}", text)
    if any(2 in one.sent for one in heard):
        assert re.search(r"9999\d\d\*{6}\d{4}", text)


def test_what_differs_is_told(stage: Stage) -> None:
    step = asks(
        "0100", "asks for 60.00", {4: 6000}, code="51", answer={38: WITHOUT, 41: "X"},
        held=0, available=10_000,
    )  # fmt: skip
    [one] = told(stage, replace(BY_NAME["purchase"], steps=(step,)))
    assert one.differs == [
        "DE 39 is 00, not 51",
        "DE 38 is not absent",
        "DE 41 is not X",
        "held is 60.00 USD, not 0.00 USD",
        "available is 40.00 USD, not 100.00 USD",
    ]
    assert as_text(one, GENERIC).count("NOT AS IN THE STORY") == 5


def test_no_engine_is_told_in_a_sentence() -> None:
    async def call() -> None:
        from authz.clock import SystemClock

        async with line_to("127.0.0.1", 1, GENERIC, SystemClock()):
            pass

    with pytest.raises(NoAnswer, match="no engine answers on"):
        asyncio.run(call())


def test_the_list_has_every_story_once() -> None:
    lines = listed().splitlines()
    assert [line.split()[0] for line in lines] == [story.name for story in STORIES]


NOW = 1_774_180_800_000  # 2026-03-22 12:00:00 UTC


def composed(name: str) -> Composer:
    story = BY_NAME[name]
    return Composer(story.steps, story.tongue, "9999990000000010", NOW, 100)


def test_a_repeat_is_the_same_message() -> None:
    composer = composed("repeat")
    assert composer.fields(2) == composer.fields(1)
    assert composer.fields(3) == composer.fields(1) | {12: "235959"}


def test_what_is_followed_was_sent_first_also_where_it_comes_later() -> None:
    composer = composed("completion-first")
    completion, asked = composer.fields(1), composer.fields(2)
    assert asked[7] < completion[7]
    assert (completion[37], completion[11]) == (asked[37], "000101")
    back = composed("reversal-first").fields(1)
    assert back[90] == f"0100000102{composed('reversal-first').fields(2)[7]}00000123456{'':0>11}"


def test_amounts_and_what_an_answer_said() -> None:
    composer = composed("reversal-by-approval-code")
    composer.answers[1] = {38: "A1B2C3"}
    back = composer.fields(2)
    assert (back[4], back[38], 90 in back) == ("000000006000", "A1B2C3", False)
    assert composer.value(95, 2500) == f"{2500:012}".ljust(42, "0")
    assert composer.value(38, Quoted(7, 38)) == WITHOUT
