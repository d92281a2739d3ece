"""The book: whatever the journal says, entries balance, and cardholders' sides are as told."""

from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.book import Told, chained, needed, tell
from ledger.chart import Account, Posting, Role, sums
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    ClearingBody,
    CloseBody,
    Envelope,
    LedgerBody,
    ReversalBody,
    WithdrawalBody,
    encode_body,
)
from ledger.known import State, Unbookable

pack = msgspec.msgpack.Encoder().encode
AT = 1_774_180_800_000


class Journal:
    """Entries as the functions would write them, told at once; and what they came to."""

    def __init__(self) -> None:
        self.state = State()
        self.posted: Counter[tuple[str, str]] = Counter()
        self.held: Counter[tuple[str, str]] = Counter()
        self.raw: list[tuple[Envelope, bytes, bytes]] = []
        self.postings: list[tuple[Posting, ...]] = []

    def say(self, kind: str, id: str, body: Any, *, posted: int = 0, held: int = 0,
            authorization: str = "", account: str = "A1", currency: str = "840",
            verdict: str = "held", absorbed: tuple[str, ...] = ()) -> Told:  # fmt: skip
        self.posted[account, currency] += posted
        self.held[account, currency] += held
        e = Envelope(
            layout=1, kind=kind, message_id=id, authorization_id=authorization, account_id=account,
            card_id="C1", verdict=verdict, detail="", currency=currency, posted_delta=posted,
            held_delta=held, posted_after=self.posted[account, currency],
            held_after=self.held[account, currency], at_ms=AT + len(self.raw), counters=[],
            versions=[1, 1, 1], absorbed=list(absorbed),
        )  # fmt: skip
        self.raw.append((e, pack(e), encode_body(body)))
        told = tell(self.state, *self.raw[-1])
        self.postings.append(told.postings)
        return told

    def open(self, account: str = "A1", opening: int = 100_000, **changes: Any) -> Told:
        return self.say("account", account, account_body(account, opening, **changes),
                        posted=opening, account=account, verdict="created")  # fmt: skip

    def balance(self, role: str, currency: str = "840", subject: str = "") -> int:
        return sum(
            line.amount_minor
            for postings in self.postings
            for line in postings
            if line.account[1:] == (currency, role, subject)
        )


def account_body(id: str = "A1", opening: int = 0, program: str = "acme", line: int = 0) -> Any:
    profile = [id, program, "840", line, "UTC", "active"]
    return AccountBody(msgspec.Raw(pack(profile)), opening, "test")


def told(amount: int = 6000, *, fee: int = 0, abroad: int = 0, **changes: Any) -> AuthorizationBody:
    base: dict[str, Any] = {
        "network": "visa", "card_key": "k", "purpose": "purchase", "amount_minor": amount,
        "currency": "840", "transaction_minor": amount, "transaction_currency": "840",
        "mcc": "5411", "merchant_id": "M", "terminal_id": "T", "acquirer_id": "9", "country": "US",
        "entry_mode": "051", "expiry": "3012", "stan": "1", "rrn": "1", "sent_at": 1,
        "planned": "approved", "limits": (), "credit_line_minor": 0,
        "settle_minor": amount + fee, "fee_minor": fee, "cross_border_fee_minor": abroad,
    }  # fmt: skip
    return AuthorizationBody(**(base | changes))


def completion(amount: int, **changes: Any) -> AdviceBody:
    return AdviceBody(told(amount, **changes), "last", True, "", ())


def reversal() -> ReversalBody:
    return ReversalBody("visa", "0400", "k", 1, "840", -1, "2", "2", 2, ())


def test_opening_funds_come_from_the_bank_and_a_line_stands_against_itself() -> None:
    journal = Journal()
    journal.say("account", "A1", account_body(opening=500, line=300), posted=500, verdict="created")
    assert journal.balance(Role.OPEN, subject="A1") == -500
    assert journal.balance(Role.BANK) == 500
    assert journal.balance(Role.LINE, subject="A1") == -300
    assert journal.balance(Role.LINES_GRANTED) == 300
    journal.say("account", "A1", account_body(line=100), verdict="moved")
    assert journal.balance(Role.LINE, subject="A1") == -100
    assert journal.balance(Role.OPEN, subject="A1") == -500


