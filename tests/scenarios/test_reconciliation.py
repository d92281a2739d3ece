"""A network asks what we counted on its day, and is told: to the cent, once, and the same again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from authz.audit import audit_store
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.dialects import find_dialect
from authz.engine import LOG_LINES_MAX
from authz.hot import keys
from authz.hot.errors import Cold, NoReply
from authz.privacy import Pan
from authz.totals import Forgetting
from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from ledger.journal import ReconciliationBody, read_entry
from rules.notices import DAYS_KEPT
from tests.support.engine import (
    KEYS,
    NOON,
    PAN,
    InMemoryLink,
    World,
    account,
    advice_of,
    code,
    purchase,
    reversal,
    run,
    with_changes,
)
from tests.support.hot import store_and_client
from tests.support.iso93 import purchase_1993

Story = Callable[[World, InMemoryLink], Awaitable[None]]
OF_1993 = {"dialect": BY_NAME["iso93_ascii"], "network": "iso93"}
EMPTY = {
    74: "0" * 10, 75: "0" * 10, 76: "0" * 10, 77: "0" * 10, 80: "0" * 10, 81: "0" * 10,
    86: "0" * 16, 87: "0" * 16, 88: "0" * 16, 89: "0" * 16, 97: "C" + "0" * 16,
}  # fmt: skip


def play(story: Story, **link: object) -> None:
    async def whole() -> None:
        world = await World().open_with(100_000)
        await story(world, world.link(**link))

    run(whole())


def reconcile(stan: int = 500, **changes: str) -> dict[int, str]:
    fields = {7: "0322120200", 11: f"{stan:06}", 32: "123456", 50: "840"}
    return with_changes(fields, changes)


def cut_over(stan: int = 800, **changes: str) -> dict[int, str]:
    return with_changes({7: "0322120100", 11: f"{stan:06}", 70: "201"}, changes)


def numbers(answer: Any) -> dict[int, int]:
    """The totals of an answer that are not zero; the net with its sign."""
    found = {}
    for at in EMPTY:
        text = str(answer[at])
        value = int(text[1:]) * (-1 if text[0] == "D" else 1) if at == 97 else int(text)
        if value:
            found[at] = value
    return found


async def trade(link: InMemoryLink) -> dict[int, int]:
    """A day's business, and what must be counted of it."""
    said = [
        ("0100", purchase(1, 5000), "00"),
        ("0101", purchase(1, 5000), "00"),  # a repeat
        ("0100", purchase(2, 999_999), "51"),  # a decline
        (
            "0120",
            advice_of(purchase(1, 5000), 3, de39="00"),
            "00",
        ),  # of the network
        ("0220", advice_of(purchase(1, 5000), 4, de4=f"{4500:012}"), "00"),
        ("0221", advice_of(purchase(1, 5000), 4, de4=f"{4500:012}"), "00"),
        ("0200", purchase(5, 700), "00"),
        ("0200", purchase(6, 300, de3="200000"), "00"),  # a refund
        ("0200", purchase(7, 250), "00"),
        ("0420", reversal(purchase(7, 250), 8, de90=f"0200000007{purchase(7)[7]}{'':0>22}"), "00"),
        ("0421", reversal(purchase(7, 250), 8, de90=f"0200000007{purchase(7)[7]}{'':0>22}"), "00"),
        ("0100", purchase(9, 0, de3="300000"), "00"),  # what is there?
    ]
    for mti, fields, expected in said:
        assert code(await link.say(mti, fields)) == expected, (mti, fields[11])
    return {
        74: 1, 86: 300, 76: 3, 88: 4500 + 700 + 250, 77: 1, 89: 250, 80: 1, 81: 2,
        97: 300 + 250 - 5450,
    }  # fmt: skip


