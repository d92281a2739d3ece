"""The life of an authorization so far: repeats, reversals, timeouts; each a short story."""

from itertools import permutations

import pytest

from authz.engine import Settings
from authz.hot.errors import NoReply, TooLate
from rules.facts import CardState
from tests.support.engine import (
    NOON,
    OTHER_PAN,
    World,
    account,
    advice_of,
    card,
    code,
    encode,
    held,
    purchase,
    reversal,
    run,
    used,
)

DAY_MS = 86_400_000


def test_an_approval_holds_the_money_and_a_decline_does_not() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "00"
        assert code(await link.say("0100", purchase(2, 6000))) == "51"
        assert code(await link.say("0100", purchase(3, 4000))) == "00"
        assert held(world) == 10_000

    run(story())


def test_the_same_bytes_on_two_links_and_two_engines_get_the_same_bytes_and_hold_once() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=9)
        raw = encode("0100", purchase(1, 6000), world.link().settings.dialect)
        first = await world.link().send(raw)
        again = await world.link().send(raw)
        elsewhere = await world.link(world.another_engine(name="e2")).send(raw)
        assert first == again == elsewhere
        assert held(world) == 6000
        assert list(used(world).values()) == [1]

    run(story())


def test_a_repeat_gets_the_first_decision_with_its_own_echoes() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = await link.say("0100", purchase(1, 6000))
        again = await link.say("0101", purchase(1, 6000, de12="235959"))
        assert again.mti == "0110"
        assert (again[38], again[39]) == (first[38], first[39])
        assert again[12] == "235959"
        assert held(world) == 6000

    run(story())


def test_a_repeat_gets_the_first_answer_even_when_the_card_was_frozen_meanwhile() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        await world.put_card(card(state=CardState.FROZEN))
        assert code(await link.say("0101", purchase(1, 6000))) == "00"
        assert code(await link.say("0100", purchase(2, 100))) == "62"

    run(story())


def test_a_declined_request_stays_declined_when_repeated_after_a_refill() -> None:
    async def story() -> None:
        world = await World().open_with(1_000)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "51"
        world.hot.accounts["A1"].posted["840"] += 10_000
        assert code(await link.say("0101", purchase(1, 6000))) == "51"
        assert held(world) == 0

    run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"de4": "000000006001"}, {"de49": "978"}, {"de18": "5999"}, {"de41": "TERM0002"},
        {"de42": "MERCHANT0000002"}, {"de3": "010000"},
    ],
    ids=str,
)  # fmt: skip
def test_the_same_id_with_another_content_is_a_duplicate(change: dict[str, str]) -> None:
    async def story() -> None:
        world = await World().open_with(50_000)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        assert code(await link.say("0100", purchase(1, 6000, **change))) == "94"
        assert code(await link.say("0101", purchase(1, 6000))) == "00"
        assert held(world) == 6000

    run(story())


def test_a_frozen_card_is_frozen_from_the_very_next_message_on_every_engine() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        links = [world.link(), world.link(world.another_engine(name="e2"))]
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(1 + n, 100))) == "00"
        await world.put_card(card(state=CardState.FROZEN))
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(11 + n, 100))) == "62"
        await world.put_card(card())
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(21 + n, 100))) == "00"

    run(story())


def test_a_merchant_is_blocked_from_the_very_next_message() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 100))) == "00"
        world.hot.blocked = (1, frozenset({("merchant", "MERCHANT0000001")}))
        assert code(await link.say("0100", purchase(2, 100))) == "57"
        world.hot.blocked = (2, frozenset({("card", "C1")}))
        assert code(await link.say("0100", purchase(3, 100))) == "62"
        world.hot.blocked = (3, frozenset())
        assert code(await link.say("0100", purchase(4, 100))) == "00"

    run(story())


# -- reversals ----------------------------------------------------------------------

