"""authz lists: who and what is blocked or allowed; put in force, taken out, looked at."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.cli import hidden
from authz.app.commands.load import as_json, run, tell
from authz.app.commands.show import pan_from_stdin, refuse_card_numbers
from authz.app.history import Plain
from authz.app.listed import VALUES, Listed, read_cells
from authz.app.looking import NotThere, look_for_card
from authz.app.options import configured
from authz.app.output import counted
from authz.app.rows import BadCell
from authz.app.sanctions import shipped, shipped_text
from authz.app.store import Store, opened, pan_keys
from authz.clock import utc
from authz.config import Config
from authz.control import card_id_for
from authz.hot.lists import field_of, parts_of
from authz.judgement import (
    Overlaps,
    add_entries,
    entries_in,
    remove_entries,
    replace_entries,
    rows_of,
    standing_in,
)
from authz.privacy import Pan
from ledger.journal import ListRows
from rules.lists import ALLOW, BLOCK, NAMES, SANCTION

SHOWN_MAX = 200  # entries of one answer, unless more are asked for

EXAMPLES = """
\b
Examples:
  authz lists add merchant 5551234 --reason "chargebacks" --by jdoe
  authz lists add country FR --until 2026-12-01
  authz lists add card - --allow --by jdoe < pan.txt
  authz lists remove merchant 5551234
  authz lists load blocked.csv
  authz lists show
  authz lists show merchant 5551234 --json
  authz lists sanctions --load --by jdoe

Kinds: card, account, device, ip, terminal, merchant, acquirer, bin (first six digits), mcc and
country. Of those that have an entry in force the first decides; docs/lists.md says it all. A card
is named by its id, or by its number on standard input.

\b
Exit codes:
  0  it is in force, also if it was before
  1  a row or a value was refused, the value to be shown is not listed, or the store refused
  2  wrong use"""

KIND = click.argument("kind", type=click.Choice(list(VALUES)))
VALUE = click.argument("value", metavar="VALUE|-")
ALLOWED = click.option("--allow", is_flag=True, help="The allow list, in place of the block list.")
BY = click.option("--by", "author", default="", help="Who says so. Kept with the entry.")


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Block and allow lists, in force from the very next message on every engine."""


@command.command(epilog=EXAMPLES)
@KIND
@VALUE
@ALLOWED
@click.option("--reason", default="", help="Why. Kept with the entry.")
@BY
@click.option("--from", "start", help="In force from that moment of DE 7: ISO 8601, UTC.")
@click.option("--until", "end", help="Up to, but not with, that moment.")
@configured
def add(
    kind: str,
    value: str,
    allow: bool,
    reason: str,
    author: str,
    start: str | None,
    end: str | None,
    config: Config,
) -> None:
    """Block one value, or allow it; for a time, or always."""
    said = {"reason": reason, "author": author, "from": start, "until": end}
    listed = read(kind, value, allow, {name: word for name, word in said.items() if word})
    source = hidden(f"authz lists add {kind}" + (f", {author}" if author else ""))

    async def work(client: Redis, store: Store) -> tuple[str, int, int]:
        field = await field_in(client, store, config, listed, source)
        return field, *await add_entries(client, {field: (listed.row,)}, source)

    try:
        field, version, changed = asyncio.run(at_store(config, source, work))
    except Overlaps as error:
        raise click.ClickException(f"It {error}: remove that first.") from None
    name, kind, value = parts_of(field)
    is_now = "is" if changed else "was"
    state = "blocked" if name == BLOCK else "allowed"
    click.echo(f"{kind} {value} {is_now} {state}{in_words(listed.row)}, judgement {version}")


@command.command(epilog=EXAMPLES)
@KIND
@VALUE
@ALLOWED
@BY
@configured
def remove(kind: str, value: str, allow: bool, author: str, config: Config) -> None:
    """Take one value off the block list, or off the allow list: with all its periods."""
    listed = read(kind, value, allow, {})
    source = hidden(f"authz lists remove {kind}" + (f", {author}" if author else ""))

    async def work(client: Redis, store: Store) -> tuple[str, int, int]:
        field = await field_in(client, store, config, listed, source)
        return field, *await remove_entries(client, [field], source)

    field, version, changed = asyncio.run(at_store(config, source, work))
    name, kind, value = parts_of(field)
    said = "is no longer" if changed else "was not"
    click.echo(f"{kind} {value} {said} on the {name} list, judgement {version}")


@command.command(epilog=EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--replace", is_flag=True,
    help="These and no others: what is listed and not in the file goes. Else they are added.",
)  # fmt: skip
@click.option("--json", "json_file", metavar="FILE", help="Write a report as JSON; - for stdout.")
@configured
def load(file: Path, replace: bool, json_file: str | None, config: Config) -> None:
    """Put a file of entries in force: columns kind, value; and list, reason, author, from, until.

    All or nothing: with one bad row, told with its line, nothing is loaded. A long file is many
    versions, one after the other; cut short, run it again.
    """
    report = asyncio.run(
        run(config, (file,), False, False, kinds=("lists",), replace_lists=replace)
    )
    tell(report, to_stderr=json_file == "-")
    if json_file is not None:
        with click.open_file(json_file, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(as_json(report))) + b"\n")
    raise SystemExit(0 if report.ok else 1)


