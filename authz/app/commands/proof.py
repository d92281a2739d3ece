"""authz proof: a day of the books, every cent of it."""

import asyncio
import sys
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import click

from authz.app.books import NO_BOOKS, find_books, of_books
from authz.app.options import configured
from authz.app.output import counted, write_json
from authz.app.proof_page import page
from authz.app.proof_words import (
    Sheet,
    amount,
    code_of,
    extent,
    fates_of,
    looked_at,
    sheet_of,
    standing,
    title,
    told,
    verdict,
)
from authz.clock import SystemClock, utc
from authz.config import Config
from ledger.database import connect
from ledger.proof import Proof
from ledger.proof_reading import prove

SHOWN = 40  # findings in the text; the JSON has more
INDENT = 2

EXAMPLES = """
\b
Examples:
  authz proof --date 2026-11-20
  authz proof                                   today, so far
  authz proof --date 2026-11-20 --zone Europe/Berlin --html proof.html
  authz proof --date 2026-11-20 --json -

\b
Exit codes:
  0  nothing of the day is unexplained
  1  something is, or the books could not be read
  2  wrong use

docs/proof.md says what is added up and compared. Debits are above zero."""


@click.command(epilog=EXAMPLES)
@click.option("--date", "day", metavar="DATE", help="YYYY-MM-DD. [today]")
@click.option(
    "--zone", "zone_name", default="UTC", show_default=True, help="Whose day: an IANA zone."
)
@click.option("--json", "json_file", metavar="FILE", help="Write the proof as JSON; - for stdout.")
@click.option("--html", "html_file", metavar="FILE", type=click.Path(path_type=Path),
              help="Write it as one page.")  # fmt: skip
@of_books
@configured
def command(
    config: Config, ledger_dir: Path | None, day: str | None, zone_name: str,
    json_file: str | None, html_file: Path | None,
) -> None:  # fmt: skip
    """Prove a day: opening and every movement make the closing, and nothing is unexplained."""
    zone = read_zone(zone_name)
    now_ms = SystemClock().now_ms()
    today = utc(now_ms).astimezone(zone).date()
    chosen = today if day is None else read_date(day)
    if chosen > today:
        raise click.UsageError(f"{chosen} has not begun in {zone_name}.")
    proof = asyncio.run(look(config, ledger_dir, chosen, zone, now_ms))
    tell(proof, to_stderr=json_file == "-")
    try:
        if html_file is not None:
            html_file.write_text(page(proof), encoding="utf-8")
        if json_file is not None:
            write_json(json_file, proof)
    except OSError as error:
        raise click.ClickException(f"The proof could not be written: {error.strerror}.") from None
    sys.exit(0 if proof.ok else 1)


def read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.UsageError("--zone is no IANA time zone, like Europe/Berlin.") from None


def read_date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, of any zone
    except ValueError:
        raise click.UsageError("--date is no date: YYYY-MM-DD.") from None


async def look(
    config: Config, folder: Path | None, day: date, zone: ZoneInfo, now_ms: int
) -> Proof:
    try:
        books = await find_books(config, folder, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(str(error)) from None
    try:
        connection = await connect(books.dsn, name="authz proof", command_timeout=None)
        try:
            return await prove(connection, day, zone, now_ms)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        name = type(error).__name__
        raise click.ClickException(f"The books could not be read ({name}).") from None
    finally:
        books.stop()


def tell(proof: Proof, to_stderr: bool) -> None:
    def say(line: str = "") -> None:
        click.echo(line, err=to_stderr)

    say(title(proof))
    say(standing(proof))
    say(f"{extent(proof)}.")
    for money in proof.currencies:
        say()
        for line in table(sheet_of(money)):
            say(line)
        holds = [f"{name} {amount(minor, money.currency)}" for name, minor in fates_of(money.holds)
                 if minor or name.startswith("open")]  # fmt: skip
        say(f"  holds: {', '.join(holds)}")
    say()
    for check in proof.checks.values():
        say(f"  {check.what}: {looked_at(check)}")
    say()
    for finding in proof.unexplained[:SHOWN]:
        say(told(finding))
    if proof.found > SHOWN:
        say(f"and {proof.found - SHOWN:,} more")
    say(verdict(proof))


def table(sheet: Sheet) -> list[str]:
    """The currency's table, as wide as its amounts need."""
    rows = [
        (row.name, counted(row.count, "act") if row.count else "",
         [amount(minor, sheet.currency) for minor in row.amounts])
        for row in sheet.rows
    ]  # fmt: skip
    named = max(len(name) for name, _, _ in rows) + INDENT
    acts = max(len(count) for _, count, _ in rows)
    widths = [
        max(len(title), *(len(amounts[n]) for _, _, amounts in rows))
        for n, title in enumerate(sheet.titles)
    ]
    head = f"{code_of(sheet.currency):<{named}}  {'':>{acts}}"
    lines = ["  ".join((head, *(f"{t:>{w}}" for t, w in zip(sheet.titles, widths))))]
    for row, (name, count, amounts) in zip(sheet.rows, rows):
        indented = name if row.is_total else " " * INDENT + name
        cells = (f"{a:>{w}}" for a, w in zip(amounts, widths))
        lines.append("  ".join((f"{indented:<{named}}  {count:>{acts}}", *cells)).rstrip())
    return lines
