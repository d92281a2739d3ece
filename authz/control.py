"""Control acts: what files and people change, not cardholders.

Accounts and cards go in by thousands over the engine's own connection, each by one
function call that journals it. Calls in flight together share one fsync, so many are
kept in flight; how many is bounded. Every act here may be run again: a load that was
cut short is simply repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from authz.announcing import Announcing
from authz.hot import admin
from authz.hot.acts import PutAccount, PutCard, PutCardSaid
from authz.hot.errors import Cold
from authz.hot.outbox import Word
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys
from authz.profiles import read_card, write_profile
from ledger.journal import AccountBody, CardBody, encode_body
from rules.facts import AccountProfile, CardProfile, CardState

# Acts under way at once. More gains nothing: one fsync already serves hundreds.
IN_FLIGHT = 512
TIMEOUT_S = 30.0  # of one look-up; nobody waits at a till for it

Item = TypeVar("Item")


class NewAccount(Struct, frozen=True, kw_only=True):
    """An account as it is to be. Opening funds count when it is created, and only then."""

    profile: AccountProfile
    opening_minor: int = 0


class NewCard(Struct, frozen=True, kw_only=True):
    """A card as it is to be, before it has an id. A limit of None is no limit."""

    pan: Pan
    account_id: str
    expiry: str  # YYMM
    state: CardState = CardState.ACTIVE
    transaction_limit_minor: int | None = None
    daily_amount_minor: int | None = None
    daily_count: int | None = None
    blocked_mccs: tuple[str, ...] = ()
    limit_subject: str = ""  # "" keeps a known card's, or the replaced card's, else the card id
    replaces: Pan | str | None = None  # the card whose counters it goes on with: PAN or card id


class Refusal(Struct, frozen=True):
    """What was not done. By position: the thing itself may be a card number."""

    position: int
    reason: str


class Outcome(Struct):
    """How many of each; the refused ones one by one."""

    created: int = 0
    moved: int = 0
    same: int = 0
    announced: int = 0  # to networks, of cards that are blocked or let go on
    not_announced: int = 0  # since too many wait for their network already
    refused: list[Refusal] = msgspec.field(default_factory=list)

    def count(self, said: str) -> None:
        """One more, by the function's own word for it."""
        setattr(self, said, getattr(self, said) + 1)


class WrongState(Exception):
    """The card is neither active nor frozen, and must not become so. The text says what it is."""


class Identity(Struct, frozen=True):
    """Whom a PAN stands for."""

    card_key: str
    card_id: str
    account_id: str | None  # None: the directory does not know the card yet


async def card_id_for(state: RedisHotState, pan_keys: PanKeys, pan: Pan) -> Identity:
    """The id of this card: the directory's where it has one, else one derived from the PAN.

    Derived, so that a load that died between card and directory finds its card again.
    """
    card_key = pan_keys.card_key(pan)
    found = await state.look_up(card_key, TIMEOUT_S)
    if found is None:
        return Identity(card_key, pan_keys.card_id(pan), None)
    return Identity(card_key, found[1], found[0])


async def put_accounts(
    state: RedisHotState, accounts: Iterable[NewAccount], source: str
) -> Outcome:
    """Create accounts or move their profiles. Refused: another currency than it has.

    Raises: HotStateError; what was done by then stays, and may be done again.
    """
    outcome = Outcome()

    async def put(position: int, account: NewAccount) -> None:
        profile = write_profile(account.profile)
        said = await state.put_account(
            PutAccount(
                account_id=account.profile.account_id,
                profile=profile,
                currency=account.profile.currency,
                opening_minor=account.opening_minor,
                body=encode_body(AccountBody(msgspec.Raw(profile), account.opening_minor, source)),
            ),
            TIMEOUT_S,
        )
        if said == "currency_fixed":
            outcome.refused.append(Refusal(position, "the currency of an account cannot change"))
        else:
            outcome.count(said)

    await pour(accounts, put)
    return outcome


