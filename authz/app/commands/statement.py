"""authz statement: an account from one day to another, from the books."""

import asyncio
import csv
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from authz.app.at_books import at_books
from authz.app.book_views import at, entry_told, statement_told
from authz.app.books import of_books
from authz.app.commands.show import refuse_card_numbers
from authz.app.looking import NotThere
from authz.app.options import configured
from authz.app.output import write_json
from authz.app.plain_text import label_of, money, table
from authz.clock import SystemClock
from authz.config import Config
from ledger import read
from ledger.read import LINES_MAX, PutAway, Statement, TooLong

EXAMPLES = f"""
\b
Examples:
  authz statement acme-1
  authz statement acme-1 --from 2026-11-01 --to 2026-12-01 --csv > november.csv
  authz statement acme-1 --from 2026-11-20T08:00 --card c4k2v7q3m5p6x7ya --json -

What the account had at the first time, what moved, and what it had at the second; --to is not in
it. Times are by the store's clock, UTC. It comes from the books, so what was journalled in the last
second may not be in it. Up to {LINES_MAX:,} lines.

\b
Exit codes:
  0  here it is, and it adds up
  1  no such account, it does not add up, or the books gave no answer
  2  wrong use"""

COLUMNS = (
    "at", "kind", "merchant", "posted_delta_minor", "held_delta_minor", "posted_after_minor",
    "held_after_minor", "authorization_id",
)  # fmt: skip
IN_CSV = (
    "at", "kind", "verdict", "network", "merchant", "mcc", "currency", "posted_delta_minor",
    "held_delta_minor", "posted_after_minor", "held_after_minor", "card_id", "authorization_id",
    "message_id", "position",
)  # fmt: skip


@click.command(epilog=EXAMPLES)
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--from", "since", metavar="TIME", help="Of ISO 8601, UTC. [the 1st of this month]")
@click.option("--to", "until", metavar="TIME", help="Up to, but not with it. [now]")
@click.option("--card", "card_id", default="", help="Of what moved, this card's alone.")
@click.option("--csv", "as_csv", is_flag=True, help="Its lines as CSV.")
@click.option("--json", "json_file", metavar="FILE", help="As JSON; - for stdout.")
@of_books
@configured
def command(
    account_id: str, since: str | None, until: str | None, card_id: str, as_csv: bool,
    json_file: str | None, ledger_dir: Path | None, config: Config,
) -> None:  # fmt: skip
    """What moved on an account, with what it had before and after."""
    refuse_card_numbers(account_id, card_id, instead="authz show card -")
    if as_csv and json_file == "-":
        raise click.UsageError("--csv and --json -: one of them.")
    now_ms = SystemClock().now_ms()
    from_ms, to_ms = span(since, until, now_ms)

    async def work(connection: Any) -> Statement:
        if await read.account(connection, account_id) is None:
            raise NotThere("the books know no such account")
        return await read.statement(connection, account_id, from_ms, to_ms, card_id=card_id)

    try:
        found = asyncio.run(at_books(config, ledger_dir, work))
    except PutAway as error:
        raise click.ClickException(
            f"Entries before {at(error.args[0])} were put away: ask --from there on."
        ) from None
    except TooLong:
        raise click.ClickException(
            f"More than {LINES_MAX:,} lines: ask for a shorter time."
        ) from None
    if json_file is not None:
        write_json(json_file, statement_told(found))
    if as_csv:
        write_csv(found)
    elif json_file != "-":
        click.echo("\n".join(as_text(found)))
    if not found.adds_up:
        click.echo("It does not add up: something is missing in the books.", err=True)
        raise SystemExit(1)


def span(since: str | None, until: str | None, now_ms: int) -> tuple[int, int]:
    """Milliseconds since 1970. Raises: click.UsageError."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    from_ms = moment("--from", since) if since else int(first.timestamp() * 1000)
    to_ms = moment("--to", until) if until else now_ms + 1
    if to_ms <= from_ms:
        raise click.UsageError("--to: not after --from; it is now, where nothing is said.")
    return from_ms, to_ms


def moment(option: str, text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: not a time of ISO 8601.") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return max(round(found.timestamp() * 1000), 0)


def as_text(found: Statement) -> Iterable[str]:
    yield f"account {found.account_id}, from {at(found.from_ms)} to {at(found.to_ms)}"
    for one in found.sums:
        rows = [entry_told(e) for e in found.lines if e.currency == one.currency]
        opening = money(one.opening_posted_minor, one.currency)
        yield ""
        yield f"opening  {opening}, of it held {money(one.opening_held_minor, one.currency)}"
        if rows:
            yield from table(rows, COLUMNS, one.currency, "")
        closing = money(one.closing_posted_minor, one.currency)
        yield f"closing  {closing}, of it held {money(one.closing_held_minor, one.currency)}"


def write_csv(found: Statement) -> None:
    """Amounts in minor units. A text that a table would take for a formula gets a quote first."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([name if name in IN_CSV else label_of(name) for name in IN_CSV])
    for entry in found.lines:
        told = entry_told(entry)
        out.writerow([safe(told[name]) for name in IN_CSV])


def safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