def test_a_purchase_is_held_then_the_networks_and_ours() -> None:
    journal = Journal()
    journal.open()
    journal.say("authorization", "m1", told(6000, fee=200), held=6200, authorization="m1")
    assert journal.balance(Role.HELD, subject="A1") == -6200
    journal.say("completion", "m2", completion(6000, fee=200, abroad=150), held=-6200, posted=-6200,
                authorization="m1", verdict="applied")  # fmt: skip
    assert journal.balance(Role.HELD, subject="A1") == 0
    assert journal.balance(Role.OPEN, subject="A1") == -(100_000 - 6200)
    assert journal.balance(Role.NETWORK, subject="visa") == -6000
    assert journal.balance(Role.FEES) == -50
    assert journal.balance(Role.CROSS_BORDER) == -150


def test_a_withdrawal_takes_fees_and_all_back() -> None:
    journal = Journal()
    journal.open()
    journal.say("authorization", "m1", told(999, fee=7), posted=-1006, authorization="m1")
    journal.say("withdrawal", "m1", WithdrawalBody("t"), posted=1006, authorization="m1",
                verdict="released")  # fmt: skip
    assert [journal.balance(role) for role in (Role.FEES, Role.BANK)] == [0, 100_000]
    assert journal.balance(Role.NETWORK, subject="visa") == 0
    assert not journal.state.authorizations["m1"].approved
    journal.say("authorization", "m1", told(999, fee=7), posted=-1006, authorization="m1")
    assert journal.state.authorizations["m1"].approved


def test_what_we_converted_goes_through_the_position_so_each_currency_sums_to_zero() -> None:
    journal = Journal()
    journal.open()
    journal.say(
        "authorization", "m1", told(
            11_700, fee=300, transaction_minor=10_000, transaction_currency="978", rate="1.17",
            rate_source="ECB",
        ), posted=-12_000, authorization="m1",
    )  # fmt: skip
    assert journal.balance(Role.FX_POSITION) == -11_700
    assert journal.balance(Role.FX_POSITION, "978") == 10_000
    assert journal.balance(Role.NETWORK, "978", "visa") == -10_000
    assert journal.balance(Role.FEES) == -300
    journal.say("reversal", "r1", reversal(), posted=6_000, authorization="m1", verdict="reversed")
    assert journal.balance(Role.NETWORK, "978", "visa") == -5_000
    assert journal.balance(Role.FX_POSITION) == -5_850


def test_a_network_that_billed_is_paid_in_what_it_billed() -> None:
    journal = Journal()
    journal.open()
    journal.say(
        "authorization", "m1", told(1170, transaction_minor=1000, transaction_currency="978",
                                    rate="1.17", rate_source="network"),
        posted=-1170, authorization="m1",
    )  # fmt: skip
    assert journal.balance(Role.NETWORK, subject="visa") == -1170
    assert journal.balance(Role.FX_POSITION) == 0


def test_an_approval_is_booked_once_whoever_tells_it_again() -> None:
    journal = Journal()
    journal.open()
    journal.say("authorization", "m1", told(), held=6000, authorization="m1")
    with pytest.raises(Unbookable, match="told_twice"):
        journal.say("authorization", "m1", told(), held=6000, authorization="m1")
    with pytest.raises(Unbookable, match="opened_twice"):
        journal.open()


