"""authz show: look at a card, an account, an authorization or a message."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.app.book_views import account_told, life_told
from authz.app.books import of_books
from authz.app.history import Plain
from authz.app.looking import (
    JOURNAL_MAX,
    MESSAGES_MAX,
    SEARCH_MAX,
    NotThere,
    Wanted,
    look_at_account,
    look_at_authorization,
    look_at_card,
    look_for_message,
    search,
)
from authz.app.meaning import is_like_a_pan
from authz.app.options import configured
from authz.app.output import sentence
from authz.app.past import Past
from authz.app.plain_text import lines
from authz.app.store import NO_STORE, find_store, pan_keys
from authz.clock import SystemClock, utc
from authz.config import Config, ConfigError
from authz.hot import admin, keys
from authz.privacy import Pan
from ledger import read

EXAMPLES = """
\b
Examples:
  authz show account A1
  authz show card - < pan.txt
  authz show authorization ID
  authz show message --stan 000123 --since 14:30

Each has a --help of its own.
"""
EXIT_CODES = """
\b
Exit codes:
  0  here it is
  1  there is none, or the store gave no answer
  2  wrong use"""
NUMBERS = """
A card number is read from standard input and never from the command line, where the
shell's history and everybody who may list processes would see it.
"""
SEARCHED = f"""
Without --account it is searched for, over at most {SEARCH_MAX:,} keys.
"""
OF_ACCOUNT = f"""
\b
Examples:
  authz show account A1
  authz show account A1 --acts 100 --json

Cards, what is held and posted, and the latest acts, each with what it was answered and why; acts
are looked for among the {JOURNAL_MAX:,} newest entries of the account's shard.
{EXIT_CODES}"""
OF_CARD = f"""
\b
Examples:
  authz show card c4k2v7q3m5p6x7ya --account A1 --acts 50
  authz show card - < pan.txt
{NUMBERS}{SEARCHED}{EXIT_CODES}"""
OF_AUTHORIZATION = f"""
\b
Examples:
  authz show authorization kQ2vM9sT4xY7bN1cR5wZ --account A1
  authz show authorization kQ2vM9sT4xY7bN1cR5wZ --json

Ids are shown by `authz show account`. docs/states.md explains the states.
{SEARCHED}{EXIT_CODES}"""
OF_MESSAGE = f"""
\b
Examples:
  authz show message --stan 000123 --since 14:30
  authz show message --rrn 632500000001 --account A1
  authz show message --stan 000123 --card - < pan.txt

It is looked for among the {MESSAGES_MAX:,} newest journal entries. What was answered 30, 12, 91 or
94 is not in the journal: see bad_input in the engine's log.
{NUMBERS}{EXIT_CODES}"""

ACTS_MAX = 1000  # listed at once; who wants more reads the journal

as_json = click.option("--json", "plain", is_flag=True, help="As JSON.")
on_account = click.option("--account", "account_id", help="Its account, which saves the search.")
how_many = click.option(
    "--acts", default=20, show_default=True, type=click.IntRange(0, ACTS_MAX),
    help="So many of the latest acts, the newest first.",
)  # fmt: skip


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Look at cards, accounts and what was decided, masked."""


