"""authz ledger: look into the books."""

import asyncio
from pathlib import Path

import asyncpg
import click

from authz.app.books import NO_BOOKS, find_books, of_books
from authz.app.options import configured
from authz.app.output import counted, write_json
from authz.config import Config
from ledger.database import connect
from ledger.verify import Verified
from ledger.verify import verify as verify_books

SHOWN = 40  # differences in the text; the JSON has more

EXAMPLES = """
\b
Examples:
  authz ledger verify
  authz ledger verify --json -

\b
Exit codes:
  0  the books are whole
  1  something differs, or they could not be read
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
    report = asyncio.run(look(config, ledger_dir))
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        write_json(json_file, report)
    raise SystemExit(0 if report.ok else 1)


async def look(config: Config, folder: Path | None) -> Verified:
    try:
        books = await find_books(config, folder, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(str(error)) from None
    try:
        connection = await connect(books.dsn, command_timeout=None)
        try:
            return await verify_books(connection)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        name = type(error).__name__
        raise click.ClickException(f"The books could not be read ({name}).") from None
    finally:
        books.stop()


def tell(report: Verified, to_stderr: bool) -> None:
    for d in report.differences[:SHOWN]:
        click.echo(f"{d.where}: {d.what}: {d.found}, should be {d.expected}", err=to_stderr)
    if report.found > SHOWN:
        click.echo(f"and {report.found - SHOWN:,} more", err=to_stderr)
    said = "The books are whole" if report.ok else counted(report.found, "difference")
    looked = f"{counted(report.entries, 'journal entry')}, {report.postings:,} postings"
    click.echo(f"{said}: {looked}, {report.parked:,} parked.", err=to_stderr)
