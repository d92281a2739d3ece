"""What card traffic looks like, in numbers: the traffic is made from these and held against them.

Source: fitted to 62,939 transactions of 299 cards in 90 days, made with the Sparkov data
generator (MIT licence, seed 20260101), those that it means as fraud included. Shares and
quantiles were counted; amounts are mixtures of four lognormals fitted by expectation
maximization (Kolmogorov-Smirnov distance to the data 0.010 to 0.026, by category).

The data knows coarse hours only: before noon, after noon, and a bump of fraud from 22:00
to 04:00. Petrol is bought in its mornings and fitness in its afternoons; we follow it.
"""

from msgspec import Struct


class Category(Struct, frozen=True):
    """One kind of shopping: how much of all traffic it is, when it is done, what it costs."""

    name: str
    share: float  # of all purchases
    morning: float  # of its purchases, 00:00 to 12:00, spread evenly
    afternoon: float  # 12:00 to 24:00, spread evenly
    night: float  # 22:00 to 04:00, above the other two
    amounts: tuple[tuple[float, float, float], ...]  # share, median in US dollars, sigma

    @property
    def online(self) -> bool:
        return self.name.endswith("_net")

    def hours(self) -> tuple[float, ...]:
        """The share of each hour of the day; the night stays within the hours of opening."""
        dark = [hour for hour in NIGHT if (self.morning if hour < 12 else self.afternoon)]
        return tuple(
            (self.morning if hour < 12 else self.afternoon) / 12
            + (self.night / len(dark) if hour in dark else 0.0)
            for hour in range(24)
        )


NIGHT = (22, 23, 0, 1, 2, 3)

CATEGORIES = (
    #        name              share   morning after  night  amounts: share, median, sigma of each
    Category("entertainment",  0.0710, 0.290, 0.694, 0.016, (
         (0.398,   5.8, 0.80), (0.081,  21.5, 1.08), (0.483,  70.8, 0.59), (0.037, 552.0, 0.57))),
    Category("food_dining",    0.0720, 0.185, 0.815, 0.000, (
         (0.346,   5.5, 0.81), (0.159,  23.3, 1.03), (0.439,  68.4, 0.57), (0.056, 317.2, 0.80))),
    Category("gas_transport",  0.0828, 0.951, 0.000, 0.049, (
         (0.211,   6.5, 0.85), (0.174,  45.1, 0.35), (0.441,  67.4, 0.24), (0.174, 141.9, 0.79))),
    Category("grocery_net",    0.0437, 1.000, 0.000, 0.000, (
         (0.320,  25.9, 1.55), (0.357,  58.7, 0.35), (0.189,  67.9, 0.19), (0.133, 198.7, 0.10))),
    Category("grocery_pos",    0.1014, 0.878, 0.033, 0.089, (
         (0.239,   7.3, 0.93), (0.501,  64.4, 0.34), (0.102, 227.2, 1.03), (0.157, 232.7, 0.24))),
    Category("health_fitness", 0.0612, 0.000, 0.979, 0.021, (
         (0.307,   5.3, 0.79), (0.224,  22.9, 0.91), (0.432,  69.5, 0.66), (0.037, 300.4, 1.00))),
    Category("home",           0.0897, 0.000, 1.000, 0.000, (
         (0.394,   6.8, 0.87), (0.147,  44.2, 0.59), (0.442,  73.9, 0.69), (0.017, 698.6, 0.74))),
    Category("kids_pets",      0.0836, 0.000, 0.987, 0.013, (
         (0.404,   6.5, 0.81), (0.117,  28.3, 0.35), (0.411,  77.0, 0.55), (0.068, 132.2, 1.38))),
    Category("misc_net",       0.0505, 0.700, 0.214, 0.086, (
         (0.297,   6.6, 0.92), (0.451,  64.1, 0.37), (0.170, 218.2, 0.29), (0.083, 862.9, 0.16))),
    Category("misc_pos",       0.0638, 0.545, 0.443, 0.012, (
         (0.397,   6.1, 0.85), (0.448,  65.6, 0.47), (0.101, 198.3, 0.11), (0.054, 427.3, 0.81))),
    Category("personal_care",  0.0671, 0.000, 0.980, 0.020, (
         (0.407,   6.9, 0.86), (0.121,  33.1, 0.37), (0.452,  79.6, 0.60), (0.020, 608.9, 0.78))),
    Category("shopping_net",   0.0829, 0.168, 0.727, 0.105, (
         (0.318,   5.5, 0.79), (0.395,  61.2, 1.17), (0.185,  73.4, 0.44), (0.102, 950.2, 0.13))),
    Category("shopping_pos",   0.0987, 0.263, 0.692, 0.045, (
         (0.402,   6.1, 0.81), (0.350,  68.8, 0.50), (0.207,  80.0, 1.29), (0.042, 918.4, 0.13))),
    Category("travel",         0.0317, 0.000, 0.980, 0.020, (
         (0.332,   5.9, 0.83), (0.147,  19.0, 1.01), (0.490,  67.6, 0.71), (0.031, 731.1, 0.77))),
)  # fmt: skip

