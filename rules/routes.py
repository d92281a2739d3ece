"""Which of several sources converts an amount, where a batch settles in another currency.

Each states a rate, a cost in basis points of what comes out, and a fee. The best is the one that
leaves us with the most, or takes the least, all of that counted. Which were asked, and what each
would have come to, is kept with the choice.
"""

from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from rules.fx import BASIS, EXPONENTS, half_even, ratio

Code = Annotated[str, Meta(pattern="^[0-9]{3}$")]


class Quote(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one source states for one pair, in one direction."""

    name: Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9._-]{0,31}$")]
    of: Code  # the currency of the batch
    into: Code  # the currency that the bank moves
    # Units of `into` for one of `of`, decimal text that is read exactly.
    rate: Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$")]
    cost_bp: Annotated[int, Meta(ge=0, le=5_000)] = 0  # of what comes out by the rate
    fixed_minor: Annotated[int, Meta(ge=0, le=10**9)] = 0  # for each conversion, in `into`


class Offer(NamedTuple):
    """What an amount comes to by one source. Minor units of `into`; signs as of the amount."""

    name: str
    rate: str
    converted_minor: int  # by the rate alone
    cost_minor: int  # never below zero: what the source keeps
    moved_minor: int  # by the bank, in all: above zero is what we receive


def offers(amount_minor: int, of: str, into: str, quotes: tuple[Quote, ...]) -> tuple[Offer, ...]:
    """What each source makes of it, the best first; of equals the one whose name comes first.

    `amount_minor`: above zero we receive it, below zero we pay it. Halves are rounded to even.
    """
    found = [offer(amount_minor, quote) for quote in quotes if (quote.of, quote.into) == (of, into)]
    return tuple(sorted(found, key=lambda one: (-one.moved_minor, one.name)))


def offer(amount_minor: int, quote: Quote) -> Offer:
    by_rate = converted(amount_minor, quote)
    cost = half_even(abs(by_rate) * quote.cost_bp, BASIS)
    if amount_minor:
        cost += quote.fixed_minor
    return Offer(quote.name, quote.rate, by_rate, cost, by_rate - cost)


def converted(amount_minor: int, quote: Quote) -> int:
    """By the rate alone, half to even, with the amount's sign."""
    numerator, denominator = ratio(quote.rate)
    shift = EXPONENTS[quote.into] - EXPONENTS[quote.of]
    numerator *= 10 ** max(shift, 0)
    denominator *= 10 ** max(-shift, 0)
    found = half_even(abs(amount_minor) * numerator, denominator)
    return -found if amount_minor < 0 else found
