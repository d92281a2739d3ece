"""What a measurement may be given on the command line."""

import os
from math import isfinite
from pathlib import Path
from typing import Any

import click

RATE_MAX = 100_000  # messages a second: several times what two cores answer
RUN_MAX_S = 3600.0  # of one run, whose messages are made before it; `soak` is for longer ones


class Number(click.FloatRange):
    """A number within its bounds: neither nan, which is within any, nor without end."""

    def convert(self, value: Any, option: click.Parameter | None, context: Any) -> float:
        number = float(super().convert(value, option, context))
        if not isfinite(number):
            self.fail(f"{value} is no number to measure with.", option, context)
        return number


def writable(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Known before anything is measured: minutes of work would be lost."""
    if path in (None, "-"):
        return path
    target = Path(path)
    if target.is_dir():
        raise click.BadParameter(f"{path} is a folder.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise click.BadParameter(f"{path} cannot be written.")
    return path


json_option = click.option(
    "--json", "json_path", metavar="FILE", callback=writable,
    help="Also write the figures here; - prints them.",
)  # fmt: skip


def as_ramp(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """ "500:4000" as two rates."""
    if text is None:
        return None
    try:
        start, end = (float(rate) for rate in text.split(":"))
    except ValueError:
        raise click.BadParameter("two rates with a colon between, as in 500:4000") from None
    if not (1 <= start <= RATE_MAX and 1 <= end <= RATE_MAX):  # neither is nan
        raise click.BadParameter(f"each from 1 to {RATE_MAX:,} messages a second")
    return start, end


def as_mix(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    from bench.mix import BadMix, parsed

    try:
        return None if text is None else parsed(text)
    except BadMix as error:
        raise click.BadParameter(f"{error}.") from None


def said(given: dict[str, Any]) -> dict[str, Any]:
    """What was said on the command line; the rest is left to each run's own defaults."""
    return {name: value for name, value in given.items() if value is not None}
