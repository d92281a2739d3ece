"""Rates: exact between any two currencies, rounded once; and what is no rate is told its place."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fees import fee_minor
from rules.fx import (
    BILLED_MAX,
    CURRENCIES,
    EXPONENTS,
    Exchange,
    ExchangeRules,
    Rates,
    RatesError,
    decimal_text,
    half_even,
    read_rates,
    write_rates,
)
from rules.policy import FeeRule, PolicyError, read_policy

MATH = Context(prec=400)  # a quotient of these numbers that is not a half differs long before
CODES = sorted(set(CURRENCIES) - {"EUR"})
NUMBER = {code: number for code, (number, _) in CURRENCIES.items()}
DAY = 20_533  # 2026-03-21
NOON = DAY * 86_400 + 43_200

texts = st.decimals(
    min_value=Decimal("0.0001"), max_value=Decimal(99_999), places=6
).map(lambda d: f"{d:f}")  # fmt: skip
points = st.integers(0, 5000)


def rules(**changes: object) -> ExchangeRules:
    base = {"base": "EUR", "date": "2026-03-21", "rates": {"USD": "1.1", "JPY": "160"}}
    return ExchangeRules(**(base | changes))  # type: ignore[arg-type]


@given(st.integers(0, 10**40), st.integers(1, 10**20))
def test_half_even_is_what_decimal_says(numerator: int, denominator: int) -> None:
    exact = MATH.divide(Decimal(numerator), Decimal(denominator))
    assert half_even(numerator, denominator) == int(exact.to_integral_value(ROUND_HALF_EVEN))


@given(
    st.integers(1, 10**12 - 1), st.sampled_from(CODES), st.sampled_from(CODES), texts, texts,
    points, points, st.sampled_from((1, -1)),
)  # fmt: skip
def test_an_amount_is_billed_as_decimal_bills_it(
    amount: int, of: str, into: str, bought: str, paid: str, spread: int, markup: int, sign: int
) -> None:
    if of == into:
        return
    exchange = Exchange(rules(rates={of: bought, into: paid}, spread_bp=spread, markup_bp=markup))
    found = exchange.convert(amount, NUMBER[of], NUMBER[into], "p", NOON, sign)
    margin = Decimal(10_000 + spread + markup if sign > 0 else 10_000 - spread)
    numerator = MATH.multiply(MATH.multiply(Decimal(amount), Decimal(paid)), margin)
    numerator = numerator.scaleb(EXPONENTS[NUMBER[into]] - EXPONENTS[NUMBER[of]], MATH)
    exact = MATH.divide(numerator, MATH.multiply(Decimal(bought), Decimal(10_000)))
    wanted = max(int(exact.to_integral_value(ROUND_HALF_EVEN)), 1)
    assert (found.amount_minor if found else None) == (wanted if wanted <= BILLED_MAX else None)
    if found:
        rate = MATH.divide(MATH.multiply(Decimal(paid), margin), Decimal(bought) * 10_000)
        assert Decimal(found.rate) == Context(10, ROUND_HALF_EVEN).plus(rate)


@given(st.integers(1, 10**12), points, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_fee_is_what_decimal_says(amount: int, bp: int, fixed: int, least: int) -> None:
    row = FeeRule(name="f", kind="atm", bp=bp, fixed=fixed, min=least, max=10**7)
    share = int((Decimal(amount) * bp / 10_000).quantize(Decimal(1), ROUND_HALF_EVEN))
    assert fee_minor(row, amount, in_part=False) == min(max(share + fixed, least), 10**7)
    assert fee_minor(row, amount, in_part=True) == min(share, 10**7)


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [(1, 1, "1"), (11, 10, "1.1"), (1, 3, "0.3333333333"), (2, 30_000, "0.00006666666667"),
     (10**12, 1, "1000000000000"), (10**11 + 5, 10, "10000000000"), (3, 2, "1.5")],
)  # fmt: skip
def test_a_rate_is_told_in_ten_digits(numerator: int, denominator: int, text: str) -> None:
    assert decimal_text(numerator, denominator) == text


@pytest.mark.parametrize(
    ("days", "converts"), [(-1, True), (0, True), (4, True), (5, False), (400, False)]
)
def test_a_rate_of_old_converts_nothing(days: int, converts: bool) -> None:
    found = Exchange(rules()).convert(100, "978", "840", "p", NOON + days * 86_400)
    assert (found is not None) == converts


def test_rates_are_kept_as_they_were_read() -> None:
    rates = Rates(base="EUR", date="2026-03-20", source="ecb", rates={"USD": "1.1000"})
    assert read_rates(write_rates(rates)) == rates
    with pytest.raises(RatesError):
        read_rates("{}")
    with pytest.raises(RatesError):
        read_rates("no")


INLINE = 'base = "EUR"\ndate = "2026-03-21"\n'


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("[exchange]\n" + INLINE + 'rates = { USD = "1.1" }\ncurrencies = ["GBP"]',
         "exchange.currencies, line 6: no rate for GBP"),
        ('[exchange]\ncurrencies = ["QQQ"]', "exchange.currencies, line 3: no currency"),
        ("[exchange]\n" + INLINE + 'rates = { USD = "1,1" }', "exchange.rates.USD, line 5: "),
        ("[exchange]\n" + INLINE + "rates = { USD = 1.1 }", "exchange.rates, line 5: "),
        ("[exchange]\n" + INLINE + 'rates = { USD = "0" }', "exchange.rates.USD, line 5: "),
        ("[exchange]\n" + INLINE + 'rates = { EUR = "1" }', "exchange.rates.EUR, line 5: "),
        ("[exchange]\n" + INLINE + 'rates = { XAU = "1" }', "exchange.rates.XAU, line 5: "),
        ('[exchange]\nbase = "EUR"', "exchange.date, line 2: "),
        ('[exchange]\nrates = { USD = "1" }', "exchange.base, line 2: "),
        ("[exchange]\nspread_bp = 5001", "exchange.spread_bp, line 3: "),
        ('[[fee]]\nname = "f"\nkind = "cross_border"', "fee[0].home, line 2: "),
        ('[[fee]]\nname = "f"\nkind = "atm"\nhome = ["US"]', "fee[0].home, line 5: "),
        ('[[fee]]\nname = "f"\nkind = "cross_border"\nhome = ["usa"]', "fee[0].home, line 5: "),
        ('[[fee]]\nname = "f"\nkind = "atm"\nmin = 5\nmax = 4', "fee[0].max, line 6: "),
        ('[[fee]]\nname = "f"\nkind = "atm"\nfixed = 0.5', "fee[0].fixed, line 5: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(section: str, place: str) -> None:
    with pytest.raises(PolicyError) as told:
        read_policy(f'version = "1"\n{section}\n')
    assert str(told.value).startswith(place)
