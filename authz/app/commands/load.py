"""authz load: accounts, cards and lists out of files."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.announcing import Announcing, networks_told
from authz.app.cli import hidden
from authz.app.loading import LoadReport, load
from authz.app.options import configured
from authz.app.output import counted
from authz.app.store import NO_STORE, Store, find_store, opened, pan_keys, prepare
from authz.audit import audit_before_opening
from authz.config import Config, ConfigError
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.judgement import Overlaps

EXAMPLES = """
\b
Examples:
  authz load accounts.csv cards.csv
  authz load --redis redis://127.0.0.1:6379 --new-store --pan-key-file pan.key *.csv
  authz load lists.jsonl --json -

\b
Exit codes:
  0  everything was loaded
  1  a row was bad, or the store refused; what is wrong is said row by row
  2  wrong use

docs/loading.md has every column."""


@click.command(epilog=EXAMPLES)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--partial", is_flag=True, help="Load the good rows even if others are bad.")
@click.option(
    "--new-store", is_flag=True,
    help="The store has never held anything: open its gates. Never of itself, since an empty "
    "store may be one that has lost everything, and accounts would start anew.",
)  # fmt: skip
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@configured
def command(
    files: tuple[Path, ...], partial: bool, new_store: bool, json_file: str | None, config: Config
) -> None:
    """Read accounts, cards and lists from CSV or JSON lines, all or nothing.

    The kind of a file is told by its columns; any order will do. Bad rows are listed
    with file, line and column, and never quoted.
    """
    report = asyncio.run(run(config, files, partial, new_store))
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(as_json(report))) + b"\n")
    raise SystemExit(0 if report.ok else 1)


async def run(
    config: Config,
    files: tuple[Path, ...],
    partial: bool,
    new_store: bool,
    *,
    kinds: tuple[str, ...] = ("accounts", "cards", "lists"),
    replace_lists: bool = True,
) -> LoadReport:
    # For the journal, and a file may be named by a card.
    source = hidden("authz load " + " ".join(file.name for file in files))
    try:
        store = await find_store(config)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    try:
        await prepare(store, source)
        client = admin.administrator(store.url)
        try:
            await let_in(store, client, new_store, source)
            async with opened(store, source) as state:
                keys = cache(lambda: pan_keys(config))
                told = networks_told(config.links)
                return await load(
                    files, state, client, keys, partial=partial, source=source,
                    announcing=lambda: Announcing(keys(), told) if told else None,
                    kinds=kinds, replace_lists=replace_lists,
                )  # fmt: skip
        finally:
            await client.aclose()
    except admin.NotFit as error:
        raise click.ClickException(f"{error}.") from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except Overlaps:
        raise click.ClickException(
            "Somebody listed something meanwhile that overlaps. Run it again: it tells where."
        ) from None
    except (HotStateError, RedisError, OSError) as error:
        raise click.ClickException(
            f"The store gave no answer ({type(error).__name__}). Run it again: what was done "
            "already is not done twice."
        ) from None
    finally:
        store.stop()


async def let_in(store: Store, client: Redis, new_store: bool, source: str) -> None:
    """Open gates, or a reason why not. Raises: NotFit, click.ClickException."""
    state = await admin.state_of_gates(client)
    if state == "new":
        if not new_store:
            raise admin.NotFit(
                "the store is empty: say --new-store if it has never held anything. If it has, "
                "it lost everything: authz rebuild gives it back what the books have"
            )
        await admin.open_gates(client, new=True, source=source)
    elif state != "open":
        report = await audit_before_opening(client, store.url, source)
        if report is not None and report.repaired:
            click.echo(
                f"{counted(report.repaired, 'card')} of a load that was cut short could not be "
                "found by number, and can be now",
                err=True,
            )
        if report is not None and not report.ok:
            raise admin.NotFit(
                f"the store was restarted and its audit found "
                f"{counted(report.found, 'difference')}; "
                "authz reconcile shows them"
            )


def tell(report: LoadReport, to_stderr: bool) -> None:
    for bad in report.bad:
        click.echo(str(bad), err=True)
    more = report.bad_rows - len(report.bad)
    if more > 0:
        click.echo(f"and {more:,} more", err=True)
    if not report.loaded:
        rest = " --partial loads the rest." if report.partial_helps else ""
        click.echo(f"Nothing was loaded: {counted(report.bad_rows, 'bad row')}.{rest}", err=True)
        return
    for name, done in (("accounts", report.accounts), ("cards", report.cards)):
        click.echo(
            f"{name:<9} {done.created:,} new, {done.moved:,} changed, {done.same:,} as they were",
            err=to_stderr,
        )
    for line in (*report.account_changes.told("account"), *report.card_changes.told("card")):
        click.echo(line, err=to_stderr)
    cards = report.cards
    if cards.announced:
        click.echo(f"{counted(cards.announced, 'word')} to networks queued", err=to_stderr)
    if cards.not_announced:
        full = f"{counted(cards.not_announced, 'word')} to networks left out: too many wait"
        click.echo(full, err=True)
    if report.funds_ignored:
        of = counted(report.funds_ignored, "account")
        there = "it exists" if report.funds_ignored == 1 else "they exist"
        click.echo(f"opening_funds of {of} ignored: {there} already", err=to_stderr)
    if report.lists_version is not None:
        said = (
            f"lists     {counted(report.lists_entries, 'entry')}, "
            f"{report.lists_changed:,} changed, judgement {report.lists_version}"
        )
        click.echo(said, err=to_stderr)
    if report.bad_rows:
        click.echo(f"bad       {counted(report.bad_rows, 'row')}, not loaded", err=True)


def as_json(report: LoadReport) -> dict[str, Any]:
    counts = {
        name: {"created": done.created, "moved": done.moved, "same": done.same}
        for name, done in (("accounts", report.accounts), ("cards", report.cards))
    }
    lists = {
        "version": report.lists_version,
        "entries": report.lists_entries,
        "changed": report.lists_changed,
    }
    return {
        "ok": report.ok,
        "loaded": report.loaded,
        **counts,
        "changes": {"accounts": report.account_changes.ways, "cards": report.card_changes.ways},
        "opening_funds_ignored": report.funds_ignored,
        "lists": None if report.lists_version is None else lists,
        "bad_rows": report.bad_rows,
        "bad": report.bad,
    }