REFERRING = {
    "DE 90 in full": {},
    "DE 90 with zeros for acquirer and forwarder": {"zeros": True},
    "DE 90 all zeros but its MTI, DE 37 with 41 and 42": {"de90": "0100" + "0" * 38},
    "DE 37 with 41 and 42": {"de90": ""},
    "DE 37 alone": {"de90": "", "de41": "", "de42": ""},
}


@pytest.mark.parametrize("how", REFERRING)
@pytest.mark.parametrize("mti", ["0400", "0420"])
def test_a_reversal_finds_its_authorization_and_gives_back_everything(how: str, mti: str) -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=5, daily_amount_minor=9000)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        await link.say("0100", purchase(2, 1000))
        back = undo(purchase(1, 6000), how)
        assert code(await link.say(mti, back)) == "00"
        assert held(world) == 1000
        assert sorted(used(world).values()) == [1, 1000]

    run(story())


def undo(of: dict[int, str], how: str) -> dict[int, str]:
    changes = dict(REFERRING[how])
    if changes.pop("zeros", False):
        changes["de90"] = f"0100{of[11]}{of[7]}{'':0>22}"
    return reversal(of, **changes)


def test_a_reversal_by_approval_code_and_amount() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first = await link.say("0100", purchase(1, 6000, de37=""))
        approval = str(first[38])
        back = reversal(purchase(1, 6000, de37=""), de90="", de38=approval)
        assert code(await link.say("0400", back)) == "00"
        assert held(world) == 0

    run(story())


@pytest.mark.parametrize("how", REFERRING)
def test_a_reversal_that_comes_first_declines_its_authorization(how: str) -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=5)
        link = world.link()
        late = purchase(1, 6000)
        assert code(await link.say("0400", undo(late, how))) == "00"
        assert code(await link.say("0100", late)) == "05"
        assert code(await link.say("0101", late)) == "05"
        assert held(world) == 0
        assert used(world) == {}
        assert code(await link.say("0100", purchase(2, 6000))) == "00"

    run(story())


def test_a_reversal_five_times_in_every_shape_gives_back_once() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        await link.say("0100", purchase(1, 3000))
        await link.say("0100", purchase(2, 4000))
        back = reversal(purchase(1, 3000))
        for mti in ("0400", "0400", "0401", "0420", "0421"):
            assert code(await link.say(mti, back)) == "00"
        assert held(world) == 4000

    run(story())


def test_a_partial_reversal_leaves_what_remains() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000, daily_count=3)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        part = reversal(purchase(1, 6000), de95=f"{2500:012}".ljust(42, "0"))
        assert code(await link.say("0400", part)) == "00"
        assert held(world) == 2500
        assert sorted(used(world).values()) == [1, 2500]
        assert code(await link.say("0400", reversal(purchase(1, 6000), stan=901))) == "00"
        assert held(world) == 0
        assert used(world) == {}

    run(story())


def test_a_partial_reversal_that_comes_first_reduces_the_later_hold() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000)
        link = world.link()
        part = reversal(purchase(1, 6000), de95=f"{2500:012}".ljust(42, "0"))
        assert code(await link.say("0400", part)) == "00"
        assert code(await link.say("0100", purchase(1, 6000))) == "00"
        assert held(world) == 2500
        assert list(used(world).values()) == [2500]

    run(story())


EARLY = (
    {"de95": f"{2500:012}".ljust(42, "0")},  # by DE 90
    {"de90": "", "de95": f"{2000:012}".ljust(42, "0")},  # by DE 37 with 41 and 42
    {"de90": "", "de41": "", "de42": "", "de95": f"{3000:012}".ljust(42, "0")},  # by DE 37 alone
)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_reversals_under_different_references_fold_the_same_in_every_order(
    order: tuple[int, ...],
) -> None:
    """The third is the authorization itself: before, between and after its partial reversals."""

    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000)
        link = world.link()
        for step in order:
            if step == 3:
                assert code(await link.say("0100", purchase(1, 6000))) == "00"
            else:
                part = reversal(purchase(1, 6000), stan=901 + step, **EARLY[step])
                assert code(await link.say("0400", part)) == "00"
        assert held(world) == 2000
        assert list(used(world).values()) == [2000]
        assert len(world.hot.accounts["A1"].records) == 1

    run(story())


