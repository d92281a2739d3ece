"""authz settlement: batches of what networks settle, from their cut-off to the last cent."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import click

from authz.app.books import of_books
from authz.app.cli import hidden
from authz.app.commands.show import refuse_card_numbers
from authz.app.options import configured
from authz.app.output import counted, write_json
from authz.app.plain_text import money
from authz.app.settlement_words import (
    batch_row,
    batches_of,
    comparison_lines,
    plain_batch,
    report_lines,
    settlement_file,
    status_lines,
)
from authz.app.settlement_work import in_books, known, settle_now
from authz.app.settling import ConfiguredTerms
from authz.clock import SystemClock
from authz.config import Config
from ledger import settlement_read
from ledger.settlement import CLOSED, OPEN, STATUSES
from ledger.settlement_advice import AdviceRefused, read_totals
from ledger.settlement_compare import compare as compare_totals
from ledger.settlement_read import Batch
from ledger.settling import Batcher

WORDS_MAX = 200  # of a person's name; it is kept in the journal for ever
CODES = """
\b
Exit codes:
  0  done, or shown
  1  {}; or there are no books, or a server gave no answer
  2  wrong use"""


@click.group()
def command() -> None:
    """Batches of what networks settle: status, close, settle, report, file, compare."""


as_json = click.option("--json", "plain", is_flag=True, help="JSON instead of text.")
at_time = click.option(
    "--at", metavar="TIME", help="As if it were then: ISO 8601, UTC where it says no zone."
)


@command.command(
    epilog="""
\b
Examples:
  authz settlement status
  authz settlement status --open --json
  authz settlement status --check          also hold every line of the books against the batches
"""
    + CODES.format("with --check, something is not as the books say")
)
@click.option("--open", "only_open", is_flag=True, help="Only batches that are not settled.")
@click.option("--check", is_flag=True, help="Each line once, and accounts as unsettled: reads all.")
@as_json
@of_books
@configured
def status(
    config: Config, ledger_dir: Path | None, only_open: bool, check: bool, plain: bool
) -> None:
    """How many batches there are, what is not settled, and the newest of them."""

    async def look(connection: asyncpg.Connection) -> int:
        shown = (OPEN, CLOSED) if only_open else STATUSES
        standing = await settlement_read.standing(connection)
        found = await settlement_read.batches(connection, status=shown)
        wrong = await settlement_read.check(connection) if check else None
        if plain:
            answer: dict[str, Any] = {"standing": standing, "batches": list(map(batch_row, found))}
            if wrong is not None:
                answer |= {"ok": not wrong, "differences": wrong}
            write_json("-", answer)
        else:
            for line in status_lines(standing, found, wrong):
                click.echo(line)
        return 1 if wrong else 0

    raise SystemExit(in_books(config, ledger_dir, look))


@command.command(
    epilog="""
\b
Examples:
  authz settlement close                   all that had its cut-off, and its time of grace
  authz settlement close --at 2026-11-20T23:00
  authz settlement close 20261120-2200Z.t1.visa.acme.840

`authz settle` does the first by itself. What comes later goes into the next cycle.
"""
    + CODES.format("no such batch, or it is not open")
)
@click.argument("batch_id", metavar="[BATCH]", required=False)
@at_time
@as_json
@of_books
@configured
def close(
    batch_id: str | None, at: str | None, config: Config, ledger_dir: Path | None, plain: bool
) -> None:
    """Close batches: take what is in the books, then let nothing more in."""
    refuse_card_numbers(batch_id)
    now = clock(at)

    async def work(connection: asyncpg.Connection) -> int:
        batcher = Batcher(connection, ConfiguredTerms(config), now)
        await batcher.take()
        if batch_id is None:
            closed = await batcher.close_due(now() - config.settlement.grace_s * 1000)
        else:
            found = await known(connection, batch_id)
            if not await batcher.close_one(batch_id):
                raise click.ClickException(f"It is {found.status} already: nothing was changed.")
            closed = [batch_id]
        if plain:
            write_json("-", {"closed": closed})
        else:
            click.echo("\n".join([*closed, f"{batches_of(len(closed))} closed"]))
        return 0

    raise SystemExit(in_books(config, ledger_dir, work))


@command.command(
    epilog="""
