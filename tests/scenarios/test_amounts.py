"""Not every approval is of what was asked, and not every completion is of what was approved."""

from itertools import permutations
from typing import Any

import pytest

from authz.engine import Settings
from authz.hot.acts import Close
from authz.hot.errors import NoReply
from iso8583.message import Message
from rules.holds import HoldRule
from tests.support.engine import (
    NOON,
    World,
    account,
    advice_of,
    card,
    code,
    held,
    purchase,
    reversal,
    run,
    used,
)

DAY_MS = 86_400_000
PARTIAL, ESTIMATE, ESTIMATE_OR_LESS = "000000000100", "000000000200", "000000000300"  # DE 60


def policy(**changes: Any) -> Settings:
    return Settings(hold_rules=(HoldRule(**({"days": 7} | changes)),))


def posted(world: World) -> int:
    """What has been posted against the opening funds of 100.00."""
    return 10_000 - int(world.hot.accounts["A1"].posted["840"])


def more_of(of: dict[int, str], stan: int, amount: int, **changes: str) -> dict[int, str]:
    """A 0100 that asks for more on another."""
    original = f"0100{of[11]}{of[7]}{'':0>22}"
    return purchase(stan, amount, at_ms=NOON + 30_000 + stan, de90=original, **changes)


def told(answer: Message) -> dict[str, int]:
    """DE 54: by kind of amount."""
    value = str(answer[54])
    amounts = {}
    for at in range(0, len(value), 20):
        entry = value[at : at + 20]
        assert entry[:2] == "00"
        assert entry[4:7] == "840"
        amounts[entry[2:4]] = int(entry[8:]) * (1 if entry[7] == "C" else -1)
    return amounts


# -- less than was asked ---------------------------------------------------------------


def test_less_than_was_asked_where_the_terminal_takes_it() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        answer = await link.say("0100", purchase(1, 12_000, de60=PARTIAL))
        assert (code(answer), answer[4]) == ("10", f"{10_000:012}")
        assert told(answer) == {"57": 12_000}
        assert len(str(answer[38])) == 6
        assert held(world) == 10_000
        assert (await link.say("0101", purchase(1, 12_000, de60=PARTIAL))).values == answer.values
        assert code(await link.say("0100", purchase(2, 12_000))) == "51"
        assert code(await link.say("0100", purchase(3, 1, de60=PARTIAL))) == "51", "nothing left"

    run(story())


def test_a_part_of_a_foreign_amount_is_rounded_so_that_it_fits() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        foreign = purchase(1, 11_000, de49="978", de6=f"{13_001:012}", de51="840", de60=PARTIAL)
        answer = await world.link().say("0100", foreign)
        assert code(answer) == "10"
        assert (answer[4], answer[6]) == (f"{11_000 * 10_000 // 13_001:012}", f"{10_000:012}")
        assert held(world) == 10_000

    run(story())


def test_a_part_fits_under_the_daily_amount_and_never_over_the_daily_count() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=3000, daily_count=1)
        link = world.link()
        answer = await link.say("0100", purchase(1, 5000, de60=PARTIAL))
        assert (code(answer), answer[4]) == ("10", f"{3000:012}")
        assert sorted(used(world).values()) == [1, 3000]
        assert code(await link.say("0100", purchase(2, 5000, de60=PARTIAL))) == "65"

    run(story())


@pytest.mark.parametrize("de4", [12_000, 10_000], ids=["the amount asked", "the amount approved"])
def test_a_part_is_taken_back_by_its_approval_code(de4: int) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        asked = purchase(1, 12_000, de60=PARTIAL, de37="", de41="", de42="")
        answer = await link.say("0100", asked)
        back = reversal(asked, de90="", de38=str(answer[38]), de4=f"{de4:012}")
        assert code(await link.say("0400", back)) == "00"
        assert held(world) == 0

    run(story())


def test_a_partial_reversal_of_a_part_is_told_of_what_was_approved() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        asked = purchase(1, 12_000, de60=PARTIAL)
        await link.say("0100", asked)
        await link.say("0400", reversal(asked, de95=f"{4000:012}{'':0>30}"))
        assert held(world) == 4000
        await link.say("0400", reversal(asked, 901, de95=f"{11_000:012}{'':0>30}"))
        assert held(world) == 4000, "what stays is never more than there was"

    run(story())


