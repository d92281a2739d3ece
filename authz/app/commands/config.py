"""`authz config check`: what the engine would run with, or the key that stops it."""

import json
import os
from pathlib import Path
from typing import Any

import click

from authz.app.cli import hidden
from authz.config import ConfigError, load_config, shown

EXAMPLES = """\b
Examples:
  authz config check
  authz config check authz.toml
  AUTHZ_ENGINE_BUDGET_MS=300 authz config check --json"""


@click.group()
def command() -> None:
    """Check a configuration."""


@command.command(epilog=EXAMPLES)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON instead of TOML.")
def check(file: Path | None, as_json: bool) -> None:
    """Print the configuration that holds: FILE, the environment above it, defaults below.

    Secrets stay hidden. Exit code 1, and the path of the key, when something is wrong.
    """
    try:
        config = masked(shown(load_config(file, os.environ, {})))
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(config, indent=2, ensure_ascii=False) if as_json else as_toml(config))


def masked(value: Any) -> Any:
    """A path or a name may hold a card number as any text may."""
    if isinstance(value, dict):
        return {key: masked(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [masked(one) for one in value]
    return hidden(value) if isinstance(value, str) else value


def as_toml(config: dict[str, Any]) -> str:
    """TOML as far as our values need it. What is not set stands as a comment."""
    parts = []
    for section, content in config.items():
        tables = content if isinstance(content, list | tuple) else [content]
        for table in tables:
            lines = [f"[[{section}]]" if table is not content else f"[{section}]"]
            lines += [one_line(key, value) for key, value in table.items()]
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def one_line(key: str, value: object) -> str:
    if value is None:
        return f"# {key} is not set"
    # JSON's strings, numbers and booleans are TOML's too.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