@pytest.mark.parametrize("early", [True, False])
def test_a_reversal_with_a_full_de90_leaves_the_retry_under_the_same_de37_alone(
    early: bool,
) -> None:
    """A terminal that got no answer takes its first try back and asks once more, same DE 37."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        first, retry = purchase(1, 6000), purchase(2, 6000, de37=f"{1:012}")
        if not early:
            assert code(await link.say("0100", retry)) == "00"
        assert code(await link.say("0400", reversal(first))) == "00"  # the first try never came
        if early:
            assert code(await link.say("0100", retry)) == "00"
        assert held(world) == 6000
        assert code(await link.say("0100", first)) == "05"

    run(story())


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("de49", "remains"), [("978", 2716), ("840", 2500), ("392", 5432)])
def test_a_partial_reversal_is_read_in_its_own_currency(
    de49: str, remains: int, early: bool
) -> None:
    """In the transaction's it is scaled, in the billing currency taken as it is; in a third
    it says nothing that could be applied, and the whole hold stays."""

    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        abroad = purchase(1, 5000, de49="978", de6=f"{5432:012}", de51="840")
        part = reversal(abroad, de49=de49, de95=f"{2500:012}".ljust(42, "0"))
        for mti, fields in [("0100", abroad), ("0400", part)][:: -1 if early else 1]:
            assert code(await link.say(mti, fields)) == "00"
        assert held(world) == remains

    run(story())


def test_a_reversal_of_a_card_that_is_not_ours_is_acknowledged() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        assert code(await link.say("0420", reversal(purchase(1, de2=OTHER_PAN)))) == "00"

    run(story())


def test_an_authorization_repeated_after_its_reversal_keeps_its_answer_and_holds_nothing() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        await link.say("0400", reversal(purchase(1, 6000)))
        assert code(await link.say("0101", purchase(1, 6000))) == "00"
        assert held(world) == 0

    run(story())


# -- time ---------------------------------------------------------------------------


def test_a_request_older_than_the_answer_window_is_refused_before_anything_is_written() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        edge = purchase(1, 100, at_ms=NOON - 3_600_000)
        over = purchase(2, 100, at_ms=NOON - 3_601_000)
        ahead = purchase(3, 100, at_ms=NOON + 301_000)
        assert code(await link.say("0100", edge)) == "00"
        written = len(world.hot.journal)
        assert code(await link.say("0100", over)) == "12"
        assert code(await link.say("0100", ahead)) == "12"
        assert len(world.hot.journal) == written

    run(story())


def test_the_date_is_the_stores_and_not_the_engines() -> None:
    """An engine whose clock is an hour behind reads DE 7, its year too, as its sisters do."""

    async def story() -> None:
        world = await World().open_with()
        world.clock.advance(-3600)
        world.engine.store_offset_ms = 3_600_000
        link = world.link()
        assert code(await link.say("0100", purchase(1, 100, at_ms=NOON + 200_000))) == "00"
        assert code(await link.say("0100", purchase(2, 100, at_ms=NOON - 3_601_000))) == "12"

    run(story())


def test_a_reversal_older_than_its_window_is_acknowledged_and_not_applied() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        await link.say("0100", purchase(1, 100))
        old = reversal(purchase(1, 100), at_ms=NOON - 8 * DAY_MS)
        assert code(await link.say("0400", old)) == "00"
        assert held(world) == 100
        assert world.hot.journal[-1][0] == "note"

    run(story())


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("UTC", "2026-03-22T23:59:59+00:00", "2026-03-23T00:00:00+00:00"),
        ("America/New_York", "2026-03-23T03:59:59+00:00", "2026-03-23T04:00:00+00:00"),
        ("Asia/Tokyo", "2026-03-22T14:59:59+00:00", "2026-03-22T15:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29T21:59:59+00:00", "2026-03-29T22:00:00+00:00"),  # 23 hours
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", "2026-10-25T23:00:00+00:00"),  # 25 hours
    ],
)
def test_a_day_ends_at_the_cardholders_midnight(zone: str, before: str, after: str) -> None:
    from datetime import datetime

    async def story() -> None:
        world = World()
        await world.put_account(account(time_zone=zone), 90_000)
        await world.put_card(card(daily_count=1))
        link = world.link()
        for n, (moment, expected) in enumerate([(before, "00"), (before, "65"), (after, "00")]):
            at_ms = int(datetime.fromisoformat(moment).timestamp() * 1000)
            world.clock._now_ms = world.hot.now_ms = at_ms
            assert code(await link.say("0100", purchase(n, 100, at_ms=at_ms))) == expected

    run(story())


def test_the_counter_falls_back_into_the_day_it_rose_in() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=1)
        link = world.link()
        await link.say("0100", purchase(1, 100))
        tomorrow = NOON + DAY_MS
        world.clock.advance(86_400)
        world.hot.now_ms = tomorrow
        await link.say("0100", purchase(2, 100, at_ms=tomorrow))
        assert used(world) == {"C1/day_count/20260322": 1, "C1/day_count/20260323": 1}
        await link.say("0400", reversal(purchase(1, 100), at_ms=tomorrow))
        assert used(world) == {"C1/day_count/20260323": 1}

    run(story())


# -- no reply in time -----------------------------------------------------------------


class Slow:
    """A hot state whose next authorization is carried out, and whose reply is lost."""

    def __init__(self, hot: object, *, run_first: bool) -> None:
        self._hot, self._run_first, self.lose = hot, run_first, 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._hot, name)

    async def authorize(self, act: object, timeout_s: float) -> object:
        if self.lose:
            self.lose -= 1
            if self._run_first:
                await self._hot.authorize(act, timeout_s)  # type: ignore[attr-defined]
            raise NoReply("no reply in time")
        return await self._hot.authorize(act, timeout_s)  # type: ignore[attr-defined]


@pytest.mark.parametrize("run_first", [True, False])
def test_after_a_lost_reply_comes_91_and_nothing_is_left_held(
    run_first: bool,
) -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=5)
        world.engine.hot = Slow(world.hot, run_first=run_first)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "91"
        [act] = world.spool.acts
        assert held(world) == (6000 if run_first else 0)
        assert await world.hot.withdraw(act) == ("released" if run_first else "marked")
        assert held(world) == 0
        assert used(world) == {}
        # A 91 is no verdict: the repeat is decided afresh, and reversible.
        assert code(await link.say("0101", purchase(1, 6000))) == "00"
        assert held(world) == 6000
        assert code(await link.say("0400", reversal(purchase(1, 6000)))) == "00"
        assert held(world) == 0

    run(story())


def test_a_repeat_that_was_answered_meanwhile_keeps_its_hold() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        world.engine.hot = Slow(world.hot, run_first=True)
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "91"
        assert code(await link.say("0101", purchase(1, 6000))) == "00"
        assert await world.hot.withdraw(world.spool.acts[0]) == "kept"
        assert held(world) == 6000

    run(story())


def test_when_nobody_got_the_answer_nothing_stays_held() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        slow = Slow(world.hot, run_first=True)
        slow.lose = 2
        world.engine.hot = slow
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "91"
        assert code(await link.say("0101", purchase(1, 6000))) == "91"
        said = [await world.hot.withdraw(act) for act in world.spool.acts]
        assert said == ["kept", "released"]
        assert held(world) == 0

    run(story())


def test_what_is_withdrawn_after_the_answers_life_is_released_all_the_same() -> None:
    """The store was away for longer than an answer is kept."""

    async def story() -> None:
        world = await World().open_with(10_000, daily_count=5)
        world.engine.hot = Slow(world.hot, run_first=True)
        assert code(await world.link().say("0100", purchase(1, 6000))) == "91"
        [act] = world.spool.acts
        world.hot.forget(act.message_id)
        assert await world.hot.withdraw(act) == "released"
        assert (held(world), used(world)) == (0, {})

    run(story())


def test_an_attempt_that_was_withdrawn_before_it_ran_does_not_run() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        slow = Slow(world.hot, run_first=False)
        world.engine.hot = slow
        kept: list[object] = []
        original = slow.authorize

        async def remember(act: object, timeout_s: float) -> object:
            kept.append(act)
            return await original(act, timeout_s)

        slow.authorize = remember  # type: ignore[method-assign]
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "91"
        assert await world.hot.withdraw(world.spool.acts[0]) == "marked"
        with pytest.raises(TooLate):
            await world.hot.authorize(kept[0])  # the late call arrives
        assert held(world) == 0

    run(story())


def test_while_too_much_waits_to_be_withdrawn_nothing_more_is_asked() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        world.spool.full = True
        assert code(await world.link().say("0100", purchase(1, 6000))) == "91"
        assert (world.hot.journal, world.spool.acts, held(world)) == ([], [], 0)
        world.spool.full = False
        assert code(await world.link().say("0101", purchase(1, 6000))) == "00"

    run(story())


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_hold_ends_after_the_days_that_are_configured(days: int) -> None:
    async def story() -> None:
        world = await World(settings=Settings(hold_days=days)).open_with(10_000)
        assert code(await world.link().say("0100", purchase(1, 6000))) == "00"
        assert list(world.hot.accounts["A1"].expiry.values()) == [(NOON + days * DAY_MS) // 1000]

    run(story())


@pytest.mark.parametrize("change", [{"de37": "999999999999"}, {"de38": "F00D42"}], ids=str)
def test_the_same_reversal_with_other_references_is_a_duplicate(change: dict[str, str]) -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        assert code(await link.say("0400", reversal(purchase(1, 6000)))) == "00"
        assert code(await link.say("0400", reversal(purchase(1, 6000), **change))) == "94"
        assert code(await link.say("0401", reversal(purchase(1, 6000)))) == "00"

    run(story())


# -- cards and accounts -----------------------------------------------------------------


def test_an_unknown_card_is_declined_remembered_and_journalled() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        stranger = purchase(1, 100, de2=OTHER_PAN)
        first = await link.send(encode("0100", stranger, link.settings.dialect))
        again = await link.send(encode("0100", stranger, link.settings.dialect))
        assert first == again
        assert [kind for kind, *_ in world.hot.journal] == ["note"]
        # Issued a moment later, it is found by its next message.
        await world.put_card(card("C2"), pan=OTHER_PAN)
        assert code(await link.say("0100", purchase(2, 100, de2=OTHER_PAN))) == "00"

    run(story())


def test_a_replaced_card_shares_the_limit_of_the_old_one_and_its_reversals_find_it() -> None:
    async def story() -> None:
        world = await World().open_with(50_000, daily_count=2)
        link = world.link()
        await link.say("0100", purchase(1, 6000))
        await world.put_card(card("C2", limit_subject="C1", daily_count=2), pan=OTHER_PAN)
        assert code(await link.say("0100", purchase(2, 100, de2=OTHER_PAN))) == "00"
        assert code(await link.say("0100", purchase(3, 100, de2=OTHER_PAN))) == "65"
        back = reversal(purchase(1, 6000), de2=OTHER_PAN)
        assert code(await link.say("0400", back)) == "00"
        assert held(world) == 100

    run(story())


def test_an_account_with_five_hundred_cards_has_one_balance() -> None:
    async def story() -> None:
        world = World()
        await world.put_account(account(), 100_000)
        link = world.link()
        approved = 0
        for n in range(500):
            pan = f"999998{n:010}"
            await world.put_card(card(f"C{n}"), pan=pan)
            approved += code(await link.say("0100", purchase(n, 300, de2=pan))) == "00"
        assert approved == 333
        assert held(world) == 99_900

    run(story())


def test_the_networks_own_billing_amount_is_what_is_held() -> None:
    async def story() -> None:
        world = await World().open_with(10_000)
        link = world.link()
        abroad = purchase(1, 5000, de49="978", de6=f"{5432:012}", de51="840")
        assert code(await link.say("0100", abroad)) == "00"
        assert held(world) == 5432
        # The reversal speaks of euros; the hold is scaled at the rate it was made at.
        half = reversal(abroad, de95=f"{2500:012}".ljust(42, "0"))
        assert code(await link.say("0400", half)) == "00"
        assert held(world) == 2716

    run(story())


@pytest.mark.parametrize(
    ("de4", "de49", "de6"), [(5000, "978", 0), (5000, "840", 0), (0, "978", 5), (5000, "840", 1)]
)
def test_a_billing_amount_cannot_make_a_purchase_an_account_check(
    de4: int, de49: str, de6: int
) -> None:
    async def story() -> None:
        world = await World().open_with(0)
        asked = purchase(1, de4, de49=de49, de6=f"{de6:012}", de51="840")
        assert code(await world.link().say("0100", asked)) == "30"

    run(story())


def test_a_retrieval_reference_of_zeros_names_nothing() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        zeros = "0" * 12
        await link.say("0420", reversal(purchase(1, 500, de37=zeros)))
        assert code(await link.say("0100", purchase(2, 500, de37=zeros))) == "00"
        assert code(await link.say("0100", purchase(1, 500, de37=zeros))) == "05"

    run(story())


def test_a_reversal_from_a_clock_that_is_ahead_is_applied() -> None:
    async def story() -> None:
        world = await World().open_with()
        link = world.link()
        await link.say("0100", purchase(1, 500))
        ahead = reversal(purchase(1, 500), at_ms=NOON + 3_600_000)
        assert code(await link.say("0400", ahead)) == "00"
        assert held(world) == 0

    run(story())


@pytest.mark.parametrize(
    ("currency", "opening", "amount"), [("392", 5000, 5000), ("414", 12_345, 12_345)]
)
def test_amounts_are_in_the_currencys_own_minor_units(
    currency: str, opening: int, amount: int
) -> None:
    async def story() -> None:
        world = World()
        await world.put_account(account(currency=currency), opening)
        await world.put_card(card())
        link = world.link()
        assert code(await link.say("0100", purchase(1, amount, de49=currency))) == "00"
        assert code(await link.say("0100", purchase(2, 1, de49=currency))) == "51"

    run(story())


def test_a_credit_line_counts_as_available() -> None:
    async def story() -> None:
        world = World()
        await world.put_account(account(credit_line_minor=5000), 1000)
        await world.put_card(card())
        link = world.link()
        assert code(await link.say("0100", purchase(1, 6000))) == "00"
        assert code(await link.say("0100", purchase(2, 1))) == "51"

    run(story())


@pytest.mark.parametrize("purpose", ["21", "40", "99"])
def test_a_purpose_that_is_no_spending_is_refused_as_unsupported(purpose: str) -> None:
    async def story() -> None:
        world = await World().open_with()
        answer = await world.link().say("0100", purchase(1, 100, de3=f"{purpose}0000"))
        assert code(answer) == "12"
        assert held(world) == 0

    run(story())


# -- advices, completions, single messages --------------------------------------------


def posted(world: World) -> int:
    """What has been posted against the opening funds of 100.00."""
    return 10_000 - int(world.hot.accounts["A1"].posted["840"])


@pytest.mark.parametrize("early", [True, False])
def test_an_advice_of_our_own_approval_makes_one_hold(early: bool) -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=5, daily_amount_minor=9000)
        link = world.link()
        asked = purchase(1, 6000)
        told = [("0100", asked), ("0120", advice_of(asked, 700))]
        for mti, fields in told[:: -1 if early else 1]:
            answer = await link.say(mti, fields)
            assert (answer.mti, code(answer)) == (f"{mti[:2]}{int(mti[2]) + 1}0", "00")
        assert held(world) == 6000
        assert sorted(used(world).values()) == [1, 6000]

    run(story())


def test_an_advice_is_held_beyond_the_funds_and_never_declined() -> None:
    async def story() -> None:
        world = await World().open_with(1_000, daily_amount_minor=100)
        link = world.link()
        assert code(await link.say("0120", advice_of(purchase(1, 6000), 700))) == "00"
        assert code(await link.say("0121", advice_of(purchase(1, 6000), 700))) == "00"
        assert held(world) == 6000
        assert code(await link.say("0100", purchase(2, 1))) == "61"

    run(story())


def test_an_advice_of_a_decline_holds_nothing() -> None:
    async def story() -> None:
        world = await World().open_with()
        told = advice_of(purchase(1, 6000), 700, de39="05")
        assert code(await world.link().say("0120", told)) == "00"
        assert held(world) == 0
        assert world.hot.journal[-1][0] == "note"

    run(story())


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("amount", [4000, 6000, 7500])
def test_a_completion_posts_what_it_says_and_ends_the_hold(amount: int, early: bool) -> None:
    """Below, equal to and above the hold; before its authorization and after it."""

    async def story() -> None:
        world = await World().open_with(10_000, daily_amount_minor=9000)
        link = world.link()
        asked = purchase(1, 6000)
        done = advice_of(asked, 700, de4=f"{amount:012}")
        for mti, fields in [("0100", asked), ("0220", done)][:: -1 if early else 1]:
            assert code(await link.say(mti, fields)) == "00"
        assert (held(world), posted(world)) == (0, amount)
        assert list(used(world).values()) == [amount]
        # The completion is taken back: the money returns, the hold does not.
        back = reversal(done, stan=901, at_ms=NOON + 90_000)
        back[90] = f"0220{done[11]}{done[7]}{'':0>22}"
        assert code(await link.say("0400", back)) == "00"
        assert (held(world), posted(world), used(world)) == (0, 0, {})

    run(story())


def test_a_force_post_needs_no_authorization() -> None:
    async def story() -> None:
        world = await World().open_with(1_000)
        assert code(await world.link().say("0220", advice_of(purchase(1, 6000), 700))) == "00"
        assert world.hot.accounts["A1"].posted["840"] == -5000

    run(story())


def test_a_financial_request_authorizes_and_posts_at_once() -> None:
    async def story() -> None:
        world = await World().open_with(10_000, daily_count=9)
        link = world.link()
        answer = await link.say("0200", purchase(1, 6000))
        assert (answer.mti, code(answer)) == ("0210", "00")
        assert code(await link.say("0201", purchase(1, 6000))) == "00"
        assert code(await link.say("0200", purchase(2, 6000))) == "51"
        assert (held(world), posted(world)) == (0, 6000)
        back = reversal(purchase(1, 6000))
        back[90] = "0200" + back[90][4:]
        assert code(await link.say("0400", back)) == "00"
        assert (posted(world), used(world)) == (0, {})

    run(story())


def test_a_refund_gives_and_its_reversal_takes_even_beyond_the_funds() -> None:
    async def story() -> None:
        world = await World().open_with(0, daily_amount_minor=100)
        link = world.link()
        refund = purchase(1, 6000, de3="200000")
        assert code(await link.say("0100", refund)) == "00"
        assert (held(world), world.hot.accounts["A1"].posted["840"]) == (0, 0)
        given = advice_of(refund, 700)
        assert code(await link.say("0220", given)) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 6000
        assert code(await link.say("0100", purchase(2, 50))) == "00"
        back = reversal(given, stan=901, at_ms=NOON + 90_000)
        back[90] = f"0220{given[11]}{given[7]}{'':0>22}"
        assert code(await link.say("0400", back)) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 0
        assert held(world) == 50

    run(story())


def test_a_financial_refund_posts_at_once() -> None:
    async def story() -> None:
        world = await World().open_with(0)
        assert code(await world.link().say("0200", purchase(1, 6000, de3="200000"))) == "00"
        assert world.hot.accounts["A1"].posted["840"] == 6000

    run(story())
