"""authz bench: how fast, how late, how large; each beside what it is compared with."""

from pathlib import Path
from typing import Any

import click

from bench.options import (
    RATE_MAX,
    RUN_MAX_S,
    Number,
    as_mix,
    as_ramp,
    json_option,
    said,
    writable,
)
from iso8583.dialects import BY_NAME

EXAMPLES = """
\b
Examples:
  authz bench codec                                 beside pyiso8583 (make peers)
  authz bench decide                                by the size of a policy
  authz bench hot --json -                          our connection beside redis-py
  authz bench velocity                              ten velocity limits beside none
  authz bench load --rate 3000 --seconds 30         an engine and a network, open loop
  authz bench report load.json --html load.html     a run as one page
  authz bench capacity                              the highest rate that keeps the SLA
  authz bench soak --minutes 60                     does anything grow that should not?
  authz bench growth                                more cards, more rules
  authz bench all                                   the canonical set, into docs/performance.md
  authz bench storm                                 eight links, 4,000 requests each at once
  authz bench trouble pause overload                a steady load, and what can go wrong
  authz bench memory --cards 100000                 bytes per card and account
  authz bench clearing --records 1000000            files of three formats, read twice
  authz bench ledger --seconds 20                   the journal into Postgres
  authz bench rebuild --accounts 1000000            a lost store, from the books
  authz bench drill                                 servers destroyed under load, and had again
  authz bench lists --entries 1000000               bytes and time per list entry
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Measure the engine (in a checkout).

    Every server that is needed is started, and stopped again. Figures come with the machine,
    its load matters: leave it alone meanwhile.
    """


@command.command(epilog="\b\nExample:\n  authz bench codec --json codec.json")
@json_option
def codec(json_path: str | None) -> None:
    """Decode and encode, beside pyiso8583 in the same run."""
    from bench.codec import run

    run(json_path)


@command.command(epilog="\b\nExample:\n  authz bench decide --json decide.json")
@click.option("--calls", type=click.IntRange(100), help="Of each size of policy. [20000]")
@json_option
def decide(json_path: str | None, **given: Any) -> None:
    """A decision under policies of 10 to 1,000 rules and ten limits, without a store."""
    from bench.decide import run

    run(json_path, **said(given))


@command.command(epilog="\b\nExample:\n  authz bench clearing --records 1000000")
@click.option("--records", type=click.IntRange(100), help="Items in each file. [100000]")
@click.option("--post", type=click.IntRange(0), help="Items posted, into servers. [20000]")
@json_option
def clearing(json_path: str | None, **given: Any) -> None:
    """Clearing files of three formats: verified, read, written, posted; and memory."""
    from bench.clearing import run

    run(json_path, **said(given))


@command.command(epilog="\b\nExample:\n  authz bench hot --rounds 3")
@click.option("--rounds", type=click.IntRange(1), help="Turns of each side. [7]")
@click.option("--calls", type=click.IntRange(64), help="Calls in a turn of ours. [12000]")
@json_option
def hot(json_path: str | None, **given: Any) -> None:
    """The authorization function over our connection, beside redis-py's plain awaits.

    Under both appendfsync policies; the headline is `always`, the product's default.
    """
    from bench.hot import run

    run(json_path, **said(given))


@command.command(epilog="\b\nExample:\n  authz bench ledger --entries 50000 --seconds 20")
@click.option("--entries", type=click.IntRange(1000), help="Approvals that wait. [120000]")
@click.option("--seconds", type=Number(0), help="Of the burst; 0: none. [60]")
@json_option
def ledger(json_path: str | None, **given: Any) -> None:
    """The writer: approvals a second into Postgres, and how fast a burst's lag ends."""
    from bench.ledger import run

    run(json_path, **said(given))


