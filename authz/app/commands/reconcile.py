"""authz reconcile: the audit of the hot state, and its comparison with the books."""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import click
import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.app.books import NO_BOOKS, FoundBooks, find_books, of_books
from authz.app.options import configured
from authz.app.output import counted, extent, sentence
from authz.app.past import OtherBooks, Past, check_whose
from authz.app.plain_text import money
from authz.app.reconciling import BesideBooks
from authz.app.store import NO_STORE, find_store
from authz.audit import AuditReport, audit_store
from authz.config import Config
from authz.hot import keys
from authz.hot.admin import administrator
from authz.hot.errors import HotStateError
from authz.profiles import read_account
from ledger.database import connect

EXAMPLES = """
\b
Examples:
  authz reconcile
  authz reconcile --redis unix:///run/valkey.sock --json -
  authz reconcile --postgres postgresql://db/authz
  authz reconcile --light                              an old journal, quickly

\b
Exit codes:
  0  everything agrees
  1  something differs, or the store could not be read
  2  wrong use

Where there are books each account, authorization and chain is compared with them at one place of
the journal, under load too, whether the writer is in step or behind. The journal that is no longer
in the store is told from them, unless --light leaves that out: then counters, lists and totals that
no entry in the store tells are compared with one another alone.

docs/loading.md and docs/ledger.md say what is compared."""

SHOWN = 40  # differences in the text; the JSON has more

# Amounts in the audit's words: fields of one currency, and what records hold.
OF_CURRENCY = re.compile(r"(?:posted|held) ([0-9]{3})\b")
HOLDS = re.compile(r"\b(holds?) (-?[0-9]+)")


@click.command(epilog=EXAMPLES)
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@click.option("--light", is_flag=True, help="Do not tell what was trimmed of the journal.")
@of_books
@configured
def command(json_file: str | None, light: bool, ledger_dir: Path | None, config: Config) -> None:
    """Compare every account with its authorizations, with the journal, and with the books.

    Changes nothing, and may run while authorizations are under way.
    """
    report, compared, currencies = asyncio.run(run(config, ledger_dir, light))
    tell(report, compared, currencies, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            told = msgspec.structs.asdict(report) | {"books": compared}
            out.write(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    raise SystemExit(0 if report.ok else 1)


class Compared(Struct):
    """What was compared with the books."""

    compared: bool = False
    entries: int = 0  # in them
    behind: int = 0  # entries that they did not have yet, and that were told on top of them
    why_not: str = ""


async def run(
    config: Config, ledger_dir: Path | None, light: bool
) -> tuple[AuditReport, Compared, dict[str, str]]:
    """The report, and the currencies of the accounts that will be shown."""
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    books: FoundBooks | None = None
    client = administrator(store.url)
    try:
        books, why_not = await books_beside(client, config, ledger_dir)
        if books is None:
            report, compared = await audit_store(store.url), Compared(why_not=why_not)
        else:
            async with Past(client, config, ledger_dir) as past:
                past_or_none = None if light else past
                report, compared = await beside_books(store.url, books.dsn, past_or_none)
        accounts = {d.account for d in report.differences[:SHOWN] if d.account}
        return report, compared, await currencies_of(store.url, accounts)
    except (HotStateError, RedisError, OSError, asyncpg.PostgresError) as error:
        raise click.ClickException(
            f"The audit could not be finished ({type(error).__name__})."
        ) from None
    finally:
        await client.aclose()
        if books is not None:
            books.stop()
        store.stop()


async def books_beside(
    client: Redis, config: Config, folder: Path | None
) -> tuple[FoundBooks | None, str]:
    """The books of this store; or why there are none, where nobody named any.

    Raises: click.ClickException; OSError, asyncpg.PostgresError.
    """
    books: FoundBooks | None = None
    try:
        books = await find_books(config, folder, make=False)
        connection = await connect(books.dsn)
        try:
            await check_whose(client, connection)
        finally:
            await connection.close()
        return books, ""
    except (*NO_BOOKS, OtherBooks) as error:
        if books is not None:
            books.stop()
        if config.postgres.url is not None or folder is not None:
            raise click.ClickException(sentence(error)) from None
        return None, sentence(error)


async def beside_books(url: str, dsn: str, past: Past | None) -> tuple[AuditReport, Compared]:
    """Raises: HotStateError, OSError, asyncpg.PostgresError."""
    connection = await connect(dsn, name="authz reconcile", command_timeout=None)
    try:
        beside = BesideBooks(connection)
        report = await audit_store(url, beside=beside, past=past)
        return report, Compared(compared=True, entries=beside.entries, behind=beside.behind)
    finally:
        await connection.close()


async def currencies_of(url: str, accounts: Iterable[str]) -> dict[str, str]:
    """By account. One whose profile cannot be read has none."""
    found = {}
    client = administrator(url)
    try:
        for id in accounts:
            packed: bytes | None = await client.hget(keys.account(id), "profile")  # type: ignore[assignment]
            try:
                found[id] = read_account(packed or b"").currency
            except msgspec.MsgspecError:
                continue  # which is one of the differences
    finally:
        await client.aclose()
    return found


def tell(
    report: AuditReport, compared: Compared, currencies: dict[str, str], to_stderr: bool
) -> None:
    for d in report.differences[:SHOWN]:
        where = f"{d.account}: " if d.account else ""
        currency = currencies.get(d.account, "")
        hot, expected = (as_text(d.field, value, currency) for value in (d.hot, d.ledger))
        click.echo(f"{where}{d.field}: {hot}, should be {expected}", err=to_stderr)
    if report.found > SHOWN:
        click.echo(f"and {report.found - SHOWN:,} more", err=to_stderr)
    said = counted(report.found, "difference")
    if report.ok and compared.compared:
        said = f"Hot state and books are equal as of journal position {report.position:,}"
    elif report.ok:
        said = "Everything agrees"
    click.echo(f"{said}: {extent(report)}.", err=to_stderr)
    if compared.behind:
        late = counted(compared.behind, "entry")
        click.echo(f"The books are behind: {late} told from the store.", err=to_stderr)
    if not compared.compared:
        click.echo(f"Not compared with books. {compared.why_not}", err=to_stderr)
    if report.cut:
        click.echo(
            f"The journal of {counted(report.cut, 'shard')} was not told from its beginning: "
            "counters, lists and totals from before are compared with one another alone.",
            err=to_stderr,
        )


def as_text(field: str, value: int | str | None, currency: str) -> str:
    """One side of a difference. `currency` is the account's; the field may name another."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return HOLDS.sub(lambda found: f"{found[1]} {money(int(found[2]), currency)}", value)
    own = OF_CURRENCY.match(field)
    if own is not None:
        return money(value, own[1])
    if field.startswith("available") or "/day_amount/" in field:
        return money(value, currency)
    return str(value)
