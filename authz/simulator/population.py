"""Cardholders, their cards and accounts, made from a seed.

Card numbers are synthetic. They begin with 9999: by ISO/IEC 7812-1 a leading 9 belongs to
the national bodies, followed by the ISO 3166 number of their country, and 999 is one of
the numbers that ISO 3166 leaves to users and never gives to a country. So no scheme
and no bank can own the range, and yet the numbers have 16 digits and pass Luhn.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from itertools import accumulate
from math import exp, log
from random import Random
from typing import Generic, TypeVar

from authz.simulator.calibration import ACTIVITY
from authz.simulator.cards import Account, Card, Population, write_csv
from authz.simulator.habits import HABITS
from authz.simulator.places import CURRENCIES, PLACES, Currency, Place

__all__ = ["Account", "Card", "Population", "make_population", "write_csv"]

T = TypeVar("T")

FIRST_DAY = date(2026, 1, 1)  # of the calibration data; cards are valid from three years on

# What an issuer sells: issuer number, share of accounts, share of them with a credit line.
PROGRAMS = {
    "classic": ("999901", 0.62, 0.35),
    "gold": ("999902", 0.18, 0.90),
    "prepaid": ("999903", 0.14, 0.00),
    "business": ("999904", 0.06, 0.70),
}
UNKNOWN_ISSUER_NUMBER = "999909"  # ours by its looks, and never issued

CARD_STATES = (
    ("active", 0.968), ("inactive", 0.008), ("frozen", 0.008), ("lost", 0.005),
    ("stolen", 0.003), ("expired", 0.003), ("closed", 0.005),
)  # fmt: skip
ACCOUNT_STATES = (("active", 0.995), ("frozen", 0.003), ("closed", 0.002))
CARDS_PER_ACCOUNT = ((1, 0.82), (2, 0.14), (3, 0.04))  # two: a joint account, or a spare card

OPENING_MEDIAN = 2500  # US dollars; half of all accounts hold between 1,460 and 4,290
CREDIT_LINES = (1000, 2500, 5000, 10_000)  # US dollars
OUTDATED = 0.003  # of active cards: nobody closed them, their month has passed
LIMITED = {  # share of cards that have it, and its ceilings in US dollars, or as a count
    "per_transaction": (0.30, (500, 1000, 2000, 5000)),
    "daily_amount": (0.25, (2000, 5000, 10_000)),
    "daily_count": (0.15, (30, 60, 100)),
}
BLOCKABLE_MCCS = ("7995", "6051", "5993", "5921")  # gambling, quasi-cash, tobacco, alcohol
BLOCKING = 0.12  # of cards


def make_population(seed: int, cards: int, today: date = FIRST_DAY) -> Population:
    """That many cards and the accounts behind them; the same for the same seed."""
    assert cards > 0
    maker = _Maker(seed, today)
    accounts: list[Account] = []
    issued: list[Card] = []
    while len(issued) < cards:
        account, home = maker.account(len(accounts))
        accounts.append(account)
        for _ in range(min(maker.cards_of_account(), cards - len(issued))):
            issued.append(maker.card(len(issued), account, home))
    return Population(tuple(accounts), tuple(issued))


class Loaded(Generic[T]):
    """A die with these faces, each falling as often as its weight says."""

    def __init__(self, faces: Iterable[tuple[T, float]]) -> None:
        self._faces, weights = zip(*faces)
        self._bounds = list(accumulate(weights))

    def throw(self, dice: Random) -> T:
        at = bisect_right(self._bounds, dice.random() * self._bounds[-1])
        face: T = self._faces[min(at, len(self._faces) - 1)]
        return face


_PROGRAM = Loaded((name, share) for name, (_, share, _) in PROGRAMS.items())
_HOME = Loaded((place, place.weight) for place in PLACES)
_ACCOUNT_STATE = Loaded(ACCOUNT_STATES)
_CARD_STATE = Loaded(CARD_STATES)
_CARDS_PER_ACCOUNT = Loaded(CARDS_PER_ACCOUNT)
_ACTIVITY = Loaded((index, share) for index, (share, _) in enumerate(ACTIVITY))
_HABIT = Loaded((index, habit.share) for index, habit in enumerate(HABITS))


class _Maker:
    """The dice, and the order in which they are thrown: changing it changes every seed."""

    def __init__(self, seed: int, today: date) -> None:
        self._dice = Random(f"population {seed}")
        self._shift = self._dice.randrange(10**9)
        self._month = today.year * 12 + today.month - 1

    def cards_of_account(self) -> int:
        return _CARDS_PER_ACCOUNT.throw(self._dice)

    def account(self, index: int) -> tuple[Account, Place]:
        dice = self._dice
        home = _HOME.throw(dice)
        currency = CURRENCIES[home.currency]
        program = _PROGRAM.throw(dice)
        credit_line = dice.choice(CREDIT_LINES) if dice.random() < PROGRAMS[program][2] else 0
        account = Account(
            account_id=f"A{index + 1:09d}",
            program=program,
            currency=currency.code,
            opening_minor=currency.minor(round(exp(dice.gauss(log(OPENING_MEDIAN), 0.8)), 2)),
            credit_line_minor=currency.minor(credit_line),
            time_zone=home.time_zone,
            status=_ACCOUNT_STATE.throw(dice),
        )
        return account, home

    def card(self, index: int, account: Account, home: Place) -> Card:
        dice = self._dice
        currency = CURRENCIES[account.currency]
        status = _CARD_STATE.throw(dice)
        outdated = status == "expired" or dice.random() < OUTDATED
        month = self._month + int(
            (-24 if outdated else 36) + dice.random() * (23 if outdated else 60)
        )
        daily_count = self._ceiling("daily_count")
        return Card(
            pan=self._pan(index, account.program),
            account=account,
            expiry=f"{month // 12 % 100:02d}{month % 12 + 1:02d}",
            status=status,
            per_transaction_minor=self._money_ceiling("per_transaction", currency),
            daily_amount_minor=self._money_ceiling("daily_amount", currency),
            daily_count=daily_count,
            blocked_mccs=self._blocked_mccs(),
            home=home,
            latitude=home.latitude + dice.random() - 0.5,
            longitude=home.longitude + dice.random() - 0.5,
            activity=_ACTIVITY.throw(dice),
            habit=_HABIT.throw(dice),
        )

    def _pan(self, index: int, program: str) -> str:
        """No two alike, and no neighbours: a step of 3**18 visits every nine-digit number once."""
        serial = (index * 3**18 + self._shift) % 10**9
        return with_luhn(f"{PROGRAMS[program][0]}{serial:09d}")

    def _ceiling(self, name: str) -> int | None:
        share, ceilings = LIMITED[name]
        return self._dice.choice(ceilings) if self._dice.random() < share else None

    def _money_ceiling(self, name: str, currency: Currency) -> int | None:
        dollars = self._ceiling(name)
        return None if dollars is None else currency.minor(dollars)

    def _blocked_mccs(self) -> tuple[str, ...]:
        if self._dice.random() >= BLOCKING:
            return ()
        return tuple(sorted(self._dice.sample(BLOCKABLE_MCCS, self._dice.randint(1, 3))))


def with_luhn(digits: str) -> str:
    """The digits, and the check digit that makes them pass. Source: ISO/IEC 7812-1 annex B."""
    doubled = sum(int("0246813579"[int(digit)]) for digit in digits[::-2])
    return digits + str(-(doubled + sum(map(int, digits[-2::-2]))) % 10)


def unknown_pan(dice: Random) -> str:
    """A number that looks like ours and was never issued."""
    return with_luhn(f"{UNKNOWN_ISSUER_NUMBER}{dice.randrange(10**9):09d}")
