"""Velocity limits, one row one story: neighbours differ in one cell."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.scenarios.test_policy import change
from tests.support.engine import (
    OTHER_PAN,
    PAN,
    InMemoryLink,
    World,
    account,
    advice_of,
    card,
    code,
    purchase,
    reversal,
    run,
    used,
)


def at(text: str) -> int:
    """Milliseconds since 1970 of a moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def move_to(world: World, now_ms: int) -> None:
    world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
    world.hot.now_ms = now_ms


def limit(measure: str, ceiling: int, window: str, name: str = "a limit", **keys: str) -> str:
    lines = {"measure": f'"{measure}"', "ceiling": str(ceiling), "window": f'"{window}"'} | keys
    return f'[[limit]]\nname = "{name}"\n' + "".join(f"{k} = {v}\n" for k, v in lines.items())


async def under(policy: str, zone: str = "UTC", **limits: Any) -> World:
    world = World()
    await world.put_account(account(time_zone=zone), 10_000_000)
    await world.put_card(card(**limits))
    change(world, policy)
    return world


# One purchase is allowed in the window. The first is always approved; when is the second?
EDGES = """
zone              window    first                second               code
UTC               day       2026-03-22T00:00:00  2026-03-22T23:59:59  65
UTC               day       2026-03-22T00:00:00  2026-03-23T00:00:00  00
Asia/Tokyo        day       2026-03-22T00:00:00  2026-03-22T14:59:59  65
Asia/Tokyo        day       2026-03-22T00:00:00  2026-03-22T15:00:00  00
Asia/Kathmandu    day       2026-03-22T00:00:00  2026-03-22T18:14:59  65
Asia/Kathmandu    day       2026-03-22T00:00:00  2026-03-22T18:15:00  00
America/New_York  day       2026-03-22T04:00:00  2026-03-23T03:59:59  65
America/New_York  day       2026-03-22T04:00:00  2026-03-23T04:00:00  00
America/New_York  day       2026-03-22T03:59:59  2026-03-22T04:00:00  00    # it was the day before there
America/New_York  day       2026-03-08T05:00:00  2026-03-09T03:59:59  65    # a day of 23 hours
America/New_York  day       2026-03-08T05:00:00  2026-03-09T04:00:00  00
America/New_York  day       2026-11-01T04:00:00  2026-11-02T04:59:59  65    # one of 25
America/New_York  day       2026-11-01T04:00:00  2026-11-02T05:00:00  00
America/New_York  day       2026-11-01T05:30:00  2026-11-01T06:30:00  65    # 01:30, and 01:30 again
UTC               day       2028-02-28T12:00:00  2028-02-29T00:00:00  00    # a leap day
UTC               day       2028-02-29T00:00:00  2028-02-29T23:59:59  65
UTC               day       2028-02-29T00:00:00  2028-03-01T00:00:00  00
UTC               month     2028-02-28T00:00:00  2028-02-29T23:59:59  65
UTC               month     2028-02-28T00:00:00  2028-03-01T00:00:00  00
UTC               month     2027-02-28T23:59:59  2027-03-01T00:00:00  00
Asia/Tokyo        month     2028-02-28T00:00:00  2028-02-29T14:59:59  65
Asia/Tokyo        month     2028-02-28T00:00:00  2028-02-29T15:00:00  00
UTC               hour      2026-03-22T12:00:00  2026-03-22T12:59:59  65
UTC               hour      2026-03-22T12:00:00  2026-03-22T13:00:00  00
Asia/Kathmandu    hour      2026-03-22T12:00:00  2026-03-22T12:59:59  65    # hours are UTC's
Asia/Kathmandu    hour      2026-03-22T12:00:00  2026-03-22T13:00:00  00
UTC               week      2026-03-16T00:00:00  2026-03-22T23:59:59  65    # Monday to Sunday
UTC               week      2026-03-16T00:00:00  2026-03-23T00:00:00  00
UTC               week      2026-03-15T23:59:59  2026-03-16T00:00:00  00
UTC               week      2026-12-28T00:00:00  2027-01-03T23:59:59  65    # week 53
UTC               year      2027-01-01T00:00:00  2027-12-31T23:59:59  65
UTC               year      2027-01-01T00:00:00  2028-01-01T00:00:00  00
UTC               lifetime  2026-01-01T00:00:00  2028-12-31T23:59:59  65
UTC               10s       2026-03-22T12:00:00  2026-03-22T12:00:09  65    # to the second, as DE 7 is
UTC               10s       2026-03-22T12:00:00  2026-03-22T12:00:10  00
UTC               60s       2026-03-22T12:00:00  2026-03-22T12:00:59  65
UTC               60s       2026-03-22T12:00:00  2026-03-22T12:01:00  00
UTC               1m        2026-03-22T12:00:00  2026-03-22T12:01:00  00
UTC               119s      2026-03-22T12:00:00  2026-03-22T12:01:58  65
UTC               119s      2026-03-22T12:00:00  2026-03-22T12:01:59  00
UTC               10m       2026-03-22T12:00:09  2026-03-22T12:10:08  65    # buckets of ten seconds
UTC               10m       2026-03-22T12:00:09  2026-03-22T12:10:09  00
UTC               10m       2026-03-22T12:00:00  2026-03-22T12:10:08  65    # early, by less than one
UTC               10m       2026-03-22T12:00:00  2026-03-22T12:10:09  00
Asia/Tokyo        24h       2026-03-22T14:59:00  2026-03-22T15:00:00  65    # no midnight in it
UTC               24h       2026-03-22T11:59:59  2026-03-23T11:59:58  65    # buckets of 24 minutes
UTC               24h       2026-03-22T11:59:59  2026-03-23T11:59:59  00
UTC               1d        2026-03-22T11:59:59  2026-03-23T11:59:59  00
UTC               90d       2026-01-02T11:59:59  2026-04-02T11:59:58  65    # of 36 hours
UTC               90d       2026-01-02T11:59:59  2026-04-02T11:59:59  00
"""  # noqa: E501


