"""`authz decode`: an ISO 8583 message for human eyes, masked, whatever form it came in."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from authz.app.dump import (
    Found,
    Reading,
    best_reading,
    has_half_byte,
    looks_like_hex,
    readings_of_bytes,
    readings_of_hex,
    stray_line,
    without_comments,
)
from authz.dialects import FILE, find_dialect
from iso8583.describe import describe, name_of, show
from iso8583.dialect_file import DialectFileError
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from iso8583.message import Value
from iso8583.mti import describe_mti

ODD = "The input has an odd number of hexadecimal digits."
INPUT_MAX = 16 * 1024 * 1024  # bytes; thousands of messages, more than anybody reads
AUTO = "auto"
EXAMPLES = """\b
Examples:
  authz decode 0800 8220000000000000 0400000000000000 1114120000 000001 0001
  authz decode capture.bin --framing binary2
  authz decode messages.hex --json
  authz decode capture.bin --dialect my-switch.toml
  xxd message.bin | authz decode -

\b
A card number on a command line stays in the shell's history: for real
messages use a file or standard input."""


@click.command(epilog=EXAMPLES)
@click.argument("source", nargs=-1, required=True, metavar="HEX|FILE|-")
@click.option(
    "--dialect",
    callback=lambda context, option, value: dialect_of(value),
    default=AUTO,
    show_default=True,
    help=f"{', '.join(BY_NAME)}; or a FILE, TOML or JSON, that describes one.",
)
@click.option(
    "--framing",
    type=click.Choice([AUTO, "none", *FRAMINGS]),
    default=AUTO,
    show_default=True,
    help="What stands in front of each message.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of columns.")
def command(source: tuple[str, ...], dialect: str, framing: str, as_json: bool) -> None:
    """Show ISO 8583 messages, masked.

    HEX may have spaces. A FILE, or - for standard input, holds raw bytes; or one message in
    hexadecimal on each line, where lines that begin with # and empty ones are left out; or a
    dump with offsets (xxd, hexdump -C, tcpdump). Without --dialect and --framing all are
    tried, and the one that reads the most is shown.

    Exit code 1 when a message does not follow its dialect. The fields before the fault are
    shown: their values too if DE 2 is among them and its check digit is right, since the
    dialect is then the right one, and what is secret in it is known. Else only their sizes.
    """
    refuse_a_card_number(source)
    dialects = list(BY_NAME) if dialect == AUTO else [dialect]
    framings = ["none", *FRAMINGS] if framing == AUTO else [framing]
    data = input_of(source)
    ways = ways_to_take(data, is_file=is_file(source))
    reading = best_reading(ways, dialects, framings)
    if not reading.ok and has_half_byte(data.decode("latin-1")):
        raise click.UsageError(ODD)
    click.echo(as_document(reading) if as_json else as_text(reading))
    if not reading.ok:
        sys.exit(1)


def dialect_of(name: str) -> str:
    """The name, or `file:` and the path, of a dialect that is there."""
    if name == AUTO or name in BY_NAME:
        return name
    path = name.removeprefix(FILE)
    if not name.startswith(FILE) and not os.path.isfile(path):
        raise click.BadParameter(f"is neither a file nor one of {AUTO}, {', '.join(BY_NAME)}.")
    try:
        find_dialect(FILE + path)
    except DialectFileError as error:
        raise click.BadParameter(str(error)) from None
    return FILE + path


def is_file(source: tuple[str, ...]) -> bool:
    # Not Path.is_file, which fails on a name too long to be one: most messages are.
    return source == ("-",) or (len(source) == 1 and os.path.isfile(source[0]))


def refuse_a_card_number(source: tuple[str, ...]) -> None:
    """A message has at least an MTI and a bitmap, which is more digits than a card number has."""
    digits = re.sub(r"[\s-]", "", "".join(source))
    if re.fullmatch(r"[0-9]{12,19}", digits) and not is_file(source):
        # Nor quoted, as a name or as hexadecimal.
        raise click.UsageError("That looks like a card number, not like a message. See --help.")


def input_of(source: tuple[str, ...]) -> bytes:
    if source == ("-",):
        data = sys.stdin.buffer.read(INPUT_MAX + 1)
    elif is_file(source):
        with Path(source[0]).open("rb") as file:
            data = file.read(INPUT_MAX + 1)
    else:
        data = " ".join(source).encode("utf-8", "surrogateescape")
    if len(data) > INPUT_MAX:
        raise click.UsageError(f"The input has more than {INPUT_MAX} bytes.")
    if not data.strip():
        raise click.UsageError("The input is empty.")
    return data


def ways_to_take(data: bytes, *, is_file: bool) -> list[list[bytes]]:
    """The messages that the input may stand for, in each way that it can be taken."""
    text = data.decode("latin-1")
    said = without_comments(text) if is_file else text
    if not said.strip():
        raise click.UsageError("The input holds no message, only lines with #.")
    if not looks_like_hex(said):
        if not is_file:
            # Not repeated here: a slip of the hand may be a card number.
            raise click.UsageError("The input is neither hexadecimal nor the name of a file.")
        if line := stray_line(said):
            raise click.UsageError(f"Line {line} is not hexadecimal, and the others are.")
        return readings_of_bytes(data)
    if said != text:
        ways = readings_of_hex(said)
        if not ways:
            raise click.UsageError(ODD)
        return ways
    # An ASCII message may look like hexadecimal all through, so both are tried.
    return readings_of_hex(text) + readings_of_bytes(data)


def as_text(reading: Reading) -> str:
    parts = [f"dialect {reading.dialect}, framing {reading.framing}"]
    dialect = find_dialect(reading.dialect)
    for found in reading.found:
        lines = []
        if found.header:
            lines.append(f"header {found.header.hex(' ')}")
        if found.message is not None:
            lines.append(describe(found.message, dialect) if found.is_certain else outline(found))
        if found.trouble:
            lines.append(f"error: {found.trouble}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def outline(found: Found) -> str:
    """A bad message whose card number was not recognised: which fields, not what they hold."""
    assert found.message is not None
    mti = found.message.mti
    lines = [f"{mti}  {describe_mti(mti)}"]
    lines += [f"{number:>4}  {hidden(value)}" for number, value in found.message.items()]
    return "\n".join(lines)


def hidden(value: Value) -> str:
    return f"‹hidden, {len(value)} {'bytes' if isinstance(value, bytes) else 'characters'}›"


def as_document(reading: Reading) -> str:
    dialect = find_dialect(reading.dialect)
    messages: list[dict[str, Any]] = []
    for found in reading.found:
        entry: dict[str, Any] = {"ok": not found.trouble}
        if found.header:
            entry["header"] = found.header.hex()
        if found.message is not None:
            entry["mti"] = found.message.mti
            entry["meaning"] = describe_mti(found.message.mti)
            entry["fields"] = {
                str(number): {
                    "name": name_of(number, dialect),
                    "value": show(number, value, dialect) if found.is_certain else hidden(value),
                }
                for number, value in found.message.items()
            }
        if found.trouble:
            entry["error"] = {
                "problem": found.problem,
                "field": found.field,
                "offset": found.offset,
            }
        messages.append(entry)
    document = {
        "ok": reading.ok,
        "dialect": reading.dialect,
        "framing": reading.framing,
        "messages": messages,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
