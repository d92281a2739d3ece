"""Merchants fit into data elements and are found where and when they are open."""

from random import Random

from authz.simulator.calibration import CATEGORIES
from authz.simulator.merchants import MCCS, OPENING_HOURS, make_merchants
from authz.simulator.places import PLACES

MERCHANTS = make_merchants(1)


def test_the_same_seed_makes_the_same_merchants():
    assert make_merchants(1, 2) == make_merchants(1, 2)
    assert make_merchants(1, 2) != make_merchants(2, 2)


def test_every_merchant_fits_into_its_data_elements():
    for merchant in MERCHANTS.all:
        assert len(merchant.mcc) == 4
        assert len(merchant.name_location) == 40
        assert merchant.name_location[38:] == merchant.place.country
        assert len(merchant.merchant_id) == 15
        assert all(len(terminal) == 8 for terminal in merchant.terminals)
        assert len(merchant.acquirer_id) <= 11


def test_no_terminal_stands_in_two_shops():
    terminals = [terminal for merchant in MERCHANTS.all for terminal in merchant.terminals]
    assert len(set(terminals)) == len(terminals)


def test_every_category_is_sold_in_every_place():
    assert set(MERCHANTS.near) == {(name, place.city) for name in MCCS for place in PLACES}


def test_somebody_is_open_whenever_the_calibration_sells_anything():
    dice = Random(1)
    for category in CATEGORIES:
        for hour, share in enumerate(category.hours()):
            if share:
                assert MERCHANTS.choose(category.name, PLACES[0], hour, dice).is_open(hour)


def test_fitness_is_closed_in_the_morning():
    assert OPENING_HOURS["health_fitness"] == (12, 24)
    assert OPENING_HOURS["gas_transport"] == (0, 12)
    assert OPENING_HOURS["misc_pos"] == (0, 24)