def test_a_financial_request_for_less_posts_less() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        answer = await world.link().say("0200", purchase(1, 12_000, de60=PARTIAL))
        assert (code(answer), answer[4]) == ("10", f"{10_000:012}")
        assert (held(world), posted(world)) == (0, 10_000)

    run(story())


def test_terminals_behind_a_link_may_all_take_less() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link(partial_approval=True)
        answer = await link.say("0100", purchase(1, 12_000))
        assert (code(answer), answer[4]) == ("10", f"{10_000:012}")

    run(story())


# -- what there is -----------------------------------------------------------------------


@pytest.mark.parametrize("processing_code", ["300000", "310000"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"de4": ""},
        {"de49": ""},
        {"de18": ""},
        {"de4": "", "de49": "", "de18": ""},
        {"de49": "978"},
    ],
    ids=["zero", "no amount", "no currency", "no merchant", "none of them", "abroad"],
)
def test_a_balance_inquiry_says_what_there_is_and_moves_nothing(
    processing_code: str, changes: dict[str, str]
) -> None:
    async def story() -> None:
        world = World()
        await world.put_account(account(credit_line_minor=500), 10_000)
        await world.put_card(card())
        link = world.link()
        await link.say("0100", purchase(1, 4000))
        inquiry = purchase(2, 0, de3=processing_code, **changes)
        answer = await link.say("0100", inquiry)
        assert code(answer) == "00"
        assert told(answer) == {"01": 10_000, "02": 6500}
        assert 38 not in answer
        await link.say("0100", purchase(3, 1000))
        assert told(await link.say("0101", inquiry)) == {"01": 10_000, "02": 6500}, "a repeat"
        assert held(world) == 5000
        assert code(await link.say("0100", purchase(2, 0))) == "94", "no inquiry"

    run(story())


def test_an_inquiry_of_a_frozen_card_is_declined() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, state="frozen")
        answer = await world.link().say("0100", purchase(1, 0, de3="300000"))
        assert code(answer) == "62"
        assert 54 not in answer

    run(story())


def test_an_inquiry_with_an_amount_or_as_an_advice_is_refused() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 1, de3="300000"))) == "30"
        assert code(await link.say("0120", purchase(2, 0, de3="300000"))) == "12"
        # A purchase of nothing is a purchase: it says where, and in which money.
        for stan, missing in enumerate(({"de18": ""}, {"de49": ""}), start=3):
            assert code(await link.say("0100", purchase(stan, 0, **missing))) == "30"

    run(story())


# -- more than was asked is held -----------------------------------------------------------


def test_a_hold_has_room_for_a_tip_as_far_as_there_are_funds() -> None:
    async def story() -> None:
        world = await World(settings=policy(uplift_percent=20)).open_with(10_000)
        link = world.link()
        assert (await link.say("0100", purchase(1, 5000)))[4] == f"{5000:012}"
        assert held(world) == 6000
        assert code(await link.say("0100", purchase(2, 3900))) == "00"
        assert held(world) == 10_000, "3900 and the hundred that is left"
        assert code(await link.say("0100", purchase(3, 1))) == "51"

    run(story())


def test_a_tank_is_filled_under_a_hold_that_was_asked_for_one_unit() -> None:
    async def story() -> None:
        rules = policy(mcc_group="fuel", uplift_minor=9900)
        world = await World(settings=rules).open_with(10_000)
        link = world.link()
        pump = purchase(1, 100, de18="5542")
        assert code(await link.say("0100", pump)) == "00"
        assert held(world) == 10_000
        assert code(await link.say("0220", advice_of(pump, 2, de4=f"{6400:012}"))) == "00"
        assert (held(world), posted(world)) == (0, 6400)
        assert code(await link.say("0100", purchase(3, 3600))) == "00", "another MCC: no more"

    run(story())


def test_room_for_a_tip_is_no_reason_to_decline_after_an_early_reversal() -> None:
    async def story() -> None:
        world = await World(settings=policy(uplift_percent=100)).open_with(10_000)
        link = world.link()
        asked = purchase(1, 8000)
        await link.say("0400", reversal(asked, de95=f"{7000:012}{'':0>30}"))
        assert code(await link.say("0100", asked)) == "00"
        assert held(world) == 7000

    run(story())


