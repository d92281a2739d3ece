"""authz hold: let a hold go, by a named person's word."""

import asyncio

import click
from redis.asyncio import Redis

from authz import identity
from authz.app.at_store import at_store
from authz.app.cli import hidden
from authz.app.commands.show import refuse_card_numbers
from authz.app.history import Plain
from authz.app.looking import look_at_authorization
from authz.app.options import configured
from authz.app.plain_text import money
from authz.app.store import Store, opened
from authz.clock import SystemClock
from authz.config import Config
from authz.hot.acts import Close
from ledger.journal import CloseBody, encode_body

TIMEOUT_S = 5.0
WORDS_MAX = 200  # of a reason; it is kept in the journal for ever

EXAMPLES = """
\b
Examples:
  authz hold release kQ2vM9sT4xY7bN1cR5wZ --by "J. Doe" --because "merchant went bankrupt"
  authz hold release kQ2vM9sT4xY7bN1cR5wZ --account acme-1 --by jdoe

Ids are shown by `authz show account`. What is completed later is posted all the same.

\b
Exit codes:
  0  the hold was let go, or there was nothing left of it
  1  there is no such authorization, or the store refused
  2  wrong use"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Let a hold go."""


@command.command(epilog=EXAMPLES)
@click.argument("authorization_id")
@click.option("--by", "person", required=True, help="Who says so. Kept in the journal.")
@click.option("--because", "reason", default="", help="Why. Kept in the journal.")
@click.option("--account", "account_id", help="Its account; saves a search.")
@configured
def release(
    authorization_id: str, person: str, reason: str, account_id: str | None, config: Config
) -> None:
    """Release what an authorization holds."""
    refuse_card_numbers(authorization_id, account_id)
    if not person.strip():
        raise click.UsageError("--by names a person.")
    # For the journal, where a slip must not leave a card number.
    source = hidden(f"{person.strip()}: {reason.strip()}")[:WORDS_MAX]
    click.echo(asyncio.run(run(config, authorization_id, account_id, source)))


async def run(config: Config, id: str, account_id: str | None, source: str) -> str:
    async def work(client: Redis, store: Store) -> tuple[str, int, Plain]:
        found = await look_at_authorization(client, id, account_id)
        at, of = SystemClock().now_ms() // 1000, str(found["account_id"])
        close = Close(
            act_id=identity.closing_id("released", of, id, at),
            account_id=of,
            authorization_id=id,
            kind="released",
            at=at,
            body=encode_body(CloseBody(source)),
        )
        async with opened(store, source) as state:
            return *await state.close(close, TIMEOUT_S), found

    said, released, found = await at_store(config, source, work)
    account_id = str(found["account_id"])
    if said != "closed":
        return f"authorization {id} of account {account_id} holds nothing"
    amount = money(released, str(found["currency"]))
    return f"authorization {id} of account {account_id}: {amount} released"
