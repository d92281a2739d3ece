"""authz card: freeze a card, or let it go on; and what networks have still to hear of that."""

import asyncio
from collections.abc import Callable
from typing import Any

import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.announcing import Announcing, networks_told, turned
from authz.app.announcements import drop_announcements, look_at_announcements
from authz.app.at_store import at_store
from authz.app.cli import hidden
from authz.app.commands.card_except import except_
from authz.app.commands.load import let_in
from authz.app.commands.show import pan_from_stdin, refuse_card_numbers
from authz.app.looking import NotThere, look_for_card
from authz.app.options import configured
from authz.app.output import counted, sentence
from authz.app.store import NO_STORE, Store, find_store, opened, pan_keys
from authz.config import Config, ConfigError
from authz.control import Identity, WrongState, card_id_for, freeze_card
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.hot.outbox import Word
from authz.hot.store import RedisHotState
from authz.wire.networks import NETWORKS
from rules.facts import CardProfile

WORDS_MAX = 200  # of who says so; it is kept in the journal for ever

EXAMPLES = """
\b
Examples:
  authz card freeze - < pan.txt
  authz card freeze c4k2v7q3m5p6x7ya
  authz card unfreeze c4k2v7q3m5p6x7ya
  authz card except c4k2v7q3m5p6x7ya --merchant MERCHANT0000001 --hours 48

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
  authz card announcements --drop c4k2v7q3m5p6x7ya --network visa --by jdoe

A line for each word: network, card, add to its file of blocked cards or delete from it, and what
became of it; how often it was told, since when, and DE 39 of the last answer.

\b
Exit codes:
  0  whether some wait or none
  1  the store gave no answer
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Freeze a card, let it go on, or past the policy's rules: from the next message on."""


command.add_command(except_)


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
                names = networks_told(config.links)
                return await put(state, who, frozen, source, lambda card: turned(card.state), names)
            keys = pan_keys(config)
            who = await card_id_for(state, keys, pan)
            announcing = Announcing(keys, networks_told(config.links))
            return await put(
                state, who, frozen, source,
                lambda card: with_number(announcing.of(pan, card.card_id, card.state), card),
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


def with_number(words: tuple[Word, ...], card: CardProfile) -> tuple[Word, ...]:
    """And what waits for networks that this configuration does not name."""
    named = {word.network for word in words}
    return words + tuple(word for word in turned(card.state) if word.network not in named)


async def put(
    state: RedisHotState,
    who: Identity,
    frozen: bool,
    source: str,
    words: Callable[[CardProfile], tuple[Word, ...]],
    without_number: tuple[str, ...] = (),
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
    if said.queued + said.full < len(without_number):
        text += not_announced(without_number, said.queued)
    return text


def not_announced(networks: tuple[str, ...], turned: int) -> str:
    """A network knows a card by its number; that is here only while a word on the card waits."""
    who = f"the others of {', '.join(networks)}" if turned else ", ".join(networks)
    return f"\nnot announced to {who}: that needs the card's number, on standard input"


@command.command(epilog=TOLD)
@click.option("--all", "acknowledged", is_flag=True, help="Also what stands acknowledged.")
@click.option("--json", "plain", is_flag=True, help="As JSON.")
@click.option("--drop", "card_id", metavar="CARD_ID", help="Tell no more of this card.")
@click.option("--network", type=click.Choice(sorted(NETWORKS)), help="With --drop: to this one.")
@click.option("--by", "person", help="With --drop: who says so. Kept in the journal.")
@configured
def announcements(
    acknowledged: bool,
    plain: bool,
    card_id: str | None,
    network: str | None,
    person: str | None,
    config: Config,
) -> None:
    """What networks have still to acknowledge of our cards; or drop some of it."""
    if card_id is not None:
        refuse_card_numbers(card_id)
        if not (person or "").strip():
            raise click.UsageError("--drop needs --by, which names a person.")
        source = hidden(f"authz card announcements --drop: {(person or '').strip()}")[:WORDS_MAX]
        click.echo(asyncio.run(drop(config, card_id, network, source)))
        return
    if network or person:
        raise click.UsageError("--network and --by go with --drop.")

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


async def drop(config: Config, card_id: str, network: str | None, source: str) -> str:
    async def work(client: Redis, store: Store) -> list[str]:
        async with opened(store, source) as state:
            return list(await drop_announcements(client, state, card_id, network, source))

    dropped = await at_store(config, source, work)
    if not dropped:
        return f"nothing waits to be told of card {card_id}"
    return f"card {card_id}: {', '.join(dropped)} will not be told"
