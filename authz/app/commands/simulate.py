"""authz simulate: a card network."""

import asyncio
import csv
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import click
import uvloop

from authz.app.clearing_files import write_clearing
from authz.app.options import configured
from authz.app.output import sentence, write_json
from authz.app.people import load_population
from authz.app.store import NO_STORE, find_store, opened, pan_keys
from authz.clock import SystemClock, utc
from authz.config import Config
from authz.hot.admin import NotFit
from authz.simulator.cards import Population
from authz.simulator.link import Link, manners_in
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event
from authz.simulator.network import run
from authz.simulator.population import make_population
from authz.simulator.replay import NotTransactions, Replay
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from authz.wire.networks import NETWORKS
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from ledger.clearing.errors import CannotWrite

EXAMPLES = """
\b
Examples:
  authz serve                                     in one terminal, then in another:
  authz simulate --rate 500 --seconds 20          10,000 cards and their traffic
  authz simulate --dialect visa                   to a link that speaks it
  authz simulate --dialect visa --clearing clearing   and what it clears, for authz clear
  authz simulate --csv card_transactions.csv.gz   a file of transactions, as fast as --rate
  authz simulate --csv card_transactions.csv.gz --labels frauds.csv
  authz simulate --compare card_transactions.csv.gz   does generated traffic look like it?
  authz simulate --story list                     worked examples of a payment's life
  authz simulate --story partial-reversal --own-engine
  authz simulate --story all                      on the engine that runs

\b
The summary counts messages:
  unanswered            given up: exit code 1
  conflicts             repeats that got another verdict than the first: exit code 1
  approved, referred    of requests: DE 39 is 00 or its like; is 01 or 02, call the issuer
  no_verdict            DE 39 is 91 or 96: ask again, so nothing was decided
  declined              the rest
  unsent, resent        no link was up, or all were full; sent again as a repeat
  late_sends            sent later than they fell due: the generator's own slowness
  unmatched             answers to nothing that was sent

Stories open an account and a card each in the store that --data-dir, --redis or --config name,
which must be the engine's. Hold rules of your own and lists may make some go otherwise.
"""