@pytest.mark.parametrize("mti", ["0500", "0520"])
def test_a_day_is_told_as_it_was_counted(mti: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        expected = await trade(link)
        answer = await link.say(mti, reconcile())
        assert (answer.mti, code(answer)) == (f"05{int(mti[2]) + 1}0", "00")
        assert numbers(answer) == expected
        assert (answer[15], answer[50], answer[66]) == ("0322", "840", "1")
        assert answer[97] == "D" + f"{5450 - 550:016}"
        # Of another currency, another day and another network there is nothing.
        for stan, changes in ((501, {"de50": "978"}), (502, {"de15": "0321"})):
            assert numbers(await link.say(mti, reconcile(stan, **changes))) == {}
        other = world.link(**OF_1993)
        assert numbers(await other.say("1500", reconcile(503))) == {}

    play(story)


def test_after_the_cut_over_it_is_the_day_that_ended() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        expected = await trade(link)
        assert code(await link.say("0800", cut_over())) == "00"
        await link.say("0100", purchase(20, 100, de37="000000000777"))
        ended = await link.say("0500", reconcile())
        assert (ended[15], numbers(ended)) == ("0322", expected)
        begun = await link.say("0500", reconcile(501, de15="0323"))
        assert (begun[15], numbers(begun)) == ("0323", {81: 1})

    play(story)


def test_a_reversal_after_the_cut_over_is_of_the_new_day() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("0200", purchase(1, 700))
        await link.say("0800", cut_over())
        back = reversal(purchase(1, 700), de90=f"0200000001{purchase(1)[7]}{'':0>22}")
        await link.say("0400", back)
        assert numbers(await link.say("0500", reconcile())) == {76: 1, 88: 700, 97: -700}
        begun = await link.say("0500", reconcile(501, de15="0323"))
        assert numbers(begun) == {77: 1, 89: 700, 97: 700}

    play(story)


@pytest.mark.parametrize(
    ("told", "code_66"),
    [
        ({}, "1"),
        ({"de76": f"{1:010}", "de88": f"{700:016}", "de97": f"D{700:016}"}, "1"),
        ({"de76": f"{2:010}"}, "2"),
        ({"de88": f"{701:016}"}, "2"),
        ({"de97": f"C{700:016}"}, "2"),
        ({"de74": f"{1:010}"}, "2"),
        ({"de78": f"{1:010}"}, "2"),  # there are no transfers here
        ({"de78": f"{0:010}"}, "1"),
    ],
)
def test_whether_the_network_counted_the_same(
    told: dict[str, str], code_66: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("0200", purchase(1, 700))
        answer = await link.say("0500", reconcile(**told))
        assert (code(answer), answer[66]) == ("00", code_66)
        assert numbers(answer) == {76: 1, 88: 700, 97: -700}
        outcome = {"1": "in_balance", "2": "out_of_balance"}[code_66]
        assert ("hot_call", outcome) in world.watcher.heard

    play(story)
    logged = "".join(capsys.readouterr())
    assert ("out_of_balance" in logged) == (code_66 == "2")
    assert ("2026-03-22" in logged) == (code_66 == "2")


def test_a_repeat_is_told_what_the_first_was_told() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("0200", purchase(1, 700))
        first = await link.say("0500", reconcile(de76=f"{1:010}"))
        await link.say("0200", purchase(2, 50))
        assert await link.say("0501", reconcile(de76=f"{1:010}")) == first
        assert code(await link.say("0501", reconcile(de76=f"{2:010}"))) == "94"
        now = await link.say("0500", reconcile(501, de76=f"{1:010}"))
        assert (now[66], numbers(now)) == ("2", {76: 2, 88: 750, 97: -750})

    play(story)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"de50": ""}, "30"),
        ({"de50": "USD"}, "30"),
        ({"de7": ""}, "30"),
        ({"de11": ""}, "30"),
        ({"de15": "0230"}, "30"),
        ({"de15": "0323"}, "30"),  # it has not begun
        ({"de15": "0120"}, "30"),  # its totals are no more
        ({"de7": "0301120000"}, "12"),
        ({"de50": "", "de49": "840"}, "00"),
    ],
)
def test_what_asks_for_no_day_of_ours_changes_nothing(changes: dict[str, str], answer: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        said = await link.say("0500", reconcile(**changes))
        assert code(said) == answer
        assert (88 in said) == (answer == "00")
        assert len(world.hot.journal) == (answer == "00")

    play(story)


@pytest.mark.parametrize("trouble", [NoReply, Cold])
@pytest.mark.parametrize("call", ["days", "totals", "note"])
def test_no_answer_in_time_is_91(call: str, trouble: type[Exception]) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        async def silent(*said: Any) -> None:
            raise trouble

        original = getattr(world.hot, call)
        setattr(world.hot, call, silent)
        assert code(await link.say("0500", reconcile())) == "91"
        # Only what was to be remembered may have run.
        withdrawn = call == "note" and trouble is NoReply
        assert len(world.spool.acts) == withdrawn
        setattr(world.hot, call, original)
        assert code(await link.say("0501", reconcile())) == "00"

    play(story)


def test_a_reading_that_is_slow_is_told_91_inside_the_budget() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        async def late(*said: Any) -> None:
            await asyncio.sleep(60)

        world.hot.totals = late
        asked = asyncio.get_running_loop().time()
        assert code(await link.say("0500", reconcile())) == "91"
        took_s = asyncio.get_running_loop().time() - asked
        assert world.engine.settings.hot_deadline_s <= took_s + 0.01 < 5

    play(story)


def test_a_difference_is_logged_a_few_times_a_second_and_counted_each_time() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        with structlog.testing.capture_logs() as lines:
            for stan in range(500, 560):
                answer = await link.say("0500", reconcile(stan, de88=f"{1:016}"))
                assert answer[66] == "2"
            assert len(lines) == LOG_LINES_MAX
            assert {line["event"] for line in lines} == {"out_of_balance"}
            world.clock.advance(1)
            await link.say("0500", reconcile(560, de88=f"{1:016}"))
            assert len(lines) == LOG_LINES_MAX + 1
        assert world.watcher.heard.count(("hot_call", "out_of_balance")) == 61

    play(story)


def test_1993_tells_it_by_its_action_code() -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert code(await link.say("1200", purchase_1993(1, 700))) == "000"
        for stan, told, answer in ((500, 700, "500"), (501, 701, "501")):
            said = await link.say("1520", reconcile(stan, de15="260322", de88=f"{told:016}"))
            assert (said.mti, code(said), said[15]) == ("1530", answer, "260322")
            assert 66 not in said
            assert numbers(said) == {76: 1, 88: 700, 97: -700}

    play(story, **OF_1993)


@pytest.mark.parametrize("mti", ["0502", "0510", "0540", "1500"])
def test_other_reconciliations_are_no_messages_of_ours(mti: str) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        answers = await link.send(_encoded(mti))
        assert len(answers) == (mti != "0510")
        assert world.hot.journal == []

    play(story)


def _encoded(mti: str) -> bytes:
    return encode(mti, reconcile(), BY_NAME["iso87_ascii"])


def test_a_dialect_without_those_elements_is_told_that_it_gets_none(tmp_path: Path) -> None:
    async def story(world: World, link: InMemoryLink) -> None:
        assert code(await link.say("0500", reconcile())) == "12"
        assert code(await link.say("0200", purchase(1, 700))) == "00"

    file = tmp_path / "less.toml"
    file.write_text('name = "less"\nbased_on = "iso87_ascii"\nremove = [66, 97]\n')
    play(story, dialect=find_dialect(f"file:{file}"))


def test_totals_of_days_long_over_are_dropped_once_a_day() -> None:
    class Always:
        ready = True

    async def story(world: World, link: InMemoryLink) -> None:
        await link.say("0200", purchase(1, 700))
        task = Forgetting(world.engine, Always())
        assert await task.tick() == 0
        world.clock.advance((DAYS_KEPT + 1) * 86_400)
        assert await task.tick() == 1
        assert await task.tick() == 0

    play(story)


def test_a_store_counts_over_engines_shards_and_days_and_its_audit_agrees(
    fresh_redis: str,
) -> None:
    async def story() -> None:
        async with store_and_client(fresh_redis) as (state, client):
            world = World(hot=state)
            ms = (int((await client.time())[0]) + 30) * 1000  # ahead: it stands, and is not late
            world.clock.advance((ms - NOON) / 1000)
            pans = [f"99999900000{n:05}" for n in range(40)]
            people = [NewAccount(profile=account(f"A{n}"), opening_minor=10_000) for n in range(40)]
            await put_accounts(state, people, "s")
            cards = [
                NewCard(pan=Pan(pan), account_id=f"A{n}", expiry="2912")
                for n, pan in enumerate(pans)
            ]
            await put_cards(state, KEYS, cards, "s")
            links = [world.link(), world.link(world.another_engine(name="e2"))]

            def bought(n: int, **changes: str) -> dict[int, str]:
                return purchase(n + 1, 100 + n, at_ms=ms, de2=pans[n], de14="2912", **changes)

            for n in range(40):
                assert code(await links[n % 2].say("0200", bought(n))) == "00"
            for n in range(0, 40, 4):
                back = f"0200{n + 1:06}{world.moment()}{'':0>22}"
                taken = reversal(bought(n), 900 + n, at_ms=ms, de90=back)
                assert code(await links[1].say("0420", taken)) == "00"
            gone = sum(100 + n for n in range(40))
            came = sum(100 + n for n in range(0, 40, 4))
            asked = reconcile(de7=world.moment())
            said = await links[0].say("0500", asked)
            assert numbers(said) == {76: 40, 88: gone, 77: 10, 89: came, 97: came - gone}

            assert code(await links[0].say("0800", cut_over(de7=world.moment()))) == "00"
            said = await links[0].say("0520", asked | {11: "000501", 76: f"{40:010}"})
            assert (said[66], numbers(said)[88]) == ("1", gone)
            rows = await client.xrange(keys.journal(keys.shard_of_network("generic")))
            told = [read_entry(*row) for row in rows]
            told = [e for e in told if isinstance(e.body, ReconciliationBody)]
            assert [e.envelope.verdict for e in told] == ["in_balance", "in_balance"]
            assert dict(told[1].body.told) == {"debits_number": 40}
            assert dict(told[1].body.ours)["debits_amount"] == gone

            report = await audit_store(fresh_redis)
            assert report.ok, report.differences
            shard = keys.shard_of_network("generic")
            await client.hset(keys.control(shard), keys.days_field("generic"), "1 0 5")
            [difference] = (await audit_store(fresh_redis)).differences
            assert (difference.field, difference.hot) == ("business day of generic", "1 0")
            assert PAN not in repr(report)

    asyncio.run(story())
