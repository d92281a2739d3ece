"""authz card: freeze a card, or let it go on; and what networks have still to hear of that."""

import asyncio
from collections.abc import Callable
from typing import Any

import click
import msgspec
from redis.exceptions import RedisError

from authz.announcing import Announcing, networks_told
from authz.app.announcements import look_at_announcements
from authz.app.commands.load import let_in
from authz.app.commands.show import pan_from_stdin, refuse_card_numbers
from authz.app.looking import NotThere, look_for_card
from authz.app.options import configured
from authz.app.output import counted, sentence
from authz.app.store import NO_STORE, find_store, opened, pan_keys
from authz.config import Config, ConfigError
from authz.control import Identity, WrongState, card_id_for, freeze_card
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.hot.outbox import Word
from authz.hot.store import RedisHotState
from rules.facts import CardProfile

EXAMPLES = """
\b
Examples:
  authz card freeze - < pan.txt
  authz card freeze c4k2v7q3m5p6x7ya
  authz card unfreeze c4k2v7q3m5p6x7ya

A card number is read from standard input and never from the command line. An id is
searched for in the whole directory, which with a million cards takes some seconds.

Where links of the configuration have file_update, their networks are told of it, if the
card was named by its number: nothing here keeps that.

\b
Exit codes:
  0  the card is frozen, or active again; also if it was before
  1  there is no such card, it is neither active nor frozen, or the store refused
  2  wrong use"""

TOLD = """
\b
Examples:
  authz card announcements
  authz card announcements --all --json

A line for each word: network, card, add to its file of blocked cards or delete from it, and what
became of it; how often it was told, since when, and DE 39 of the last answer.

\b
Exit codes:
  0  whether some wait or none
  1  the store gave no answer
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
    verb = "freeze" if frozen else "unfreeze"
    refuse_card_numbers(card_id, instead=f"authz card {verb} -")
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
            if pan is None:
                who = Identity(*await look_for_card(client, card_id))
                return await put(state, who, frozen, source) + not_announced(config)
            keys = pan_keys(config)
            who = await card_id_for(state, keys, pan)
            announcing = Announcing(keys, networks_told(config.links))
            return await put(
                state, who, frozen, source,
                lambda card: announcing.of(pan, card.card_id, card.state),
            )  # fmt: skip
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


async def put(
    state: RedisHotState,
    who: Identity,
    frozen: bool,
    source: str,
    words: Callable[[CardProfile], tuple[Word, ...]] = lambda card: (),
) -> str:
    if who.account_id is None:
        raise NotThere("no such card")
    card, said = await freeze_card(state, who, frozen=frozen, source=source, words=words)
    verb = "is" if said.verdict == "moved" else "was"
    text = f"card {card.card_id} of account {card.account_id} {verb} {card.state}"
    if said.queued:
        text += f"\n{counted(said.queued, 'network')} will be told"
    if said.full:
        text += f"\n{counted(said.full, 'network')} will not be told: too many cards wait for that"
    return text


def not_announced(config: Config) -> str:
    """A network knows a card by its number, and nothing here keeps that."""
    names = ", ".join(networks_told(config.links))
    if not names:
        return ""
    return f"\nnot announced to {names}: that needs the card's number, on standard input"


@command.command(epilog=TOLD)
@click.option("--all", "acknowledged", is_flag=True, help="Also what stands acknowledged.")
@click.option("--json", "plain", is_flag=True, help="As JSON.")
@configured
def announcements(acknowledged: bool, plain: bool, config: Config) -> None:
    """What networks have still to acknowledge of our cards."""

    async def look() -> list[dict[str, Any]]:
        store = await find_store(config, make=False)
        client = admin.administrator(store.url)
        try:
            return await look_at_announcements(client, acknowledged)
        finally:
            await client.aclose()
            store.stop()

    try:
        found = asyncio.run(look())
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    except (RedisError, OSError) as error:
        raise click.ClickException(f"The store gave no answer ({type(error).__name__}).") from None
    if plain:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for one in found:
        click.echo(
            f"{one['network']}  {one['card_id']}  {one['code']}  {one['state']}  "
            f"tries {one['tries']}  since {one['since']}"
            + (f"  last answer {one['last_answer']}" if one["last_answer"] else "")
        )
    click.echo(
        counted(sum(one["state"] != "acknowledged" for one in found), "word") + " to be told"
    )
