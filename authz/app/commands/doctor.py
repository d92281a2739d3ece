"""authz doctor: what may be wrong with a link, told from what went over it."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from authz.app.capture import PIECE, Captured, looks_like_hex, read_lines, read_stream
from authz.app.cli import hidden
from authz.app.commands.decode import dialect_of
from authz.app.output import counted
from authz.clock import SystemClock
from authz.dialects import find_dialect
from authz.match_keys import KeyTable
from authz.match_ladder import RUNGS
from authz.match_survey import LISTED_MAX, REQUESTS_MAX, Survey
from authz.privacy import KEY_BYTES_MIN, PanKeys
from authz.wire.networks import NETWORK_OF, NETWORKS, PLAIN
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.spec import Dialect

AUTO, RAW, HEX = "auto", "raw", "hex"
# Collisions told of the engine's own key, and of each other, for people; --json has up to twenty.
PRINTED_OF_OWN, PRINTED = 10, 3
EXAMPLES = """\b
Examples:
  authz doctor --match-keys capture.bin --dialect visa --framing vap
  authz doctor --match-keys messages.hex --dialect iso87_binary --json

\b
FILE holds what went over a link, both ways if you like: raw bytes in their framing
(binary2 if nothing is said), or a message on each line in hexadecimal, without its
framing unless --framing names one; there, lines with # and empty ones are left out.

\b
  key                          requests  without  repeats  collisions
  the engine's own                  598        0       12           0
  DE 11                             598        0       12          31

means: of 598 requests twelve were repeats (same content), and DE 11 alone would have taken
31 for others' repeats. docs/matching.md says what the ladder below it means.

\b
Exit codes:
  0  the engine's own key tells all requests in the file apart
  1  it does not: there are collisions, which the engine would answer with 94
  2  wrong use, or nothing in the file that could be judged"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--match-keys", "source", required=True, metavar="FILE",
    help="Captured traffic, - for standard input: which elements tell its requests apart.",
)  # fmt: skip
@click.option(
    "--dialect",
    default="iso87_ascii",
    show_default=True,
    help=f"{', '.join(BY_NAME)}; or a FILE, TOML or JSON, that describes one.",
)
@click.option(
    "--framing", type=click.Choice(list(FRAMINGS)), help="What stands around each message."
)
@click.option(
    "--network", type=click.Choice(list(NETWORKS)), help="Whose manners; else the dialect's own."
)
@click.option(
    "--form",
    type=click.Choice([AUTO, RAW, HEX]),
    default=AUTO,
    show_default=True,
    help="Raw bytes, or lines of hexadecimal.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def command(
    source: str, dialect: str, framing: str | None, network: str | None, form: str, as_json: bool
) -> None:
    """Look into captured traffic: is each request told from every other?

    Nothing of a message is shown but its number in the file, its MTI and its STAN.
    """
    name = dialect_of(dialect)
    if name == AUTO:
        raise click.BadParameter("must be named here.", param_hint="--dialect")
    kind = find_dialect(name)
    network = network_of(network, dialect, kind)
    survey = Survey(network, PanKeys(secrets.token_bytes(KEY_BYTES_MIN)), SystemClock().now_ms())
    with opened(source) as file:
        if not file.start:
            raise click.UsageError("The file is empty.")
        form = form_of(file) if form == AUTO else form
        bad, bad_count, all_read = run(survey, messages(file, form, framing, kind))
    if survey.engine.requests == 0:
        raise click.UsageError(nothing(survey, bad_count))
    report = document(survey, bad, bad_count, all_read) | {
        "dialect": hidden(dialect), "network": network, "form": form,
    }  # fmt: skip
    click.echo(json.dumps(report, indent=2) if as_json else as_text(source, report))
    if not report["unique"]:
        sys.exit(1)


