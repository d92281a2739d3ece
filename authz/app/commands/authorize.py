"""authz authorize --dry-run: would this pass? Nothing is changed."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.commands.show import (
    as_json,
    card_owner,
    pan_from_stdin,
    refuse_card_numbers,
    write,
)
from authz.app.compose import settings_of
from authz.app.dry_run import would_be
from authz.app.explanation import in_words
from authz.app.history import Plain
from authz.app.listed import read_country
from authz.app.meaning import matched, read_amount, read_currency
from authz.app.options import configured
from authz.app.rows import BadCell
from authz.app.store import Store, pan_keys
from authz.config import Config
from authz.wire.networks import NETWORKS
from authz.wire.usage import PRESENT
from rules.facts import Channel, Finality, Purpose

EXAMPLES = """
\b
Examples:
  authz authorize --dry-run c4k2v7q3m5p6x7ya 12.50 --currency USD --mcc 5411
  authz authorize --dry-run - 80 --currency EUR --country FR --channel ecommerce < pan.txt
  authz authorize --dry-run c4k2v7q3m5p6x7ya 300 --currency USD --mcc 6011 --purpose cash --json

Judged by card, account, lists, policy, rates, counters and funds of this moment, in the engine's
own steps, and told check by check as `authz explain` does. Nothing is held, counted, journalled or
answered. Checks that an engine asks of others are not asked.

\b
Exit codes:
  0  it would be approved, or approved in part
  1  there is no such card, or the store gave no answer
  2  wrong use
  4  it would be declined or referred"""


def one_of(option: str, words: Iterable[str], default: str) -> Callable[[Any], Any]:
    choice = click.Choice([str(word) for word in words])
    return click.option(option, type=choice, default=str(default), show_default=True)


@click.command(epilog=EXAMPLES)
@click.argument("card_id", metavar="CARD_ID|-")
@click.argument("amount", metavar="AMOUNT")
@click.option("--dry-run", is_flag=True, help="Needed: only links of a network authorize.")
@click.option("--currency", required=True, help="Of the transaction, ISO 4217: USD or 840.")
@click.option("--billed", metavar="AMOUNT", help="In the account's currency: DE 6 and 51.")
@click.option("--mcc", default="5999", show_default=True, help="DE 18.")
@click.option("--merchant", "merchant_id", default="", help="DE 42.")
@click.option("--merchant-name", default="", help="Of DE 43.")
@click.option("--terminal", "terminal_id", default="", help="DE 41.")
@click.option("--acquirer", "acquirer_id", default="", help="DE 32.")
@click.option("--country", default="", help="The merchant's, ISO 3166.")
@click.option("--device", default="", help="The cardholder's, for lists of devices.")
@click.option("--ip", default="", help="The cardholder's address, for lists of addresses.")
@one_of("--purpose", Purpose, Purpose.PURCHASE)
@one_of("--channel", Channel, Channel.UNKNOWN)
@one_of("--finality", Finality, Finality.PLAIN)
@one_of("--network", sorted(NETWORKS), "generic")
@click.option("--risk", type=click.IntRange(0, 999), default=0, help="The network's score.")
@click.option("--token", is_flag=True, help="With a wallet's number.")
@click.option("--authenticated", is_flag=True, help="By 3-D Secure.")
@click.option("--merchant-initiated", is_flag=True)
@click.option("--partial", "partial_ok", is_flag=True, help="The terminal takes less.")
@click.option("--at", help="When, ISO 8601, UTC where it does not say.  [default: now]")
@click.option("--account", "account_id", default="", help="Its account; saves a search.")
@as_json
@configured
def command(
    card_id: str,
    amount: str,
    dry_run: bool,
    currency: str,
    billed: str | None,
    at: str | None,
    country: str,
    account_id: str,
    plain: bool,
    config: Config,
    **said: Any,
) -> None:
    """Ask whether a purchase would pass, and why; of AMOUNT in major units."""
    if not dry_run:
        raise click.UsageError("Say --dry-run: this command asks, and only links authorize.")
    words = (card_id, account_id, *map(str, said.values()))
    refuse_card_numbers(*words, instead="authz authorize --dry-run - AMOUNT")
    asked = question(amount, currency, billed, country, at, said)
    pan = pan_from_stdin() if card_id == "-" else None
    asked["bin"] = pan.bin if pan is not None else ""  # nothing here keeps it of a card's id

    async def ask(client: Redis, store: Store) -> Plain:
        card, account = card_id, account_id
        if pan is not None:
            card, account = await card_owner(client, pan_keys(config).card_key(pan))
        return await would_be(client, store.url, settings_of(config), card, account, asked)

    try:
        answer = asyncio.run(at_store(config, "authz authorize --dry-run", ask, lets_in=False))
    except BadCell as error:
        raise click.UsageError(f"{error.column}: {error}.") from None
    write(answer, plain, in_words)
    codes = NETWORKS[answer["network"]].codes
    if answer["response_code"] not in codes.approvals:
        raise SystemExit(4)


def question(
    amount: str, currency: str, billed: str | None, country: str, at: str | None, said: Plain
) -> Plain:
    """Fields of a request, as far as they can be read without the account."""
    try:
        money = read_currency(currency)
        minor = read_amount({"amount": amount}, "amount", money)
        asked = said | {
            "amount_minor": minor, "currency": money.currency, "transaction_minor": minor,
            "transaction_currency": money.currency, "billed": billed,
            "country": read_country(country) if country else "",
            "mcc": matched(said, "mcc", "[0-9]{4}", "not a merchant category code: four digits"),
            "purpose": Purpose(said["purpose"]), "finality": Finality(said["finality"]),
            "channel": Channel(said["channel"]),
        }  # fmt: skip
    except BadCell as error:
        raise click.UsageError(f"{error.column}: {error}.") from None
    if at is not None:
        asked["sent_at"] = moment(at)
    return asked | {"card_present": asked["channel"] in PRESENT}


def moment(text: str) -> int:
    """Seconds since 1970."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("--at: not a time of ISO 8601.") from None
    return max(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()), 0)
