"""Control acts on referrals: a person approves or declines one, and opens exceptions on cards.

An approval and its exception are one step, so neither is ever there without the other. Who decides
again is told so, and nothing changes.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from authz import identity
from authz.control import TIMEOUT_S, TRIES, Identity, change_card
from authz.hot.acts import SettleReview
from authz.hot.errors import HotStateError
from authz.hot.store import RedisHotState
from authz.profiles import read_card, write_profile
from ledger.journal import CardBody, ReviewBody, encode_body
from rules.exceptions import counters_of, with_one_more
from rules.facts import CardException, CardProfile

HOUR_S = 3600
# A card and its network tell the time a little apart from us, and the next attempt comes at once.
BEFORE_S = 300


class NoException(Exception):
    """The card has no such exception."""


class Terms(Struct, frozen=True, kw_only=True):
    """What an exception allows, as a person says it."""

    merchant_id: str
    amount_minor: int | None
    currency: str
    hours: int
    uses: int
    opened_by: str


async def except_card(
    state: RedisHotState, who: Identity, terms: Terms, now_s: int, source: str
) -> tuple[CardProfile, CardException]:
    """Open an exception on a card; or more of one that is there and allows the same.

    Raises: TooMany; HotStateError.
    """
    id = identity.exception_id(who.card_id, terms.merchant_id, str(now_s), source)
    made: list[CardException] = []

    async def open_one(card: CardProfile) -> CardProfile:
        changed, one = await opened_on(state, card, terms, now_s, id)
        made[:] = [one]
        return changed

    card, _ = await change_card(state, who, open_one, source)
    return card, made[0]


async def end_exception(
    state: RedisHotState, who: Identity, exception_id: str, source: str
) -> CardException:
    """End one before its time. Raises: NoException; HotStateError."""
    ended: list[CardException] = []

    async def end_one(card: CardProfile) -> CardProfile:
        ended[:] = [one for one in card.exceptions if one.exception_id == exception_id]
        if not ended:
            raise NoException("the card has no such exception")
        left = tuple(one for one in card.exceptions if one.exception_id != exception_id)
        return replace(card, exceptions=left)

    await change_card(state, who, end_one, source)
    return ended[0]


async def approve(
    state: RedisHotState,
    message_id: str,
    who: Identity,
    terms: Terms,
    now_s: int,
    sent_at: int,
    source: str,
) -> tuple[CardProfile, CardException] | None:
    """Decide a case for the cardholder: the next attempt passes. None: it does not wait any more.

    Raises: TooMany; HotStateError.
    """
    assert who.account_id is not None
    id = identity.exception_id("review", message_id)
    for _ in range(TRIES):
        _, _, version, packed = await state.profiles(who.account_id, who.card_id, TIMEOUT_S)
        card, one = await opened_on(
            state, read_card(packed), terms, now_s, id, review_id=message_id, from_s=sent_at
        )
        profile = write_profile(card)
        said = await state.settle_review(
            SettleReview(
                message_id=message_id,
                account_id=who.account_id,
                verdict="approved",
                body=encode_body(ReviewBody(source, one.exception_id)),
                card_id=who.card_id,
                made_from=version,
                profile=profile,
                card_body=encode_body(
                    CardBody(msgspec.Raw(profile), who.card_key, f"review {message_id}: {source}")
                ),
            ),
            TIMEOUT_S,
        )
        if said != "stale":
            return (card, one) if said == "approved" else None
    raise HotStateError("others change this card all the time")


async def decline(state: RedisHotState, message_id: str, account_id: str, source: str) -> bool:
    """Decide a case against the cardholder: what was answered stands. False: it does not wait any
    more. Raises: HotStateError."""
    act = SettleReview(
        message_id=message_id,
        account_id=account_id,
        verdict="declined",
        body=encode_body(ReviewBody(source)),
    )
    return await state.settle_review(act, TIMEOUT_S) == "declined"


async def opened_on(
    state: RedisHotState,
    card: CardProfile,
    terms: Terms,
    now_s: int,
    exception_id: str,
    *,
    review_id: str = "",
    from_s: int | None = None,
) -> tuple[CardProfile, CardException]:
    """The card with one exception more, and without those that are over or used up."""
    wanted = CardException(
        exception_id=exception_id,
        merchant_id=terms.merchant_id,
        amount_minor=terms.amount_minor,
        currency=terms.currency,
        from_s=now_s - BEFORE_S if from_s is None else min(from_s, now_s),
        until_s=now_s + terms.hours * HOUR_S,
        uses=terms.uses,
        opened_by=terms.opened_by,
        review_id=review_id,
    )
    counted = [one for one in card.exceptions if one.uses]
    counters = [counters_of(one, card.limit_subject)[0] for one in counted]
    used = await state.used(card.account_id, counters, TIMEOUT_S)
    used_up = {
        one.exception_id for one, so_far in zip(counted, used, strict=True) if so_far >= one.uses
    }
    exceptions, one = with_one_more(card.exceptions, wanted, now_s, used_up)
    return replace(card, exceptions=exceptions), one
