"""Where people live and shops stand: cities by their share of cardholders.

The American shares are those of the calibration data, by state; the rest is ours, to
have other currencies, time zones and travellers in the traffic.
"""

from msgspec import Struct


class Place(Struct, frozen=True):
    """One city, and the currency and clock of the people in it."""

    city: str  # at most 13 characters: DE 43
    state: str  # "" outside the United States
    country: str  # ISO 3166 alpha-2
    latitude: float  # degrees
    longitude: float
    time_zone: str  # IANA
    currency: str  # ISO 4217 alphabetic
    weight: int  # cardholders, against the other places


class Currency(Struct, frozen=True):
    """A currency as a network sees it. Rates stand still: traffic is no market."""

    code: str  # ISO 4217 alphabetic
    numeric: str
    decimals: int  # 2 or 0
    per_dollar: float

    @property
    def unit(self) -> int:
        """Minor units in a major one."""
        return 100 if self.decimals else 1

    def minor(self, dollars: float) -> int:
        """That many US dollars in minor units of this currency."""
        return round(dollars * self.per_dollar * self.unit)

    def major(self, minor: int) -> str:
        """As load files write it: 1500.00, and 1500 where there are no cents."""
        if not self.decimals:
            return str(minor)
        return f"{minor // 100}.{minor % 100:02d}"


CURRENCIES = {
    currency.code: currency
    for currency in (
        Currency("USD", "840", 2, 1.0),
        Currency("EUR", "978", 2, 0.92),
        Currency("GBP", "826", 2, 0.79),
        Currency("CAD", "124", 2, 1.37),
        Currency("JPY", "392", 0, 151.0),
    )
}

COUNTRY_NUMERIC = {"US": "840", "DE": "276", "FR": "250", "GB": "826", "CA": "124", "JP": "392"}

PLACES = (
    #     city             state  country  lat      long   time zone               currency weight
    Place("Los Angeles",   "CA",  "US",  34.05, -118.24, "America/Los_Angeles",    "USD",   38),
    Place("Miami",         "FL",  "US",  25.76,  -80.19, "America/New_York",       "USD",   23),
    Place("Houston",       "TX",  "US",  29.76,  -95.37, "America/Chicago",        "USD",   21),
    Place("New York",      "NY",  "US",  40.71,  -74.01, "America/New_York",       "USD",   19),
    Place("Detroit",       "MI",  "US",  42.33,  -83.05, "America/Detroit",        "USD",   12),
    Place("Nashville",     "TN",  "US",  36.16,  -86.78, "America/Chicago",        "USD",   12),
    Place("Philadelphia",  "PA",  "US",  39.95,  -75.17, "America/New_York",       "USD",   12),
    Place("Columbus",      "OH",  "US",  39.96,  -83.00, "America/New_York",       "USD",   12),
    Place("Chicago",       "IL",  "US",  41.88,  -87.63, "America/Chicago",        "USD",   10),
    Place("Richmond",      "VA",  "US",  37.54,  -77.44, "America/New_York",       "USD",    9),
    Place("Birmingham",    "AL",  "US",  33.52,  -86.80, "America/Chicago",        "USD",    9),
    Place("Newark",        "NJ",  "US",  40.74,  -74.17, "America/New_York",       "USD",    9),
    Place("Charlotte",     "NC",  "US",  35.23,  -80.84, "America/New_York",       "USD",    8),
    Place("Saint Louis",   "MO",  "US",  38.63,  -90.20, "America/Chicago",        "USD",    7),
    Place("Atlanta",       "GA",  "US",  33.75,  -84.39, "America/New_York",       "USD",    6),
    Place("Phoenix",       "AZ",  "US",  33.45, -112.07, "America/Phoenix",        "USD",    6),
    Place("Denver",        "CO",  "US",  39.74, -104.99, "America/Denver",         "USD",    5),
    Place("Minneapolis",   "MN",  "US",  44.98,  -93.27, "America/Chicago",        "USD",    5),
    Place("Seattle",       "WA",  "US",  47.61, -122.33, "America/Los_Angeles",    "USD",    4),
    Place("Anchorage",     "AK",  "US",  61.22, -149.90, "America/Anchorage",      "USD",    2),
    Place("Honolulu",      "HI",  "US",  21.31, -157.86, "Pacific/Honolulu",       "USD",    2),
    Place("Toronto",       "",    "CA",  43.65,  -79.38, "America/Toronto",        "CAD",    3),
    Place("London",        "",    "GB",  51.51,   -0.13, "Europe/London",          "GBP",    4),
    Place("Berlin",        "",    "DE",  52.52,   13.41, "Europe/Berlin",          "EUR",    4),
    Place("Paris",         "",    "FR",  48.86,    2.35, "Europe/Paris",           "EUR",    3),
    Place("Tokyo",         "",    "JP",  35.68,  139.69, "Asia/Tokyo",             "JPY",    2),
)  # fmt: skip

assert all(len(place.city) <= 13 for place in PLACES)
assert {currency.decimals for currency in CURRENCIES.values()} == {0, 2}
assert all(place.currency in CURRENCIES and place.country in COUNTRY_NUMERIC for place in PLACES)
