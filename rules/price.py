"""What a payment costs its cardholder: billed in the account's currency, and the fees beside it."""

from msgspec import Struct
from msgspec.structs import replace

from rules.decide import decide
from rules.facts import (
    EXACT_MAX,
    AccountProfile,
    AuthorizationRequest,
    CardProfile,
    Limit,
    Plan,
)
from rules.fees import NO_FEES, Fees
from rules.fx import half_even
from rules.judge import Judge
from rules.lists import Lists
from rules.windows import moment_at

NETWORK = "network"  # as the source of a rate: it billed the amount itself


class Price(Struct, frozen=True, gc=False):
    """A request as it is judged, and what was worked out to get there."""

    request: AuthorizationRequest  # billed in the account's currency, where that could be told
    fees: Fees = NO_FEES
    rate: str = ""  # units of the account's currency for one of the transaction's
    source: str = ""  # of the rate; "" where nothing was converted
    rate_date: str = ""  # YYYY-MM-DD

    @property
    def settle_minor(self) -> int:
        """What the account pays in all."""
        return self.request.amount_minor + self.fees.total_minor


def price(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    judge: Judge,
    *,
    in_part: bool = False,
) -> Price:
    """Bill it by our own rates, unless its network did, and add the fees.

    Without a rate it stays in its own currency: a request is declined for that, and an advice is
    taken in as it was told. Facts alone decide, so the same request under the same policy and rates
    always costs the same.
    """
    found = Price(request)
    converted = request.currency != request.transaction_currency
    if request.amount_minor and converted:
        found = Price(request, rate=request.network_rate, source=NETWORK)
    if judge.prices_nothing:
        return found
    own = judge.exchange if may_be_billed(request, account) else None
    billed = own and own.convert(
        request.amount_minor,
        request.currency,
        account.currency,
        account.program,
        request.sent_at,
        request.sign,
    )
    if billed:
        request = replace(request, amount_minor=billed.amount_minor, currency=account.currency)
        found = Price(request, rate=billed.rate, source=billed.source, rate_date=billed.date)
    if request.currency != account.currency:
        return found  # what it costs cannot be told
    moment = moment_at(request.sent_at, account.time_zone)
    fees = judge.fees(request, account, card, moment, in_part=in_part)
    if request.amount_minor + fees.total_minor > EXACT_MAX:
        return found
    return replace(found, fees=fees)


def plan_of(
    request: AuthorizationRequest,
    card: CardProfile,
    account: AccountProfile,
    lists: Lists,
    judge: Judge,
    *,
    in_part: bool = False,
) -> tuple[Price, Plan]:
    """Price a request, judge it at that price, and plan for all that it costs."""
    priced = price(request, card, account, judge, in_part=in_part)
    return priced, with_fees(decide(priced.request, card, account, lists, judge), priced)


def may_be_billed(request: AuthorizationRequest, account: AccountProfile) -> bool:
    """Whether it is ours to convert: an amount of another currency that no network billed."""
    return (
        request.amount_minor > 0
        and request.currency == request.transaction_currency
        and request.currency != account.currency
    )


def with_fees(plan: Plan, priced: Price) -> Plan:
    """The plan for all that the account pays: fees are held and counted like the amount.

    Where a rule allows no more than a part of the amount, so it does of the fees.
    """
    fee, amount = priced.fees.total_minor, priced.request.amount_minor
    if not fee or not plan.hold_minor:
        return plan
    hold_minor = plan.hold_minor + half_even(fee * plan.hold_minor, amount)
    limits = tuple(counted(limit, fee) for limit in plan.limits)
    return replace(plan, hold_minor=hold_minor, limits=limits)


def counted(limit: Limit, fee: int) -> Limit:
    return replace(limit, use=limit.use + fee) if limit.scale == 1 else limit
