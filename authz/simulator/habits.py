"""What sets one cardholder apart from the next. The mean of them all is the calibration."""

from msgspec import Struct


class Habit(Struct, frozen=True):
    """What somebody buys more of than others, when, and how much they spend on it."""

    name: str
    share: float  # of cardholders
    likes: dict[str, float]  # category to weight, 1 where it is not named
    by_day_part: tuple[float, float, float]  # weight at night, before noon, after noon
    spending: float  # factor on amounts


HABITS = (
    Habit("commuter", 0.35, {"gas_transport": 1.8, "food_dining": 1.4}, (0.7, 1.1, 1.0), 0.95),
    Habit("family",   0.30, {"grocery_pos": 1.6, "kids_pets": 2.0},     (0.6, 1.1, 1.1), 1.05),
    Habit("online",   0.20, {"shopping_net": 2.2, "misc_net": 2.0},     (1.8, 0.9, 1.0), 1.00),
    Habit("outgoing", 0.15, {"entertainment": 2.0, "travel": 2.2},      (1.6, 0.8, 1.0), 1.05),
)  # fmt: skip

DAY_PARTS = (0,) * 6 + (1,) * 6 + (2,) * 12  # hour to index into `Habit.by_day_part`

assert abs(sum(habit.share for habit in HABITS) - 1) < 1e-9