def test_what_is_taken_in_is_joined() -> None:
    journal = Journal()
    journal.open()
    journal.say("completion", "c1", completion(500, fee=5), posted=-505, authorization="c1",
                verdict="unmatched")  # fmt: skip
    journal.say("authorization", "m1", told(), held=5495, authorization="m1", absorbed=("c1",))
    one, other = (journal.state.authorizations[id] for id in ("m1", "c1"))
    assert (one.parts.paid, one.parts.fees, one.held) == (505, 5, 5495)
    assert (other.parts.paid, other.taken_in_by) == (0, "m1")
    with pytest.raises(Unbookable, match="told_twice"):
        journal.say("completion", "c1", completion(500), posted=-505, authorization="m1")


def test_money_that_nobody_explains_stands_in_suspense_until_somebody_does() -> None:
    journal = Journal()
    journal.open()
    e = journal.say("authorization", "m1", told(), held=10, authorization="m1") and journal.raw[-1]
    assert needed(e[0]) == ("m1",)
    journal.posted["A1", "840"] -= 10
    bad = msgspec.structs.replace(e[0], kind="completion", message_id="m2", posted_delta=-10,
                                  held_delta=-10, posted_after=99_990, held_after=0)  # fmt: skip
    journal.held["A1", "840"] = 0
    said = tell(journal.state, bad, pack(bad), b"\xc1")
    journal.postings.append(said.postings)
    assert ("unreadable_body", "completion") in said.notices
    assert journal.balance(Role.SUSPENSE) == -10
    journal.say("reversal", "r1", reversal(), posted=4, authorization="m1", verdict="reversed")
    assert journal.balance(Role.SUSPENSE) == 0
    assert journal.balance(Role.NETWORK, subject="visa") == -6


def test_a_gap_in_what_was_told_is_noticed_once() -> None:
    journal = Journal()
    journal.open()
    journal.held["A1", "840"] += 5  # an entry that never came
    said = journal.say("authorization", "m1", told(), held=10, authorization="m1")
    assert said.notices == (("gap", "840 0 5"),)
    assert not journal.say("close", "x", CloseBody("t"), held=-10, authorization="m1").notices


def test_a_program_moves_with_all_that_is_in_it() -> None:
    journal = Journal()
    journal.open(line=700)
    journal.say("authorization", "m1", told(), held=600, authorization="m1")
    moved = journal.say("account", "A1", account_body(program="other", line=700), verdict="moved")
    assert not sums(moved.postings)
    by = Counter[Account]()
    for postings in journal.postings:
        for account, amount in postings:
            by[account] += amount
    left = {account: amount for account, amount in by.items() if amount}
    assert {account.program for account in left} == {"other"}
    assert left[Account("other", "840", Role.HELD, "A1")] == -600
    assert left[Account("other", "840", Role.LINE, "A1")] == -700


AMOUNTS = st.integers(1, 10_000)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["hold", "now", "refund", "complete", "reverse", "close", "withdraw", "absorb", "line"]
        ),
        st.integers(0, 3), AMOUNTS, st.integers(0, 300), st.booleans(),
    ),
    max_size=30,
)  # fmt: skip