def network_of(network: str | None, name: str, dialect: Dialect) -> str:
    """The one that is named, the one called like the dialect, or the plain one of its version."""
    network = network or NETWORK_OF.get(name) or PLAIN.get(dialect.version)
    if network is None or NETWORKS[network].version != dialect.version:
        fit = ", ".join(n.name for n in NETWORKS.values() if n.version == dialect.version)
        raise click.BadParameter(
            f"is of another version than the dialect; use {fit}.", param_hint="--network"
        )
    return network


class Peeked:
    """A file whose beginning can be seen before it is read: standard input too."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.start = file.read(PIECE)

    def read(self, size: int) -> bytes:
        taken, self.start = self.start[:size], self.start[size:]
        return taken or self.file.read(size)

    def readline(self, size: int) -> bytes:
        line = self.start[:size]
        if b"\n" in line:
            line = line[: line.index(b"\n") + 1]
        self.start = self.start[len(line) :]
        if line.endswith(b"\n") or len(line) == size:
            return line
        return line + self.file.readline(size - len(line))

    def __enter__(self) -> "Peeked":
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not sys.stdin.buffer:
            self.file.close()


def opened(source: str) -> Peeked:
    if source == "-":
        return Peeked(sys.stdin.buffer)
    try:
        return Peeked(Path(source).open("rb"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a name"
        raise click.BadParameter(
            f"{hidden(source)} cannot be read: {why}.", param_hint="--match-keys"
        ) from None


def form_of(file: Peeked) -> str:
    return HEX if looks_like_hex(file.start) else RAW


def messages(file: Peeked, form: str, framing: str | None, dialect: Dialect) -> Iterator[Captured]:
    stream: Any = file
    if form == HEX:
        return read_lines(stream, None if framing is None else FRAMINGS[framing], dialect)
    return read_stream(stream, FRAMINGS[framing or "binary2"], dialect)


def run(survey: Survey, captured: Iterator[Captured]) -> tuple[list[Captured], int, bool]:
    """Takes all messages in. The bad ones, the first of them named; and whether all were read."""
    bad: list[Captured] = []
    count = 0
    for one in captured:
        if one.message is not None:
            if survey.full:
                return bad, count, False
            survey.take(one.number, one.message)
            continue
        count += 1
        if len(bad) < LISTED_MAX:
            bad.append(one)
    return bad, count, True


def nothing(survey: Survey, bad: int) -> str:
    """Why there is no answer: mostly a dialect or a framing that is not the file's."""
    if survey.not_judged:
        first = survey.not_judged[0]
        return f"No request could be judged: {first.place}: {first.trouble}."
    if bad > survey.messages:
        return (
            f"Only {survey.messages:,} of {counted(bad + survey.messages, 'message')} could be "
            "read: are --dialect and --framing those of the file? `authz decode FILE` guesses them."
        )
    if survey.others:
        return f"No story of the engine takes any of {counted(survey.requests, 'request')}."
    if survey.messages:
        return f"There is no request among {counted(survey.messages, 'message')}."
    return "The file holds no message."


def document(survey: Survey, bad: list[Captured], bad_count: int, all_read: bool) -> dict[str, Any]:
    """Everything there is to say, as plain data."""
    return {
        "unique": survey.engine.unique,
        "messages": survey.messages + bad_count,
        "requests": survey.requests,
        "answers": survey.answers,
        "management": survey.management,
        "other_requests": dict(sorted(survey.others.items())),
        "all_read": all_read,
        "bad": bad_count,
        "bad_messages": [
            {"number": one.number, "offset": one.offset, "trouble": one.trouble}
            | ({"line": one.line} if one.line else {})
            for one in bad
        ],
        "not_judged": survey.not_judged_count,
        "not_judged_messages": msgspec.to_builtins(survey.not_judged),
        "keys": [of_key(table) for table in survey.tables],
        "originals": msgspec.to_builtins(survey.found()),
    }


def of_key(table: KeyTable) -> dict[str, Any]:
    return {
        "key": table.name,
        "made_of": table.made_of,
        "unique": table.unique,
        "requests": table.requests,
        "without": table.without,
        "repeats": table.repeats,
        "repeats_without_first": table.lonely,
        "collisions": table.collisions,
        "shown": msgspec.to_builtins(table.shown),
    }


