"""authz ledger: look into the books."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from authz.app.at_books import at_books
from authz.app.book_views import Plain, account_told, at, history_told, life_told
from authz.app.books import of_books
from authz.app.commands.show import as_json, refuse_card_numbers, write
from authz.app.looking import NotThere
from authz.app.options import configured
from authz.app.output import counted, sentence, write_json
from authz.app.plain_text import lines, table
from authz.clock import SystemClock
from authz.config import Config
from ledger import read
from ledger.read import PAGE_MAX
from ledger.retain import ARCHIVE, MONTHS_MIN, NotYet, put_away
from ledger.verify import Verified
from ledger.verify import verify as verify_books

SHOWN = 40  # differences in the text; the JSON has more

EXAMPLES = """
\b
Examples:
  authz ledger verify
  authz ledger verify --json -
  authz ledger account acme-1
  authz ledger authorization kQ2vM9sT4xY7bN1cR5wZ
  authz ledger history acme-1 --limit 50
  authz ledger retain --months 13 --dry-run

\b
Exit codes:
  0  the books are whole; or here it is
  1  something differs, there is no such thing, or they could not be read
  2  wrong use"""


@click.group()
def command() -> None:
    """Look into the books."""


@command.command(epilog=EXAMPLES)
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@of_books
@configured
def verify(config: Config, ledger_dir: Path | None, json_file: str | None) -> None:
    """Tell every chain and every sum anew, and name the first entry that differs."""
    report = asyncio.run(at_books(config, ledger_dir, verify_books))
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        write_json(json_file, report)
    raise SystemExit(0 if report.ok else 1)


def tell(report: Verified, to_stderr: bool) -> None:
    for d in report.differences[:SHOWN]:
        click.echo(f"{d.where}: {d.what}: {d.found}, should be {d.expected}", err=to_stderr)
    if report.found > SHOWN:
        click.echo(f"and {report.found - SHOWN:,} more", err=to_stderr)
    said = "The books are whole" if report.ok else counted(report.found, "difference")
    looked = f"{counted(report.entries, 'journal entry')}, {report.postings:,} postings"
    waits = f"{report.parked:,} parked"
    if report.notices:
        waits += f", {counted(report.notices, 'notice')}"
    click.echo(f"{said}: {looked}, {waits}.", err=to_stderr)


OF_HISTORY = f"""
\b
Examples:
  authz ledger history acme-1
  authz ledger history acme-1 --card c4k2v7q3m5p6x7ya --limit 20 --json
  authz ledger history acme-1 --after 1795288800000-1234

The newest first. The last line says what the next page is asked for --after. At most {PAGE_MAX:,}.

\b
Exit codes:
  0  here it is
  1  no such account, or the books could not be read
  2  wrong use"""
OF_RETAIN = f"""
\b
Examples:
  authz ledger retain --months 13 --dry-run
  authz ledger retain                                  as settle.retain_months says

Each month is put away whole, into the schema {ARCHIVE} of the same database; dump and drop it
there, when you want the room. The trial balance stays, and authz ledger verify goes on from where
the kept months begin. What is shown of an old authorization lacks the acts that were put away.

\b
Exit codes:
  0  done, or nothing is that old
  1  nothing was done: the books were in use, or a month is no piece of the chains
  2  wrong use"""
COLUMNS = (
    "at", "position", "kind", "verdict", "merchant", "posted_delta_minor", "held_delta_minor",
    "posted_after_minor", "held_after_minor", "card_id", "authorization_id",
)  # fmt: skip


@command.command(epilog=EXAMPLES)
@click.argument("account_id", metavar="ID")
@as_json
@of_books
@configured
def account(account_id: str, plain: bool, ledger_dir: Path | None, config: Config) -> None:
    """An account's balances, by currency."""

    async def work(connection: Any) -> Plain:
        found = await read.account(connection, account_id)
        if found is None:
            raise NotThere("the books know no such account")
        return account_told(found)

    answer(config, ledger_dir, work, plain, lines, account_id)


@command.command(epilog=EXAMPLES)
@click.argument("authorization_id", metavar="ID")
@as_json
@of_books
@configured
def authorization(
    authorization_id: str, plain: bool, ledger_dir: Path | None, config: Config
) -> None:
    """An authorization's whole life: its acts with their postings, the oldest first."""

    async def work(connection: Any) -> Plain:
        found = await read.authorization(connection, authorization_id)
        if found is None:
            raise NotThere("the books know no such authorization")
        return life_told(found)

    answer(config, ledger_dir, work, plain, lines, authorization_id)


@command.command(epilog=OF_HISTORY)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--card", "card_id", default="", help="This card's alone.")
@click.option("--after", default="", metavar="CURSOR", help="The page after this.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, PAGE_MAX))
@as_json
@of_books
@configured
def history(
    account_id: str, card_id: str, after: str, limit: int, plain: bool, ledger_dir: Path | None,
    config: Config,
) -> None:  # fmt: skip
    """An account's acts, a page at a time, the newest first."""

    async def work(connection: Any) -> Plain:
        if await read.account(connection, account_id) is None:
            raise NotThere("the books know no such account")
        return history_told(
            await read.history(connection, account_id, card_id=card_id, after=after, limit=limit)
        )

    try:
        answer(config, ledger_dir, work, plain, as_table, account_id, card_id)
    except ValueError:
        raise click.UsageError("--after: not what a page ended with.") from None


def as_table(found: Plain) -> list[str]:
    out = table(found["entries"], COLUMNS, "", "") if found["entries"] else ["no acts"]
    return [*out, f"more: --after {found['after']}"] if found["after"] else out


@command.command(epilog=OF_RETAIN)
@click.option(
    "--months",
    type=click.IntRange(MONTHS_MIN),
    help="Keep so many besides this one. [as configured]",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be put away.")
@as_json
@of_books
@configured
def retain(
    months: int | None, dry_run: bool, plain: bool, ledger_dir: Path | None, config: Config
) -> None:
    """Put old months of the journal away; what they came to stays."""
    months = months or config.settle.retain_months
    if months is None:
        raise click.UsageError("Say how many --months are kept, or set settle.retain_months.")
    kept, now_ms = months, SystemClock().now_ms()

    async def work(connection: Any) -> Plain:
        try:
            done = await put_away(connection, kept, now_ms, dry_run=dry_run)
        except NotYet as error:
            raise click.ClickException(sentence(error)) from None
        return {
            "kept_from": at(done.before_ms), "months": done.months, "entries": done.entries,
            "postings": done.postings, "done": bool(done.months) and not dry_run,
        }  # fmt: skip

    write(asyncio.run(at_books(config, ledger_dir, work)), plain, lines)


def answer(
    config: Config,
    folder: Path | None,
    work: Callable[[Any], Awaitable[Plain]],
    plain: bool,
    as_text: Callable[[Plain], list[str]],
    *words: str,
) -> None:
    refuse_card_numbers(*words)
    write(asyncio.run(at_books(config, folder, work)), plain, as_text)
