"""Exchange: what an amount of one currency is in another, by rates of our own.

    [exchange]
    max_age_days = 4
    spread_bp = 50                           # against the cardholder, whichever way money goes
    markup_bp = 150                          # on what the cardholder pays
    programs = { acme = { markup_bp = 0 } }
    base = "EUR"                             # rates in the file; or none, and those loaded hold
    date = "2026-11-20"
    rates = { USD = "1.1578", JPY = "170.25" }

A rate says how many units of its currency one unit of the base is, in decimal text that is read
exactly. Between two currencies the ratio of their rates holds, also exactly: nothing is rounded
but the amount that comes out, once, half to even at the minor unit of the currency (ISO 4217).
"""

import re
from datetime import date
from decimal import Decimal
from math import gcd
from typing import Annotated

import iso4217
import msgspec
from msgspec import Meta, Struct

EPOCH = date(1970, 1, 1).toordinal()
DAY_S = 86_400
BASIS = 10_000  # basis points of a whole
BILLED_MAX = 10**12 - 1  # what DE 6 could say, and far below what stays exact in the hot state
DIGITS = 10  # significant ones of a rate as it is told; the money is worked out with all of it
RATE = re.compile(r"\d{1,12}(\.\d{1,12})?")

# By letters, numeric code and minor units. Metals and funds have no minor unit, and no rate here.
CURRENCIES = {
    c.code: (f"{c.number:03}", c.exponent)
    for c in iso4217.Currency
    if c.number is not None and c.exponent is not None
}
EXPONENTS = dict(CURRENCIES.values())

Points = Annotated[int, Meta(ge=0, le=5_000)]
Text = Annotated[str, Meta(max_length=32)]


class Margins(Struct, frozen=True, forbid_unknown_fields=True):
    """What a program adds to a rate, in basis points. What it leaves out is everybody's."""

    spread_bp: Points | None = None
    markup_bp: Points | None = None


