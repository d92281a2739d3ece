"""How commands answer programs: JSON, to a file or to standard output."""

from pathlib import Path
from typing import Any

import click
import msgspec


def write_json(target: str, answer: Any) -> None:
    """`target` is a file's name, or - for standard output. Raises: OSError."""
    text = msgspec.json.format(msgspec.json.encode(answer), indent=2)
    if target == "-":
        click.echo(text.decode())
    else:
        Path(target).write_bytes(text + b"\n")
