"""Drawing keeps the calibration: by hour, by habit, by place."""

from collections import Counter
from random import Random

import pytest

from authz.simulator.habits import HABITS
from authz.simulator.merchants import make_merchants
from authz.simulator.places import PLACES
from authz.simulator.population import make_population
from authz.simulator.shopping import ABROAD, AMOUNT_BOUNDS, HOURS, Shopping

SHOPPING = Shopping(make_population(5, 3000), make_merchants(5))


def test_a_day_has_all_its_hours():
    assert sum(HOURS) == pytest.approx(1, abs=0.002)
    assert all(HOURS)


def test_a_category_is_bought_most_by_those_who_like_it():
    dice = Random(5)
    habits = Counter(SHOPPING.card("travel", 15, dice).habit for _ in range(4000))
    outgoing = [habit.name for habit in HABITS].index("outgoing")
    assert habits[outgoing] / 4000 > HABITS[outgoing].share * 1.5


def test_people_shop_in_town_but_for_journeys_the_web_and_abroad():
    dice = Random(5)
    home = PLACES[0]
    bought = [SHOPPING.merchant("grocery_pos", home, 8, dice).place for _ in range(4000)]
    assert sum(place == home for place in bought) / 4000 > 0.9
    abroad = sum(place.country != home.country for place in bought) / 4000
    assert abroad == pytest.approx(ABROAD, rel=0.4)
    online = [SHOPPING.merchant("shopping_net", home, 15, dice).place for _ in range(1000)]
    assert sum(place == home for place in online) / 1000 < 0.5


def test_amounts_stay_within_their_bounds():
    dice = Random(5)
    card = SHOPPING.card("home", 15, dice)
    amounts = [SHOPPING.dollars("shopping_pos", card, dice) for _ in range(5000)]
    assert AMOUNT_BOUNDS[0] <= min(amounts) <= max(amounts) <= AMOUNT_BOUNDS[1]
