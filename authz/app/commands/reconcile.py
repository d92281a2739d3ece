"""authz reconcile: the audit of the hot state."""

import asyncio

import click
import msgspec
from redis.exceptions import RedisError

from authz.app.embedded.process import EmbeddedError
from authz.app.options import configured
from authz.app.store import find_store
from authz.audit import AuditReport, audit_store
from authz.config import Config, ConfigError
from authz.hot.admin import NotFit
from authz.hot.errors import HotStateError

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


@click.command(epilog=EXAMPLES)
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@configured
def command(json_file: str | None, config: Config) -> None:
    """Compare every account with its authorizations and with the journal.

    Changes nothing, and may run while authorizations are under way.
    """
    report = asyncio.run(run(config))
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    raise SystemExit(0 if report.ok else 1)


async def run(config: Config) -> AuditReport:
    try:
        store = await find_store(config)
    except (EmbeddedError, NotFit, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    except (OSError, RedisError):
        raise click.ClickException("The store cannot be reached.") from None
    try:
        return await audit_store(store.url)
    except (HotStateError, OSError) as error:
        raise click.ClickException(
            f"The audit could not be finished ({type(error).__name__})."
        ) from None
    finally:
        store.stop()


def tell(report: AuditReport, to_stderr: bool) -> None:
    for d in report.differences[:SHOWN]:
        where = f"{d.account}: " if d.account else ""
        click.echo(f"{where}{d.field}: {d.hot}, should be {d.ledger}", err=to_stderr)
    if report.found > SHOWN:
        click.echo(f"and {report.found - SHOWN} more", err=to_stderr)
    said = "Everything agrees" if report.ok else f"{report.found} differences"
    click.echo(
        f"{said}: {report.accounts} accounts, {report.authorizations} authorizations, "
        f"{report.entries} journal entries.",
        err=to_stderr,
    )