def rows(table: str) -> list[dict[str, str]]:
    lines = table.strip().splitlines()
    names = lines[0].split()
    return [dict(zip(names, line.partition("#")[0].split(), strict=True)) for line in lines[1:]]


@pytest.mark.parametrize("measure", ["count", "amount", "merchants", "countries", "declines"])
@pytest.mark.parametrize("row", rows(EDGES), ids=lambda row: " ".join(row.values()))
def test_where_a_window_ends(row: dict[str, str], measure: str) -> None:
    """The same edges, whatever is counted."""
    ceiling = 1000 if measure == "amount" else 1
    first: dict[str, str] = {"de18": "7995"} if measure == "declines" else {}
    full = {"amount": "61"}.get(measure, "65")

    async def story() -> None:
        policy = limit(measure, ceiling, row["window"]) + VICES
        world = await under(policy, row["zone"])
        link = world.link()
        move_to(world, at(row["first"]))
        said = await link.say("0100", purchase(1, 1000, at_ms=at(row["first"]), **first))
        assert code(said) == ("05" if measure == "declines" else "00")
        move_to(world, at(row["second"]))
        elsewhere = {"de42": f"{'ANOTHER':15}", "de43": "SHOP".ljust(25) + "PARIS".ljust(13) + "FR"}
        again = purchase(2, 1000, at_ms=at(row["second"]), **elsewhere)
        assert code(await link.say("0100", again)) == (full if row["code"] == "65" else "00")

    run(story())


VICES = '[[rule]]\nname = "no vices"\nwhen = { mcc = ["7995"] }\noutcome = "decline"\n'
NOON = at("2026-03-22T12:00:00")

