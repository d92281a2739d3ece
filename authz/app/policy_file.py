"""A policy in a file, as commands read it."""

from pathlib import Path

import click

from authz.wire.networks import NETWORKS
from rules.fx import Rates, RatesError, check_exchange, in_force
from rules.judge import Judge
from rules.known_codes import check_codes
from rules.policy import SIZE_MAX, Policy, read_policy
from rules.policy_text import PolicyError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
POLICY = click.argument("file", type=FILE, metavar="FILE")


def read(file: Path) -> tuple[Policy, str]:
    """Raises: click.ClickException."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(SIZE_MAX + 1)
        text = raw.decode("utf-8-sig")
        policy = read_policy(text)
        check_codes(policy, text, NETWORKS)
        Judge(policy)  # what cannot be compiled is not a policy
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name}: not UTF-8") from None
    except OSError as error:
        raise click.ClickException(f"{file.name}: cannot be read ({error.strerror})") from None
    except PolicyError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    return policy, text


def fitting(policy: Policy, rates: Rates | None, file: Path) -> None:
    """A policy names what must have a rate, of its own or of those in force, if there are any.

    Raises: click.ClickException.
    """
    rules = policy.exchange
    if rules is None:
        return
    try:
        if rules.currencies and in_force(rules, rates) is None:
            code = rules.currencies[0]
            raise RatesError("currencies", f"no rate for {code}: authz rules rates loads some")
        check_exchange(rules, rates)
    except RatesError as error:
        raise click.ClickException(f"{file.name}: exchange.{error}") from None
