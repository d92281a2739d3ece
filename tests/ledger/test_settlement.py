"""What is told of an item, what a batch comes to, and the entry that settles it: all pure."""

from collections import Counter
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book import Lines, add_movement
from ledger.chart import sums
from ledger.journal import AdviceBody, CloseBody, LedgerBody, WithdrawalBody, encode_body
from ledger.settlement import NOTHING_TOLD, Key, Told, fees_of, minor, told_of
from ledger.settlement_entry import Conversion, Settling, movement, read_settled
from ledger.settlement_page import Found, counters_of, line_of_fees
from tests.ledger.test_book import AT, Journal, reversal
from tests.ledger.test_book import told as authorization

DAY = date(2026, 11, 20)
KEY = Key("visa", "acme", "840", DAY, 1_795_212_000_000, date(2026, 11, 23), 1)
EXPONENTS = {"840": 2, "392": 0, "048": 3}
money = st.integers(-(10**12), 10**12)


def test_an_id_says_what_the_batch_is_of() -> None:
    assert KEY.id == "20261120-2200Z.t1.visa.acme.840"
    odd = KEY._replace(program="Größe, GmbH", network="n" * 30)
    assert len(odd.id) <= 64
    assert odd.id != odd._replace(program="Größe, AG").id
    assert odd.id == odd._replace().id


