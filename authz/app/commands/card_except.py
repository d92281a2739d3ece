"""authz card except: let a card past the policy's rules at one merchant, for a time."""

import asyncio

import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.commands.show import pan_from_stdin, refuse_card_numbers
from authz.app.exceptions import TOO_MANY, in_a_line, signed, who_says, why
from authz.app.looking import NotThere, look_for_card, read_one
from authz.app.options import configured
from authz.app.store import Store, opened, pan_keys
from authz.clock import SystemClock
from authz.config import Config, ConfigError
from authz.control import Identity, card_id_for
from authz.hot.store import RedisHotState
from authz.privacy import Pan
from authz.referral import NoException, Terms, end_exception, except_card
from rules.exceptions import USES_MAX, TooMany

HOURS_MAX = 24 * 366  # what is to last for years is a rule
MERCHANT_MAX = 15  # DE 42

EXAMPLES = """
\b
Examples:
  authz card except c4k2v7q3m5p6x7ya --merchant MERCHANT0000001 --by "J. Doe"
  authz card except - --merchant MERCHANT0000001 --hours 2 --amount 50000 --uses 1 < pan.txt
  authz card except c4k2v7q3m5p6x7ya --end Zt3nP0aQw9Lk

What a rule of the policy refers or declines passes: of that merchant, up to that amount each, as
often as said. The card's and account's own state, blocklists, caps, limits and funds are asked all
the same. `authz show card` lists the exceptions in force.

\b
Exit codes:
  0  it is open, or ended
  1  no such card or exception, the card has too many, or the store refused
  2  wrong use"""


@click.command("except", epilog=EXAMPLES)
@click.argument("card_id", metavar="CARD_ID|-")
@click.option("--merchant", help="DE 42 of the merchant, as its messages have it.")
@click.option(
    "--hours", default=48, show_default=True, type=click.IntRange(1, HOURS_MAX),
    help="So long.",
)  # fmt: skip
@click.option(
    "--amount", type=click.IntRange(0, 10**15), metavar="MINOR",
    help="Up to so much each, in minor units of the account's currency; else any amount.",
)  # fmt: skip
@click.option(
    "--uses", default=0, type=click.IntRange(0, USES_MAX), help="So often; else as often as asked."
)
@click.option("--end", "exception_id", metavar="ID", help="End this one in place of opening one.")
@who_says
@why
@configured
def except_(
    card_id: str,
    merchant: str | None,
    hours: int,
    amount: int | None,
    uses: int,
    exception_id: str | None,
    person: str,
    note: str,
    config: Config,
) -> None:
    """Let a card past the policy's rules at one merchant, for a time."""
    refuse_card_numbers(card_id, exception_id, instead="authz card except -")
    if (merchant is None) == (exception_id is None):
        raise click.UsageError("name a --merchant, or with --end an exception")
    merchant = (merchant or "").strip()
    if exception_id is None and not (
        0 < len(merchant) <= MERCHANT_MAX and merchant.isascii() and merchant.isprintable()
    ):
        raise click.UsageError("--merchant: not a DE 42, which has up to 15 characters.")
    name, source = signed(person, note)
    pan = pan_from_stdin() if card_id == "-" else None

    async def work(client: Redis, store: Store) -> str:
        async with opened(store, source) as state:
            who = await owner(client, state, config, card_id, pan)
            assert who.account_id is not None
            if exception_id is not None:
                ended = await end_exception(state, who, exception_id, source)
                return f"ended: card {who.card_id}, {in_a_line(ended)}"
            account, _ = await read_one(client, who.account_id)
            terms = Terms(
                merchant_id=merchant,
                amount_minor=amount,
                currency=account.currency,
                hours=hours,
                uses=uses,
                opened_by=name,
            )
            _, one = await except_card(state, who, terms, SystemClock().now_ms() // 1000, source)
            return f"card {who.card_id}, {in_a_line(one)}"

    try:
        click.echo(asyncio.run(at_store(config, source, work)))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except TooMany:
        raise click.ClickException(TOO_MANY) from None
    except NoException as error:
        raise click.ClickException(f"{error}: authz show card lists them.") from None


async def owner(
    client: Redis, state: RedisHotState, config: Config, card_id: str, pan: Pan | None
) -> Identity:
    """Whose card that is. Raises: NotThere."""
    if pan is None:
        return Identity(*await look_for_card(client, card_id))
    who = await card_id_for(state, pan_keys(config), pan)
    if who.account_id is None:
        raise NotThere("no such card")
    return who
