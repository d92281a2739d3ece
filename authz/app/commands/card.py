"""authz card: freeze a card, or let it go on."""

import asyncio

import click
from redis.exceptions import RedisError

from authz.app.commands.load import let_in
from authz.app.commands.show import pan_from_stdin, refuse_card_numbers
from authz.app.looking import NotThere, look_for_card
from authz.app.options import configured
from authz.app.output import sentence
from authz.app.store import NO_STORE, find_store, opened, pan_keys
from authz.config import Config, ConfigError
from authz.control import Identity, WrongState, card_id_for, freeze_card
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.hot.store import RedisHotState

EXAMPLES = """
\b
Examples:
  authz card freeze - < pan.txt
  authz card freeze c4k2v7q3m5p6x7ya
  authz card unfreeze c4k2v7q3m5p6x7ya

A card number is read from standard input and never from the command line. An id is
searched for in the whole directory, which with a million cards takes some seconds.

\b
Exit codes:
  0  the card is frozen, or active again; also if it was before
  1  there is no such card, it is neither active nor frozen, or the store refused
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Freeze a card, or let it go on: its state alone changes, from the next message on."""


@command.command(epilog=EXAMPLES)
@click.argument("card_id", metavar="CARD_ID|-")
@configured
def freeze(card_id: str, config: Config) -> None:
    """Freeze an active card."""
    turn(config, card_id, frozen=True)


@command.command(epilog=EXAMPLES)
@click.argument("card_id", metavar="CARD_ID|-")
@configured
def unfreeze(card_id: str, config: Config) -> None:
    """Let a frozen card go on."""
    turn(config, card_id, frozen=False)


def turn(config: Config, card_id: str, *, frozen: bool) -> None:
    refuse_card_numbers(card_id)
    click.echo(asyncio.run(run(config, card_id, frozen)))


async def run(config: Config, card_id: str, frozen: bool) -> str:
    pan = pan_from_stdin() if card_id == "-" else None
    source = f"authz card {'freeze' if frozen else 'unfreeze'}"
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    client = admin.administrator(store.url)
    try:
        await let_in(store, client, new_store=False, source=source)
        async with opened(store, source) as state:
            if pan is not None:
                who = await card_id_for(state, pan_keys(config), pan)
            else:
                who = Identity(*await look_for_card(client, card_id))
            return await put(state, who, frozen, source)
    except (NotThere, WrongState, admin.NotFit) as error:
        raise click.ClickException(sentence(error)) from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except (HotStateError, RedisError, OSError) as error:
        raise click.ClickException(
            f"The store gave no answer ({type(error).__name__}). Run it again."
        ) from None
    finally:
        await client.aclose()
        store.stop()


async def put(state: RedisHotState, who: Identity, frozen: bool, source: str) -> str:
    if who.account_id is None:
        raise NotThere("no such card")
    card, is_news = await freeze_card(state, who, frozen=frozen, source=source)
    verb = "is" if is_news else "was"
    return f"card {card.card_id} of account {card.account_id} {verb} {card.state}"