@command.command(epilog=EXAMPLES)
@click.argument("kind", type=click.Choice(list(VALUES)), required=False)
@click.argument("value", metavar="[VALUE|-]", required=False)
@click.option("--entries", default=SHOWN_MAX, show_default=True, help="How many at the most.")
@click.option("--json", "plain", is_flag=True, help="As JSON.")
@configured
def show(kind: str | None, value: str | None, entries: int, plain: bool, config: Config) -> None:
    """How many are listed of each kind; those of one kind; or what is said of one value."""

    async def work(client: Redis, store: Store) -> Plain:
        if kind is None:
            return await numbers(client)
        if value is None:
            return await some_of(client, kind, entries)
        listed = read(kind, value, False, {})
        field = await field_in(client, store, config, listed, "authz lists show")
        return await of_value(client, *parts_of(field)[1:])

    found = asyncio.run(at_store(config, "authz lists show", work))
    if plain:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        click.echo("\n".join(lines_of(found)))
    if value is not None and not found["entries"]:
        raise SystemExit(1)


@command.command(epilog=EXAMPLES)
@click.option("--load", "loads", is_flag=True, help="Put it in force, in place of what was.")
@click.option("--off", is_flag=True, help="No country is sanctioned any more.")
@BY
@configured
def sanctions(loads: bool, off: bool, author: str, config: Config) -> None:
    """The shipped list of sanctioned countries: shown, or put in force.

    No legal advice: whose sanctions bind you is yours to know, and to keep up to date.
    """
    if loads and off:
        raise click.UsageError("--load or --off, not both.")
    if not (loads or off):
        click.echo(shipped_text(), nl=False)
        return
    if not author.strip():
        raise click.UsageError("--by names who decides that it binds you.")
    ours = shipped()
    wanted = ours.entries(hidden(author)) if loads else {}
    what = f"list of {ours.version}" if loads else "--off"
    source = hidden(f"authz lists sanctions {what}, {author}")
    version, changed = asyncio.run(
        at_store(
            config, source, lambda client, _: replace_entries(client, wanted, source, (SANCTION,))
        )
    )  # fmt: skip
    said = f"{counted(len(wanted), 'country')} sanctioned" + (f", {what}" if loads else "")
    click.echo(f"{said}{'' if changed else ', as before'}, judgement {version}")


def read(kind: str, value: str, allow: bool, words: dict[str, str]) -> Listed:
    """What a command was told, as a row of a file says it. Raises: click.UsageError."""
    told: dict[str, Any] = {"kind": kind, "list": ALLOW if allow else BLOCK, **words}
    if kind == "card" and value == "-":
        return msgspec.structs.replace(read(kind, "unknown", allow, words), value=pan_from_stdin())
    if kind not in ("merchant", "acquirer"):
        refuse_card_numbers(value, instead=f"authz lists … {kind} -")
    try:
        return read_cells(told | {"value": value})
    except BadCell as bad:
        raise click.UsageError(f"{bad.column}: {bad}") from None


async def field_in(client: Redis, store: Store, config: Config, listed: Listed, source: str) -> str:
    """Where the lists have it. A card must be one of ours. Raises: NotThere."""
    value = listed.value
    if isinstance(value, Pan):
        async with opened(store, source) as state:
            who = await card_id_for(state, pan_keys(config), value)
        if who.account_id is None:
            raise NotThere("no such card")
        value = who.card_id
    elif listed.kind == "card" and await is_new(client, listed, value):
        await look_for_card(client, value)
    return field_of(listed.name, listed.kind, value)


async def is_new(client: Redis, listed: Listed, card_id: str) -> bool:
    """Whether the lists do not know it yet: what they know was looked for before."""
    fields = [field_of(name, listed.kind, card_id) for name in (BLOCK, ALLOW)]
    return not any((await rows_of(client, fields)).values())


async def numbers(client: Redis) -> Plain:
    standing = await standing_in(client)
    found = []
    for of, count in sorted(standing.counts.items()):
        name, _, kind = of.partition("/")
        if count:
            found.append({"list": name, "kind": kind, "values": count})
    return {"judgement_version": standing.version, "numbers": found}


async def some_of(client: Redis, kind: str, most: int) -> Plain:
    found: list[Plain] = []
    left_out = False
    async for field, rows in entries_in(client):
        if parts_of(field)[1] == kind:
            left_out = len(found) + len(rows) > most
            if left_out:
                break
            found += told(field, rows)
    return {"entries": sorted(found, key=lambda one: (one["list"], one["value"])),
            "more_left_out": left_out}  # fmt: skip


async def of_value(client: Redis, kind: str, value: str) -> Plain:
    fields = [field_of(name, kind, value) for name in NAMES]
    there = await rows_of(client, fields)
    return {"entries": [one for field in fields for one in told(field, there[field] or ())]}


def told(field: str, rows: ListRows) -> Sequence[Plain]:
    name, kind, value = parts_of(field)
    return [
        {"list": name, "kind": kind, "value": value, "from": moment(start), "until": moment(end),
         "reason": reason, "author": author}
        for reason, author, start, end in rows
    ]  # fmt: skip


def moment(at: int) -> str | None:
    return utc(at * 1000).isoformat(timespec="seconds") if at else None


def in_words(row: tuple[str, str, int, int]) -> str:
    start, end = moment(row[2]), moment(row[3])
    return (f" from {start}" if start else "") + (f" until {end}" if end else "")


def lines_of(found: Plain) -> list[str]:
    if "numbers" in found:
        rows = found["numbers"]
        lines = [f"{one['list']:<8}  {one['kind']:<8}  {one['values']:>9,}" for one in rows]
        return (
            [*lines, f"judgement {found['judgement_version']}"] if lines else ["nothing is listed"]
        )
    lines = []
    for one in found["entries"]:
        when = " ".join(f"{w} {one[w]}" for w in ("from", "until") if one[w]) or "always"
        why = ", ".join(one[w] for w in ("reason", "author") if one[w])
        lines.append(f"{one['list']:<8}  {one['kind']} {one['value']}  {when}  {why}".rstrip())
    if found.get("more_left_out"):
        lines.append("and more: --entries")
    return lines or ["not listed"]