@command.command(
    epilog="\b\nExample:\n  authz bench drill --rate 500 --json drill.json\n\n"
    "Exit codes: 0 all was had again, 1 it was not."
)
@click.option("--rate", type=Number(1, RATE_MAX), help="Messages a second throughout. [300]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [2000]")
@click.option("--seconds", type=Number(0.5), help="Of traffic before each step. [6]")
@json_option
def drill(json_path: str | None, **given: Any) -> None:
    """The disaster drill: servers are killed under load, their folders destroyed.

    Three disasters: both lost, both had from copies; the hot state lost, rebuilt from the books;
    both lost, the books from a backup, the hot state rebuilt. Recovery point and time of each.
    """
    from bench.drill import Order, run

    raise SystemExit(run(Order(**said(given)), json_path))


@command.command(epilog="\b\nExample:\n  authz bench rebuild --accounts 100000")
@click.option("--accounts", type=click.IntRange(1), help="Each with a card. [1000000]")
@click.option("--authorizations", type=click.IntRange(0), help="Open, one each at most. [500000]")
@json_option
def rebuild(json_path: str | None, **given: Any) -> None:
    """A hot state that was lost, told anew from the books: time and memory."""
    from bench.rebuild import run

    run(json_path, **said(given))


@command.command(epilog="\b\nExample:\n  authz bench velocity --rounds 5")
@click.option("--rounds", type=click.IntRange(1), help="Turns of each side. [7]")
@click.option("--calls", type=click.IntRange(64), help="Calls in a turn. [6000]")
@click.option("--buckets", type=click.IntRange(0), help="Used in each rolling window. [20]")
@json_option
def velocity(json_path: str | None, **given: Any) -> None:
    """The authorization function under ten velocity limits, beside the same under none."""
    from bench.velocity import run

    run(json_path, **said(given))


@command.command(
    epilog="\b\nExamples:\n  authz bench load --rate 3000 --seconds 30 --json load.json\n"
    "  authz bench load --ramp 500:6000 --rules 50\n"
    "  authz bench load --mix authorizations=80,repeats=20\n\n"
    "Exit codes: 0 the SLA is met, 1 it is not, 3 inconclusive: the machine itself stalled, or the "
    "generator was the bottleneck."
)
@click.option("--rate", type=Number(1, RATE_MAX), help="Messages a second. [1000]")
@click.option(
    "--ramp",
    metavar="FROM:TO",
    callback=as_ramp,
    help="Instead of a rate: evenly from one to another over the run.",
)
@click.option(
    "--mix",
    metavar="NAME=PER_CENT,…",
    callback=as_mix,
    help="Of the traffic. [authorizations=90,repeats=2,reversals=4,advices=2,completions=2]",
)
@click.option("--seconds", type=Number(1, RUN_MAX_S), help="Measured, after 2 s of warm-up. [30]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [10000]")
@click.option("--links", type=click.IntRange(1, 500), help="TCP links of the network. [4]")
@click.option("--seed", type=int, help="Of cards, merchants and traffic. [1]")
@click.option("--dialect", type=click.Choice(list(BY_NAME)), help="Of the links. [iso87_ascii]")
@click.option("--p99-ms", type=Number(0.1), help="What p99 may be. [10]")
@click.option("--p999-ms", type=Number(0.1), help="What p99.9 may be. [50]")
@click.option("--books/--no-books", default=True, help="The ledger's writer beside it. [yes]")
@click.option("--rules", type=click.IntRange(0), help="In force, with five limits. [0]")
@json_option
def load(json_path: str | None, **given: Any) -> None:
    """An engine under a card network's load: open loop, from the intended send time.

    The store is durable before it answers (appendfsync always). The SLA: p99 and p99.9 as given,
    none unanswered, none over 200 ms but for stalls of the machine. The engine that is measured
    takes its other settings from the environment (AUTHZ_SECTION_KEY), as always.
    """
    from authz.app.output import sentence
    from bench.drive import NotCarriedOut
    from bench.load import Order, Ramp, run
    from bench.mix import GENERIC_DIALECTS, WITHOUT_ADVICES

    asked = said(given)
    if "ramp" in asked:
        if "rate" in asked:
            raise click.UsageError("--ramp says the rate: leave --rate out.")
        asked["ramp"] = ramp = Ramp(*asked["ramp"])
        asked["rate"] = (ramp.start + ramp.end) / 2
    if asked.get("dialect", GENERIC_DIALECTS[0]) not in GENERIC_DIALECTS:
        mix = asked.setdefault("mix", WITHOUT_ADVICES)
        if mix.advices or mix.completions:
            raise click.UsageError(
                f"--mix: advices and completions are said in {' and '.join(GENERIC_DIALECTS)} only."
            )
    try:
        code = run(Order(**asked), json_path)
    except NotCarriedOut as error:
        raise click.ClickException(sentence(error)) from None
    raise SystemExit(code)


