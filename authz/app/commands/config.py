"""`authz config check`: what the engine would run with, or the key that stops it."""

import json
import os
from pathlib import Path
from typing import Any

import click
import msgspec

from authz.app.cli import hidden
from authz.config import ConfigError, load_config, shown
from rules.holds import HoldRule
from rules.settlement import CycleRule, InterchangeRule

EXAMPLES = """\b
Examples:
  authz config check
  authz config check authz.toml
  authz config check authz.toml --changed
  AUTHZ_ENGINE_BUDGET_MS=300 authz config check --json"""


HOMES = ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")  # where default folders lie
ROW_KEYS = ("name", "days")  # by which a link is known, and what a hold rule needs


@click.group()
def command() -> None:
    """Check a configuration."""


@command.command(epilog=EXAMPLES)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON instead of TOML.")
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
def check(file: Path | None, as_json: bool, changed: bool) -> None:
    """Print the configuration that holds: FILE, the environment above it, defaults below.

    Secrets stay hidden. Exit code 1, and the path of the key, when something is wrong.
    """
    try:
        found = shown(load_config(file, os.environ, {}))
        if changed:
            homes = {name: os.environ[name] for name in HOMES if name in os.environ}
            found = differing(found, shown(load_config(None, homes, {})))
        config = masked(found)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(config, indent=2, ensure_ascii=False) if as_json else as_toml(config))


def differing(found: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """The keys that are not as they would be without a word, and every row's own."""
    rows = {"link": default["link"][0], "hold": msgspec.to_builtins(HoldRule(days=1))}
    rows["check"] = {}  # every key is its own
    rows["fx"] = {"cost_bp": 0, "fixed_minor": 0}
    rows["cycle"] = msgspec.to_builtins(CycleRule())
    rows["interchange"] = msgspec.to_builtins(InterchangeRule())
    left: dict[str, Any] = {}
    for section, content in found.items():
        if section in rows:
            if content != default[section]:
                left[section] = [unlike(row, rows[section], ROW_KEYS) for row in content]
        elif own := unlike(content, default[section], ()):
            left[section] = own
    return left


def unlike(table: dict[str, Any], default: dict[str, Any], always: tuple[str, ...]) -> Any:
    return {
        key: value
        for key, value in table.items()
        if key in always or key not in default or value != default[key]
    }


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
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(name)} = {as_json(one)}" for name, one in value.items())
        return f"{key} = {{ {inner} }}" if inner else f"{key} = {{}}"
    return f"{key} = {as_json(value)}"


def as_json(value: object) -> str:
    # JSON's strings, numbers and booleans are TOML's too.
    return json.dumps(value, ensure_ascii=False)