\b
Examples:
  authz settlement report 20261120-2200Z.t1.visa.acme.840
  authz settlement report --date 2026-11-20 --json
"""
    + CODES.format("no such batch")
)
@click.argument("batch_id", metavar="[BATCH]", required=False)
@click.option(
    "--date",
    "day",
    metavar="DATE",
    type=click.DateTime(["%Y-%m-%d"]),
    help="All batches with their cut-off on this day.",
)
@as_json
@of_books
@configured
def report(
    batch_id: str | None, day: datetime | None, config: Config, ledger_dir: Path | None, plain: bool
) -> None:
    """What batches are made of, what they come to, and how they were settled."""
    refuse_card_numbers(batch_id)
    if (batch_id is None) == (day is None):
        raise click.UsageError("Name a batch, or a --date.")

    async def look(connection: asyncpg.Connection) -> int:
        if batch_id is not None:
            found = [await known(connection, batch_id)]
        else:
            assert day is not None
            found = await settlement_read.batches(connection, day=day.date())
        told = [await plain_batch(connection, batch) for batch in found]
        if plain:
            write_json("-", {"batches": told})
        else:
            for line in report_lines(told):
                click.echo(line)
        return 0

    raise SystemExit(in_books(config, ledger_dir, look))


@command.command(
    epilog="""
\b
Examples:
  authz settlement file 20261120-2200Z.t1.visa.acme.840 --out settlement.csv

A header, a line for each item, and a trailer with count, sums, and the SHA-256 of all lines before
it. No card number is in it: an item is named by its place in the journal, and its ARN where it has
one. Of a batch that is still open nothing is written.
"""
    + CODES.format("no such batch, or it is open")
)
@click.argument("batch_id", metavar="BATCH")
@click.option("--out", type=click.Path(path_type=Path), help="A file, which must not be there yet.")
@of_books
@configured
def file(batch_id: str, out: Path | None, config: Config, ledger_dir: Path | None) -> None:
    """Write a batch as a settlement file."""
    refuse_card_numbers(batch_id)

    async def write(connection: asyncpg.Connection) -> int:
        batch = await known(connection, batch_id)
        if batch.status == OPEN:
            raise click.ClickException("It is open: what it will be is not known yet.")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            lines = settlement_file(connection, batch)
            if out is None:
                async for line in lines:
                    click.echo(line, nl=False)
                return 0
            try:
                target = out.open("x", encoding="utf-8", newline="")
            except OSError as error:
                raise click.ClickException(
                    f"{hidden(str(out))} cannot be written: {error.strerror}."
                ) from None
            with target:
                async for line in lines:
                    target.write(line)
        click.echo(f"{counted(batch.items, 'item')} in {hidden(str(out))}")
        return 0

    raise SystemExit(in_books(config, ledger_dir, write))


@command.command(
    epilog="""
\b
Examples:
  authz settlement settle 20261120-2200Z.t1.visa.acme.840 --by "J. Doe"
  authz settlement settle 20261120-2200Z.t1.visa.acme.840 --moved -9120455 --by "J. Doe"