# -- increments ------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True], ids=["after", "before"])
def test_an_increment_raises_the_hold_of_its_authorization(early: bool) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000, de60=ESTIMATE)
        said = [("0100", first), ("0100", more_of(first, 2, 2000))]
        for mti, fields in reversed(said) if early else said:
            assert code(await link.say(mti, fields)) == "00"
        assert held(world) == 5000
        assert len(world.hot.accounts["A1"].records) == 1
        await link.say("0400", reversal(first))
        assert held(world) == 0

    run(story())


def test_an_increment_is_judged_repeated_and_taken_back_by_itself() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000)
        link = world.link()
        first = purchase(1, 3000)
        more = more_of(first, 2, 4000)
        await link.say("0100", first)
        answer = await link.say("0100", more)
        assert (await link.say("0101", more)).values == answer.values
        assert held(world) == 7000
        assert code(await link.say("0100", more_of(first, 3, 2001))) == "61"
        assert code(await link.say("0100", more_of(first, 3, 2001))) == "61", "a repeat"
        assert code(await link.say("0100", more_of(first, 2, 4001))) == "94"
        await link.say("0400", reversal(more, 904))
        assert held(world) == 3000
        assert code(await link.say("0100", more_of(first, 5, 8000))) == "61"
        await world.put_card(card(state="frozen"))
        assert code(await link.say("0100", more_of(first, 6, 1))) == "62"
        assert list(used(world).values()) == [3000]

    run(story())


def test_an_increment_of_what_was_reversed_is_declined_and_of_a_strange_card_too() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000)
        await link.say("0100", first)
        await link.say("0400", reversal(first))
        assert code(await link.say("0100", more_of(first, 2, 100))) == "05"
        assert code(await link.say("0100", more_of(first, 3, 100, de2="9999990000000044"))) == "14"
        assert code(await link.say("0100", more_of(first, 4, 100, de3="200000"))) == "12"
        assert held(world) == 0

    run(story())


ENDED = ["completed", "expired", "released", "reversed"]


@pytest.mark.parametrize("how", ENDED)
def test_an_increment_of_what_has_ended_holds_nothing_so_it_is_declined(how: str) -> None:
    """An approval would promise money that nobody looked for."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000)
        await link.say("0100", first)
        [id] = world.hot.accounts["A1"].records
        if how == "completed":
            await link.say("0220", advice_of(first, 3, at_ms=NOON + 10_000))
        elif how == "reversed":
            await link.say("0400", reversal(first))
        else:
            world.hot.now_ms += 8 * DAY_MS
            ends = Close(
                act_id="x", account_id="A1", authorization_id=id, kind=how, at=NOON // 1000,
                body=b"",
            )  # fmt: skip
            assert await world.hot.close(ends) == ("closed", 3000)
            world.hot.now_ms = NOON  # so that nothing here is too late
        for stan, amount in ((4, 100), (5, 90_000)):
            assert code(await link.say("0100", more_of(first, stan, amount))) == "05"
        assert held(world) == 0

    run(story())


@pytest.mark.parametrize("whole", [True, False], ids=["all of it", "a part"])
def test_the_reversal_of_an_increment_may_come_before_it(whole: bool) -> None:
    """What would hold nothing is declined, as an authorization is whose reversal came first."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000)
        more = more_of(first, 2, 2000)
        await link.say("0100", first)
        back = reversal(more, 904, **({} if whole else {"de95": f"{500:012}{'':0>30}"}))
        assert code(await link.say("0400", back)) == "00"
        assert code(await link.say("0100", more)) == ("05" if whole else "00")
        assert held(world) == (3000 if whole else 3500)

    run(story())


