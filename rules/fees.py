"""Fees: what the cardholder pays beside what is billed, as the policy's [[fee]] rows say."""

from collections.abc import Iterable

from msgspec import Struct

from rules.facts import AccountProfile, AuthorizationRequest, Purpose
from rules.fx import BASIS, half_even
from rules.policy import FeeRule

ATM = "6011"  # ISO 18245: cash from a machine; 6010 is cash over a counter


class Fees(Struct, frozen=True, gc=False):
    """What is charged, in minor units of the account's currency."""

    total_minor: int = 0
    cross_border_minor: int = 0  # of the total


NO_FEES = Fees()


def fees_of(
    rows: Iterable[FeeRule],
    request: AuthorizationRequest,
    account: AccountProfile,
    *,
    in_part: bool,
) -> Fees:
    """The first row of each kind that is about this request, added up.

    `in_part`: of a payment that pays its fixed fees and minima elsewhere (an increment's with the
    authorization, a shipment's with the last), so only the basis points count.
    """
    taken: dict[str, int] = {}
    for row in rows:
        if row.kind not in taken and is_about(row, request, account):
            taken[row.kind] = fee_minor(row, request.amount_minor, in_part=in_part)
    return Fees(sum(taken.values()), taken.get("cross_border", 0)) if taken else NO_FEES


def is_about(row: FeeRule, request: AuthorizationRequest, account: AccountProfile) -> bool:
    match row.kind:
        case "cross_border":  # a merchant whose country nobody told is not known to be abroad
            return bool(request.country) and request.country not in row.home
        case "atm":
            return request.mcc == ATM and request.purpose is Purpose.CASH
        case "foreign_currency":
            return request.transaction_currency != account.currency


def fee_minor(row: FeeRule, billed_minor: int, *, in_part: bool) -> int:
    """Basis points, half to even at the minor unit, and the fixed part; within its bounds."""
    share = half_even(billed_minor * row.bp, BASIS)
    fee = share if in_part else max(share + row.fixed, row.min)
    return fee if row.max is None else min(fee, row.max)