@click.command(epilog=EXAMPLES)
@configured
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the engine listens.")
@click.option("--port", default=8583, show_default=True, help="Its ISO 8583 port.")
@click.option(
    "--dialect", default="iso87_ascii", show_default=True, type=click.Choice(list(BY_NAME))
)
@click.option(
    "--framing",
    type=click.Choice(list(FRAMINGS)),
    help="Of visa vap, else binary2, where nothing is said.",
)
@click.option(
    "--network",
    type=click.Choice(list(NETWORKS)),
    help="Whose elements and codes are spoken; of the dialect, where nothing is said.",
)
@click.option(
    "--rate",
    default=500.0,
    show_default=True,
    type=click.FloatRange(0.1, 50_000),
    help="Messages a second, open loop.",
)
@click.option(
    "--seconds",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0.1, 86_400),
    help="How long; a file ends by itself.",
)
@click.option("--links", default=2, show_default=True, type=click.IntRange(1, 100))
@click.option("--cards", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--seed", default=1, show_default=True, help="For the same traffic again.")
@click.option(
    "--csv",
    "csv_file",
    help="Replay this file.",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--labels",
    "labels_file",
    help="With --csv: which of them were fraud, for authz rules backtest.",
    type=click.Path(path_type=Path, dir_okay=False),
)
@click.option(
    "--compare",
    "compare_with",
    help="Send nothing: compare generated traffic with this file.",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--story",
    metavar="NAME",
    help="Tell a worked example step by step; list names them, all tells them all.",
)
@click.option(
    "--own-engine",
    is_flag=True,
    help="For stories: an engine and a store that are gone afterwards.",
)
@click.option("--no-load", is_flag=True, help="The cards are in the store already.")
@click.option(
    "--clearing",
    "clearing_dir",
    metavar="DIR",
    help="Write what the network clears of it there. The files hold card numbers.",
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option("--json", "json_file", help="Write the figures there; - for standard output.")
def command(config: Config, **given: Any) -> None:
    """Be a card network: load cardholders, then send their traffic over TCP links.

    The cardholders go into the engine's store, beside your own cards: give a store for trying
    things a folder of its own (--data-dir, for authz serve as well).
    """
    if given["story"] is not None:
        tell_stories(config, given)
        return
    if given["own_engine"]:
        raise click.UsageError("--own-engine is for --story.")
    if given["labels_file"] is not None and given["csv_file"] is None:
        raise click.UsageError("--labels goes with --csv, whose labels it writes.")
    try:
        if given["compare_with"] is not None:
            show_comparison(given["seed"], given["compare_with"])
            return
        report = uvloop.run(simulate(config, given))
    except CannotWrite as error:
        raise click.ClickException(f"The clearing file cannot be written: {error}.") from None
    except (NotTransactions, OSError, *NO_STORE) as error:
        raise click.ClickException(str(error)) from None
    summary = report.summary()
    if given["json_file"]:
        write_json(given["json_file"], summary)
    if given["json_file"] != "-":
        for name, value in summary.items():
            click.echo(f"{name:>16}  {value:>12,}")
    if report.unanswered or report.conflicts:
        raise SystemExit(1)


async def simulate(config: Config, given: dict[str, Any]) -> Report:
    clock = SystemClock()
    today = utc(clock.now_ms()).date()
    # Another run against the same engine has other STANs and RRNs, or its reversals might
    # find this one's authorizations.
    first_stan = clock.now_ms() // 1000 % 1_000_000
    population, events, seconds = who_and_what(given, today, first_stan)
    manners = manners_in(given["dialect"], given["framing"], given["network"])
    if NETWORKS[manners.network].version != manners.dialect.version:
        raise click.UsageError(f"{manners.network} does not speak {given['dialect']}.")
    links = [Link(given["host"], given["port"], clock, manners) for _ in range(given["links"])]
    try:
        for link in links:  # before anything is loaded: is there an engine to send to?
            await link.open()
        if not given["no_load"]:
            await load(config, population, f"authz simulate --seed {given['seed']}")
        report = await run(events, links, given["rate"], seconds, clock)
    except TimeoutError:
        where = f"{given['host']}:{given['port']}"
        raise click.ClickException(
            f"No engine answers on {where}: is authz serve running?"
        ) from None
    finally:
        await asyncio.gather(*(link.close() for link in links))
    if given["clearing_dir"] is not None:
        files = write_clearing(
            given["clearing_dir"], manners.network, events, report, population,
            seed=given["seed"], day=today, first_number=first_stan * 100_000,
        )  # fmt: skip
        for file in files:
            click.echo(
                f"clearing: {file}, and what is expected of it in {file.name}.json", err=True
            )
    return report


async def load(config: Config, population: Population, source: str) -> None:
    """Put the population into the engine's store; those that are there stay as they are."""
    store = await find_store(config, make=False)  # where an engine runs, there is one
    try:
        async with opened(store, "authz simulate") as state:
            accounts, cards = await load_population(state, pan_keys(config), population, source)
    except NotFit as error:
        raise click.ClickException(f"{error}.") from None
    finally:
        store.stop()
    click.echo(
        f"accounts: {accounts.created} created, {accounts.same + accounts.moved} there; "
        f"cards: {cards.created} created, {cards.same + cards.moved} there", err=True,
    )  # fmt: skip


def who_and_what(
    given: dict[str, Any], today: date, first_stan: int
) -> tuple[Population, Any, float]:
    """The people, what they do, and for how long at most."""
    if given["csv_file"] is not None:
        replay = Replay(given["csv_file"])
        for bad in replay.bad_rows:
            click.echo(str(bad), err=True)
        events = list(replay.events(first_stan=first_stan))
        if given["labels_file"] is not None:
            write_labels(given["labels_file"], events)
        return replay.population, events, len(events) / given["rate"] + 1
    population = make_population(given["seed"], given["cards"], today)
    count = round(given["rate"] * given["seconds"])
    traffic = Traffic(
        population, make_merchants(given["seed"]), given["seed"],
        first_day=today, per_day=count, first_stan=first_stan,
    )  # fmt: skip
    # Making events costs more than sending them: they are made before the clock runs.
    events = list(islice(traffic, count))
    return population, events, given["seconds"]


def write_labels(file: Path, events: list[Event]) -> None:
    """Before anything is sent. An RRN is its acquirer's."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("acquirer_id", "rrn", "is_fraud"))
        for event in events:
            if event.is_fraud is not None:
                rows.writerow((event.elements[32], event.elements[37], int(event.is_fraud)))


def tell_stories(config: Config, given: dict[str, Any]) -> None:
    """Exit code 1 where one did not go as its table says."""
    from authz.app import story as told
    from authz.simulator.stories import BY_NAME as BY_STORY
    from authz.simulator.stories import STORIES

    name = given["story"]
    if name == "list":
        click.echo(told.listed())
        return
    if name != "all" and name not in BY_STORY:
        raise click.UsageError(
            f"There is no such story. There are: list, all, {', '.join(BY_STORY)}."
        )
    chosen = [BY_STORY[name]] if name in BY_STORY else list(STORIES)
    if name == "all" and not given["own_engine"]:  # its link speaks one dialect
        others = [story.name for story in chosen if story.tongue.dialect_name != given["dialect"]]
        chosen = [story for story in chosen if story.name not in others]
        click.echo(f"left out, being of another --dialect: {', '.join(others)}\n")

    async def tell_them() -> list[str]:
        stage = (
            told.own_stage() if given["own_engine"]
            else told.stage_beside(config, given["host"], given["port"], given["framing"])
        )  # fmt: skip
        async with stage as open_stage:
            return [story.name for story in chosen if not await told.tell_aloud(open_stage, story)]

    try:
        failed = uvloop.run(tell_them())
    except BrokenPipeError:
        raise  # nobody reads on, as behind a pipe to head: click ends without a word
    except (*told.TROUBLE, *NO_STORE, OSError) as error:
        raise click.ClickException(sentence(error)) from None
    if failed:
        click.echo(f"not as told: {', '.join(failed)}")
        raise SystemExit(1)


def show_comparison(seed: int, csv_file: Path) -> None:
    from authz.simulator.compare import compare, like_the_data

    click.echo(str(compare(like_the_data(seed), csv_file)))