@given(st.integers(-(10**15), 10**15))
def test_millionths_are_rounded_half_to_even(micro: int) -> None:
    exact = (Decimal(micro) / 1_000_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert minor(micro) == int(exact)


def test_what_bodies_tell() -> None:
    told = authorization(mcc="5812", bin="411111", card_present=True)
    expected = Told(bin="411111", mcc="5812", card_present=True)
    assert told_of(told) == expected
    assert told_of(AdviceBody(told, "post", True, "", ())) == expected
    assert told_of(CloseBody("x")) == told_of(WithdrawalBody("x")) == told_of(None) == NOTHING_TOLD
    facts = (("bin", "411111"), ("mcc", "5812"), ("arn", "7"), ("fees", "?"))
    body = LedgerBody("unmatched", "r1", "ann", (), facts)
    assert told_of(body) == Told(bin="411111", mcc="5812", reference="7", what="unmatched")


def test_whatever_a_body_says_it_fits_its_columns() -> None:
    facts = (("mcc", "a\0bc"), ("arn", "7\0" * 99), ("fees", "interchange,-1,5,840,-1 00,1,2,,6"))
    told = told_of(LedgerBody("fee\n", "r", "ann", (), facts))
    assert (told.mcc, told.reference, told.what) == ("", "7" * 32, "fee")
    assert told.fees == (("interchange", -1, 5, "840", -1), ("00", 1, 2, "", 6))
    for fees in ("x", "x,1,2", "a,b,c,d,e", "interchange,-1,5,840,1.5"):
        assert told_of(LedgerBody("fee", "r", "ann", (), (("fees", fees),))).fees == ()


def test_what_is_longer_than_a_bin_is_none() -> None:
    for text in ("4111111111111111", "41111", "41111x", "４11111"):
        assert told_of(LedgerBody("fee", "r", "ann", (), (("bin", text),))).bin == ""


# A fee as told, the item's currency, and its millionths: interchange, others; and left out.
FEES = [
    (("interchange", -1, 12, "840", -1), "840", (12_000_000, 0, 0)),
    (("interchange", 1, 12, "840", -1), "840", (-12_000_000, 0, 0)),
    (("00", -1, 12, "840", -1), "840", (12_000_000, 0, 0)),
    (("07", -1, 12, "840", -1), "840", (0, 12_000_000, 0)),
    (("interchange", -1, 123_456, "", 6), "840", (12_345_600, 0, 0)),
    (("interchange", -1, 123_456, "", 6), "392", (123_456, 0, 0)),
    (("interchange", -1, 123_456, "048", 6), "048", (123_456_000, 0, 0)),
    (("interchange", 0, 12, "840", -1), "840", (0, 0, 1)),
    (("interchange", -1, 12, "978", -1), "840", (0, 0, 1)),
    (("interchange", -1, 10**12, "840", -1), "840", (0, 0, 1)),
    (("interchange", -1, 10**400, "840", 10**9), "840", (0, 0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("fee", "currency", "expected"), FEES, ids=str)
def test_fees_told(
    fee: tuple[str, int, int, str, int], currency: str, expected: tuple[int, int, int]
) -> None:
    found = fees_of(Told(fees=(fee, fee)), currency, EXPONENTS)
    assert (found.interchange_micro, found.fees_micro, found.uncounted) == tuple(
        2 * n for n in expected
    )
    assert found.told == (not found.uncounted)


def booked(body: LedgerBody) -> dict[tuple[str, str], int]:
    """By role and currency, as the book takes it in; balanced, or it would not."""
    again = msgspec.msgpack.decode(encode_body(body), type=LedgerBody)
    lines = Lines()
    add_movement(lines, again)
    postings = lines.done()
    assert not sums(postings)
    found: Counter[tuple[str, str]] = Counter()
    for account, amount in postings:
        assert account.program == "acme"
        found[account.role, account.currency] += amount
    return dict(found)


@given(money, st.integers(0, 10**9), st.integers(-(10**9), 10**9), st.integers(-1000, 1000))
def test_a_settlement_leaves_the_network_with_nothing(
    net: int, interchange: int, fees: int, short: int
) -> None:
    s = Settling(net, interchange, fees)
    assert s.due_minor == net + interchange + fees
    found = booked(movement("b", KEY, s, s.due_minor - short, "ann"))
    expected = {"network": -net, "interchange": -interchange, "fees": -fees,
                "bank": s.due_minor - short, "disputes": short}  # fmt: skip
    assert found == {(role, "840"): amount for role, amount in expected.items() if amount}


@given(money, st.integers(0, 10**6), money, st.integers(0, 10**6), money, money, money)
def test_a_settlement_in_another_currency_sums_to_zero_in_both(
    net: int, interchange: int, converted: int, cost: int, part: int, closed: int, counter: int
) -> None:
    s = Settling(net, interchange, 0)
    c = Conversion("a", "978", "1.5", s.due_minor, converted, cost, part, 0, closed, counter, ())
    moved = converted - cost
    found = booked(movement("b", KEY, s, moved, "ann", c))
    assert found.get(("network", "840"), 0) == -net
    assert found.get(("fx_position", "840"), 0) == net
    assert found.get(("bank", "978"), 0) == moved
    assert found.get(("interchange", "978"), 0) == -part
    assert ("disputes", "978") not in found


def test_a_position_that_we_opened_is_closed_and_what_is_left_is_income() -> None:
    """Bought for 110.00 of ours: 100.00 of theirs, for which the bank takes 108.00 and 0.50."""
    c = Conversion("a", "978", "1.08", -10_000, -10_800, 50, 0, 0, -10_800, -11_000, ())
    found = booked(movement("b", KEY, Settling(-10_000, 0, 0), -10_850, "ann", c))
    assert found == {
        ("network", "840"): 10_000,
        ("fx_position", "840"): -10_000,
        ("fx_position", "978"): 11_000,
        ("bank", "978"): -10_850,
        ("fx_income", "978"): -150,
    }


def test_what_a_settlement_says_is_read_back() -> None:
    offers = (("a", "1.08", -10_800, 50, -10_850), ("b", "1.1", -11_000, 0, -11_000))
    c = Conversion("a", "978", "1.08", -10_000, -10_800, 50, 0, 0, 0, 0, offers)
    settled = read_settled(movement("b", KEY, Settling(-10_000, 0, 0), -10_850, "ann", c))
    assert settled is not None
    assert (settled.moved_minor, settled.currency) == (-10_850, "978")
    assert settled.route == ("a", "978", "1.08", -10_000, -10_800, 50)
    assert settled.offers == offers
    plain = read_settled(movement("b", KEY, Settling(-5, 0, 0), -5, "ann"))
    assert plain is not None
    assert plain.route is None
    assert read_settled(LedgerBody("settlement", "b", "ann", ())) is None


def found(told: object) -> list[Found]:
    """An entry's lines on networks' accounts and positions, as a page reads them."""
    return [
        Found(1, 1, n, AT, *account, amount, "authorization", "m1", b"")
        for n, (account, amount) in enumerate(told.postings)  # type: ignore[attr-defined]
        if account.role in ("network", "fx_position")
    ]


def test_what_stands_against_what_we_converted_is_found_in_the_entrys_own_lines() -> None:
    journal = Journal()
    journal.open()
    price = authorization(
        11_701, fee=299, transaction_minor=10_001, transaction_currency="978", rate="1.17",
        rate_source="ECB",
    )  # fmt: skip
    bought = found(journal.say("authorization", "m1", price, posted=-12_000, authorization="m1"))
    assert counters_of(bought) == {("acme", "978"): ("840", -11_701)}
    back = found(
        journal.say("reversal", "r1", reversal(), posted=7_001, authorization="m1",
                    verdict="reversed")
    )  # fmt: skip
    ((_, (currency, counter)),) = counters_of(back).items()
    assert currency == "840"
    assert counter == journal.balance("fx_position") + 11_701  # what is no longer there
    plain = found(
        journal.say("authorization", "m2", authorization(), posted=-6_000, authorization="m2")
    )
    assert counters_of(plain) == {}


def test_what_is_told_of_fees_goes_to_one_line() -> None:
    def line(number: int, currency: str) -> Found:
        return Found(1, 1, number, AT, "p", currency, "network", "visa", -1, "clearing", "m", b"")

    entry = [line(2, "840"), line(4, "978")]
    assert line_of_fees(entry, Told(settles_in="978")) == 4
    assert line_of_fees(entry, Told(settles_in="392")) == line_of_fees(entry, Told()) == 2
    assert line_of_fees([], Told()) == -1