@given(STEPS)
def test_any_sequence_of_acts_balances_and_is_what_the_envelopes_say(steps: list[Any]) -> None:
    """The reference: sums of deltas by account and by authorization, and nothing else."""
    journal = Journal()
    journal.open()
    paid_of: Counter[str] = Counter()
    held_of: Counter[str] = Counter()
    for number, (what, which, amount, fee, abroad) in enumerate(steps):
        id, new = f"m{which}", f"x{number}"
        body: Any
        kind, posted, held, absorbed = "authorization", 0, 0, ()
        ours = {"transaction_minor": amount * 7 // 8, "transaction_currency": "978",
                "rate_source": "ECB"} if abroad else {}  # fmt: skip
        body = told(amount, fee=fee, abroad=fee // 3, **ours)
        match what:
            case "hold":
                held = amount + fee
            case "now":
                posted = -(amount + fee)
            case "refund":
                posted = amount
            case "complete":
                kind, posted, held = "completion", -(amount + fee), -held_of[id]
                body = completion(amount, fee=fee, abroad=fee // 3, **ours)
            case "reverse":
                kind, posted, body = "reversal", min(amount, max(paid_of[id], 0)), reversal()
            case "close":
                kind, held, body = "close", -held_of[id], CloseBody("t")
            case "withdraw":
                kind, posted, held, body = (
                    "withdrawal",
                    paid_of[id],
                    -held_of[id],
                    WithdrawalBody(""),
                )
            case "absorb":
                absorbed = (f"m{(which + 1) % 4}",)
                for counts in (paid_of, held_of):
                    counts[id] += counts.pop(absorbed[0], 0)
            case "line":
                journal.say("account", "A1", account_body(line=amount), verdict="moved")
                continue
        paid_of[id] -= posted
        held_of[id] += held
        said = journal.say(kind, new, body, posted=posted, held=held, authorization=id,
                           absorbed=absorbed)  # fmt: skip
        assert not sums(said.postings)
        assert all(line.amount_minor for line in said.postings)
        assert not said.notices
    posted, held = journal.posted["A1", "840"], journal.held["A1", "840"]
    assert -journal.balance(Role.OPEN, subject="A1") == posted - held
    assert -journal.balance(Role.HELD, subject="A1") == held
    for id, one in journal.state.authorizations.items():
        assert one.held == held_of[id]
        assert one.parts.paid == paid_of[id]
        if one.parts.paid == 0 and not one.acts.count("absorb"):
            assert (
                one.parts.direct + one.parts.fees + one.parts.converted == -one.parts.cross_border
            )
    # Told again, also from the middle on, it is the same to the byte.
    again = State()
    assert [tell(again, *raw).postings for raw in journal.raw] == journal.postings
    assert again.authorizations == journal.state.authorizations
    assert again.holders == journal.state.holders
    digest = ""
    for _, envelope, body in journal.raw:
        digest = chained(digest, envelope, body)
    assert journal.state.holders["A1"].digest == digest
    assert all(a[0].at_ms < b[0].at_ms for a, b in pairwise(journal.raw))


@given(AMOUNTS, st.integers(0, 500), st.lists(st.integers(1, 4000), max_size=6))
def test_parts_never_drift(amount: int, fee: int, backs: list[int]) -> None:
    """Given back in any pieces: the parts always add up, none changes sign, and all end at zero."""
    journal = Journal()
    journal.open()
    journal.say("authorization", "m1", told(amount, fee=fee, abroad=fee // 2),
                posted=-(amount + fee), authorization="m1")  # fmt: skip
    left = amount + fee
    for number, back in enumerate([*backs, left]):
        back = min(back, left)
        left -= back
        journal.say("reversal", f"r{number}", reversal(), posted=back, authorization="m1")
        parts = journal.state.authorizations["m1"].parts
        assert parts.paid == left
        assert 0 <= parts.fees <= fee
        assert 0 <= parts.cross_border <= fee // 2
        assert -2 <= parts.direct <= amount
        if left:
            exact = amount * left / (amount + fee)
            assert abs(parts.direct - exact) <= 2 + len(backs)
    assert journal.balance(Role.NETWORK, subject="visa") == 0
    assert journal.balance(Role.FEES) == journal.balance(Role.CROSS_BORDER) == 0


def movement(*lines: tuple[str, str, str, str, int]) -> LedgerBody:
    return LedgerBody("settlement", "batch-1", "ann", lines)


NOBODY: dict[str, Any] = {"account": "", "currency": "", "verdict": "settled"}


def test_a_movement_between_accounts_of_the_ledger_is_booked_as_it_is_told() -> None:
    journal = Journal()
    lines = ("acme", "840", "network", "visa", 900), ("acme", "840", "bank", "", -900)
    said = journal.say("note", "s1", movement(*lines), **NOBODY)
    assert said.movement is not None
    assert said.movement.reference == "batch-1"
    assert journal.balance("network", subject="visa") == 900
    assert journal.balance("bank") == -900
    assert not journal.state.authorizations


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("acme", "840", "open", "A1", -5), "movement"),  # a cardholder's
        (("acme", "840", "held", "A1", -5), "movement"),
        (("acme", "840", "line", "A1", -5), "movement"),
        (("acme", "840", "lines_granted", "", -5), "movement"),
        (("acme", "840", "till", "", -5), "movement"),
        (("acme", "84", "bank", "", -5), "movement"),
        (("acme", "840", "bank", "a\x1fb", -5), "movement"),
        (("acme", "840", "bank", "", -(2**53)), "movement"),
        (("acme", "840", "bank", "", -6), "unbalanced"),
        (("acme", "978", "bank", "", -5), "unbalanced"),
    ],
)
def test_a_movement_that_no_ledger_would_make_is_parked(
    line: tuple[str, str, str, str, int], reason: str
) -> None:
    journal = Journal()
    with pytest.raises(Unbookable, match=f"^{reason}$"):
        journal.say("note", "s1", movement(("acme", "840", "network", "visa", 5), line), **NOBODY)
    assert not journal.postings


