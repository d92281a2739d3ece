"""authz clear: a clearing file becomes money that moved."""

import asyncio
from pathlib import Path

import asyncpg
import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.books import NO_BOOKS, find_books, of_books
from authz.app.clearing_plan import NoNetwork
from authz.app.clearing_run import Busy, clear, desk
from authz.app.cli import hidden
from authz.app.exceptions import user
from authz.app.history import Plain
from authz.app.options import configured
from authz.app.output import counted, write_json
from authz.app.plain_text import table
from authz.app.store import Store, check_pan_key
from authz.config import Config
from authz.wire.networks import NETWORKS
from ledger.clearing.errors import ClearingRefused
from ledger.clearing.reading import ClearingFile, read_clearing

COLUMNS = ("outcome", "records", "amount_minor", "means")
WAITING = ("record", "kind", "outcome", "amount_minor", "detail", "authorization_id")

EXAMPLES = """
\b
Examples:
  authz clear incoming.ipm
  authz clear incoming.ctf --dry-run
  authz clear day.csv --network visa --json -

The file is read through first: one that is damaged, cut or does not add up posts nothing. Then each
of its records ends in one outcome. The same file again changes nothing, and so does the same record
in another file; a run that was cut short is gone on with by the next.

The purchases of networks in `clearing.by_file` are posted; those of all others are only compared
with what was posted online. Give the same --config as the engine has: an outcome is for good.

\b
Exit codes:
  0  every record has its outcome, or had it before
  1  the file is refused, or the store or the books could not be had: run it again
  2  wrong use"""


@click.command(epilog=EXAMPLES)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read it through and add it up; nothing is moved.")
@click.option(
    "--network", default="", help="Whose it is, where the file does not say: visa, mastercard, …"
)
@click.option("--json", "json_file", metavar="FILE", help="Write it as JSON; - for stdout.")
@of_books
@configured
def command(
    config: Config, ledger_dir: Path | None, path: Path, dry_run: bool, network: str,
    json_file: str | None,
) -> None:  # fmt: skip
    """Post what a network's clearing file says that was paid: Mastercard IPM, Visa BASE II, CSV."""
    if network and network not in NETWORKS:
        raise click.UsageError(f"--network: unknown; known are {', '.join(NETWORKS)}.")
    file = read(path)
    found = summary(file) if dry_run else asyncio.run(run(config, ledger_dir, file, network))
    if json_file is not None:
        write_json(json_file, found)
    tell(found, moves_by(config), to_stderr=json_file == "-")


def moves_by(config: Config) -> str:
    """Which files post and which only compare: what is forgotten here is forgotten for good."""
    networks = ", ".join(sorted(config.clearing.networks))
    return (
        f"clearing.by_file: {networks or 'no network'}. The purchases of "
        f"{'others' if networks else 'all'} are only compared with what was posted online."
    )


def read(path: Path) -> ClearingFile:
    """Raises: click.ClickException, with the bad records that were found on the way."""
    try:
        return read_clearing(path)
    except OSError as error:
        raise click.ClickException(f"The file cannot be read: {error.strerror}.") from None
    except ClearingRefused as refused:
        raise click.ClickException(said(refused)) from None


def said(refused: ClearingRefused) -> str:
    bad = "".join(f"\n  {record}" for record in refused.bad)
    return f"Nothing was posted, the file is refused: {refused}.{bad}"


async def run(config: Config, folder: Path | None, file: ClearingFile, network: str) -> Plain:
    try:
        books = await find_books(config, folder)
    except NO_BOOKS as error:
        raise click.ClickException(str(error)) from None
    source = f"authz clear by {hidden(user())[:64]}"

    async def work(client: Redis, store: Store) -> Plain:
        await check_pan_key(store, config)
        try:
            async with desk(config, store, client, books.dsn, source) as at:
                return await clear(at, file, network)
        except asyncpg.PostgresError as error:
            name = type(error).__name__
            raise click.ClickException(f"Postgres refused ({name}). Run it again.") from None
        except Busy:
            raise click.ClickException("Another authz clear is under way: wait for it.") from None
        except ClearingRefused as refused:
            raise click.ClickException(said(refused)) from None
        except NoNetwork:
            known = ", ".join(NETWORKS)
            raise click.ClickException(
                f"A record does not say of which of our networks it is ({known}): nothing was "
                "posted. Where none does, name it with --network."
            ) from None

    try:
        return await at_store(config, source, work)
    finally:
        books.stop()


def summary(file: ClearingFile) -> Plain:
    """What the file says, by currency and kind, and what of it cannot be used."""
    return {
        "file": file.path.name,
        "file_id": file.file_id,
        "format": file.format,
        "network": file.network,
        "business_date": file.business_date.isoformat() if file.business_date else "",
        "status": "read",
        "records": file.records,
        "items": file.item_count,
        "refused": file.bad_count,
        "others": file.others,
        "kinds": [
            {
                "kind": kind,
                "records": total.count,
                "amount_minor": total.minor,
                "owed_minor": total.owed,
                "currency": currency,
            }
            for (currency, kind), total in file.totals.items()
        ],
        "bad": [str(record) for record in file.bad],
    }


def tell(found: Plain, moves: str, to_stderr: bool) -> None:
    def say(line: str) -> None:
        click.echo(line, err=to_stderr)

    of = ", ".join(filter(None, (found["format"], found["network"], found["business_date"])))
    say(f"{found['file']} ({of}): {counted(found['items'], 'item')}, {found['refused']} refused")
    if found.get("done_before"):
        say(f"This file was done before, {found['done_before']}: nothing was changed.")
    if "kinds" in found:
        for line in table(found["kinds"], ("kind", "records", "amount_minor"), "", ""):
            say(line)
        for bad in found["bad"]:
            say(f"  {bad}")
        say(f"{moves} Nothing was moved: --dry-run.")
        return
    say(moves)
    for line in table([shown(row) for row in found["outcomes"]], COLUMNS, "", ""):
        say(line)
    if found["exceptions"]:
        what = (
            f"the first {len(found['exceptions'])} that wait"
            if found["more_exceptions"]
            else "waiting"
        )
        say(f"{what} for a person (more of each: authz exceptions --acts 1000):")
        for line in table(found["exceptions"], WAITING, "", ""):
            say(line)


def shown(row: Plain) -> Plain:
    """Of a record that cannot be used no amount is known."""
    return row if row["currency"] else row | {"amount_minor": None}
