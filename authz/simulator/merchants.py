"""Shops, tills and cash machines, made from a seed."""

from collections.abc import Iterator, Sequence
from random import Random

from msgspec import Struct

from authz.simulator.calibration import CATEGORIES
from authz.simulator.places import PLACES, Place

# Category to ISO 18245.
MCCS = {
    "entertainment": ("7832", "7922", "7996", "5815"),
    "food_dining": ("5812", "5814", "5813"),
    "gas_transport": ("5541", "5542", "4121", "4111"),
    "grocery_net": ("5411", "5499"),
    "grocery_pos": ("5411", "5422", "5499"),
    "health_fitness": ("7997", "5912", "8011"),
    "home": ("5200", "5712", "5722"),
    "kids_pets": ("5945", "5641", "5995", "0742"),
    "misc_net": ("5964", "5999", "4899"),
    "misc_pos": ("5999", "5331", "7299"),
    "personal_care": ("7230", "5977", "7298"),
    "shopping_net": ("5262", "5732", "5655"),
    "shopping_pos": ("5311", "5651", "5732", "5661"),
    "travel": ("4722", "3000", "7011", "4511"),
    "restricted": ("7995", "6051", "5993", "5921"),  # what issuers block on request
    "cash": ("6011",),
}
MERCHANTS_PER_PLACE = 4  # of each category
ACQUIRERS = tuple(f"9999{number:05d}" for number in range(1, 9))  # DE 32, as synthetic as the PANs

FIRST_NAMES = (
    "Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper",
    "Laurel", "Maple", "Nettle", "Oak", "Pine", "Quince", "Rowan", "Spruce", "Thorn", "Willow",
)  # fmt: skip
LAST_NAMES = {
    "entertainment": "Playhouse", "food_dining": "Kitchen", "gas_transport": "Fuel",
    "grocery_net": "Basket", "grocery_pos": "Market", "health_fitness": "Wellness",
    "home": "Hardware", "kids_pets": "Toys & Pets", "misc_net": "Online", "misc_pos": "Goods",
    "personal_care": "Care", "shopping_net": "Webshop", "shopping_pos": "Store",
    "travel": "Journeys", "restricted": "Lounge", "cash": "Bank ATM",
}  # fmt: skip


class Merchant(Struct, frozen=True, kw_only=True, gc=False):
    """One shop, with what its acquirer says of it in every message."""

    category: str
    mcc: str  # DE 18
    name_location: str  # DE 43: name 25, city 13, country 2
    merchant_id: str  # DE 42
    terminals: tuple[str, ...]  # DE 41
    acquirer_id: str  # DE 32
    place: Place
    latitude: float  # degrees
    longitude: float
    opens: int  # hour of the day
    closes: int  # hour of the day; the last one that is open is the one before

    def is_open(self, hour: int) -> bool:
        return self.opens <= hour < self.closes


class Merchants(Struct, frozen=True):
    """All of them, and those of one category in one place at hand."""

    all: tuple[Merchant, ...]
    near: dict[tuple[str, str], tuple[Merchant, ...]]  # by category and city

    def choose(self, category: str, place: Place, hour: int, dice: Random) -> Merchant:
        """One that is open; where none is, the first of them stays open for us."""
        candidates = self.near[category, place.city]
        for _ in range(3):
            merchant = candidates[int(dice.random() * len(candidates))]
            if merchant.is_open(hour):
                return merchant
        return candidates[0]


def make_merchants(seed: int, per_place: int = MERCHANTS_PER_PLACE) -> Merchants:
    """So many merchants of each category in each place; the same for the same seed."""
    dice = Random(f"merchants {seed}")
    near: dict[tuple[str, str], tuple[Merchant, ...]] = {}
    numbers = iter(range(1, 1_000_000))
    for place in PLACES:
        for category in MCCS:
            near[category, place.city] = tuple(
                _merchant(dice, next(numbers), category, place, first=index == 0)
                for index in range(per_place)
            )
    return Merchants(tuple(merchant for group in near.values() for merchant in group), near)


def _merchant(dice: Random, number: int, category: str, place: Place, first: bool) -> Merchant:
    opens, closes = OPENING_HOURS.get(category, (0, 24))
    if not first and not category.endswith("_net") and category != "cash":
        opens, closes = opens + dice.choice((0, 0, 1)), closes - dice.choice((0, 0, 1))
    name = f"{dice.choice(FIRST_NAMES)} {LAST_NAMES[category]} {number}"
    return Merchant(
        category=category,
        mcc=dice.choice(MCCS[category]),
        name_location=name_location(name, place.city, place.country),
        merchant_id=f"M{number:014d}",
        terminals=tuple(f"T{number:05d}{till:02d}" for till in range(1, dice.randint(1, 6) + 1)),
        acquirer_id=dice.choice(ACQUIRERS),
        place=place,
        latitude=place.latitude + dice.uniform(-0.7, 0.7),
        longitude=place.longitude + dice.uniform(-0.7, 0.7),
        opens=opens,
        closes=closes,
    )


def name_location(name: str, city: str, country: str) -> str:
    """DE 43 as the standard cuts it: 25, 13 and 2 characters."""
    return f"{name:<25.25}{city:<13.13}{country:<2.2}"


def _opening_hours() -> Iterator[tuple[str, tuple[int, int]]]:
    """Nobody opens for hours in which the calibration sells nothing."""
    for category in CATEGORIES:
        busy: Sequence[int] = [hour for hour, share in enumerate(category.hours()) if share]
        yield category.name, (busy[0], busy[-1] + 1)


OPENING_HOURS = dict(_opening_hours())

assert MCCS.keys() == LAST_NAMES.keys()
assert {category.name for category in CATEGORIES} <= MCCS.keys()