# What was asked before, at noon, and what is asked then. Merchant/country/MCC/amount; of those that
# end in "-" the reversal comes after them.
CEILINGS = """
measure    ceiling  each      before                               asked            code
amount     3000     -         A/US/5411/2000                       A/US/5411/1000   00
amount     3000     -         A/US/5411/2000                       A/US/5411/1001   61
amount     3000     -         A/US/5411/2000-                      A/US/5411/3000   00
amount     3000     -         A/US/5411/2000-                      A/US/5411/3001   61
count      2        -         A/US/5411/1                          A/US/5411/1      00
count      2        -         A/US/5411/1,A/US/5411/1              A/US/5411/1      65
count      2        -         A/US/5411/1,A/US/5411/1-             A/US/5411/1      00
count      2        -         A/US/5411/1,A/US/7995/1              A/US/5411/1      00
count      2        merchant  A/US/5411/1,A/US/5411/1              A/US/5411/1      65
count      2        merchant  A/US/5411/1,A/US/5411/1              B/US/5411/1      00
count      2        merchant  A/US/5411/1,B/US/5411/1              A/US/5411/1      00
count      2        country   A/US/5411/1,B/US/5411/1              A/US/5411/1      65
count      2        country   A/US/5411/1,A/FR/5411/1              A/US/5411/1      00
count      2        mcc       A/US/5411/1,A/US/5411/1              A/US/5411/1      65
count      2        mcc       A/US/5411/1,A/US/5812/1              A/US/5411/1      00
count      2        channel   A/US/5411/1,A/US/5812/1              B/FR/5411/1      65
merchants  2        -         A/US/5411/1,B/US/5411/1              C/US/5411/1      65
merchants  2        -         A/US/5411/1,B/US/5411/1              B/US/5411/1      00
merchants  2        -         A/US/5411/1,A/US/5411/1              C/US/5411/1      00
merchants  2        -         A/US/5411/1,B/US/5411/1-             C/US/5411/1      00
merchants  2        -         A/US/5411/1,B/US/5411/1,B/US/5411/1- C/US/5411/1      65
merchants  2        -         A/US/5411/1,/US/5411/1               C/US/5411/1      65
merchants  2        -         A/US/5411/1,/US/5411/1               /US/5411/1       00
merchants  2        country   A/US/5411/1,B/US/5411/1              C/FR/5411/1      00
countries  1        -         A/US/5411/1                          B/US/5411/1      00
countries  1        -         A/US/5411/1                          A/FR/5411/1      65
countries  1        -         A/US/5411/1-                         A/FR/5411/1      00
declines   2        -         A/US/7995/1                          A/US/5411/1      00
declines   2        -         A/US/7995/1,A/US/7995/1              A/US/5411/1      65
declines   2        -         A/US/7995/1,A/US/7995/1              A/US/7995/1      05
declines   2        -         A/US/7995/1,A/US/7995/1              A/US/5411/0      65
declines   2        -         A/US/7995/1,A/US/5411/99999999       A/US/5411/1      65
declines   2        merchant  A/US/7995/1,B/US/7995/1              A/US/5411/1      00
declines   2        merchant  A/US/7995/1,A/US/7995/1              B/US/5411/1      00
declines   0        -         A/US/5411/1                          A/US/5411/1      65
"""
TOWNS = {"US": "NEW YORK", "FR": "PARIS"}


async def ask(link: InMemoryLink, what: str, stan: int, at_ms: int) -> str:
    merchant, country, mcc, amount = what.rstrip("-").split("/")
    place = "SHOP".ljust(25) + TOWNS[country].ljust(13) + country
    asked = purchase(
        stan,
        int(amount),
        at_ms=at_ms,
        de42=merchant and f"MERCHANT{merchant:7}",
        de43=place,
        de18=mcc,
    )
    said = code(await link.say("0100", asked))
    if what.endswith("-"):
        assert code(await link.say("0400", reversal(asked, stan + 500, at_ms=at_ms + 1000))) == "00"
    return said


@pytest.mark.parametrize("window", ["day", "10m"])
@pytest.mark.parametrize("row", rows(CEILINGS), ids=lambda row: " ".join(row.values()))
def test_exactly_the_ceiling(row: dict[str, str], window: str) -> None:
    async def story() -> None:
        each = {} if row["each"] == "-" else {"each": f'"{row["each"]}"'}
        policy = limit(row["measure"], int(row["ceiling"]), window, **each) + VICES
        world = await under(policy)
        move_to(world, NOON + 60_000)
        link = world.link()
        for n, what in enumerate(row["before"].split(",")):
            await ask(link, what, n + 1, NOON + n * 1000)
        assert await ask(link, row["asked"], 100, NOON + 30_000) == row["code"]

    run(story())


def test_a_late_message_does_not_push_a_later_window_over_its_ceiling() -> None:
    """What was sent after it is in its window, too."""

    async def story() -> None:
        world = await under(limit("count", 1, "60s"))
        move_to(world, NOON + 120_000)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 1, at_ms=NOON + 60_000))) == "00"
        assert code(await link.say("0100", purchase(2, 1, at_ms=NOON + 30_000))) == "65"

    run(story())