async def put_cards(
    state: RedisHotState,
    pan_keys: PanKeys,
    cards: Iterable[NewCard],
    source: str,
    announcing: Announcing | None = None,
) -> Outcome:
    """Create cards or move their profiles: announced in the directory, put, and then settled.

    In this order, so that there is never a card that cannot be found, nor one number on two
    accounts. A load that dies in between leaves a row that is pending: until it is run again
    the card is not ours.

    Refused: no such account, a PAN that the directory has under another account, a
    replaced card that is not there. A replaced card must have been put before: cards
    given in one call do not see one another.
    Raises: NotFit for another key than the store's; HotStateError: what was done by then
        stays, and may be done again.
    """
    await claim_pan_key(state, pan_keys)
    outcome = Outcome()

    async def put(position: int, card: NewCard) -> None:
        who = await card_id_for(state, pan_keys, card.pan)
        if who.account_id not in (None, card.account_id):
            outcome.refused.append(Refusal(position, "the card belongs to another account"))
            return
        subject = await limit_subject(state, pan_keys, card, who)
        if subject is None:
            outcome.refused.append(Refusal(position, "no such card to replace on this account"))
            return
        if who.account_id is None:
            # Accounts are never deleted, so what is announced here can be put.
            if not await state.has_account(card.account_id, TIMEOUT_S):
                outcome.refused.append(Refusal(position, "there is no such account"))
                return
            owner, _ = await state.put_directory(
                who.card_key, card.account_id, who.card_id, TIMEOUT_S, pending=True
            )
            if owner != card.account_id:
                outcome.refused.append(Refusal(position, "the card belongs to another account"))
                return
        profile = write_profile(card_profile(card, who.card_id, subject))
        said = await state.put_card(
            PutCard(
                card_id=who.card_id,
                account_id=card.account_id,
                profile=profile,
                body=encode_body(CardBody(msgspec.Raw(profile), who.card_key, source)),
                words=announcing.of(card.pan, who.card_id, card.state) if announcing else (),
            ),
            TIMEOUT_S,
        )
        if said.verdict == "no_account":
            outcome.refused.append(Refusal(position, "there is no such account"))
            return
        await state.put_directory(who.card_key, card.account_id, who.card_id, TIMEOUT_S)
        outcome.count(said.verdict)
        outcome.announced += said.queued
        outcome.not_announced += said.full

    await pour(cards, put)
    return outcome


async def claim_pan_key(state: RedisHotState, pan_keys: PanKeys) -> None:
    """Put no card under a second key: its number would stand on a second account.

    Raises: NotFit, HotStateError.
    """
    if not await state.claim_pan_key(pan_keys.check, TIMEOUT_S):
        raise admin.NotFit(admin.OTHER_KEY)


async def limit_subject(
    state: RedisHotState, pan_keys: PanKeys, card: NewCard, who: Identity
) -> str | None:
    """Whom the counters belong to. None: the replaced card is not on this account."""
    if card.limit_subject:
        return card.limit_subject
    if card.replaces is None:
        # A card that is put once more keeps its subject, or its day would start anew.
        known = who.account_id and await subject_of(state, card.account_id, who.card_id)
        return known or who.card_id
    replaced = card.replaces
    if isinstance(replaced, Pan):
        old = await card_id_for(state, pan_keys, replaced)
        if old.account_id != card.account_id:
            return None
        replaced = old.card_id
    return await subject_of(state, card.account_id, replaced)


async def subject_of(state: RedisHotState, account_id: str, card_id: str) -> str | None:
    try:
        _, _, _, profile = await state.profiles(account_id, card_id, TIMEOUT_S)
    except Cold:
        return None
    return read_card(profile).limit_subject


async def freeze_card(
    state: RedisHotState,
    who: Identity,
    *,
    frozen: bool,
    source: str,
    words: Callable[[CardProfile], tuple[Word, ...]] = lambda card: (),
) -> tuple[CardProfile, PutCardSaid]:
    """Freeze an active card, or let a frozen one go on; all else of it stays as it is.

    Lost, stolen, closed and so on stay what they are: unfrozen they would be active. A load of
    the same card in the same moment may come first or last, as two loads may.
    `words` says what networks are to be told of it. Returns the card as it is now, and whether
    that is news.
    Raises: WrongState; HotStateError.
    """
    assert who.account_id is not None
    _, _, _, packed = await state.profiles(who.account_id, who.card_id, TIMEOUT_S)
    card = read_card(packed)
    if card.state not in (CardState.ACTIVE, CardState.FROZEN):
        raise WrongState(f"the card is {card.state}: only an active card is frozen, and back")
    card = msgspec.structs.replace(card, state=CardState.FROZEN if frozen else CardState.ACTIVE)
    profile = write_profile(card)
    said = await state.put_card(
        PutCard(
            card_id=who.card_id,
            account_id=who.account_id,
            profile=profile,
            body=encode_body(CardBody(msgspec.Raw(profile), who.card_key, source)),
            words=words(card),
        ),
        TIMEOUT_S,
    )
    return card, said


def card_profile(card: NewCard, card_id: str, subject: str) -> CardProfile:
    return CardProfile(
        card_id=card_id,
        account_id=card.account_id,
        limit_subject=subject,
        expiry=card.expiry,
        state=card.state,
        transaction_limit_minor=card.transaction_limit_minor,
        daily_amount_minor=card.daily_amount_minor,
        daily_count=card.daily_count,
        blocked_mccs=card.blocked_mccs,
    )


async def pour(items: Iterable[Item], put: Callable[[int, Item], Awaitable[None]]) -> None:
    """Every item, `IN_FLIGHT` of them at a time, in no order. The first trouble ends it all."""
    numbered = enumerate(items)

    async def carry(left: Iterator[tuple[int, Item]]) -> None:
        for position, item in left:
            await put(position, item)

    try:
        async with asyncio.TaskGroup() as carriers:
            for _ in range(IN_FLIGHT):
                carriers.create_task(carry(numbered))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
