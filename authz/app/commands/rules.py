"""authz rules: the policy by which engines judge, checked, compared and put in force."""

import asyncio
from difflib import unified_diff
from pathlib import Path

import click

from authz.app.at_store import at_store
from authz.app.commands.backtest import backtest
from authz.app.options import configured
from authz.app.output import counted
from authz.app.policy_file import POLICY, read
from authz.config import Config
from authz.control import policy_in_force, put_policy
from rules.policy import Policy

EXAMPLES = """
\b
Examples:
  authz rules check policy.toml
  authz rules diff policy.toml
  authz rules load policy.toml
  authz rules show
  authz rules backtest draft.toml --from 2026-11-01

docs/rules.md has the language. A policy that is wrong is told with its line and changes nothing.

\b
Exit codes:
  0  fine; of diff: the same as the one in force
  1  the policy is wrong, the two differ, or the store refused
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """The policy that engines judge by."""


@command.command(epilog=EXAMPLES)
@POLICY
def check(file: Path) -> None:
    """Read a policy and say what is in it, or what is wrong with it."""
    policy, _ = read(file)
    click.echo(in_words(policy))


@command.command(epilog=EXAMPLES)
@configured
def show(config: Config) -> None:
    """Print the policy in force, as it was loaded."""
    text = asyncio.run(
        at_store(config, "authz rules show", lambda client, _: policy_in_force(client))
    )
    click.echo(text or "# no policy is in force", nl=not text.endswith("\n"))


@command.command(epilog=EXAMPLES)
@POLICY
@configured
def diff(file: Path, config: Config) -> None:
    """What would change, line by line."""
    _, text = read(file)
    old = asyncio.run(
        at_store(config, "authz rules diff", lambda client, _: policy_in_force(client))
    )
    lines = list(
        unified_diff(old.splitlines(), text.splitlines(), "in force", file.name, lineterm="")
    )
    click.echo("\n".join(lines) or "no difference")
    if lines:
        raise SystemExit(1)


@command.command(epilog=EXAMPLES)
@POLICY
@configured
def load(file: Path, config: Config) -> None:
    """Put a policy in force, from the very next message on every engine."""
    policy, text = read(file)
    version, changed = asyncio.run(
        at_store(
            config, f"authz rules load {file.name}",
            lambda client, _: put_policy(client, text, f"authz rules load {file.name}"),
        )
    )  # fmt: skip
    said = "in force" if changed else "was in force already"
    click.echo(f"{in_words(policy)}: {said}, judgement {version}")


def in_words(policy: Policy) -> str:
    rules, limits = counted(len(policy.rule), "rule"), counted(len(policy.limit), "limit")
    return f"policy {policy.version}: {rules}, {limits}"


command.add_command(backtest)
