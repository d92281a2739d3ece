"""Of what a cardholder paid: how much is the network's, and how much is a fee.

The hot state moves one number. Which part of it is whose, the act's body says; but a reversal's
body names no fee, a completion may post less than it told of, and two may come in any order. So
the parts of each authorization are kept (`Parts`), and every move is split against them:

  - more is paid: by the act's own terms, in proportion where it is not all of what they tell of;
  - some is paid back: each part shrinks in proportion. When all is paid back, all parts are zero;
  - a clearing file says to the cent what its network settles, also of what it takes back. That is
    kept to (`exact`), and what billing and settlement differ by is ours.

Parts are rounded half to even. What rounding leaves goes to the principal, the largest part, so the
parts always add up to what moved, to the cent (tests/ledger/test_book.py).
"""

from msgspec import Struct
from msgspec.structs import replace

from ledger.journal import AuthorizationBody, ClearingBody

OWN_RATE_NOT = ("", "network")  # sources of a rate that is not ours


class Terms(Struct, frozen=True):
    """What one act says of its price. Amounts are minor units and never below zero."""

    network: str
    total_minor: int  # what the cardholder pays in all
    fees_minor: int  # all of them
    cross_border_minor: int  # of these
    foreign_minor: int = 0  # as an entry of `Parts.foreign`
    foreign_currency: str = ""
    converts: bool = True  # the principal goes through the FX position
    exact: bool = False  # the network's word on what it settles, whichever way money moves


class Parts(Struct, frozen=True, array_like=True, gc=False):
    """What was posted of one authorization, in the billing currency, by whose it is.

    `paid` is what left the card in all; below zero for a credit. The principal is the rest of it.
    """

    paid: int = 0
    fees: int = 0  # but the next
    cross_border: int = 0
    converted: int = 0  # of the principal, what went through the FX position
    # What the network is owed for that, by currency. In the billing currency itself: by how much
    # the principal exceeds what the network settles, which is income.
    foreign: tuple[tuple[str, int], ...] = ()

    @property
    def direct(self) -> int:
        """Of the principal, what stays in the billing currency."""
        return self.paid - self.fees - self.cross_border - self.converted


NOTHING = Parts()


def terms_of(told: AuthorizationBody) -> Terms:
    total = told.settle_minor if told.settle_minor >= 0 else told.amount_minor
    fees = min(max(told.fee_minor, 0), total)
    abroad = min(max(told.cross_border_fee_minor, 0), fees)
    ours = told.rate_source not in OWN_RATE_NOT and told.transaction_currency != told.currency
    if not ours:
        return Terms(told.network, total, fees, abroad)
    return Terms(
        told.network, total, fees, abroad, told.transaction_minor, told.transaction_currency
    )


def terms_of_clearing(body: ClearingBody) -> Terms:
    """What the network settles, where the file says so; else as of an online completion."""
    terms = terms_of(body.told)
    settled, currency = body.settlement_minor, body.settlement_currency
    if not currency:
        return replace(terms, exact=True)
    converts = currency != body.told.currency
    return Terms(
        terms.network,
        terms.total_minor,
        terms.fees_minor,
        terms.cross_border_minor,
        settled if converts else terms.total_minor - terms.fees_minor - settled,
        currency,
        converts,
        exact=True,
    )


def share(part: int, of: int, whole: int) -> int:
    """part * of / whole, half to even, for any signs; whole is not zero."""
    if whole < 0:
        part, whole = -part, -whole
    quotient, rest = divmod(part * of, whole)
    return quotient + (2 * rest > whole or (2 * rest == whole and quotient % 2 == 1))


def paid(before: Parts, moved: int, terms: Terms | None) -> Parts:
    """The parts after `moved` more left the card; below zero: came back to it."""
    after = before.paid + moved
    if moved == 0:
        return before
    if terms is not None and terms.exact:
        return grown(before, moved, terms)
    if after == 0:
        return NOTHING
    if before.paid == 0 or (before.paid > 0) == (moved > 0):
        return grown(before, moved, terms)
    if (after > 0) == (before.paid > 0):
        return scaled(before, after)
    return grown(NOTHING, after, terms)  # more came back than was paid


def grown(before: Parts, more: int, terms: Terms | None) -> Parts:
    """By the act's terms; where it has none, as the parts stand."""
    if terms is None or terms.total_minor == 0:
        return scaled(before, before.paid + more) if before.paid else replace(before, paid=more)
    whole = terms.total_minor
    fees = share(terms.fees_minor, more, whole)
    abroad = share(terms.cross_border_minor, more, whole)
    foreign, converted = dict(before.foreign), 0
    if terms.foreign_currency:
        converted = more - fees if terms.converts else 0
        currency = terms.foreign_currency
        foreign[currency] = foreign.get(currency, 0) + share(terms.foreign_minor, more, whole)
    return Parts(
        before.paid + more,
        before.fees + fees - abroad,
        before.cross_border + abroad,
        before.converted + converted,
        in_order(foreign),
    )


def scaled(before: Parts, after: int) -> Parts:
    """All parts in proportion; what rounding leaves is the principal's."""
    fees = share(before.fees, after, before.paid)
    abroad = share(before.cross_border, after, before.paid)
    if before.direct == 0:
        converted = after - fees - abroad if before.converted else 0
    else:
        converted = share(before.converted, after, before.paid)
    foreign = {name: share(amount, after, before.paid) for name, amount in before.foreign}
    return Parts(after, fees, abroad, converted, in_order(foreign))


def joined(parts: Parts, others: list[Parts]) -> Parts:
    """One authorization's with those of others that it took in."""
    for other in others:
        foreign = dict(parts.foreign)
        for name, amount in other.foreign:
            foreign[name] = foreign.get(name, 0) + amount
        parts = Parts(
            parts.paid + other.paid,
            parts.fees + other.fees,
            parts.cross_border + other.cross_border,
            parts.converted + other.converted,
            in_order(foreign),
        )
    return parts


def in_order(foreign: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name, amount) for name, amount in foreign.items() if amount))
