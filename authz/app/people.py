"""A simulated population as accounts and cards of the engine."""

import iso4217

from authz.control import NewAccount, NewCard, Outcome, put_accounts, put_cards
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys
from authz.simulator.cards import Account, Card, Population
from rules.facts import AccountProfile, AccountState, CardState


async def load_population(
    state: RedisHotState, pan_keys: PanKeys, population: Population, source: str
) -> tuple[Outcome, Outcome]:
    """Put everybody in; those that are there already stay as they are, money and all.

    Raises: HotStateError.
    """
    accounts = await put_accounts(state, map(new_account, population.accounts), source)
    cards = await put_cards(state, pan_keys, map(new_card, population.cards), source)
    return accounts, cards


def new_account(account: Account) -> NewAccount:
    profile = AccountProfile(
        account_id=account.account_id,
        program=account.program,
        currency=f"{iso4217.Currency(account.currency).number:03}",
        credit_line_minor=account.credit_line_minor,
        time_zone=account.time_zone,
        state=AccountState(account.status),
    )
    return NewAccount(profile=profile, opening_minor=account.opening_minor)


def new_card(card: Card) -> NewCard:
    return NewCard(
        pan=Pan(card.pan),
        account_id=card.account.account_id,
        expiry=card.expiry,
        state=CardState(card.status),
        transaction_limit_minor=card.per_transaction_minor,
        daily_amount_minor=card.daily_amount_minor,
        daily_count=card.daily_count,
        blocked_mccs=card.blocked_mccs,
    )
