"""Exceptions: what a person said lets a card past a rule that refers or declines.

One names a merchant and an end, and mostly an amount and how often. They stand in the card's
profile, so every engine has them from the very next message on; what was used of them is counted
where all counters are, in one step with the hold, so one that is for once is used once, by any
number of engines.
"""

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from rules.facts import EXACT_MAX, AuthorizationRequest, CardException, CardProfile, Limit

# A card's. They are in every engine's memory and in each version of the card that is journalled;
# who needs more needs another rule.
EXCEPTIONS_MAX = 8
USES_MAX = 1000


class TooMany(Exception):
    """The card has as many exceptions as it may have."""


def exception_for(request: AuthorizationRequest, card: CardProfile) -> CardException | None:
    """The one that covers the request. Of several, one without a count before those that may be
    used up, then what allows least: it was opened for this amount, and others for others."""
    covering = (one for one in card.exceptions if covers(one, request))
    return min(covering, key=by_what_it_allows, default=None)


def covers(one: CardException, request: AuthorizationRequest) -> bool:
    amount = request.amount_minor
    return (
        one.merchant_id == request.merchant_id
        and one.from_s <= request.sent_at < one.until_s
        and (one.amount_minor is None or amount <= one.amount_minor)
        and (amount == 0 or request.currency == one.currency)
    )


def by_what_it_allows(one: CardException) -> tuple[bool, bool, int]:
    return one.uses > 0, one.amount_minor is None, one.amount_minor or 0


def ceilings_of(
    one: CardException, request: AuthorizationRequest, card: CardProfile, reason: str
) -> tuple[Limit, ...]:
    """What it may be used for: so many authorizations, and in all what they may take with their
    increments and fees. Beyond that stands what the rule says, `reason`.

    What takes nothing, an account check or an inquiry, uses nothing up.
    """
    if not one.uses or request.amount_minor == 0:
        return ()
    count, total = counters_of(one, card.limit_subject)
    ceilings = [Limit(reason, count, 1, one.uses, 0)]
    if one.amount_minor is not None:
        most = min(one.uses * one.amount_minor, EXACT_MAX)
        ceilings.append(Limit(reason, total, request.amount_minor, most, 1))
    return tuple(ceilings)


def counters_of(one: CardException, subject: str) -> tuple[str, str]:
    """How often, and how much in all."""
    name = f"{subject}/exception/{one.exception_id}"
    return f"{name}/count/ever", f"{name}/amount/ever"


def with_one_more(
    exceptions: Iterable[CardException],
    one: CardException,
    now_s: int,
    used_up: Collection[str] = (),
) -> tuple[tuple[CardException, ...], CardException]:
    """All of them, and the new one as it stands among them; without what is over or used up.

    Two that allow the same are one that allows it more often: which of them a request uses cannot
    be told apart. Raises: TooMany.
    """
    kept = [x for x in exceptions if x.until_s > now_s and x.exception_id not in used_up]
    for place, there in enumerate(kept):
        if there.uses and one.uses and allows(there) == allows(one):
            kept[place] = joined = replace(
                one,
                exception_id=there.exception_id,
                from_s=min(there.from_s, one.from_s),
                until_s=max(there.until_s, one.until_s),
                uses=min(there.uses + one.uses, USES_MAX),
            )
            return tuple(kept), joined
    if len(kept) >= EXCEPTIONS_MAX:
        raise TooMany
    return (*kept, one), one


def allows(one: CardException) -> tuple[str, int | None, str]:
    return one.merchant_id, one.amount_minor, one.currency