@pytest.mark.parametrize("first", [True, False], ids=["reversal first", "reversal after"])
@pytest.mark.parametrize("measure", ["amount", "count", "merchants", "countries"])
def test_it_falls_back_into_the_bucket_that_it_rose_in(measure: str, first: bool) -> None:
    async def story() -> None:
        world = await under(limit(measure, 1000, "10m") if measure in ("amount", "count") else
                            limit(measure, 5, "10m"))  # fmt: skip
        move_to(world, NOON + 400_000)
        link = world.link()
        asked = purchase(1, 700, at_ms=NOON)
        other = purchase(2, 100, at_ms=NOON + 300_000)
        back = reversal(asked, at_ms=NOON + 310_000)
        if first:
            await link.say("0400", back)
        await link.say("0100", asked)
        await link.say("0100", other)
        if not first:
            assert len(used(world)) == 2
            await link.say("0400", back)
        [counter] = used(world)
        assert f"|{(NOON + 300_000) // 10_000}" in counter

    run(story())


def test_limits_follow_a_replaced_card() -> None:
    async def story() -> None:
        policy = limit("count", 2, "10m") + limit("declines", 1, "10m", "noes") + VICES
        world = await under(policy)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 1))) == "00"
        await world.put_card(card("C2", limit_subject="C1"), OTHER_PAN)
        assert code(await link.say("0100", purchase(2, 1, de2=OTHER_PAN))) == "00"
        assert code(await link.say("0100", purchase(3, 1, de2=OTHER_PAN))) == "65"
        # That was a decline, of the old card's subject.
        assert code(await link.say("0100", purchase(4, 1, de2=PAN))) == "65"
        assert {name.split("/")[0] for name in used(world)} == {"C1"}

    run(story())


def test_cards_of_an_account_share_its_limits_and_have_their_own() -> None:
    async def story() -> None:
        both = limit("amount", 1500, "10m", "all", per='"account"')
        world = await under(both + limit("count", 1, "10m"))
        await world.put_card(card("C2"), OTHER_PAN)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 1000))) == "00"
        assert code(await link.say("0100", purchase(2, 501, de2=OTHER_PAN))) == "61"
        assert code(await link.say("0100", purchase(3, 500, de2=OTHER_PAN))) == "00"
        assert code(await link.say("0100", purchase(4, 1))) == "61"

    run(story())


def test_a_decline_is_counted_once_however_often_it_is_repeated() -> None:
    async def story() -> None:
        world = await under(limit("declines", 2, "day") + VICES)
        link = world.link()
        for _ in range(5):
            assert code(await link.say("0101", purchase(1, 1, de18="7995"))) == "05"
        assert list(used(world).values()) == [1]
        await link.say("0100", purchase(2, 1, de18="7995"))
        assert code(await link.say("0100", purchase(3, 1))) == "65"
        assert code(await link.say("0101", purchase(3, 1))) == "65"
        assert list(used(world).values()) == [2], "its own declines are none, or it never passed"

    run(story())


def test_money_that_comes_to_the_card_is_never_declined_for_declines() -> None:
    async def story() -> None:
        world = await under(limit("declines", 0, "day"))
        assert code(await world.link().say("0100", purchase(1, 100, de3="200000"))) == "00"

    run(story())


def test_an_increment_is_asked_what_its_window_has_not() -> None:
    """100.00 stand in an earlier bucket of the window: they are in it once."""

    async def story() -> None:
        world = await under(limit("amount", 15_000, "1h"))
        move_to(world, NOON + 700_000)
        link = world.link()
        asked = purchase(1, 10_000, at_ms=NOON)
        await link.say("0100", asked)
        original = f"0100{asked[11]}{asked[7]}{asked[32]:0>11}{'':0>11}"
        for stan, amount, said in ((2, 5001, "61"), (3, 5000, "00"), (4, 1, "61")):
            more = purchase(stan, amount, at_ms=NOON + 600_000, de90=original)
            assert code(await link.say("0100", more)) == said
        [(name, total)] = used(world).items()
        assert (name.rpartition("|")[2], total) == (str(NOON // 60_000), 15_000)

    run(story())


def test_a_part_is_as_much_as_a_rolling_window_has_room_for() -> None:
    async def story() -> None:
        world = await under(limit("amount", 1500, "10m"))
        link = world.link()
        await link.say("0100", purchase(1, 1000))
        said = await link.say("0100", purchase(2, 1000, de60="000000000100"))
        assert (code(said), said[4]) == ("10", f"{500:012}")
        assert sum(used(world).values()) == 1500

    run(story())


def test_an_advice_posts_and_no_limit_of_a_policy_asks_it() -> None:
    async def story() -> None:
        world = await under(limit("amount", 500, "10m") + limit("merchants", 0, "day", "shops"))
        advice = advice_of(purchase(1, 9000), 2)
        assert code(await world.link().say("0220", advice)) == "00"
        assert used(world) == {}

    run(story())