class Rates(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Reference rates of one day: units of each currency for one unit of the base."""

    base: Text = ""
    date: Text = ""  # YYYY-MM-DD
    source: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z ._-]{0,31}$")] = "own"
    rates: dict[str, Text] = {}


class ExchangeRules(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy's [exchange]."""

    max_age_days: Annotated[int, Meta(ge=0, le=366)] = 4  # a long weekend
    spread_bp: Points = 0
    markup_bp: Points = 0
    programs: dict[str, Margins] = {}
    currencies: tuple[Text, ...] = ()  # which must have a rate


class RatesError(Exception):
    """What is wrong with rates, and where."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path, self.problem = path, problem


class Converted(Struct, frozen=True, gc=False):
    """An amount in the account's currency, and what it was worked out by."""

    amount_minor: int
    rate: str  # with spread and markup: units of the account's for one of the transaction's
    source: str
    date: str


def half_even(numerator: int, denominator: int) -> int:
    """The quotient of what is not negative, rounded half to even."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


class Exchange:
    """Rates and margins, ready to convert. Raises: RatesError, where they are wrong.

    A currency that must have a rate and has none is told where rates are loaded, not here: an
    engine then declines what is in that currency, and nothing else.
    """

    def __init__(self, rules: ExchangeRules, loaded: Rates | None = None) -> None:
        rates = in_force(rules, loaded)
        self._rules = rules
        self._rates = rates
        self._day = check_rates(rates) if rates else 0
        self._by_number = ratios(rates) if rates else {}
        self._known: dict[tuple[str, str, str, bool], tuple[int, int, str]] = {}

    def convert(
        self, amount_minor: int, of: str, into: str, program: str, sent_at: int, sign: int = 1
    ) -> Converted | None:
        """What is billed for an amount of another currency; codes are numeric.

        None where there is no rate, or none that is young enough, or where the amount would be
        longer than any network writes one: nobody guesses. Not less than one minor unit: nothing
        would be a question about the card.
        """
        rates = self._rates
        if rates is None or sent_at // DAY_S - self._day > self._rules.max_age_days:
            return None
        key = (of, into, program, sign < 0)
        known = self._known.get(key)
        if known is None:
            if of not in self._by_number or into not in self._by_number:
                return None
            known = self._known[key] = self._ratio(of, into, program, sign)
        numerator, denominator, told = known
        billed = max(half_even(amount_minor * numerator, denominator), 1)
        if billed > BILLED_MAX:
            return None
        return Converted(billed, told, rates.source, rates.date)

    def _ratio(self, of: str, into: str, program: str, sign: int) -> tuple[int, int, str]:
        """Minor units into minor units, in lowest terms; and the rate for people."""
        (bought, bought_per), (paid, paid_per) = self._by_number[of], self._by_number[into]
        own, rules = self._rules.programs.get(program, Margins()), self._rules
        spread = rules.spread_bp if own.spread_bp is None else own.spread_bp
        markup = rules.markup_bp if own.markup_bp is None else own.markup_bp
        margin = BASIS + spread + markup if sign > 0 else BASIS - spread
        numerator, denominator = paid * bought_per * margin, paid_per * bought * BASIS
        told = decimal_text(numerator, denominator)
        shift = EXPONENTS[into] - EXPONENTS[of]
        numerator *= 10 ** max(shift, 0)
        denominator *= 10 ** max(-shift, 0)
        common = gcd(numerator, denominator)
        return numerator // common, denominator // common, told


def in_force(rules: ExchangeRules, loaded: Rates | None) -> Rates | None:
    """A policy's own rates come before those loaded beside it."""
    return rules if rules.rates or rules.base or rules.date else loaded


def check_exchange(rules: ExchangeRules, loaded: Rates | None = None) -> None:
    """Whether rules and rates fit each other; asked when either is loaded. Raises: RatesError."""
    rates = in_force(rules, loaded)
    if rates is not None:
        check_rates(rates)
    for code in rules.currencies:
        if code not in CURRENCIES:
            raise RatesError("currencies", f"no currency of ISO 4217: {code}")
        if rates is not None and code != rates.base and code not in rates.rates:
            raise RatesError("currencies", f"no rate for {code}")


def ratios(rates: Rates) -> dict[str, tuple[int, int]]:
    """By numeric code: units for one of the base, as an exact ratio."""
    found = {CURRENCIES[code][0]: ratio(text) for code, text in rates.rates.items()}
    return found | {CURRENCIES[rates.base][0]: (1, 1)}


def ratio(text: str) -> tuple[int, int]:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction), 10 ** len(fraction)


def decimal_text(numerator: int, denominator: int) -> str:
    """A ratio in ten significant digits, half to even, for people to read."""
    places = max(DIGITS - len(str(numerator // denominator)), 0)
    while numerator * 10**places < denominator * 10 ** (DIGITS - 1):
        places += 1
    digits = half_even(numerator * 10**places, denominator)
    text = f"{Decimal(digits).scaleb(-places):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_rates(rates: Rates) -> int:
    """Their day, counted from 1970. Raises: RatesError."""
    if rates.base not in CURRENCIES:
        raise RatesError("base", "not a currency of ISO 4217, in letters")
    try:
        day = date.fromisoformat(rates.date).toordinal() - EPOCH
    except ValueError:
        raise RatesError("date", "expected YYYY-MM-DD") from None
    for code, text in rates.rates.items():
        if code not in CURRENCIES:
            raise RatesError(f"rates.{code}", "not a currency of ISO 4217, in letters")
        if code == rates.base:
            raise RatesError(f"rates.{code}", "the base is its own measure")
        if not RATE.fullmatch(text) or not ratio(text)[0]:
            raise RatesError(f"rates.{code}", 'expected a decimal above zero in quotes, "1.1578"')
    return day


def read_rates(text: str) -> Rates:
    """Rates as `write_rates` wrote them. Raises: RatesError."""
    try:
        rates = msgspec.json.decode(text, type=Rates)
    except msgspec.MsgspecError as error:
        raise RatesError("", str(error)) from None
    check_rates(rates)
    return rates


def write_rates(rates: Rates) -> str:
    """One text for the same rates, whatever order they came in."""
    return msgspec.json.encode(rates, order="sorted").decode()
