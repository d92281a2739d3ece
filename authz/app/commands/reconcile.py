"""authz reconcile: the audit of the hot state."""

import asyncio
import re
from collections.abc import Iterable

import click
import msgspec
from redis.exceptions import RedisError

from authz.app.options import configured
from authz.app.output import counted, extent
from authz.app.plain_text import money
from authz.app.store import NO_STORE, find_store
from authz.audit import AuditReport, audit_store
from authz.config import Config
from authz.hot import keys
from authz.hot.admin import administrator
from authz.hot.errors import HotStateError
from authz.profiles import read_account

EXAMPLES = """
\b
Examples:
  authz reconcile
  authz reconcile --redis unix:///run/valkey.sock --json -

\b
Exit codes:
  0  everything agrees
  1  something differs, or the store could not be read
  2  wrong use

docs/loading.md says what is compared."""

SHOWN = 40  # differences in the text; the JSON has more

# Amounts in the audit's words: fields of one currency, and what records hold.
OF_CURRENCY = re.compile(r"(?:posted|held) ([0-9]{3})\b")
HOLDS = re.compile(r"\b(holds?) (-?[0-9]+)")


@click.command(epilog=EXAMPLES)
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@configured
def command(json_file: str | None, config: Config) -> None:
    """Compare every account with its authorizations and with the journal.

    Changes nothing, and may run while authorizations are under way.
    """
    report, currencies = asyncio.run(run(config))
    tell(report, currencies, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    raise SystemExit(0 if report.ok else 1)


async def run(config: Config) -> tuple[AuditReport, dict[str, str]]:
    """The report, and the currencies of the accounts that will be shown."""
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    try:
        report = await audit_store(store.url)
        accounts = {d.account for d in report.differences[:SHOWN] if d.account}
        return report, await currencies_of(store.url, accounts)
    except (HotStateError, RedisError, OSError) as error:
        raise click.ClickException(
            f"The audit could not be finished ({type(error).__name__})."
        ) from None
    finally:
        store.stop()


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


def tell(report: AuditReport, currencies: dict[str, str], to_stderr: bool) -> None:
    for d in report.differences[:SHOWN]:
        where = f"{d.account}: " if d.account else ""
        currency = currencies.get(d.account, "")
        hot, expected = (as_text(d.field, value, currency) for value in (d.hot, d.ledger))
        click.echo(f"{where}{d.field}: {hot}, should be {expected}", err=to_stderr)
    if report.found > SHOWN:
        click.echo(f"and {report.found - SHOWN:,} more", err=to_stderr)
    said = "Everything agrees" if report.ok else counted(report.found, "difference")
    click.echo(f"{said}: {extent(report)}.", err=to_stderr)


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
