"""Clearing files become money: every outcome by example, and any file by a plain oracle."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import asyncpg
import pytest

from authz.app.clearing_resolve import bill
from authz.app.clearing_run import clear
from authz.app.looking import NotThere
from authz.judgement import put_policy
from ledger.clearing.errors import ClearingRefused
from ledger.clearing.outcome import FOR_A_PERSON, MEANING, Outcome
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import Kind
from tests.support.clearing import arn_of
from tests.support.engine import PAN, advice_of, code, purchase, reversal
from tests.support.office import NETWORK, NOBODYS, Office, at_desk, issue, office, record, rrn_of

KILLS = 3
ABROAD = """
version = "2"
[[fee]]
name = "abroad"
kind = "cross_border"
home = ["US"]
bp = 100
"""
ROOT = Path(__file__).parents[3]
Scene = Callable[[Office], Awaitable[None]]


@pytest.fixture
def at_office(fresh_redis: str, fresh_postgres: str, tmp_path: Path) -> Callable[..., None]:
    """Play a scene; hot state and books must be whole behind it."""

    def play(scene: Scene, **options: Any) -> None:
        async def run() -> None:
            async with office(fresh_redis, fresh_postgres, tmp_path, **options) as it:
                await scene(it)
                await it.check()

        asyncio.run(run())

    return play


# What is held, what the file says of it, and what that is called. The account had 1,000.00.
PURCHASES = """
held   cleared   outcome         posted  still held
5000   5000      cleared           5000           0
5000   4000      cleared_below     4000           0
5000   6000      cleared_above     6000           0
0      5000      forced            5000           0
"""


def test_a_purchase_is_posted_below_at_and_above_its_hold(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        rows = [line.split() for line in PURCHASES.strip().splitlines()[1:]]
        items, expected, posted = [], {}, 0
        for stan, (held, amount, outcome, took, still) in enumerate(rows, 1):
            if int(held):
                await it.buy(stan, int(held))
            items.append(record(stan, int(amount), rrn=rrn_of(stan)))
            expected[stan] = outcome
            posted += int(took)
            assert int(still) == 0
        assert await it.clear(items) == expected
        assert await it.funds() == (100_000 - posted, 0)
        assert (await it.check())["network", NETWORK, "840"] == -posted

    at_office(scene)


def test_several_clearings_of_one_hold_in_any_order(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 9000)
        last = record(3, 3000, rrn=rrn_of(1), clearing_number=3, clearing_count=3)
        first = record(1, 2000, rrn=rrn_of(1), clearing_number=1, clearing_count=3)
        second = record(2, 2500, rrn=rrn_of(1), clearing_number=2, clearing_count=3)
        assert await it.clear([last, first]) == {3: "cleared_part", 1: "cleared_part"}
        assert await it.funds() == (95_000, 4000)
        assert await it.clear([second]) == {2: "cleared_part"}
        assert await it.funds() == (92_500, 0)

    at_office(scene)


def test_what_comes_after_its_hold_has_ended_is_posted_and_shown(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        fields = purchase(1, 5000, at_ms=it.world.clock.now_ms())
        assert (
            code(await it.link.say("0400", reversal(fields, at_ms=it.world.clock.now_ms()))) == "00"
        )
        assert await it.funds() == (100_000, 0)
        assert await it.clear([record(1, 5000, rrn=rrn_of(1))]) == {1: "cleared_late"}
        assert await it.funds() == (95_000, 0)
        [row] = await it.cleared.listed(10)
        assert (row["outcome"], row["account_id"]) == ("cleared_late", "A1")

    at_office(scene)


def test_an_approval_code_alone_finds_another_amount_too(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        now_ms = it.world.clock.now_ms()
        codes = []
        for stan in (1, 2):
            answer = await it.link.say("0100", purchase(stan, 5000, at_ms=now_ms))
            codes.append(answer[38])
        items = [
            record(1, 5600, approval_code=codes[0]),
            record(2, 4000, approval_code=codes[1].lower()),
            record(3, 5000, approval_code="NOT1ED"),
        ]
        assert await it.clear(items) == {1: "cleared_above", 2: "cleared_below", 3: "forced"}
        assert await it.funds() == (100_000 - 14_600, 0)
        details = await it.connection.fetch("SELECT detail FROM clearing_item WHERE record < 4")
        assert {row[0] for row in details} == {"beyond", "de38 alone"}

    at_office(scene)


def test_what_no_card_of_ours_has_is_in_the_unmatched_account(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        items = [
            record(1, 700, pan=NOBODYS),
            record(2, 300, pan=NOBODYS, kind=Kind.REFUND),
            record(3, 50, kind=Kind.FEE, pan=NOBODYS),
            record(4, 900, kind=Kind.SECOND_PRESENTMENT, of=Kind.PRESENTMENT),
            record(5, 800, settlement_minor=740, settlement_currency="978", pan=NOBODYS),
        ]
        said = await it.clear(items)
        assert said == {
            1: "unmatched", 2: "unmatched", 3: "fee", 4: "represented", 5: "unmatched",
        }  # fmt: skip
        books = await it.check()
        assert books["unmatched", "", "840"] == 400
        assert books["unmatched", "", "978"] == 740
        assert books["fees", "", "840"] == 50
        assert books["disputes", "", "840"] == 900
        assert books["network", NETWORK, "840"] == -400 - 50 - 900
        assert books["network", NETWORK, "978"] == -740
        assert await it.funds() == (100_000, 0)

    at_office(scene)


def test_refunds_chargebacks_and_what_takes_them_back(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        arn = arn_of(1)
        items = [record(1, 5000, rrn=rrn_of(1)), record(2, 400, kind=Kind.REFUND)]
        assert await it.clear(items) == {1: "cleared", 2: "refunded"}
        assert await it.funds() == (95_400, 0)
        charged = {"kind": Kind.CHARGEBACK, "of": Kind.PRESENTMENT}
        dispute = record(3, 5000, arn=arn, reference="7", **charged)
        back = record(4, 5000, arn=arn, reference="7", reversal=True, **charged)
        assert await it.clear([back, dispute]) == {3: "charged_back", 4: "reversed"}
        assert await it.funds() == (95_400, 0)
        assert await it.clear([record(5, 1500, arn=arn, reversal=True)]) == {5: "reversed"}
        assert await it.funds() == (96_900, 0)
        # So much is not left of it; and of that nothing was ever cleared.
        too_much = record(6, 4000, arn=arn, reversal=True, clearing_number=1)
        unknown = record(7, 100, reversal=True)
        assert await it.clear([too_much, unknown]) == {6: "unmatched", 7: "unmatched"}
        rest = record(8, 3500, arn=arn, reversal=True, clearing_number=2)
        assert await it.clear([rest]) == {8: "reversed"}
        assert await it.funds() == (100_400, 0)
        books = await it.check()
        assert books["network", NETWORK, "840"] == 400 + 4100
        assert books["unmatched", "", "840"] == -4100

    at_office(scene)


def test_the_same_file_and_the_same_record_move_nothing_again(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        items = [record(1, 5000, rrn=rrn_of(1)), record(2, 700, pan=NOBODYS)]
        path = it.file(items)
        first = await it.clear_file(path, items)
        before = await it.check()
        assert await it.clear_file(path, items) == first == {1: "cleared", 2: "unmatched"}
        # The same records in another file, beside a new one.
        more = [items[1], record(3, 100), items[0]]
        assert await it.clear(more) == {2: "repeated", 3: "forced", 1: "repeated"}
        # The same ARN with another amount is no repeat: the network settles it, so it is kept.
        other = record(1, 4999, rrn=rrn_of(1))
        assert await it.clear([other]) == {1: "unmatched"}
        assert await it.clear([other, record(9, 1)]) == {1: "repeated", 9: "forced"}
        books = await it.check()
        moved = books["network", NETWORK, "840"] - before["network", NETWORK, "840"]
        assert moved == -100 - 4999 - 1
        assert await it.funds() == (94_899, 0)

    at_office(scene)


def test_settled_in_another_currency_it_goes_through_the_fx_position(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        abroad = {"billing_minor": 5500, "billing_currency": "840", "transaction_currency": "978"}
        settled = {"settlement_minor": 5000, "settlement_currency": "978"}
        same = {"settlement_minor": 990, "settlement_currency": "840"}
        items = [
            record(1, 5000, **abroad, **settled),
            record(2, 1000, **same),
            record(3, 5000, **abroad, **settled, arn=arn_of(1), reversal=True),
        ]
        assert await it.clear(items[:2]) == {1: "forced", 2: "forced"}
        books = await it.check()
        assert books["network", NETWORK, "978"] == -5000
        assert books["fx_position", "", "978"] == 5000
        assert books["fx_position", "", "840"] == -5500
        assert books["network", NETWORK, "840"] == -990
        assert books["fx_income", "", "840"] == -10
        assert await it.clear(items[2:]) == {3: "reversed"}
        books = await it.check()
        assert ("network", NETWORK, "978") not in books
        assert ("fx_position", "", "840") not in books
        assert await it.funds() == (99_000, 0)

    at_office(scene)


def test_without_a_rate_nobody_is_billed(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        assert await it.clear([record(1, 5000, transaction_currency="978")]) == {1: "unmatched"}
        assert await it.funds() == (100_000, 0)
        [row] = await it.cleared.listed(10)
        assert row["detail"] == "no rate"

    at_office(scene)


def test_where_the_file_posts_messages_only_hold(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.buy(1, 5000, "0200")
        assert await it.funds() == (100_000, 5000)
        await it.buy(2, 3000)
        bill = advice_of(purchase(2, 3000, at_ms=it.world.clock.now_ms()), 3, de4=f"{3600:012}",
                         at_ms=it.world.clock.now_ms())  # fmt: skip
        assert code(await it.link.say("0220", bill)) == "00"
        assert await it.funds() == (100_000, 8600)
        part = advice_of(
            purchase(1, 5000), 4, at_ms=it.world.clock.now_ms(), de71="0001", de72="0002"
        )
        assert code(await it.link.say("0220", part)) == "00"
        assert await it.funds() == (100_000, 8600)
        items = [record(1, 5000, rrn=rrn_of(1)), record(2, 3600, rrn=rrn_of(2))]
        assert await it.clear(items) == {1: "cleared", 2: "cleared"}
        assert await it.funds() == (91_400, 0)

    at_office(scene)


def test_where_messages_post_the_file_only_compares(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        now_ms = it.world.clock.now_ms()
        await it.buy(1, 5000, "0200")
        await it.buy(2, 3000)
        bill = advice_of(purchase(2, 3000, at_ms=now_ms), 3, de4=f"{3600:012}", at_ms=now_ms)
        assert code(await it.link.say("0220", bill)) == "00"
        await it.buy(4, 800)  # held, and never completed
        before = await it.check()
        items = [
            record(1, 5000, rrn=rrn_of(1)),
            record(2, 3600, rrn=rrn_of(2)),
            record(3, 3600, rrn=rrn_of(2)),
            record(4, 800, rrn=rrn_of(4)),
            record(5, 5000, rrn=rrn_of(5)),
            record(6, 700, pan=NOBODYS),
        ]
        assert await it.clear(items) == {
            1: "agrees", 2: "agrees", 3: "differs", 4: "missing_online", 5: "missing_online",
            6: "missing_online",
        }  # fmt: skip
        assert await it.clear([record(7, 5000, rrn=rrn_of(1))]) == {7: "differs"}
        undone = reversal(purchase(1, 5000, at_ms=now_ms), at_ms=now_ms)
        undone[90] = "0200" + undone[90][4:]
        assert code(await it.link.say("0400", undone)) == "00"
        back = [
            record(8, 5000, rrn=rrn_of(1), reversal=True),
            record(9, 3600, rrn=rrn_of(2), reversal=True),
        ]
        assert await it.clear(back) == {8: "agrees", 9: "differs"}
        after = await it.check()
        assert after["network", NETWORK, "840"] == before["network", NETWORK, "840"] + 5000
        # Disputes have no online message anywhere: the file moves them.
        dispute = record(10, 3600, kind=Kind.CHARGEBACK, of=Kind.PRESENTMENT, arn=arn_of(2))
        assert await it.clear([dispute]) == {10: "charged_back"}
        assert await it.funds() == (100_000, 800)

    at_office(scene, by_file=frozenset())


def test_killed_anywhere_and_run_again_it_is_posted_once(at_office: Any) -> None:
    """SIGKILL at seeded steps: while the file is written down, between asking and being answered,
    before and after outcomes are kept."""

    async def scene(it: Office) -> None:
        random, posted = Random(20_261_121), 0
        for number in range(KILLS):
            first = 1 + 100 * number
            for stan in range(first, first + 20):
                await it.buy(stan, 100)
            items = [record(stan, 100, rrn=rrn_of(stan)) for stan in range(first, first + 20)]
            items += [record(first + n, 50, pan=NOBODYS) for n in range(20, 25)]
            items += [record(first + n, 30, arn=arn_of(first + n - 25), reversal=True)
                      for n in range(25, 30)]  # fmt: skip
            path, steps = it.file(items), str(random.randint(1, 34))
            words = ("-m", "tests.support.doomed_clearing", it.url, it.dsn, str(path), steps)
            doomed = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
            assert await asyncio.wait_for(doomed.wait(), 30) == -signal.SIGKILL
            said = await it.outcomes(path)
            assert said == {"cleared": 20, "unmatched": 5, "reversed": 5}
            posted += 20 * 100 - 5 * 30
            assert await it.funds() == (100_000 - posted, 0)
        books = await it.check()
        assert books["network", NETWORK, "840"] == -posted - KILLS * 5 * 50

    at_office(scene)


def test_no_more_is_taken_back_than_there_is_by_whatever_card(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await issue(it.world, 5000, 2, NOBODYS)
        assert await it.clear([record(1, 1000), record(2, 10, pan=NOBODYS)]) == {
            1: "forced", 2: "forced",
        }  # fmt: skip
        items = [
            record(1, 600, reversal=True),
            record(1, 700, reversal=True, pan=NOBODYS),
        ]
        said = await it.outcomes(it.file(items))
        assert said == {"reversed": 1, "unmatched": 1}
        assert await it.funds() == (100_000 - 1000 + 600, 0)
        books = await it.check()
        assert books["network", NETWORK, "840"] == -1000 - 10 + 600 + 700

    at_office(scene)


def test_what_finds_no_room_to_be_taken_back_is_unmatched_every_time(at_office: Any) -> None:
    """Also where what could not be posted was asked in the shard that the movement goes to."""

    async def scene(it: Office) -> None:
        await it.buy(1, 50_000)
        parts = [
            record(n, 100, rrn=rrn_of(1), clearing_number=n % 90, clearing_count=98)
            for n in range(1, 121)
        ]
        back = [record(n, 100, reversal=True, clearing_number=n % 90) for n in range(1, 121)]
        assert await it.outcomes(it.file(parts)) == {"cleared_part": 120}
        said = await it.outcomes(it.file(back))
        assert said["unmatched"] > 30  # some of them in the account's shard
        assert said == {"reversed": 120 - said["unmatched"], "unmatched": said["unmatched"]}
        books = await it.check()
        assert books["unmatched", "", "840"] == -100 * said["unmatched"]
        assert ("network", NETWORK, "840") not in books

    at_office(scene)


def test_a_card_that_came_while_a_file_was_cut_short_is_not_billed_besides(at_office: Any) -> None:
    """What is in the unmatched account is not posted on a card as well."""

    def cut(place: str) -> None:
        if place == "posted":
            raise KeyboardInterrupt

    async def scene(it: Office) -> None:
        items = [record(number, 1000, pan=NOBODYS) for number in range(1, 5)]
        with pytest.raises(KeyboardInterrupt):
            await it.clear(items, cut)
        await issue(it.world, 5000, 2, NOBODYS)
        assert await it.clear(items) == dict.fromkeys(range(1, 5), "unmatched")
        details = await it.connection.fetch("SELECT DISTINCT detail FROM clearing_item")
        assert [row[0] for row in details] == ["no card of ours"]
        books = await it.check()
        assert books["network", NETWORK, "840"] == -4000
        assert books["open", "A2", "840"] == -5000

    at_office(scene)


@pytest.mark.parametrize("answers", ["kept", "gone"])
def test_a_price_that_went_while_a_file_was_cut_short_posts_nothing_besides(
    at_office: Any, answers: str
) -> None:
    """What is posted on a card is not in the unmatched account as well."""

    def cut(place: str) -> None:
        if place == "posted":
            raise KeyboardInterrupt

    async def scene(it: Office) -> None:
        await it.buy(1, 5000)
        await it.buy(2, 5000)
        items = [
            record(1, 5000, rrn=rrn_of(1)),
            record(2, 4000, rrn=rrn_of(2)),
            record(3, 15_000),
            record(4, 700, kind=Kind.REFUND),
            record(5, 300, kind=Kind.CHARGEBACK, of=Kind.PRESENTMENT, arn=arn_of(3)),
            record(6, 90, pan=NOBODYS),
        ]
        posted = {1: "cleared", 2: "cleared_below", 3: "forced", 4: "refunded", 6: "unmatched"}
        for expected in (posted, {5: "charged_back"}):
            mine = [item for item in items if item.record in expected]
            path = it.file(mine)
            with pytest.raises(KeyboardInterrupt):
                await it.outcomes(path, cut)
            before = await it.check()
            if answers == "gone":
                for key in [key async for key in it.client.scan_iter("authz:{*}:answer:*")]:
                    await it.client.delete(key)
            with mock.patch("authz.app.clearing_acts.has_price", return_value=False):
                assert await it.clear_file(path, mine) == expected
            assert await it.check() == before
        billed = await it.connection.fetch(
            "SELECT billed_minor, billed_currency FROM clearing_item WHERE outcome <> 'unmatched' "
            "ORDER BY 1"
        )
        assert [*map(tuple, billed)] == [(minor, "840") for minor in (300, 700, 4000, 5000, 15_000)]
        assert before["network", NETWORK, "840"] == -24_000 + 700 + 300 - 90
        # What nobody had posted has no price, as ever.
        with mock.patch("authz.app.clearing_acts.has_price", return_value=False):
            assert await it.clear([record(7, 60)]) == {7: "unmatched"}

    at_office(scene)


def test_gone_on_with_after_its_answers_have_gone_it_moves_nothing_again(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        def stop(place: str) -> None:
            if place == "posted":
                raise KeyboardInterrupt

        items = []
        for stan, (held, amount) in enumerate([(5000, 5000), (5000, 4000), (5000, 6000)], 1):
            await it.buy(stan, held)
            items.append(record(stan, amount, rrn=rrn_of(stan)))
        items += [record(4, 700), record(5, 300, pan=NOBODYS)]
        items += [record(6, 90, kind=Kind.REFUND, rrn=rrn_of(1))]  # which names the purchase
        path = it.file(items)
        with pytest.raises(KeyboardInterrupt):
            await it.outcomes(path, stop)
        before = await it.check()
        for key in [key async for key in it.client.scan_iter("authz:{*}:answer:*")]:
            await it.client.delete(key)
        assert await it.clear_file(path, items) == {
            1: "cleared", 2: "cleared_below", 3: "cleared_above", 4: "forced", 5: "unmatched",
            6: "refunded",
        }  # fmt: skip
        assert await it.check() == before
        assert await it.funds() == (100_000 - 15_700 + 90, 0)

    at_office(scene)


def test_gone_on_with_under_other_fees_it_keeps_the_price_that_was_posted(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        def stop(place: str) -> None:
            if place == "posted":
                raise KeyboardInterrupt

        path = it.file([record(1, 5000, merchant_country="FR")])
        with pytest.raises(KeyboardInterrupt):
            await it.outcomes(path, stop)
        assert await it.funds() == (95_000, 0)
        await put_policy(it.client, ABROAD, "test")
        await it.desk.engine.keep_up(10)
        assert await it.outcomes(path) == {"forced": 1}
        assert await it.funds() == (95_000, 0)
        assert await it.connection.fetchval("SELECT billed_minor FROM clearing_item") == 5000
        # From now on a merchant abroad costs one percent more, which a reversal gives back.
        assert await it.clear([record(2, 5000, merchant_country="FR")]) == {2: "forced"}
        assert await it.funds() == (89_950, 0)
        back = record(3, 2500, arn=arn_of(2), reversal=True)
        assert await it.clear([back]) == {3: "reversed"}
        books = await it.check()
        assert await it.funds() == (92_475, 0)
        assert books["cross_border", "", "840"] == -25
        assert books["network", NETWORK, "840"] == -7500

    at_office(scene)


def test_a_person_bills_what_was_nobodys(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        represented = {"kind": Kind.SECOND_PRESENTMENT, "of": Kind.PRESENTMENT}
        items = [
            record(1, 700, pan=NOBODYS, settlement_minor=640, settlement_currency="978"),
            record(2, 900, **represented),
            record(3, 200, pan=NOBODYS, reversal=True),
            record(4, 800),
        ]
        assert await it.outcomes(it.file(items)) == {"unmatched": 2, "represented": 1, "forced": 1}
        file_id = await it.connection.fetchval("SELECT file_id FROM clearing_file")
        with pytest.raises(NotThere, match="not in the books yet"):
            await bill(it.desk, file_id, 2, "C1", "jdoe")
        before = await it.check()
        assert before["unmatched", "", "978"] == 640
        with pytest.raises(NotThere, match="it is forced"):
            await bill(it.desk, file_id, 5, "C1", "jdoe")
        with pytest.raises(NotThere, match="no such"):
            await bill(it.desk, file_id, 2, "C7", "jdoe")
        # Killed between its two acts, it is said again for the same card, and for no other.
        with mock.patch.object(it.desk.engine.hot, "apply", side_effect=KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                await bill(it.desk, file_id, 2, "C1", "jdoe")
        assert not await it.cleared.resolve(file_id, 2, "jdoe: half of it is not all")
        await issue(it.world, 0, 2, "9999980000000002")
        with pytest.raises(NotThere, match="begun for card C1"):
            await bill(it.desk, file_id, 2, "C2", "jdoe")
        for line, paid in ((2, 700), (3, 900), (4, -200)):
            assert await bill(it.desk, file_id[:12], line, "C1", "jdoe") == ("A1", paid, "840")
            with pytest.raises(NotThere, match="resolved before"):
                await bill(it.desk, file_id, line, "C1", "jdoe")
        after = await it.check()
        assert await it.funds() == (100_000 - 800 - 700 - 900 + 200, 0)
        assert not {"unmatched", "disputes"} & {role for role, _, _ in after}
        for currency in ("840", "978"):
            of = "network", NETWORK, currency
            assert after[of] == before[of]  # it is owed the same, by somebody else

    at_office(scene)


def test_one_clears_at_a_time(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        assert await it.cleared.lock()
        with pytest.raises(AssertionError):
            async with at_desk(it.url, it.dsn):
                pass

    at_office(scene)


def test_what_was_cut_short_is_gone_on_with_by_the_next_file(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        def stop(place: str) -> None:
            if place == "planned":
                raise KeyboardInterrupt

        path = it.file([record(1, 500)])
        with pytest.raises(KeyboardInterrupt):
            await it.outcomes(path, stop)
        assert await it.funds() == (100_000, 0)
        assert await it.outcomes(it.file([record(2, 300)])) == {"forced": 1}
        assert await it.funds() == (99_200, 0)
        assert await it.cleared.unfinished() == []

    at_office(scene)


def test_a_damaged_file_posts_nothing(at_office: Any) -> None:
    """Cut, its trailer wrong, or changed between its two readings."""

    async def scene(it: Office) -> None:
        whole = it.file([record(1, 500), record(2, 300)])
        lines = whole.read_text().splitlines(keepends=True)
        for damaged in (lines[:-1], [*lines[:2], *lines[3:]], [*lines, lines[1]]):
            whole.write_text("".join(damaged))
            with pytest.raises(ClearingRefused):
                await it.outcomes(whole)
        whole.write_text("".join(lines))
        file = read_clearing(whole)
        whole.write_text("".join(lines).replace("TERM0001", "TERM0002"))
        with pytest.raises(ClearingRefused, match="changed"):
            await clear(it.desk, file, NETWORK)
        assert await it.connection.fetchval("SELECT count(*) FROM clearing_item") == 0
        assert await it.cleared.file(file.file_id) is None
        assert await it.funds() == (100_000, 0)

    at_office(scene)


def test_a_bad_record_is_refused_alone_and_listed(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        path = it.file([record(1, 500), record(2, 300)])
        path.write_text(path.read_text().replace(arn_of(2), arn_of(2)[:-1] + "x"))
        assert await it.outcomes(path) == {"forced": 1, "refused": 1}
        by_outcome = {row["outcome"]: row for row in await it.cleared.listed(10)}
        assert by_outcome["refused"]["record"] == 3
        assert by_outcome["refused"]["detail"].startswith("arn: ")
        assert await it.cleared.count_open() == {"forced": 1, "refused": 1}
        file_id = by_outcome["refused"]["file_id"]
        assert await it.cleared.resolve(file_id[:12], 3, "jdoe: asked for it again")
        assert not await it.cleared.resolve(file_id[:12], 3, "jdoe: once more")
        assert await it.cleared.count_open() == {"forced": 1}

    at_office(scene)


def test_an_outcome_stays_what_it_is(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.clear([record(1, 500)])
        for change in ("outcome = 'cleared'", "transaction_minor = 1", "told = ''"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await it.connection.execute(f"UPDATE clearing_item SET {change}")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await it.connection.execute("DELETE FROM clearing_item")

    at_office(scene)


def test_no_card_number_is_kept_anywhere(at_office: Any) -> None:
    async def scene(it: Office) -> None:
        await it.clear([record(1, 500), record(2, 70, pan=NOBODYS)])
        await it.balances()
        for table in ("clearing_item", "journal_entry", "movement", "clearing_file"):
            for row in await it.connection.fetch(f"SELECT * FROM {table}"):
                for value in row.values():
                    text = value if isinstance(value, bytes) else str(value).encode()
                    assert PAN.encode() not in text, table
                    assert NOBODYS.encode() not in text, table

    at_office(scene)


def test_every_outcome_says_whether_money_moved() -> None:
    moves = {outcome for outcome in Outcome if not MEANING[outcome].startswith("nothing moved")}
    stays = {"agrees", "differs", "missing_online", "repeated", "refused"}
    assert {str(outcome) for outcome in set(Outcome) - moves} == stays


def test_the_documentation_has_every_outcome() -> None:
    text = (ROOT / "docs" / "clearing.md").read_text()
    for outcome in Outcome:
        person = "yes" if outcome in FOR_A_PERSON else ""
        assert f"| `{outcome}` | {MEANING[outcome]} | {person} |" in text
