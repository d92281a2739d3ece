"""Who buys what, where and for how much, at a given hour: the calibration, thrown as dice."""

from bisect import bisect_right
from itertools import accumulate
from math import exp, log
from random import Random

from authz.simulator.calibration import ACTIVITY, CATEGORIES, Category
from authz.simulator.cards import Card, Population
from authz.simulator.habits import DAY_PARTS, HABITS, Habit
from authz.simulator.merchants import Merchant, Merchants
from authz.simulator.places import PLACES, Place

ABROAD = 0.02  # of purchases
OTHER_CITY = {"travel": 0.40}  # of purchases at home, by category
OTHER_CITY_ONLINE = 0.70
OTHER_CITY_ELSE = 0.03
AMOUNT_BOUNDS = (1.00, 15_000.00)  # US dollars; the calibration data has 1.00 to 12,741

# Share of each hour in a day's purchases, and within each hour the categories' running shares.
HOURS = tuple(
    sum(category.share * category.hours()[hour] for category in CATEGORIES) for hour in range(24)
)
_BY_HOUR = tuple(
    tuple(accumulate(category.share * category.hours()[hour] for category in CATEGORIES))
    for hour in range(24)
)
_HUMPS = {
    category.name: (
        tuple(accumulate(share for share, _, _ in category.amounts)),
        tuple((log(median), sigma) for _, median, sigma in category.amounts),
    )
    for category in CATEGORIES
}
_ELSEWHERE = {
    place.city: (
        tuple(other for other in PLACES if other.country == place.country and other != place),
        tuple(other for other in PLACES if other.country != place.country),
    )
    for place in PLACES
}


class Shopping:
    """Cardholders and merchants, sorted so that each draw costs a few bisections.

    Cards with the same habit that pay equally often are one group. A category picks a
    group by what its habit likes at that time of day, then any card of it: so the mix
    and the hours stay those of the calibration, and so do the transactions per card.
    """

    def __init__(self, population: Population, merchants: Merchants) -> None:
        groups: dict[tuple[int, int], list[Card]] = {}
        for card in population.cards:
            groups.setdefault((card.activity, card.habit), []).append(card)
        self._groups = [groups[key] for key in sorted(groups)]
        self._merchants = merchants
        self._reach = {
            (category.name, part): tuple(
                accumulate(
                    len(groups[activity, habit]) * ACTIVITY[activity][1] * fondness
                    for activity, habit in sorted(groups)
                    for fondness in (_fondness(habit, category, part),)
                )
            )
            for category in CATEGORIES
            for part in set(DAY_PARTS)
        }
        self.per_day = sum(ACTIVITY[card.activity][1] for card in population.cards)

    def category(self, hour: int, dice: Random) -> str:
        return CATEGORIES[_draw(_BY_HOUR[hour], dice)].name

    def card(self, category: str, hour: int, dice: Random) -> Card:
        group = self._groups[_draw(self._reach[category, DAY_PARTS[hour]], dice)]
        return group[int(dice.random() * len(group))]

    def merchant(self, category: str, home: Place, hour: int, dice: Random) -> Merchant:
        """Mostly in town; online, on a journey and abroad it is somewhere else."""
        same_country, other_country = _ELSEWHERE[home.city]
        place = home
        if dice.random() < ABROAD:
            place = other_country[int(dice.random() * len(other_country))]
        elif same_country and dice.random() < _other_city(category):
            place = same_country[int(dice.random() * len(same_country))]
        return self._merchants.choose(category, place, hour, dice)

    def dollars(self, category: str, card: Card, dice: Random) -> float:
        """One of the category's humps, and a lognormal around its median."""
        bounds, humps = _HUMPS[category]
        mu, sigma = humps[_draw(bounds, dice)]
        lowest, highest = AMOUNT_BOUNDS
        amount = exp(dice.gauss(mu, sigma)) * HABITS[card.habit].spending
        while not lowest <= amount <= highest:  # rare: 2 % of the small hump lie below
            amount = exp(dice.gauss(mu, sigma))
        return round(amount, 2)


def _draw(bounds: tuple[float, ...], dice: Random) -> int:
    """An index, as often as the distance between its bound and the one before says."""
    return min(bisect_right(bounds, dice.random() * bounds[-1]), len(bounds) - 1)


def _fondness(habit: int, category: Category, part: int) -> float:
    """How likely this habit is behind such a purchase. No habit pays more often than others."""
    return _leaning(HABITS[habit], category, part) / _LEANINGS[habit]


def _leaning(habit: Habit, category: Category, part: int) -> float:
    return habit.likes.get(category.name, 1.0) * habit.by_day_part[part]


_LEANINGS = tuple(
    sum(
        category.share * share * _leaning(habit, category, DAY_PARTS[hour])
        for category in CATEGORIES
        for hour, share in enumerate(category.hours())
    )
    for habit in HABITS
)


def _other_city(category: str) -> float:
    if category.endswith("_net"):
        return OTHER_CITY_ONLINE
    return OTHER_CITY.get(category, OTHER_CITY_ELSE)
