"""Card traffic from a seed: an endless, pure stream of intended events, in time order.

Simulated days run as fast as somebody sends them. Time of day is that at the merchant;
the date of DE 13 moves on with the days of the model.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random

from authz.simulator import messages
from authz.simulator.calibration import WEEKDAYS
from authz.simulator.cards import Card, Population
from authz.simulator.merchants import ACQUIRERS, Merchant, Merchants
from authz.simulator.messages import CASH, Event, Moment, Party
from authz.simulator.places import CURRENCIES
from authz.simulator.population import FIRST_DAY, unknown_pan
from authz.simulator.shopping import HOURS, Shopping

# Of all that cardholders begin. The rest is "purchase", and like the calibration.
SHARES = {
    "cash": 0.020,  # DE 3 010000 at a cash machine
    "account_check": 0.010,  # zero amount: is this card alive?
    "unknown_card": 0.003,  # looks like ours, was never issued
    "blocked_mcc": 0.003,  # at a merchant whose category the card has blocked
    "over_limit": 0.004,  # above what the card allows in one go
}
# What becomes of an authorization afterwards, at most one of these.
FOLLOW_UPS = {
    "repeat": 0.006,  # 0101 with the DE 7, 11 and 32 of the first
    "duplicate": 0.004,  # the very same 0100 once more
    "reversal": 0.020,  # account checks are not reversed: nothing is held
    "early_reversal": 0.001,  # overtakes its authorization
}
# Of all reversals; each drawn by itself, but for the two that leave DE 90 unfilled.
REVERSALS = {
    "advice": 0.50,  # 0420, else 0400
    "partial": 0.15,  # with DE 95
    "again": 0.10,  # followed by a 0401 or 0421
    messages.ZEROS: 0.20,  # DE 90 with nothing but the original's MTI
    messages.ABSENT: 0.15,  # no DE 90: DE 37 must do
}
CASH_DOLLARS = (20, 40, 40, 60, 80, 100, 100, 200, 300)
SOON, LATER = 40, 600  # at most so many messages later comes a repeat, or a reversal


class Traffic:
    """What a population does at these merchants. Iterating it again begins anew.

    A mean day has as many authorizations as the cards make, or `per_day` of them: so few
    messages can show a whole day. `first_stan` sets runs against one engine apart: STAN and
    RRN count from there. `following` draws what comes after each authorization.
    """

    def __init__(
        self,
        population: Population,
        merchants: Merchants,
        seed: int,
        *,
        first_day: date = FIRST_DAY,
        per_day: float | None = None,
        first_stan: int = 0,
        following: "Callable[[], FollowUps] | None" = None,
    ) -> None:
        assert per_day is None or per_day > 0
        self._merchants = merchants
        self._seed = seed
        self._first_day = first_day
        self._first_stan = first_stan
        self._following = following
        self._shopping = Shopping(population, merchants)
        self._per_day = per_day or self._shopping.per_day
        self._special_cards = {
            "over_limit": [card for card in population.cards if card.per_transaction_minor],
            "blocked_mcc": [card for card in population.cards if card.blocked_mccs],
        }
        self._by_mcc: dict[str, list[Merchant]] = {}
        for merchant in merchants.all:
            self._by_mcc.setdefault(merchant.mcc, []).append(merchant)

    def __iter__(self) -> Iterator[Event]:
        """Authorizations as they happen, each followed a little later by what becomes of it."""
        dice, stans = Random(f"traffic {self._seed}"), Stans(self._first_stan)
        firsts = self._authorizations(dice, stans)
        following = self._following() if self._following is not None else follow_ups
        return with_follow_ups(firsts, dice, stans, following)

    def _authorizations(self, dice: Random, stans: "Stans") -> Iterator[Event]:
        """Day by day and hour by hour, as many as the cards and the weekday make."""
        for days in count():
            day = self._first_day + timedelta(days=days)
            per_day = self._per_day * WEEKDAYS[day.weekday()]
            today = f"{day:%m%d}"
            day_code = f"{day.year % 10}{day:%j}"
            for hour, share in enumerate(HOURS):
                due = int(per_day * share + dice.random())
                for second in sorted(int(dice.random() * 3600) for _ in range(due)):
                    time = f"{hour:02d}{second // 60:02d}{second % 60:02d}"
                    yield self._authorization(hour, Moment(time, today, day_code), dice, stans)

    def _authorization(self, hour: int, moment: Moment, dice: Random, stans: "Stans") -> Event:
        shopping = self._shopping
        kind = one_of(SHARES, dice, "purchase")
        category = shopping.category(hour, dice)
        card = shopping.card(category, hour, dice)
        if kind in self._special_cards:
            candidates = self._special_cards[kind]
            if candidates:
                card = dice.choice(candidates)
            else:
                kind = "purchase"  # a small population has no such card
        processing_code = messages.PURCHASE
        if kind == "cash":
            category, processing_code = "cash", CASH
        merchant = shopping.merchant(category, card.home, hour, dice)
        if kind == "blocked_mcc":
            merchant = dice.choice(self._by_mcc[dice.choice(card.blocked_mccs)])
        pan = unknown_pan(dice) if kind == "unknown_card" else card.pan
        return messages.authorization(
            kind,
            Party(pan, card.expiry, card.account.currency),
            merchant,
            self._dollars(kind, category, card, dice),
            moment,
            stans.next(merchant.acquirer_id),
            processing_code=processing_code,
            terminal=int(dice.random() * 60),
        )

    def _dollars(self, kind: str, category: str, card: Card, dice: Random) -> float:
        match kind:
            case "cash":
                return float(dice.choice(CASH_DOLLARS))
            case "account_check":
                return 0.0
            case "over_limit":
                assert card.per_transaction_minor is not None
                ceiling = card.per_transaction_minor / CURRENCIES[card.account.currency].minor(1.0)
                return round(ceiling * dice.uniform(1.05, 3.0), 2)
        return self._shopping.dollars(category, card, dice)


def with_follow_ups(
    firsts: Iterator[Event], dice: Random, stans: "Stans", following: "FollowUps | None" = None
) -> Iterator[Event]:
    """Authorizations, and strewn in between them what becomes of each."""
    numbers = count()  # breaks ties in the heap: events have no order
    waiting: list[tuple[int, int, Event]] = []  # the position from which it is due
    position, following = 0, following or follow_ups
    for first in firsts:
        heappush(waiting, (position, next(numbers), first))
        for delay, event in following(first, dice, stans):
            heappush(waiting, (position + delay, next(numbers), event))
        while waiting and waiting[0][0] <= position:
            yield heappop(waiting)[2]
            position += 1
    while waiting:
        yield heappop(waiting)[2]


def follow_ups(first: Event, dice: Random, stans: "Stans") -> Iterator[tuple[int, Event]]:
    """What comes of an authorization, and how many messages later; before it if negative."""
    kind = one_of(FOLLOW_UPS, dice, "")
    if kind in ("repeat", "duplicate"):
        yield dice.randint(1, SOON), messages.once_more(kind, first, as_repeat=kind == "repeat")
    elif kind and first.dollars:
        original = one_of({key: REVERSALS[key] for key in (messages.ZEROS, messages.ABSENT)}, dice)
        amount = int(first.elements[4])
        partial = amount > 1 and dice.random() < REVERSALS["partial"]
        event = messages.reversal(
            first,
            "0420" if dice.random() < REVERSALS["advice"] else "0400",
            stans.next(first.elements[32]),
            original=original or messages.FULL,
            remaining_minor=dice.randint(1, amount - 1) if partial else None,
        )
        delay = dice.randint(1, LATER)
        if kind == "early_reversal":
            event.kind, delay = kind, -1
        yield delay, event
        if dice.random() < REVERSALS["again"]:
            again = messages.once_more("reversal_repeat", event, as_repeat=True)
            yield max(delay, 0) + dice.randint(1, SOON), again


def one_of(shares: dict[str, float], dice: Random, otherwise: str = "") -> str:
    """One of the names, as often as its share says; else the other."""
    throw = dice.random()
    for name, share in shares.items():
        throw -= share
        if throw < 0:
            return name
    return otherwise


class Stans:
    """DE 11: six digits that each acquirer counts for itself, from one up and around."""

    def __init__(self, first: int = 0) -> None:
        self._last = dict.fromkeys(ACQUIRERS, first)

    def next(self, acquirer_id: str) -> str:
        # 000000 is left out: in DE 90 it reads as "not given".
        self._last[acquirer_id] = last = self._last[acquirer_id] % 999_999 + 1
        return f"{last:06d}"


# What comes of an authorization, and how many messages later; before it if negative.
FollowUps = Callable[[Event, Random, Stans], Iterator[tuple[int, Event]]]
