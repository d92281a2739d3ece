"""authz rules: the policy by which engines judge, checked, compared and put in force."""

import asyncio
from difflib import unified_diff
from pathlib import Path

import click

from authz.app.at_store import at_store
from authz.app.commands.backtest import backtest
from authz.app.exceptions import signed, who_says
from authz.app.options import configured
from authz.app.output import counted
from authz.app.policy_file import FILE, POLICY, fitting, read
from authz.app.rate_files import rates_in
from authz.config import Config
from authz.judgement import put_policy, put_rates, put_shadow, texts_in_force
from rules.categories import mcc_name
from rules.fx import Rates, RatesError, read_rates, write_rates
from rules.policy import NO_POLICY, Policy, read_policy

EXAMPLES = """
\b
Examples:
  authz rules check policy.toml
  authz rules groups
  authz rules diff policy.toml
  authz rules load policy.toml
  authz rules show
  authz rules rates eurofxref-hist.zip
  authz rules shadow draft.toml
  authz rules backtest draft.toml --from 2026-11-01

docs/rules.md has the language, docs/exchange.md rates and fees. A policy that is wrong is told with
its line and changes nothing, and so are rates.

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
@click.argument("file", type=FILE, metavar="[FILE]", required=False)
def groups(file: Path | None) -> None:
    """The groups of merchant categories: those of ISO 18245, and a policy's own."""
    policy = read(file)[0] if file else NO_POLICY
    width = max(map(len, policy.mcc_groups))
    for name, codes in sorted(policy.mcc_groups.items()):
        click.echo(f"{name:<{width}}  {' '.join(map(with_name, codes))}")


def with_name(code: str) -> str:
    """A code with what it is called; ranges and groups as they are."""
    name = mcc_name(code) if code.isdigit() else ""
    return f"{code} ({name})" if name else code


@command.command(epilog=EXAMPLES)
@configured
def show(config: Config) -> None:
    """Print the policy in force, as it was loaded."""
    text, rates = in_force(config, "authz rules show")
    if rates:
        click.echo(f"# beside it: {of_rates(read_rates(rates))}")
    click.echo(text or "# no policy is in force", nl=not text.endswith("\n"))


@command.command(epilog=EXAMPLES)
@POLICY
@configured
def diff(file: Path, config: Config) -> None:
    """What would change, line by line."""
    _, text = read(file)
    old, _ = in_force(config, "authz rules diff")
    lines = list(
        unified_diff(old.splitlines(), text.splitlines(), "in force", file.name, lineterm="")
    )
    click.echo("\n".join(lines) or "no difference")
    if lines:
        raise SystemExit(1)


@command.command(epilog=EXAMPLES)
@POLICY
@who_says
@configured
def load(file: Path, person: str, config: Config) -> None:
    """Put a policy in force, from the very next message on every engine."""
    policy, text = read(file)
    source = by_whom(f"authz rules load {file.name}", person)
    _, rates = in_force(config, "authz rules load")
    fitting(policy, read_rates(rates) if rates else None, file)
    version, changed = asyncio.run(
        at_store(
            config, source, lambda client, _: put_policy(client, text, source),
        )
    )  # fmt: skip
    said = "in force" if changed else "was in force already"
    click.echo(f"{in_words(policy)}: {said}, judgement {version}")


@command.command(epilog=EXAMPLES)
@POLICY
@who_says
@configured
def rates(file: Path, person: str, config: Config) -> None:
    """Put reference rates in force: of the European Central Bank, or a TOML table."""
    try:
        found = rates_in(file)
    except OSError as error:
        raise click.ClickException(f"{file.name}: cannot be read ({error.strerror})") from None
    except RatesError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    text, _ = in_force(config, "authz rules rates")
    if text:
        fitting(read_policy(text), found, file)
    source = by_whom(f"authz rules rates {file.name}", person)
    version, changed = asyncio.run(
        at_store(config, source, lambda client, _: put_rates(client, write_rates(found), source))
    )
    said = "in force" if changed else "were in force already"
    click.echo(f"{of_rates(found)}: {said}, judgement {version}")


def by_whom(command: str, person: str) -> str:
    """What was done, and who says so, for the journal."""
    return f"{command} by {signed(person, '')[0]}"


def in_force(config: Config, who: str) -> tuple[str, str]:
    """The texts of policy and rates."""
    return asyncio.run(at_store(config, who, lambda client, _: texts_in_force(client)))


def of_rates(rates: Rates) -> str:
    return f"{counted(len(rates.rates), 'rate')} of {rates.date}, {rates.source}"


def in_words(policy: Policy) -> str:
    rules, limits = counted(len(policy.rule), "rule"), counted(len(policy.limit), "limit")
    fees = f", {counted(len(policy.fee), 'fee')}" if policy.fee else ""
    return f"policy {policy.version}: {rules}, {limits}{fees}"


@command.command(epilog=EXAMPLES)
@click.argument("file", type=FILE, metavar="FILE", required=False)
@click.option("--off", is_flag=True, help="No draft judges any more.")
@who_says
@configured
def shadow(file: Path | None, off: bool, person: str, config: Config) -> None:
    """Let a draft judge beside the policy in force, after the answer, and only count.

    The metric authz_shadow_total counts by the draft's rule what it would have said. Its limits
    are not asked: `authz rules backtest` counts those.
    """
    if (file is None) != off:
        raise click.UsageError("name a draft's FILE, or --off")
    policy, text = read(file) if file is not None else (None, "")
    source = by_whom(f"authz rules shadow {file.name if file else '--off'}", person)
    version, changed = asyncio.run(
        at_store(config, source, lambda client, _: put_shadow(client, text, source))
    )
    said = "judges beside the policy in force" if policy else "no draft judges"
    again = "" if changed else ", as before"
    click.echo(f"{in_words(policy) + ': ' if policy else ''}{said}{again}, judgement {version}")


command.add_command(backtest)
