"""authz review: referrals that wait for a person."""

import asyncio
from typing import Any

import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.commands.show import as_json, refuse_card_numbers, show
from authz.app.commands.show import run as look_at_store
from authz.app.exceptions import TOO_MANY, in_a_line, signed, who_says, why
from authz.app.history import Plain
from authz.app.looking import NotThere, read_one
from authz.app.options import configured
from authz.app.output import counted as some
from authz.app.output import write_json
from authz.app.past import Past
from authz.app.plain_text import lines
from authz.app.reviewing import allowed_by, counted, facts, find, listed, waiting, what_became_of
from authz.app.store import Store, opened
from authz.clock import SystemClock
from authz.config import Config
from authz.control import Identity
from authz.referral import Terms
from authz.referral import approve as approve_case
from authz.referral import decline as decline_case
from rules.exceptions import TooMany
from rules.facts import CardState

LISTED_MAX = 1000
HOURS_MAX = 24 * 366

EXAMPLES = """
\b
Examples:
  authz review list
  authz review show kQ2vM9sT4xY7bN1cR5wZ
  authz review approve kQ2vM9sT4xY7bN1cR5wZ --by "J. Doe" --note "called, it is her"
  authz review decline kQ2vM9sT4xY7bN1cR5wZ --by jdoe

A rule that refers answers 01, and opens a case. What was answered stands, whatever is decided: an
approval lets the cardholder's next attempt pass, once, at that merchant and up to that amount.
docs/rules.md has more. A case that nobody decides ends after 30 days.

\b
Exit codes:
  0  done
  1  no such case, it was decided before, or the store refused
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Referrals that wait for a person."""


@command.command("list", epilog=EXAMPLES)
@click.option(
    "--most", default=100, show_default=True, type=click.IntRange(1, LISTED_MAX),
    help="So many, the oldest first.",
)  # fmt: skip
@click.option(
    "--json", "target", is_flag=False, flag_value="-", default="", metavar="[FILE|-]",
    help="As JSON, with all facts; to a file, or to standard output.",
)  # fmt: skip
@configured
def list_(most: int, target: str, config: Config) -> None:
    """Cases that wait, the oldest first."""

    async def look(client: Redis, past: Past) -> Plain:
        cases, counts = await waiting(client, most)
        now_s, told = SystemClock().now_ms() // 1000, facts if target else listed
        return {"reviews": [told(case, now_s) for case in cases]} | counted(counts)

    found = asyncio.run(look_at_store(config, look))
    if target:
        try:
            write_json(target, found)
        except OSError as error:
            raise click.ClickException(f"The file cannot be written: {error.strerror}.") from None
    else:
        click.echo("\n".join(as_text(found)))


def as_text(found: dict[str, Any]) -> list[str]:
    more = found["waiting"] - len(found["reviews"])
    out = lines({"reviews": found["reviews"]}) if found["reviews"] else []
    out.append(
        some(found["waiting"], "case") + " waiting" + (f", {more} not shown" if more else "")
    )
    if found["not_opened"]:
        out.append(
            f"{some(found['not_opened'], 'referral')} opened no case, for want of room: "
            "answered 01 all the same, and in the journal"
        )
    return out


@command.command("show", epilog=EXAMPLES)
@click.argument("review_id", metavar="ID")
@as_json
@configured
def show_(review_id: str, plain: bool, config: Config) -> None:
    """All that is known of a case."""
    refuse_card_numbers(review_id)

    async def look(client: Redis, past: Past) -> Plain:
        return facts(await find(client, review_id, past), SystemClock().now_ms() // 1000)

    show(config, None, look, plain)


@command.command(epilog=EXAMPLES)
@click.argument("review_id", metavar="ID")
@click.option(
    "--hours", default=24, show_default=True, type=click.IntRange(1, HOURS_MAX),
    help="So long the next attempt may take.",
)  # fmt: skip
@click.option(
    "--amount", type=click.IntRange(0, 10**15), metavar="MINOR",
    help="Up to so much, in minor units of the account's currency; else what was asked.",
)  # fmt: skip
@who_says
@why
@configured
def approve(
    review_id: str, hours: int, amount: int | None, person: str, note: str, config: Config
) -> None:
    """Let the cardholder's next attempt pass, once."""
    refuse_card_numbers(review_id)
    name, source = signed(person, note)

    async def work(client: Redis, store: Store) -> str:
        case = await find(client, review_id)
        terms = Terms(
            merchant_id=case.asked.merchant_id,
            amount_minor=await allowed_by(client, case) if amount is None else amount,
            currency=(await read_one(client, case.account_id))[0].currency,
            hours=hours,
            uses=1,
            opened_by=name,
        )
        who = Identity(case.asked.card_key, case.card_id, case.account_id)
        async with opened(store, source) as state:
            now_s = SystemClock().now_ms() // 1000
            try:
                done = await approve_case(
                    state, review_id, who, terms, now_s, case.asked.sent_at, source
                )
            except TooMany:
                raise click.ClickException(TOO_MANY) from None
        if done is None:
            raise NotThere(await what_became_of(client, review_id))
        card, one = done
        text = f"approved: card {card.card_id}, {in_a_line(one)}"
        if card.state is not CardState.ACTIVE:
            text += f"\nthe card is {card.state}, so nothing passes yet"
        return text

    click.echo(asyncio.run(at_store(config, source, work)))


@command.command(epilog=EXAMPLES)
@click.argument("review_id", metavar="ID")
@who_says
@why
@configured
def decline(review_id: str, person: str, note: str, config: Config) -> None:
    """Leave it at what was answered."""
    refuse_card_numbers(review_id)
    _, source = signed(person, note)

    async def work(client: Redis, store: Store) -> str:
        case = await find(client, review_id)
        async with opened(store, source) as state:
            if not await decline_case(state, review_id, case.account_id, source):
                raise NotThere(await what_became_of(client, review_id))
        return f"declined: card {case.card_id} of account {case.account_id}; no exception is open"

    click.echo(asyncio.run(at_store(config, source, work)))
