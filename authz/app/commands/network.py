"""authz network: which business day is in force, and a person's word on it."""

import asyncio
from datetime import date, datetime, timedelta

import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.cli import hidden
from authz.app.commands.show import refuse_card_numbers
from authz.app.options import configured
from authz.app.store import Store, opened
from authz.clock import SystemClock
from authz.config import Config
from authz.hot.networks import Days
from authz.hot.store import RedisHotState
from authz.wire.networks import NETWORKS
from rules.notices import DAYS_KEPT

EPOCH = date(1970, 1, 1)
TIMEOUT_S = 5.0
WORDS_MAX = 200  # of who says so, and why; it is kept in the journal for ever

EXAMPLES = f"""
\b
Examples:
  authz network day visa
  authz network day visa 2026-11-21 --by "J. Doe" --because "told ten days ahead"

Sets the day whatever the network said, also back, up to {DAYS_KEPT} days from today. Engines learn
of it within a second or two. What was counted under another day meanwhile stays there.

\b
Exit codes:
  0  that day is in force, or is shown
  1  the store refused
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Look at a network's business day, or set it."""


@command.command(epilog=EXAMPLES)
@click.argument("network", type=click.Choice(sorted(NETWORKS)))
@click.argument("day", metavar="[DATE]", required=False, type=click.DateTime(["%Y-%m-%d"]))
@click.option("--by", "person", default="", help="Who says so. Kept in the journal.")
@click.option("--because", "reason", default="", help="Why. Kept in the journal.")
@configured
def day(network: str, day: datetime | None, person: str, reason: str, config: Config) -> None:
    """The business day in force; or make DATE be it."""
    refuse_card_numbers(person, reason)
    if day is not None and not person.strip():
        raise click.UsageError("To set a day needs --by, which names a person.")
    if day is None and (person or reason):
        raise click.UsageError("--by and --because go with a date.")
    today = SystemClock().now_ms() // 86_400_000
    wanted = None if day is None else (day.date() - EPOCH).days
    if wanted is not None and abs(wanted - today) > DAYS_KEPT:
        raise click.UsageError(f"That is more than {DAYS_KEPT} days from today.")
    # For the journal, where a slip must not leave a card number.
    source = hidden(f"authz network day: {person.strip()}: {reason.strip()}")[:WORDS_MAX]
    click.echo(asyncio.run(run(config, network, wanted, today, source)))


async def run(config: Config, network: str, day: int | None, today: int, source: str) -> str:
    async def work(_: Redis, store: Store) -> str:
        async with opened(store, source) as state:
            return await look_or_set(state, network, day, today, source)

    return await at_store(config, source, work)


async def look_or_set(
    state: RedisHotState, network: str, day: int | None, today: int, source: str
) -> str:
    before = await state.days(network, TIMEOUT_S)
    if day is None:
        if before is None:
            return f"{network}: {shown(today)}, by the calendar: it never cut over"
        return f"{network}: {shown(before.in_force)}, {ended(before)}"
    said, now = await state.set_day(network, day, today, source, TIMEOUT_S)
    was = "the calendar's" if before is None else shown(before.in_force)
    verb = "is" if said == "same" else f"was {was}, and is"
    return f"{network}: the business day {verb} {shown(now.in_force)}, {ended(now)}"


def ended(days: Days) -> str:
    return f"{shown(days.ended)} ended before it"


def shown(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()
