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
from authz.hot.errors import Cold, HotStateError
from authz.hot.outbox import Word
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys
from authz.profiles import read_card, write_profile
from ledger.journal import AccountBody, CardBody, encode_body
from rules.facts import AccountProfile, CardException, CardProfile, CardState

# Acts under way at once. More gains nothing: one fsync already serves hundreds.
IN_FLIGHT = 512
TIMEOUT_S = 30.0  # of one look-up; nobody waits at a till for it
TRIES = 16  # of a change of one card: each lost one is another's success

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
    issued_day: int | None = None  # counted from 1970; None keeps a known card's, else nobody said
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


class Kept(Struct, frozen=True):
    """What a card keeps that its row does not say."""

    limit_subject: str
    exceptions: tuple[CardException, ...] = ()
    issued_day: int = 0
    version: int = 0  # of the card that takes its place; 0: it is new


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
    given in one call do not see one another. Exceptions are a person's word and in no file: a card
    that is there keeps them, and one that replaces another goes on with that one's.
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
        kept = await kept_of(state, pan_keys, card, who)
        if kept is None:
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
        words = announcing.of(card.pan, who.card_id, card.state) if announcing else ()
        said = await put_row(state, pan_keys, card, who, kept, source, words)
        if said.verdict == "no_account":
            outcome.refused.append(Refusal(position, "there is no such account"))
            return
        await state.put_directory(who.card_key, card.account_id, who.card_id, TIMEOUT_S)
        outcome.count(said.verdict)
        outcome.announced += said.queued
        outcome.not_announced += said.full

    await pour(cards, put)
    return outcome


async def put_row(
    state: RedisHotState,
    pan_keys: PanKeys,
    card: NewCard,
    who: Identity,
    kept: Kept,
    source: str,
    words: tuple[Word, ...],
) -> PutCardSaid:
    """A card as its row says, with what it keeps; read anew where somebody else was first."""
    there = Identity(who.card_key, who.card_id, card.account_id)
    for _ in range(TRIES):
        profile = card_profile(card, who.card_id, kept)
        said = await put_card(state, there, profile, kept.version, source, words)
        if said.verdict != "other":
            return said
        kept = await kept_of(state, pan_keys, card, there) or kept
    raise HotStateError("others change this card all the time")


async def claim_pan_key(state: RedisHotState, pan_keys: PanKeys) -> None:
    """Put no card under a second key: its number would stand on a second account.

    Raises: NotFit, HotStateError.
    """
    if not await state.claim_pan_key(pan_keys.check, TIMEOUT_S):
        raise admin.NotFit(admin.OTHER_KEY)


async def kept_of(
    state: RedisHotState, pan_keys: PanKeys, card: NewCard, who: Identity
) -> Kept | None:
    """Whom the counters belong to, and the exceptions, whose uses are counted there. None: the
    replaced card is not on this account."""
    version, was = 0, None
    if who.account_id:
        version, was = await stored_card(state, card.account_id, who.card_id)
    before = was
    if card.replaces is not None and not (card.limit_subject and was):
        replaced = card.replaces
        if isinstance(replaced, Pan):
            old = await card_id_for(state, pan_keys, replaced)
            replaced = old.card_id if old.account_id == card.account_id else ""
        _, before = await stored_card(state, card.account_id, replaced)
        if before is None and not card.limit_subject:
            return None
    # A card that is put once more keeps its subject, or its day would start anew.
    subject = card.limit_subject or (before.limit_subject if before else who.card_id)
    source = was or before
    goes_on = source is not None and source.limit_subject == subject
    exceptions = source.exceptions if source and goes_on else ()
    return Kept(subject, exceptions, was.issued_day if was else 0, version)


async def stored_card(
    state: RedisHotState, account_id: str, card_id: str
) -> tuple[int, CardProfile | None]:
    try:
        _, _, version, profile = await state.profiles(account_id, card_id, TIMEOUT_S)
    except Cold:
        return 0, None
    return version, read_card(profile)


async def put_card(
    state: RedisHotState,
    who: Identity,
    card: CardProfile,
    made_from: int,
    source: str,
    words: tuple[Word, ...] = (),
) -> PutCardSaid:
    """In the place of that version, and of no other."""
    assert who.account_id is not None
    profile = write_profile(card)
    return await state.put_card(
        PutCard(
            card_id=who.card_id,
            account_id=who.account_id,
            profile=profile,
            body=encode_body(CardBody(msgspec.Raw(profile), who.card_key, source)),
            words=words,
            made_from=made_from,
        ),
        TIMEOUT_S,
    )


async def freeze_card(
    state: RedisHotState,
    who: Identity,
    *,
    frozen: bool,
    source: str,
    words: Callable[[CardProfile], tuple[Word, ...]] = lambda card: (),
) -> tuple[CardProfile, PutCardSaid]:
    """Freeze an active card, or let a frozen one go on; all else of it stays as it is.

    Lost, stolen, closed and so on stay what they are: unfrozen they would be active. What others
    change of it in the same moment is not undone.
    `words` says what networks are to be told of it. Returns the card as it is now, and whether
    that is news.
    Raises: WrongState; HotStateError.
    """

    async def turn(card: CardProfile) -> CardProfile:
        if card.state not in (CardState.ACTIVE, CardState.FROZEN):
            raise WrongState(f"the card is {card.state}: only an active card is frozen, and back")
        now = CardState.FROZEN if frozen else CardState.ACTIVE
        return msgspec.structs.replace(card, state=now)

    return await change_card(state, who, turn, source, words)


async def change_card(
    state: RedisHotState,
    who: Identity,
    change: Callable[[CardProfile], Awaitable[CardProfile]],
    source: str,
    words: Callable[[CardProfile], tuple[Word, ...]] = lambda card: (),
) -> tuple[CardProfile, PutCardSaid]:
    """Read a card, change it and put it back; once more where somebody else was first.

    Raises: HotStateError; what `change` raises.
    """
    assert who.account_id is not None
    for _ in range(TRIES):
        _, _, version, packed = await state.profiles(who.account_id, who.card_id, TIMEOUT_S)
        card = await change(read_card(packed))
        said = await put_card(state, who, card, version, source, words(card))
        if said.verdict != "other":
            return card, said
    raise HotStateError("others change this card all the time")


def card_profile(card: NewCard, card_id: str, kept: Kept) -> CardProfile:
    return CardProfile(
        card_id=card_id,
        account_id=card.account_id,
        limit_subject=kept.limit_subject,
        expiry=card.expiry,
        state=card.state,
        transaction_limit_minor=card.transaction_limit_minor,
        daily_amount_minor=card.daily_amount_minor,
        daily_count=card.daily_count,
        blocked_mccs=card.blocked_mccs,
        issued_day=kept.issued_day if card.issued_day is None else card.issued_day,
        exceptions=kept.exceptions,
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