@pytest.mark.parametrize("first_back", ["by us", "by the network", "by the network after us"])
def test_an_increment_without_a_reply_is_taken_back_alone(first_back: str) -> None:
    """The network is told 91 and takes the increment back, and we do so, too: whichever comes
    first, the authorization stays as it was."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000)
        more = more_of(first, 2, 2000)
        await link.say("0100", first)
        inner, world.hot.apply = world.hot.apply, lost_replies(world.hot)
        assert code(await link.say("0100", more)) == "91"
        world.hot.apply = inner
        assert held(world) == 5000
        [attempt] = world.spool.acts
        if first_back == "by the network":
            assert code(await link.say("0400", reversal(more, 904))) == "00"
        assert await world.hot.withdraw(attempt) in ("released", "forgotten")
        assert held(world) == 3000
        if first_back == "by the network after us":
            assert code(await link.say("0400", reversal(more, 904))) == "00"
        assert held(world) == 3000
        again = await link.say("0101", more)
        assert code(again) == ("00" if first_back == "by us" else "05")
        assert held(world) == (5000 if first_back == "by us" else 3000)
        assert code(await link.say("0400", reversal(first))) == "00"
        assert held(world) == 0

    run(story())


def lost_replies(hot: Any) -> Any:
    """The act is carried out, and nobody hears of it."""
    inner = hot.apply

    async def apply(act: Any, timeout_s: float = 0) -> Any:
        await inner(act, timeout_s)
        raise NoReply("no reply in time")

    return apply


def test_a_completion_clears_what_was_raised() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = purchase(1, 3000)
        await link.say("0100", first)
        await link.say("0100", more_of(first, 2, 2000))
        assert code(await link.say("0220", advice_of(first, 3, de4=f"{4800:012}"))) == "00"
        assert (held(world), posted(world)) == (0, 4800)

    run(story())


# -- completions -------------------------------------------------------------------------------


def test_several_completions_and_the_last_one_ends_the_hold() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        order = purchase(1, 9000)
        await link.say("0100", order)
        for number, (amount, left) in enumerate([(2000, 7000), (3000, 4000), (1000, 0)], 1):
            part = advice_of(
                order, 1 + number, de4=f"{amount:012}", de71=f"{number:04}", de72="0003"
            )
            assert code(await link.say("0220", part)) == "00"
            assert held(world) == left
        assert posted(world) == 6000

    run(story())


def test_what_a_completion_leaves_is_kept_where_the_policy_says_so() -> None:
    async def story() -> None:
        world = await World(settings=policy(remainder="keep")).open_with(10_000)
        link = world.link()
        order = purchase(1, 9000)
        await link.say("0100", order)
        await link.say("0220", advice_of(order, 2, de4=f"{2000:012}"))
        assert (held(world), posted(world)) == (7000, 2000)

    run(story())


@pytest.mark.parametrize(
    ("amount", "days", "kind"),
    [
        (6000, 1, "applied"), (6001, 1, "beyond"), (4000, 10, "applied"), (4000, 11, "overdue"),
        (6001, 11, "beyond"),
    ],
)  # fmt: skip
def test_a_completion_beyond_what_was_agreed_posts_and_shows(
    amount: int, days: int, kind: str
) -> None:
    async def story() -> None:
        rules = policy(days=30, tolerance_percent=20, overdue_days=10)
        world = await World(settings=rules).open_with(10_000)
        link = world.link()
        dinner = purchase(1, 5000)
        await link.say("0100", dinner)
        world.clock.advance(days * 86_400)
        world.hot.now_ms += days * DAY_MS
        bill = advice_of(dinner, 2, at_ms=NOON + days * DAY_MS, de4=f"{amount:012}")
        assert code(await link.say("0220", bill)) == "00"
        assert (held(world), posted(world)) == (0, amount)
        assert world.watcher.heard[-1] == ("hot_call", kind)

    run(story())


def test_a_completion_of_a_stand_in_finds_it() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        stood_in = purchase(1, 5000)
        assert code(await link.say("0120", stood_in)) == "00"
        assert world.watcher.heard[-1] == ("hot_call", "unmatched")
        assert code(await link.say("0220", advice_of(stood_in, 2, de4=f"{4000:012}"))) == "00"
        assert world.watcher.heard[-1] == ("hot_call", "applied")
        assert (held(world), posted(world)) == (0, 4000)

    run(story())


def test_a_reversal_of_what_has_posted_takes_nothing_back_and_shows() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        bought = purchase(1, 5000)
        done = advice_of(bought, 2)
        await link.say("0100", bought)
        await link.say("0220", done)
        assert code(await link.say("0400", reversal(bought, at_ms=NOON + 90_000))) == "00"
        assert (held(world), posted(world)) == (0, 5000)
        assert world.watcher.heard[-1] == ("hot_call", "unapplied")
        back = reversal(done, 901, at_ms=NOON + 99_000)
        await link.say("0400", back | {90: "0220" + back[90][4:]})
        assert world.watcher.heard[-1] == ("hot_call", "reversed")
        assert (held(world), posted(world)) == (0, 0)

    run(story())


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("mti", ["0100", "0200"])
def test_a_stand_in_after_the_reversal_of_a_late_answer_holds(
    mti: str, order: tuple[int, ...]
) -> None:
    """No answer came in time: the network takes the request back, and approves in our stead."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        asked = purchase(1, 5000)
        back = reversal(asked, 2, at_ms=NOON + 20_000)
        back[90] = mti + back[90][4:]
        stood_in = advice_of(asked, 3, at_ms=NOON + 40_000)
        said = [(mti, asked), ("0420", back), ("0120", stood_in)]
        for at in order:
            await link.say(*said[at])
        spent = (held(world), posted(world))
        assert spent == ((5000, 0) if mti == "0100" else (0, 5000))

    run(story())