Journals that the bank moved a closed batch's money; the network's account comes to zero by it. What
was told of interchange and fees is income, unless --interchange says another number. Where the bank
moved something else than that comes to, --moved says so (minor units; below zero we paid), and the
rest stands in `disputes`. Said again, it is the same word.
"""
    + CODES.format("no such batch, or it is not closed; no rate for its currency")
)
@click.argument("batch_id", metavar="BATCH")
@click.option("--moved", type=int, help="What the bank moved, minor units of what it moves.")
@click.option("--interchange", type=int, help="Interchange, minor units of the batch's currency.")
@click.option("--by", "person", required=True, help="Who says so. Kept in the journal.")
@as_json
@of_books
@configured
def settle(
    batch_id: str, moved: int | None, interchange: int | None, person: str, config: Config,
    ledger_dir: Path | None, plain: bool,
) -> None:  # fmt: skip
    """Say that the money of a closed batch was moved."""
    refuse_card_numbers(batch_id, person)
    if not person.strip():
        raise click.UsageError("--by names a person.")
    source = hidden(f"authz settlement settle: {person.strip()}")[:WORDS_MAX]

    async def work(connection: asyncpg.Connection) -> int:
        batcher = Batcher(connection, ConfiguredTerms(config), SystemClock().now_ms)
        await batcher.take()
        batch = await known(connection, batch_id)
        if batch.status == OPEN:
            raise click.ClickException("It is open. Close it first: authz settlement close BATCH.")
        said = "was settled before"
        if batch.status != CLOSED and other_numbers(batch, moved, interchange):
            raise click.ClickException(
                "It was settled before with other numbers, and those stand: "
                "authz settlement report."
            )
        if batch.status == CLOSED:
            batch, said = await settle_now(
                config, connection, batcher, batch, (moved, interchange, source)
            )
        if plain:
            write_json("-", {"said": said, "batch": await plain_batch(connection, batch)})
            return 0
        click.echo(f"{batch.id} {said}")
        if batch.moved_minor is not None:
            click.echo(f"the bank moved {money(batch.moved_minor, batch.moved_currency or '')}")
        return 0

    raise SystemExit(in_books(config, ledger_dir, work))


@command.command(
    epilog="""
\b
Examples:
  authz settlement compare visa-advice.csv
  authz settlement compare visa-advice.csv --json

The file is a clearing file with totals in it (IPM: 1644 with function 685; BASE II: TC 46, report
VSS-110), or a CSV with the columns network, currency, cycle_date, items and net_minor, and if told
settles_on, program, batch, debit_minor, credit_minor, interchange_minor, fees_minor and
charges_minor, which is both; the last line has `trailer` for a network, the number of rows, and the
sum of their nets. Settled batches on which all agrees are reconciled. docs/settlement.md has an
example.
"""
    + CODES.format("something differs, or the file was refused")
)
@click.argument(
    "path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@as_json
@of_books
@configured
def compare(path: Path, config: Config, ledger_dir: Path | None, plain: bool) -> None:
    """Hold a network's own totals against our batches."""
    try:
        advice = read_totals(path)
    except AdviceRefused as refused:
        raise click.ClickException(
            f"The file is refused: {refused}. Nothing was changed."
        ) from None

    async def work(connection: asyncpg.Connection) -> int:
        await Batcher(connection, ConfiguredTerms(config), SystemClock().now_ms).take()
        found = await compare_totals(connection, advice, SystemClock().now_ms())
        if plain:
            rows = [{"agrees": row.agrees} | as_plain(row) for row in found.rows]
            write_json("-", as_plain(found) | {"agrees": found.agrees, "rows": rows})
        else:
            for line in comparison_lines(found):
                click.echo(line)
        return 0 if found.agrees else 1

    raise SystemExit(in_books(config, ledger_dir, work))


def other_numbers(batch: Batch, moved: int | None, interchange: int | None) -> bool:
    """Whether it was settled with other numbers than these; what is not told is not compared."""
    return (moved is not None and moved != batch.moved_minor) or (
        interchange is not None and interchange != batch.booked_interchange_minor
    )


def as_plain(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def clock(at: str | None) -> Callable[[], int]:
    """The system's, or one that stands still. Raises: click.UsageError."""
    if at is None:
        return SystemClock().now_ms
    try:
        when = datetime.fromisoformat(at)
    except ValueError:
        raise click.UsageError("--at: expected a time as 2026-11-20T23:00.") from None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return lambda: int(when.timestamp() * 1000)