def cleared(
    amount: int, settled: int, currency: str = "978", *, fee: int = 0, back: bool = False
) -> ClearingBody:
    """An item that bills so many cents with a fee on top, and what its network settles for it."""
    return ClearingBody(
        told(amount, fee=fee, transaction_currency="978"), "full" if back else "last", (), "key",
        "presentment", "presentment", back, "arn", "file", 2, "2026-11-20", settled, currency,
    )  # fmt: skip


# What of 60.00 billed and a fee of 2.00 stands where, by what the network settles for it.
SETTLED = """
settled  in   network840  network978  position840  position978  income
6000     840       -6000           0            0            0       0
5900     840       -5900           0            0            0    -100
6100     840       -6100           0            0            0     100
5500     978           0       -5500        -6000         5500       0
"""


@pytest.mark.parametrize("row", [row.split() for row in SETTLED.strip().splitlines()[1:]])
def test_what_a_network_settles_is_kept_to_the_cent_both_ways(row: list[str]) -> None:
    settled, currency, *expected = int(row[0]), row[1], *map(int, row[2:])
    journal = Journal()
    journal.open()
    journal.say("clearing", "m1", cleared(6000, settled, currency, fee=200), posted=-6200,
                authorization="m1", verdict="unmatched")  # fmt: skip
    names = (("network", "840", "visa"), ("network", "978", "visa"), ("fx_position", "840", ""),
             ("fx_position", "978", ""), ("fx_income", "840", ""))  # fmt: skip
    assert [journal.balance(role, of, subject) for role, of, subject in names] == expected
    assert journal.balance(Role.FEES) == -200
    journal.say("clearing", "m2", cleared(6000, settled, currency, fee=200, back=True), posted=6200,
                authorization="m1", verdict="reversed")  # fmt: skip
    assert not any(journal.balance(role, of, subject) for role, of, subject in names)
    assert journal.balance(Role.FEES) == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 9000), st.integers(0, 9000), st.sampled_from(["840", "978"]),
                  st.booleans()), max_size=8,
    )
)  # fmt: skip
def test_whatever_is_cleared_and_taken_back_the_network_has_what_it_settles(
    items: list[tuple[int, int, str, bool]],
) -> None:
    journal, owed = Journal(), Counter[str]()
    journal.open()
    for number, (amount, settled, currency, back) in enumerate(items):
        sign = -1 if back else 1
        body = cleared(amount, settled, currency, back=back)
        journal.say("clearing", f"m{number}", body, posted=-sign * amount, authorization="m",
                    verdict="applied")  # fmt: skip
        owed[currency] -= sign * settled
    for currency in ("840", "978"):
        assert journal.balance("network", currency, "visa") == owed[currency]
    spent = sum((-1 if back else 1) * amount for amount, _, _, back in items)
    assert journal.balance("open", subject="A1") == -(100_000 - spent)
