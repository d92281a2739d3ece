"""authz rebuild: a lost hot state, from the books."""

import gc
from pathlib import Path

import asyncpg
import click
import msgspec
import uvloop
from redis.exceptions import RedisError

from authz.app.books import NO_BOOKS, find_books, of_books
from authz.app.compose import GC_THRESHOLDS
from authz.app.options import configured
from authz.app.output import counted
from authz.app.rebuilding import Lives, Rebuilt, rebuild
from authz.app.store import NO_STORE, find_store, pan_keys
from authz.clock import utc
from authz.config import Config
from authz.hot.errors import HotStateError
from ledger.rebuild import NothingToRebuildFrom

EXAMPLES = """
\b
Examples:
  authz rebuild
  authz rebuild --redis redis://10.0.0.5:6379 --postgres postgresql://ledger@db/authz
  authz rebuild --json -

\b
Exit codes:
  0  the store has what the books have, and its gates are open
  1  it is not empty, is not the books' own, or could not be written: nothing is decided by it
  2  wrong use

Broken off, it is run again. docs/recovery.md says what comes back, and what does not."""

SHOWN = 10  # cards in the text; the JSON has more


@click.command(epilog=EXAMPLES)
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@of_books
@configured
def command(config: Config, ledger_dir: Path | None, json_file: str | None) -> None:
    """Give a hot state that was lost what the books have: accounts, cards, authorizations.

    Only into a store that is empty. Engines wait for it, and go on by themselves.
    """
    gc.set_threshold(*GC_THRESHOLDS)  # a page is many objects, and no cycle
    report = uvloop.run(run(config, ledger_dir))
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


async def run(config: Config, ledger_dir: Path | None) -> Rebuilt:
    try:
        books = await find_books(config, ledger_dir, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(str(error)) from None
    try:
        store = await find_store(config)
    except NO_STORE as error:
        books.stop()
        raise click.ClickException(str(error)) from None
    engine = config.engine
    lives = Lives(answers_s=engine.advice_window_s + 2 * engine.clock_skew_s)
    try:
        check = pan_keys(config).check
        return await rebuild(store.url, books.dsn, check, lives, "authz rebuild")
    except (*NO_STORE, NothingToRebuildFrom) as error:
        raise click.ClickException(sentence(str(error))) from None
    except (RedisError, HotStateError, OSError) as error:
        raise click.ClickException(
            f"The store could not be written ({type(error).__name__}): run it again."
        ) from None
    except (asyncpg.PostgresError, msgspec.MsgspecError) as error:
        raise click.ClickException(
            f"The books could not be read ({type(error).__name__})."
        ) from None
    finally:
        store.stop()
        books.stop()


def sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text[:1].upper()}{text[1:]}."


def tell(report: Rebuilt, to_stderr: bool) -> None:
    def say(text: str) -> None:
        click.echo(text, err=to_stderr)

    say(
        f"{counted(report.accounts, 'account')}, {counted(report.cards, 'card')}, "
        f"{counted(report.authorizations, 'authorization')} ({report.open:,} open), "
        f"{counted(report.answers, 'answer')}, judgement of version {report.judgement}"
    )
    if report.entries:
        newest = utc(report.newest_ms).strftime("%Y-%m-%d %H:%M:%S")
        say(f"told from {counted(report.entries, 'journal entry')}, the newest of {newest} UTC")
    if report.parked:
        say(
            f"missing: what {counted(report.parked, 'parked entry')} did is not in the books, and "
            "so not in the store"
        )
    if report.notices:
        say(f"doubtful: {counted(report.notices, 'notice')} in the books tell of what never came")
    if report.without_profile:
        say(f"left out: {counted(report.without_profile, 'account')} without a profile")
    if report.blocked:
        ids = " ".join(report.blocked_ids[:SHOWN]) + (" …" if report.blocked > SHOWN else "")
        say(
            f"not known: what networks were told of {counted(report.blocked, 'card')} that "
            f"are not active: {ids}"
        )
    say(f"The store is open after {report.seconds:.1f} s: authz reconcile compares it.")