# Transactions a day, Monday first, against the mean day.
WEEKDAYS = (0.655, 0.742, 0.816, 0.802, 1.171, 1.423, 1.378)

# How often people pay: the share of cards, and their transactions a day.
ACTIVITY = (
    (0.1338, 0.111),
    (0.2642, 1.071),
    (0.1973, 2.041),
    (0.1839, 3.005),
    (0.0803, 3.986),
    (0.0669, 4.939),
    (0.0736, 5.913),
)

# The data in summary, so that traffic can be compared without it.
CARDS_IN_DATA, TRANSACTIONS_IN_DATA = 299, 62_939
QUANTILES = (0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)

AMOUNTS_IN_DATA = {  # US dollars at QUANTILES
    "all":            (1.25, 2.41, 4.07, 9.39, 46.65, 87.01, 188.86, 297.80, 990.45),
    "entertainment":  (1.17, 2.10, 3.39, 7.41, 33.28, 80.04, 140.14, 219.41, 866.66),
    "food_dining":    (1.20, 2.05, 3.39, 7.91, 34.88, 79.11, 139.38, 223.09, 730.54),
    "gas_transport":  (1.37, 3.64, 6.68, 34.37, 59.25, 79.92, 123.98, 210.47, 526.41),
    "grocery_net":    (1.55, 4.96, 9.52, 40.85, 63.39, 91.53, 198.75, 221.80, 467.87),
    "grocery_pos":    (1.41, 3.22, 6.36, 33.43, 65.63, 113.53, 275.93, 317.77, 900.20),
    "health_fitness": (1.27, 2.16, 3.55, 8.22, 31.66, 76.16, 137.66, 200.48, 569.79),
    "home":           (1.22, 2.25, 3.85, 8.86, 35.56, 78.54, 139.36, 200.10, 677.10),
    "kids_pets":      (1.26, 2.36, 3.91, 8.30, 31.92, 77.26, 134.28, 181.19, 552.87),
    "misc_net":       (1.24, 2.48, 4.59, 17.68, 62.41, 139.83, 316.53, 830.27, 1043.46),
    "misc_pos":       (1.17, 2.06, 3.42, 8.10, 47.21, 93.67, 198.93, 230.99, 898.02),
    "personal_care":  (1.22, 2.35, 3.89, 8.58, 34.17, 78.63, 137.57, 196.29, 638.54),
    "shopping_net":   (1.23, 2.38, 3.75, 8.59, 45.04, 111.72, 765.79, 974.00, 1132.90),
    "shopping_pos":   (1.21, 2.23, 3.47, 7.83, 37.70, 87.78, 191.69, 719.31, 1049.51),
    "travel":         (1.24, 2.16, 3.69, 8.25, 32.43, 78.13, 153.77, 224.87, 967.51),
}  # fmt: skip

SHARES_IN_DATA = {category.name: category.share for category in CATEGORIES}

HOURS_IN_DATA = (
    0.0340, 0.0340, 0.0332, 0.0337, 0.0302, 0.0290, 0.0293, 0.0296, 0.0311, 0.0296, 0.0285, 0.0298,
    0.0502, 0.0505, 0.0516, 0.0505, 0.0507, 0.0504, 0.0497, 0.0506, 0.0508, 0.0519, 0.0598, 0.0615,
)  # fmt: skip

# Transactions of a card at QUANTILES, against the mean card.
PER_CARD_IN_DATA = (0.033, 0.043, 0.052, 0.451, 0.874, 1.306, 2.124, 2.513, 2.565)

assert abs(sum(category.share for category in CATEGORIES) - 1) < 0.002
assert all(abs(sum(category.hours()) - 1) < 0.002 for category in CATEGORIES)
assert abs(sum(share for share, _ in ACTIVITY) - 1) < 0.001