# -- for people ---------------------------------------------------------------------


def as_text(source: str, report: dict[str, Any]) -> str:
    parts = [head(source, report)]
    if report["bad"]:
        rows = [f"  message {one['number']}, {where(one)}: {one['trouble']}" for one in
                report["bad_messages"]]  # fmt: skip
        parts.append("\n".join([f"could not be read: {report['bad']:,}", *rows]))
    if report["not_judged"]:
        rows = [f"  {place(one['place'])}: {one['trouble']}" for one in
                report["not_judged_messages"]]  # fmt: skip
        parts.append(
            "\n".join([f"would be refused, and have no key: {report['not_judged']:,}", *rows])
        )
    parts += [keys_table(report["keys"]), *collisions(report["keys"])]
    if report["originals"]:
        parts.append(originals_table(report["originals"]))
    parts.append(verdict(report))
    return "\n\n".join(parts)


def where(one: dict[str, Any]) -> str:
    return f"line {one['line']}" if "line" in one else f"byte {one['offset']:,}"


def place(one: dict[str, Any]) -> str:
    return f"message {one['number']} (MTI {one['mti']}, STAN {one['stan']})"


def head(source: str, report: dict[str, Any]) -> str:
    said = [
        counted(report["requests"], "request"),
        counted(report["answers"], "answer"),
        f"{report['management']:,} of network management",
    ]
    lines = [f"{hidden(source)}: {counted(report['messages'], 'message')}: {', '.join(said)}"]
    if report["other_requests"]:
        told = ", ".join(f"{count:,} of {mti}" for mti, count in report["other_requests"].items())
        lines.append(f"no story of the engine takes {told}")
    if not report["all_read"]:
        lines.append(f"only the first {REQUESTS_MAX:,} requests were read: every key is kept")
    return "\n".join(lines)


def keys_table(keys: list[dict[str, Any]]) -> str:
    titles = ("key", "requests", "without", "repeats", "collisions")
    rows = [[row["key"], *(f"{row[name]:,}" for name in titles[1:])] for row in keys]
    return "\n".join(in_columns([list(titles), *rows]))


def in_columns(rows: list[list[str]]) -> list[str]:
    """The first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def collisions(keys: list[dict[str, Any]]) -> list[str]:
    parts = []
    for turn, row in enumerate(keys):
        lines = [
            f"  {place(one['first'])} and {place(one['second'])}"
            for one in row["shown"][: PRINTED if turn else PRINTED_OF_OWN]
        ]
        if lines:
            said = f"the first {len(lines)}" if row["collisions"] > len(lines) else "all"
            parts.append("\n".join([f"collisions under {row['key']}, {said}:", *lines]))
    return parts


def originals_table(originals: dict[str, dict[str, dict[str, int]]]) -> str:
    titles = ["originals found by", "carry it", "one", "none", "several"]
    rows = [titles]
    for kind, rungs in originals.items():
        rows += [
            [f"{kind}: {rung}", *(f"{count:,}" for count in found.values())]
            for rung, found in rungs.items()
            if found["carried"]
        ]
    assert all(rung in RUNGS for rungs in originals.values() for rung in rungs)
    return "\n".join(in_columns(rows))


def verdict(report: dict[str, Any]) -> str:
    own, *others = report["keys"]
    if own["unique"]:
        said = f"the engine's own key ({own['made_of']}) is unique here"
    else:
        said = (
            f"the engine's own key ({own['made_of']}) is NOT unique here: "
            f"{counted(own['collisions'], 'collision')}, which would be answered 94"
        )
    carried = [row for row in others if row["unique"] and not row["without"]]
    if carried:
        said += f"\nunique as well: {', '.join(row['key'] for row in carried)}"
    if own["repeats_without_first"]:
        lonely = counted(own["repeats_without_first"], "repeat")
        said += f"\n{lonely} (0101 and the like) came without a first, or with another key"
    return said
