"""authz rules: the policy by which engines judge, checked, compared and put in force."""

import asyncio
from difflib import unified_diff
from pathlib import Path

import click

from authz.app.at_store import at_store
from authz.app.options import configured
from authz.app.output import counted
from authz.config import Config
from authz.judgement import policy_in_force, put_policy
from rules.judge import Judge
from rules.policy import SIZE_MAX, Policy, read_policy
from rules.policy_text import PolicyError

EXAMPLES = """
\b
Examples:
  authz rules check policy.toml
  authz rules diff policy.toml
  authz rules load policy.toml
  authz rules show

docs/rules.md has the language. A policy that is wrong is told with its line and changes nothing.

\b
Exit codes:
  0  fine; of diff: the same as the one in force
  1  the policy is wrong, the two differ, or the store refused
  2  wrong use"""

POLICY = click.argument(
    "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE"
)


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


def read(file: Path) -> tuple[Policy, str]:
    """Raises: click.ClickException."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(SIZE_MAX + 1)
        text = raw.decode()
        policy = read_policy(text)
        Judge(policy)  # what cannot be compiled is not a policy
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name}: not UTF-8") from None
    except OSError as error:
        raise click.ClickException(f"{file.name}: cannot be read ({error.strerror})") from None
    except PolicyError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    return policy, text


def in_words(policy: Policy) -> str:
    rules, limits = counted(len(policy.rule), "rule"), counted(len(policy.limit), "limit")
    return f"policy {policy.version}: {rules}, {limits}"
