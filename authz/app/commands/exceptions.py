"""authz exceptions: what belongs to no authorization, could not be applied, or went too far."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.books import NO_BOOKS, find_books, has_books, of_books
from authz.app.clearing_resolve import bill
from authz.app.clearing_run import Busy, desk, exception
from authz.app.commands.show import as_json, how_many, read_since, refuse_card_numbers, show
from authz.app.exceptions import signed, who_says, why
from authz.app.history import Plain
from authz.app.looking import Wanted, look_for_exceptions
from authz.app.options import configured
from authz.app.output import sentence
from authz.app.past import Past
from authz.app.plain_text import lines, money
from authz.app.store import Store
from authz.clock import SystemClock, utc
from authz.config import Config
from ledger.cleared import Cleared
from ledger.database import connect

EXAMPLES = """
\b
Examples:
  authz exceptions
  authz exceptions --account acme-1 --json
  authz exceptions --since 08:00
  authz exceptions --resolve 3f0c2a91be44/812 --by jdoe --note "paid by wire"
  authz exceptions --resolve 3f0c2a91be44/813 --bill c4k2v7q3m5p6x7ya --by jdoe

Reversals, advices and completions that found no authorization (unmatched), as long as none has
come; what says nothing that could be applied (unapplied): a partial reversal in a third currency,
an advice older than its window; and completions that were posted but should not have been so large
(beyond) or so late (overdue), by the hold policy. The newest 1,000,000 journal entries are looked
through.

Where there are books, records of clearing files too, until somebody says that they are seen to:
unmatched, forced, cleared_late, beyond, overdue, differs, missing_online, refused. --resolve names
one by its item, and moves no money; with --bill the holder of that card pays it, or gets it, if it
is unmatched or a second presentment.

\b
Exit codes:
  0  they are listed, or there are none; the one named is resolved
  1  no such account or item, or the store or the books gave no answer
  2  wrong use"""


@click.command(epilog=EXAMPLES)
@click.option("--account", "account_id", help="On this account: its shard alone is read.")
@click.option("--since", help="Not before: HH:MM, the last time that it was, or ISO 8601; UTC.")
@click.option("--resolve", "item", help="This record of a clearing file is seen to.")
@click.option("--bill", "card_id", help="To this card: what is unmatched, or represented.")
@who_says
@why
@how_many
@as_json
@of_books
@configured
def command(
    account_id: str | None, since: str | None, item: str | None, card_id: str | None, person: str,
    note: str, acts: int, plain: bool, ledger_dir: Path | None, config: Config,
) -> None:  # fmt: skip
    """What belongs to no authorization, could not be applied, or went too far; newest first."""
    refuse_card_numbers(account_id, card_id)
    if item is not None:
        click.echo(seen_to(config, ledger_dir, item, card_id, signed(person, note)[1]))
        return
    if card_id is not None:
        raise click.UsageError("--bill goes with --resolve.")
    if not acts:
        raise click.UsageError("--acts: one at least.")
    wanted = Wanted(
        account_id=account_id or "",
        since_ms=0 if since is None else read_since(since, utc(SystemClock().now_ms())),
    )
    with_books = has_books(config, ledger_dir)

    async def look(client: Redis, past: Past) -> Plain:
        found = await look_for_exceptions(
            client, wanted, acts, with_cleared=not with_books, past=past
        )
        return found | (await in_books(config, ledger_dir, wanted, acts) if with_books else {})

    show(config, ledger_dir, look, plain, as_text)


def seen_to(config: Config, folder: Path | None, item: str, card_id: str | None, by: str) -> str:
    """What was done about an item, as a sentence."""
    file_id, record = read_item(item)
    if card_id is None:
        asyncio.run(resolve(config, folder, file_id, record, by))
        return f"{item} is resolved"
    account_id, minor, currency = asyncio.run(to_card(config, folder, file_id, record, card_id, by))
    paid = f"{'pays' if minor > 0 else 'gets'} {money(abs(minor), currency)}"
    return f"{item} is resolved: account {account_id} {paid}"


async def to_card(
    config: Config, folder: Path | None, file_id: str, record: int, card_id: str, by: str
) -> tuple[str, int, str]:
    try:
        books = await find_books(config, folder, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(sentence(error)) from None

    async def work(client: Redis, store: Store) -> tuple[str, int, str]:
        try:
            async with desk(config, store, client, books.dsn, f"authz exceptions by {by}") as at:
                return await bill(at, file_id, record, card_id, by)
        except asyncpg.PostgresError as error:
            name = type(error).__name__
            raise click.ClickException(f"Postgres refused ({name}). Run it again.") from None
        except Busy:
            raise click.ClickException("An authz clear is under way: wait for it.") from None

    try:
        return await at_store(config, by, work)
    finally:
        books.stop()


def read_item(item: str) -> tuple[str, int]:
    file_id, _, record = item.partition("/")
    if not (file_id.isalnum() and len(file_id) >= 8 and record.isdigit()):
        raise click.UsageError("--resolve: an item as it is listed, like 3f0c2a91be44/812.")
    return file_id, int(record)


async def in_books(config: Config, folder: Path | None, wanted: Wanted, count: int) -> Plain:
    """What clearing files left for a person. Where the books are away the others are told still."""
    try:
        connection, stop = await opened_books(config, folder)
    except click.ClickException as error:
        return {"clearing": [], "clearing_left_out": True, "books": error.message}
    try:
        rows = await Cleared(connection).listed(
            count + 1, account_id=wanted.account_id, since_ms=wanted.since_ms
        )
    finally:
        await connection.close()
        stop()
    return {
        "clearing": [exception(row) for row in rows[:count]],
        "clearing_left_out": len(rows) > count,
    }


async def opened_books(
    config: Config, folder: Path | None
) -> tuple[asyncpg.Connection, Callable[[], None]]:
    """A session, and what to call behind it. Raises: click.ClickException."""
    try:
        books = await find_books(config, folder, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(sentence(error)) from None
    try:
        return await connect(books.dsn), books.stop
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        books.stop()
        name = type(error).__name__
        raise click.ClickException(f"The books could not be read ({name}).") from None


async def resolve(config: Config, folder: Path | None, file_id: str, record: int, by: str) -> None:
    connection, stop = await opened_books(config, folder)
    try:
        if not await Cleared(connection).resolve(file_id, record, by):
            raise click.ClickException(
                "No such item waits for a person, or it was begun with --bill: then say that again."
            )
    finally:
        await connection.close()
        stop()


def as_text(found: Plain) -> list[str]:
    said = []
    if "books" in found:
        said.append(f"{found['books']} What clearing files left is not listed.")
    if found["exceptions"] or found.get("clearing"):
        shown = {name: found[name] for name in found if name != "books"}
        more = found["older_left_out"] or found.get("clearing_left_out")
        hint = ["there are more: --acts shows up to 1,000"] if more and "books" not in found else []
        return [*said, *lines(shown), *hint]
    left_out = found["older_left_out"] or found.get("clearing_left_out")
    why = f": {found['not_readable']}" if "not_readable" in found else ""
    return [*said, "no exceptions" + (f" in what was looked through{why}" if left_out else "")]