# -- money that comes to the card ----------------------------------------------------------------


@pytest.mark.parametrize(("policy_says", "available"), [("posting", 0), ("approval", 2500)])
def test_a_refund_is_available_when_the_policy_says_so(policy_says: str, available: int) -> None:
    async def story() -> None:
        world = await World(settings=policy(credit=policy_says)).open_with(10_000)
        link = world.link()
        refund = purchase(1, 2500, de3="200000")
        assert code(await link.say("0100", refund)) == "00"
        assert held(world) == -available
        spent = await link.say("0100", purchase(2, 10_000 + available))
        assert code(spent) == "00"
        assert code(await link.say("0100", purchase(3, 1))) == "51"
        assert code(await link.say("0220", advice_of(refund, 4))) == "00"
        assert held(world) == 10_000 + available
        assert posted(world) == -2500

    run(story())


@pytest.mark.parametrize("mti", ["0100", "0200"])
@pytest.mark.parametrize("policy_says", ["posting", "approval"])
def test_a_refund_is_approved_though_a_part_of_it_was_taken_back_before(
    mti: str, policy_says: str
) -> None:
    """One that holds nothing until it posts is no less an approval."""

    async def story() -> None:
        world = await World(settings=policy(credit=policy_says)).open_with(10_000)
        link = world.link()
        refund = purchase(1, 2500, de3="200000")
        named = f"{mti}{refund[11]}{refund[7]}{'':0>22}"
        await link.say("0400", reversal(refund, de95=f"{1000:012}{'':0>30}", de90=named))
        assert code(await link.say(mti, refund)) == "00"
        there = 1000 if mti == "0200" or policy_says == "approval" else 0
        assert held(world) + posted(world) == -there
        whole = purchase(3, 2500, de3="200000")
        named = f"{mti}{whole[11]}{whole[7]}{'':0>22}"
        await link.say("0400", reversal(whole, 902, de90=named))
        assert code(await link.say(mti, whole)) == "05"

    run(story())


def test_a_refund_taken_back_after_it_was_spent_overdraws() -> None:
    async def story() -> None:
        world = await World(settings=policy(credit="approval")).open_with(10_000)
        link = world.link()
        refund = purchase(1, 2500, de3="200000")
        await link.say("0100", refund)
        assert code(await link.say("0200", purchase(2, 12_500))) == "00"
        assert code(await link.say("0400", reversal(refund))) == "00"
        assert (held(world), posted(world)) == (0, 12_500)
        assert code(await link.say("0100", purchase(3, 1))) == "51"

    run(story())


@pytest.mark.parametrize("processing_code", ["260000", "280000"])
def test_a_payment_to_the_card_posts_and_is_taken_back(processing_code: str) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        credit = purchase(1, 4000, de3=processing_code)
        assert code(await link.say("0200", credit)) == "00"
        assert posted(world) == -4000
        back = reversal(credit, de90=f"0200{credit[11]}{credit[7]}{'':0>22}")
        assert code(await link.say("0420", back)) == "00"
        assert posted(world) == 0

    run(story())
