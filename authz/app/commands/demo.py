"""authz demo: everything at once."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from authz.app.books_beside import Booked
from authz.app.demo import Result, Settings, run_demo
from authz.app.embedded.process import EmbeddedError
from authz.app.output import counted, extent, write_json
from authz.app.settlement_words import batches_of
from authz.simulator.report import Report
from iso8583.codec import decode
from iso8583.describe import name_of
from iso8583.describe import show as show_value
from iso8583.dialects import BY_NAME

EXAMPLES = """
\b
Examples:
  authz demo                               10,000 cards, 500 a second, 20 seconds
  authz demo --rate 2000 --seconds 10
  authz demo --json -                      the summary for a program
"""
REFRESH_S = 0.5  # of the live table; drawing it costs the network's process some milliseconds
PLAIN_S = 5.0  # between lines where no terminal listens


@click.command(epilog=EXAMPLES)
@click.option("--cards", default=10_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--rate", default=500.0, show_default=True, type=click.FloatRange(1, 50_000))
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(0.1, 3600))
@click.option("--seed", default=1, show_default=True, help="For the same traffic again.")
@click.option("--json", "json_file", help="Write the summary there; - for standard output.")
@click.option(
    "--proof",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the proof of the day there, as one page.",
)
def command(json_file: str | None, **given: Any) -> None:
    """A store, an engine, a card network, books, clearing and a proof; all from this command.

    Exit code 0 only if every request was answered inside the budget, and audit, books and proof
    hold; 3 where the machine itself stalled, so that time proves nothing.
    """
    console = Console(stderr=json_file == "-")
    try:
        result = uvloop.run(run_demo(Settings(**given), console.out, show(console)))
    except (EmbeddedError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.Abort from None
    print_result(console, result)
    if json_file is not None:
        write_json(json_file, result.as_json())
    sys.exit(result.exit_code())


def show(console: Console) -> Any:
    """The watcher of the traffic: a live table, or a line now and then."""

    async def live(report: Report, _: str) -> None:
        with Live(progress(report), console=console, auto_refresh=False, transient=True) as view:
            while True:
                await asyncio.sleep(REFRESH_S)
                view.update(progress(report), refresh=True)

    async def plain(report: Report, _: str) -> None:
        while True:
            await asyncio.sleep(PLAIN_S)
            console.out(f"          {report.sent:,} sent, {report.answered:,} answered")

    return live if console.is_terminal else plain


def booked(books: Booked) -> str:
    found = books.verified
    drained = "not drained" if books.drained_s is None else f"drained in {books.drained_s:.1f} s"
    whole = "whole and balanced" if found.ok else counted(found.found, "difference")
    return (
        f"books: {found.entries:,} journal entries, {found.postings:,} postings, "
        f"{books.lag_max:,} behind at most, {drained}: {whole}"
    )


def cleared(result: Result) -> str:
    of = result.cleared
    ranked = sorted(of.outcomes.items(), key=lambda item: (-item[1], item[0]))
    found = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in ranked)
    return f"clearing: {counted(of.records, 'record')}: {found}"


def settled(result: Result) -> str:
    settling = result.settling
    return f"settlement: {counted(settling.lines, 'line')} in {batches_of(settling.batches)}"


def proved(result: Result) -> str:
    proof = result.proof
    found = "nothing unexplained" if proof.ok else f"{counted(proof.found, 'thing')} unexplained"
    return f"proof of {proof.date}: {counted(len(proof.currencies), 'currency')}, {found}"


def progress(report: Report) -> Table:
    summary = report.summary()
    table = Table(title="a card network asks, the engine answers")
    for name in ("sent", "answered", "approved", "declined", "p50_ms", "p99_ms", "max_ms"):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(
        *(f"{summary[name]:,}" for name in ("sent", "answered", "approved", "declined")),
        *(f"{summary[name]:.2f}" for name in ("p50_ms", "p99_ms", "max_ms")),
    )
    return table


def print_result(console: Console, result: Result) -> None:
    """What a person wants to know afterwards, top to bottom."""
    console.print()
    console.print(Group(one_question(result.report), counts(result), times(result)))
    seen, audit = result.report.summary(), result.audit
    console.out(
        f"\nanswers to {counted(result.repeats, 'repeat')} are among those to authorizations; "
        f"{counted(result.reversals, 'reversal')} answered besides"
    )
    console.out(
        f"{seen['sent']:,} sent, {seen['answered']:,} answered; the first "
        f"{result.first_answer_s:.1f} s after the start, with nothing set up before"
    )
    console.out(f"audit: {extent(audit)}: {'all agree' if audit.ok else 'they differ'}")
    console.out(booked(result.books))
    console.out(cleared(result))
    console.out(settled(result))
    console.out(proved(result))
    if result.stalls:
        longest = max(stall.seconds for stall in result.stalls)
        console.out(
            f"the machine stalled {len(result.stalls)} times, {longest * 1000:.0f} ms at most"
        )
    for failure in result.failures():
        console.out(f"NOT HELD: {failure}")
    verdict = {0: "every promise held", 1: "a promise did not hold", 3: "inconclusive"}
    console.out(f"\n{verdict[result.exit_code()]}")


def one_question(report: Report) -> Table:
    """One request and its answer, element by element, masked."""
    dialect = BY_NAME["iso87_ascii"]
    table = Table(title="one of them, masked", box=None, padding=(0, 2, 0, 0))
    table.add_column("DE", justify="right", min_width=3)
    for name, width in (("element", 22), ("0100", 25), ("0110", 20)):  # 80 columns in all
        table.add_column(name, width=width, no_wrap=True)
    if not report.sample_request:
        return table
    asked = decode(report.sample_request, dialect)
    answered = decode(report.sample_response, dialect)
    for number in sorted({*asked, *answered}):
        sides = (
            " ".join(show_value(number, message[number], dialect).split())
            if number in message
            else ""
            for message in (asked, answered)
        )
        table.add_row(str(number), name_of(number, dialect), *sides)
    return table


def counts(result: Result) -> Table:
    table = Table(title="answers to authorizations")
    table.add_column("answer")
    table.add_column("reason")
    table.add_column("count", justify="right")
    for (answer, reason), count in result.reasons.most_common():
        table.add_row(answer, reason.replace("_", " "), f"{count:,}")
    return table


def times(result: Result) -> Table:
    """By the engine's clock: from the last byte of a request to its answer handed over."""
    table = Table(title="time to answer, ms, by the engine's clock")
    names = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms")
    for name in ("p50", "p90", "p99", "p99.9", "max", "over 200 ms"):
        table.add_column(name, justify="right")
    table.add_row(
        *(f"{result.latency[name]:.2f}" for name in names), f"{result.latency['over_budget']:.0f}"
    )
    return table
