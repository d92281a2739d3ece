"""authz show: look at a card, an account or an authorization."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.app.embedded.process import EmbeddedError
from authz.app.looking import (
    JOURNAL_MAX,
    SEARCH_MAX,
    NotThere,
    Plain,
    look_at_account,
    look_at_authorization,
    look_at_card,
)
from authz.app.meaning import BY_NUMBER
from authz.app.options import configured
from authz.app.store import find_store, pan_keys
from authz.config import Config, ConfigError
from authz.hot import admin, keys
from authz.privacy import Pan

EXAMPLES = f"""
\b
Examples:
  authz show account A1
  authz show card c4k2v7q3m5p6x7ya --account A1
  authz show card - < pan.txt
  authz show authorization ID --json

A card number is read from standard input and never from the command line, where the
shell's history and everybody who may list processes would see it.

Without --account a card or an authorization is searched for, over at most
{SEARCH_MAX:,} keys; entries are looked for among the {JOURNAL_MAX:,} newest of its shard."""

MINOR = "_minor"

as_json = click.option("--json", "plain", is_flag=True, help="As JSON.")
on_account = click.option("--account", "account_id", help="Its account, which saves the search.")


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Look at a card, an account or an authorization, masked."""


@command.command(epilog=EXAMPLES)
@click.argument("card_id", metavar="ID|-")
@on_account
@as_json
@configured
def card(card_id: str, account_id: str | None, plain: bool, config: Config) -> None:
    """A card by its id; by its number, if that is on standard input."""
    pan = None
    if card_id == "-":
        pan = pan_from_stdin()
    elif card_id.isdigit() and len(card_id) >= 12:
        raise click.UsageError("A card number is read from standard input: authz show card -")

    async def look(client: Redis) -> Plain:
        if pan is None:
            return await look_at_card(client, card_id, account_id)
        key = pan_keys(config).card_key(pan)
        return {"pan": pan.masked, **await look_at_card(client, *await card_owner(client, key))}

    show(config, look, plain)


@command.command(epilog=EXAMPLES)
@click.argument("account_id", metavar="ID")
@as_json
@configured
def account(account_id: str, plain: bool, config: Config) -> None:
    """An account: its balances, what is available, its counters and open authorizations."""
    show(config, lambda client: look_at_account(client, account_id), plain)


@command.command(epilog=EXAMPLES)
@click.argument("authorization_id", metavar="ID")
@on_account
@as_json
@configured
def authorization(
    authorization_id: str, account_id: str | None, plain: bool, config: Config
) -> None:
    """An authorization: its record, the acts on it, and its journal entries."""
    show(config, lambda client: look_at_authorization(client, authorization_id, account_id), plain)


async def card_owner(client: Redis, card_key: str) -> tuple[str, str]:
    """Card id and account id. Raises: NotThere."""
    found: list[bytes | None] = await client.hmget(keys.directory(card_key), ["card", "account"])  # type: ignore[assignment]
    if found[0] is None or found[1] is None:
        raise NotThere("no such card")
    return found[0].decode(), found[1].decode()


def pan_from_stdin() -> Pan:
    try:
        return Pan(sys.stdin.readline().strip())
    except ValueError:
        raise click.UsageError("Standard input has no card number on its first line.") from None


def show(config: Config, look: Callable[[Redis], Awaitable[Plain]], plain: bool) -> None:
    found = asyncio.run(run(config, look))
    if plain:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        click.echo("\n".join(lines(found, found["currency"])))


async def run(config: Config, look: Callable[[Redis], Awaitable[Plain]]) -> Plain:
    try:
        store = await find_store(config)
    except (EmbeddedError, admin.NotFit, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    except (OSError, RedisError):
        raise click.ClickException("The store cannot be reached.") from None
    client = admin.administrator(store.url)
    try:
        return await look(client)
    except NotThere as error:
        raise click.ClickException(f"{str(error).capitalize()}.") from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except (RedisError, OSError) as error:
        raise click.ClickException(f"The store gave no answer ({type(error).__name__}).") from None
    finally:
        await client.aclose()
        store.stop()


def lines(found: Plain, currency: str, indent: str = "") -> list[str]:
    """Name and value, one a line; lists and tables below their name."""
    out = []
    width = max((len(name) for name in found), default=0)
    for name, value in found.items():
        # A counter's own name is left as it is.
        label = name if "/" in name else name.removesuffix(MINOR).replace("_", " ")
        if isinstance(value, dict) and value:
            out += [f"{indent}{label}", *lines(value, currency, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            out.append(f"{indent}{label}")
            for item in value:
                out += [f"{indent}  -", *lines(item, currency, indent + "    ")]
        else:
            out.append(f"{indent}{label:<{width}}  {text(name, value, currency)}")
    return out


def text(name: str, value: Any, currency: str) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, list):
        return " ".join(map(str, value))
    known = BY_NUMBER.get(currency)
    if name.endswith(MINOR) and known is not None and known.exponent is not None:
        return f"{Decimal(value).scaleb(-known.exponent)} {known.code}"
    return str(value)