@command.command(epilog=OF_CARD)
@click.argument("card_id", metavar="ID|-")
@on_account
@how_many
@as_json
@of_books
@configured
def card(
    card_id: str,
    account_id: str | None,
    acts: int,
    plain: bool,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """A card, and its latest acts.

    By its id; with - by its number, on standard input.
    """
    refuse_card_numbers(card_id, account_id)
    pan = pan_from_stdin() if card_id == "-" else None

    async def look(client: Redis, past: Past) -> Plain:
        if pan is None:
            return await look_at_card(client, card_id, account_id, acts, past=past)
        key = pan_keys(config).card_key(pan)
        owner = await card_owner(client, key)
        return {"pan": pan.masked, **await look_at_card(client, *owner, acts, key, past)}

    show(config, ledger_dir, look, plain)


@command.command(epilog=OF_ACCOUNT)
@click.argument("account_id", metavar="ID")
@how_many
@as_json
@of_books
@configured
def account(
    account_id: str, acts: int, plain: bool, ledger_dir: Path | None, config: Config
) -> None:
    """An account, and its latest acts.

    Balances, what is available, counters, open authorizations.
    """
    refuse_card_numbers(account_id)

    async def look(client: Redis, past: Past) -> Plain:
        try:
            return await look_at_account(client, account_id, acts, past)
        except NotThere:
            found = await past.ask(lambda c: read.account(c, account_id), None)
            if found is None:
                raise
            return OF_BOOKS | account_told(found)

    show(config, ledger_dir, look, plain)


@command.command(epilog=OF_AUTHORIZATION)
@click.argument("authorization_id", metavar="ID")
@on_account
@as_json
@of_books
@configured
def authorization(
    authorization_id: str,
    account_id: str | None,
    plain: bool,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """An authorization, and the acts on it.

    Its record, and its journal entries.
    """
    refuse_card_numbers(authorization_id, account_id)

    async def look(client: Redis, past: Past) -> Plain:
        try:
            return await look_at_authorization(client, authorization_id, account_id, past)
        except NotThere:
            found = await past.ask(lambda c: read.authorization(c, authorization_id), None)
            if found is None:
                raise
            return OF_BOOKS | life_told(found)

    show(config, ledger_dir, look, plain)


@command.command(epilog=OF_MESSAGE)
@click.option("--stan", help="Its DE 11.")
@click.option("--rrn", help="Its DE 37.")
@click.option("--account", "account_id", help="On this account: its shard alone is read.")
@click.option("--card", "card_id", metavar="ID|-", help="On this card; - for its number on stdin.")
@click.option("--since", help="Not before: HH:MM, the last time that it was, or ISO 8601; UTC.")
@how_many
@as_json
@of_books
@configured
def message(
    stan: str | None,
    rrn: str | None,
    account_id: str | None,
    card_id: str | None,
    since: str | None,
    acts: int,
    plain: bool,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """A request, by what it carried.

    All that are found, the newest first: the answer, its reason, what was in the way.
    """
    if stan is None and rrn is None:
        raise click.UsageError("Name the message by --stan, --rrn or both.")
    if stan is not None and re.fullmatch(r"[0-9]{1,6}", stan) is None:
        raise click.UsageError("--stan: not one to six digits.")
    if rrn is not None and re.fullmatch(r"[ -~]{1,12}", rrn) is None:
        raise click.UsageError("--rrn: not one to twelve characters.")
    refuse_card_numbers(account_id, card_id)
    wanted = Wanted(
        stan=(stan or "").zfill(6) if stan is not None else "",
        rrn=rrn or "",
        account_id=account_id or "",
        card_id=card_id if card_id not in (None, "-") else "",
        since_ms=0 if since is None else read_since(since, utc(SystemClock().now_ms())),
    )
    pan = pan_from_stdin() if card_id == "-" else None

    async def look(client: Redis, past: Past) -> Plain:
        if pan is not None:
            key = pan_keys(config).card_key(pan)
            met = await of_number(client, key, wanted)
            return await look_for_message(client, met, acts, past)
        on = wanted
        if on.card_id and not on.account_id:
            found = await search(client, keys.card_field(on.card_id))
            on = msgspec.structs.replace(on, account_id=found)
        return await look_for_message(client, on, acts, past)

    show(config, ledger_dir, look, plain)


def read_since(text: str, now: datetime) -> int:
    """An instant in milliseconds. A time of day is the last one: today's, or yesterday's."""
    try:
        if re.fullmatch(r"[0-9]{2}:[0-9]{2}", text):
            at = now.replace(hour=int(text[:2]), minute=int(text[3:]), second=0, microsecond=0)
            at = at if at <= now else at - timedelta(days=1)
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except ValueError:
        raise click.UsageError("--since: neither HH:MM nor a time of ISO 8601.") from None
    return max(int(at.timestamp() * 1000), 0)


def refuse_card_numbers(*words: str | None, instead: str = "authz show card -") -> None:
    """Also those that stand where an id should: what is asked of a store may be logged there."""
    if any(word is not None and is_like_a_pan(word) for word in words):
        raise click.UsageError(f"A card number is read from standard input: {instead} < FILE")


async def of_number(client: Redis, card_key: str, wanted: Wanted) -> Wanted:
    """The same, on the card of this number. One that is not ours was answered, too."""
    try:
        card_id, account_id = await card_owner(client, card_key)
    except NotThere:
        card_id, account_id = "", ""
    return msgspec.structs.replace(
        wanted, card_id=card_id, account_id=wanted.account_id or account_id, card_key=card_key
    )


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


OF_BOOKS = {"from": "the books; the store has none"}

# What is looked up: in the store, and in the books for what its journal has no more.
Look = Callable[[Redis, Past], Awaitable[Plain]]


def show(
    config: Config,
    ledger_dir: Path | None,
    look: Look,
    plain: bool,
    as_text: Callable[[Plain], list[str]] = lines,
) -> None:
    write(asyncio.run(run(config, look, ledger_dir)), plain, as_text)


def write(found: Plain, plain: bool, as_text: Callable[[Plain], list[str]]) -> None:
    if plain:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        click.echo("\n".join(as_text(found)))


async def run(config: Config, look: Look, ledger_dir: Path | None = None) -> Plain:
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    client = admin.administrator(store.url)
    try:
        async with Past(client, config, ledger_dir) as past:
            return await look(client, past)
    except NotThere as error:
        raise click.ClickException(sentence(error)) from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except (RedisError, OSError) as error:
        raise click.ClickException(f"The store gave no answer ({type(error).__name__}).") from None
    finally:
        await client.aclose()
        store.stop()
