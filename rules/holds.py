"""How long money is held, how much more than was asked, and what a completion may do: as data.

A rule is a row: the network, the kind of merchant, whether the amount is the last word, and who
began the payment, against days and amounts. The first row that fits is the one that holds.

Source: the periods that networks publish for merchants, gathered in docs/holds.md.
"""

from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rules.facts import AuthorizationRequest, Finality, Purpose

# Merchant category codes by what these rules call them. Source: ISO 18245.
MCC_GROUPS: dict[str, tuple[tuple[str, str], ...]] = {
    "fuel": (("5541", "5542"), ("5552", "5552")),
    "restaurants": (("5811", "5814"),),
    "hotels": (("3501", "3999"), ("7011", "7011")),
    "car_rental": (("3351", "3441"), ("7512", "7513"), ("7519", "7519")),
    "cruises": (("4411", "4411"),),
    "taxis": (("4121", "4121"),),
    "airlines": (("3000", "3350"), ("4511", "4511")),
    "transit": (("4111", "4112"), ("4131", "4131")),
}
INITIATED_BY = ("cardholder", "merchant")

Days = Annotated[int, Meta(ge=1, le=3650)]
Percent = Annotated[int, Meta(ge=0, le=100)]  # a hold of more than twice the amount helps nobody
Minor = Annotated[int, Meta(ge=0, le=10**9)]


class HoldRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row. What is empty fits all."""

    network: str = ""
    mcc_group: str = ""  # of MCC_GROUPS
    finality: Literal["", "plain", "pre", "final"] = ""
    initiated_by: Literal["", "cardholder", "merchant"] = ""

    days: Days  # until a hold ends by itself
    uplift_percent: Percent = 0  # held beyond what was asked, for a tip or a tank that is filled:
    uplift_minor: Minor = 0  # as far as there are funds, and of the two the larger one
    tolerance_percent: Percent = 0  # a completion may exceed the hold by so much, of the two the
    tolerance_minor: Minor = 0  # larger one; more is posted too, and shown (authz exceptions)
    remainder: Literal["release", "keep"] = "release"  # what a completion leaves of the hold
    overdue_days: Days = 30  # a completion later than that is posted, and shown
    credit: Literal["posting", "approval"] = "posting"  # when a refund's funds become available

    def fits(self, network: str, mcc: str, finality: Finality, by_merchant: bool) -> bool:
        return (
            self.network in ("", network)
            and (not self.mcc_group or in_group(mcc, self.mcc_group))
            and self.finality in ("", finality)
            and self.initiated_by in ("", INITIATED_BY[by_merchant])
        )

    def hold_minor(self, amount_minor: int) -> int:
        """What is held for an amount. Rounded down: nobody is held for a unit more than said."""
        return amount_minor + max(amount_minor * self.uplift_percent // 100, self.uplift_minor)


def in_group(mcc: str, group: str) -> bool:
    return any(first <= mcc <= last for first, last in MCC_GROUPS[group])


# What holds where a configuration says nothing. `days` of the last row is engine.hold_days.
DEFAULTS = (
    HoldRule(mcc_group="fuel", finality="pre", days=2, tolerance_percent=100, overdue_days=10),
    HoldRule(mcc_group="restaurants", days=7, tolerance_percent=20),
    HoldRule(mcc_group="hotels", finality="pre", days=30, tolerance_percent=15),
    HoldRule(mcc_group="car_rental", finality="pre", days=30, tolerance_percent=15),
    HoldRule(mcc_group="cruises", finality="pre", days=30, tolerance_percent=15),
    HoldRule(mcc_group="hotels", days=7, tolerance_percent=15),
    HoldRule(mcc_group="car_rental", days=7, tolerance_percent=15),
    HoldRule(network="visa", finality="pre", days=10),
    HoldRule(network="visa", initiated_by="merchant", days=5),
    HoldRule(network="mastercard", finality="pre", days=30),
)


class HoldPolicy:
    """The rows in force."""

    def __init__(self, rules: tuple[HoldRule, ...]) -> None:
        assert rules, "the last row fits all"
        self.rules = rules
        # Networks times the MCCs in play times six.
        self._find = lru_cache(maxsize=4096)(self._first)

    def of(self, request: AuthorizationRequest) -> HoldRule:
        """The row for a request."""
        finality, by_merchant = request.finality, request.merchant_initiated
        return self._find(request.network, request.mcc, finality, by_merchant)

    def _first(self, network: str, mcc: str, finality: Finality, by_merchant: bool) -> HoldRule:
        for rule in self.rules:
            if rule.fits(network, mcc, finality, by_merchant):
                return rule
        raise AssertionError("the last row fits all")


def make_policy(rules: tuple[HoldRule, ...], days: int) -> HoldPolicy:
    """The rules of a configuration, or ours where it has none; then a last one for all others."""
    return HoldPolicy((*(rules or DEFAULTS), HoldRule(days=days)))


CASH = Purpose.CASH


def hold_for(request: AuthorizationRequest, rule: HoldRule) -> int:
    """What is held for a request, in its billing currency."""
    amount = request.amount_minor
    if amount == 0 or request.posts or request.sign < 0 or request.purpose is CASH:
        return amount  # cash is what it is, and what posts at once needs no room
    return rule.hold_minor(amount)