@command.command(epilog="\b\nExample:\n  authz bench capacity --json capacity.json")
@click.option("--start", type=Number(1, RATE_MAX), help="Messages a second. [2000]")
@click.option("--steps", type=click.IntRange(0), help="Of the bisection. [4]")
@click.option("--probe-s", type=Number(0.5, RUN_MAX_S), help="Seconds of each probe. [8]")
@click.option("--confirm-s", type=Number(0.5, RUN_MAX_S), help="Of the last run. [30]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [10000]")
@click.option("--seed", type=int, help="Of cards, merchants and traffic. [1]")
@click.option("--books/--no-books", default=True, help="The ledger's writer beside it. [yes]")
@click.option("--naive", is_flag=True, help="And of the naive engine (make peers).")
@click.option("--rules", type=click.IntRange(0), help="In force, with five limits. [0]")
@json_option
def capacity(json_path: str | None, **given: Any) -> None:
    """The highest rate that keeps the SLA, and the machine's own limit, in one run.

    The SLA: p99 at most 10 ms, p99.9 at most 50, everything answered, nothing over 200 ms that the
    machine's own stalls do not explain.
    """
    from bench.capacity import Search, run

    raise SystemExit(run(Search(**said(given)), json_path))


@command.command(epilog="\b\nExample:\n  authz bench report load.json --html report.html")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--html", required=True, metavar="FILE", callback=writable, help="The page to write, one file."
)
@click.option("--png", metavar="FILE", callback=writable, help="And a picture of it, by Chromium.")
def report(files: tuple[Path, ...], html: str, png: str | None) -> None:
    """Runs of `load`, `trouble` and `soak`, by their --json, as one page; nothing is fetched."""
    from bench.report import run

    try:
        run(files, Path(html), Path(png) if png else None)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@command.command(epilog="\b\nExample:\n  authz bench compare before.json after.json")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Two runs of the same command: each figure of the second, over the first."""
    from bench.compare import run

    try:
        run(before, after)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@command.command(
    epilog="\b\nExample:\n  authz bench soak --minutes 60 --json soak.json\n\n"
    "Exit codes: 0 nothing grows that should not, 1 something does, or was not answered as it "
    "should be, 3 too short to tell."
)
@click.option("--minutes", type=Number(0.1), help="How long. [10]")
@click.option("--rate", type=Number(1, RATE_MAX), help="Messages a second. [500]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [10000]")
@click.option("--seed", type=int, help="Of cards, merchants and traffic. [1]")
@click.option("--books/--no-books", default=True, help="The ledger's writer beside it. [yes]")
@json_option
def soak(json_path: str | None, **given: Any) -> None:
    """A steady load for long: memory, files, keys, fragmentation, latency, and their slopes."""
    from bench.soak import Order, run

    raise SystemExit(run(Order(**said(given)), json_path))


@command.command(epilog="\b\nExample:\n  authz bench growth --json growth.json")
@click.option("--rate", type=Number(1, RATE_MAX), help="Messages a second. [1000]")
@click.option("--seconds", type=Number(1, RUN_MAX_S), help="Of each run. [10]")
@click.option("--most-cards", type=click.IntRange(10_000), help="Of the largest. [1000000]")
@json_option
def growth(json_path: str | None, **given: Any) -> None:
    """The same load for ten thousand cards and more, and under 1, 10 and 100 rules."""
    from bench.growth import run

    run(json_path, **said(given))


@command.command("all", epilog="\b\nExample:\n  authz bench all --json all.json")
@json_option
def canonical(json_path: str | None) -> None:
    """The canonical set, in under ten minutes; docs/performance.md has the figures afterwards."""
    from bench.canonical import run

    raise SystemExit(run(json_path))


@command.command(epilog="\b\nExample:\n  authz bench storm --links 8 --each 4000")
@click.option("--links", type=click.IntRange(1), help="TCP links of the network. [8]")
@click.option("--each", type=click.IntRange(1), help="Requests that a link writes at once. [4000]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [10000]")
@click.option("--seed", type=int, help="Of cards, merchants and traffic. [1]")
@json_option
def storm(json_path: str | None, **given: Any) -> None:
    """An overload: who is answered what, and when, if all links write at once.

    The promise: everybody is answered within 200 ms of its last byte read, with 91 if need be.
    """
    from bench.storm import Order, run

    raise SystemExit(run(Order(**said(given)), json_path))


@command.command(
    epilog="\b\nExamples:\n  authz bench trouble --json trouble.json\n"
    "  authz bench trouble overload --overload-s 20\n\n"
    "Exit codes: 0 every scene held, 1 one did not, 3 few were late, or the machine itself stalled."
)
@click.argument("scenes", nargs=-1, metavar="[SCENE]...")
@click.option("--rate", type=Number(1, RATE_MAX), help="Of the steady load. [60 % of capacity]")
@click.option("--calm-s", type=Number(0.5, 8), help="Before, and after. [4]")
@click.option("--overload-s", type=Number(1, 20), help="Of the overload. [10]")
@click.option("--cards", type=click.IntRange(1), help="In the seeded population. [10000]")
@click.option("--links", type=click.IntRange(2), help="TCP links of the network. [4]")
@click.option("--seed", type=int, help="Of cards, merchants and traffic. [1]")
@click.option("--books/--no-books", default=True, help="The ledger's writer beside it. [yes]")
@click.option("--rules", type=click.IntRange(0), help="In force, with five limits. [50]")
@json_option
def trouble(scenes: tuple[str, ...], json_path: str | None, **given: Any) -> None:
    """Latency under trouble: a steady load, and one trouble in its middle.

    Scenes: pause, fsync, checkpoint, gc, slow-link, overload, rewrite; all, unless some are named.
    A closed loop says first what everything here can do together; the steady load is a share of it,
    the overload twice of it. The promise: everybody is answered within 200 ms, with 91 if need be,
    and at twice the capacity four fifths of it are served.
    """
    from bench.scenes import SCENES
    from bench.trouble import Order, run

    for name in scenes:
        if name not in SCENES:
            raise click.BadParameter(f"no scene {name!r}; there are {', '.join(SCENES)}")
    if scenes:
        given["scenes"] = tuple(dict.fromkeys(scenes))
    raise SystemExit(run(Order(**said(given)), json_path))


@command.command(epilog="\b\nExample:\n  authz bench memory --cards 1000000 --json memory.json")
@click.option("--cards", type=click.IntRange(100), help="Each with an account. [1000000]")
@click.option("--seed", type=int, help="Of credit lines and limits. [1]")
@json_option
def memory(json_path: str | None, **given: Any) -> None:
    """Bytes of hot state, and of an engine's near-cache, for a card with its account."""
    from bench.memory import run

    run(json_path, **said(given))


@command.command(epilog="\b\nExample:\n  authz bench lists --entries 1000000 --json lists.json")
@click.option("--entries", type=click.IntRange(1), help="Of the block list. [1000000]")
@click.option("--seed", type=int, help="Of the values that are looked up. [1]")
@json_option
def lists(json_path: str | None, **given: Any) -> None:
    """What list entries cost: in the store, in an engine, by the look-up, and to load."""
    from bench.lists import run

    run(json_path, **said(given))
