"""authz exceptions: what belongs to no authorization, could not be applied, or went too far."""

from pathlib import Path

import click
from redis.asyncio import Redis

from authz.app.books import of_books
from authz.app.commands.show import as_json, how_many, read_since, refuse_card_numbers, show
from authz.app.history import Plain
from authz.app.looking import Wanted, look_for_exceptions
from authz.app.options import configured
from authz.app.past import Past
from authz.app.plain_text import lines
from authz.clock import SystemClock, utc
from authz.config import Config

EXAMPLES = """
\b
Examples:
  authz exceptions
  authz exceptions --account acme-1 --json
  authz exceptions --since 08:00

Reversals, advices and completions that found no authorization (unmatched), as long as none has
come; what says nothing that could be applied (unapplied): a partial reversal in a third currency,
an advice older than its window; and completions that were posted but should not have been so large
(beyond) or so late (overdue), by the hold policy. The newest 1,000,000 journal entries are looked
through.

\b
Exit codes:
  0  they are listed, or there are none
  1  no such account, or the store gave no answer
  2  wrong use"""


@click.command(epilog=EXAMPLES)
@click.option("--account", "account_id", help="On this account: its shard alone is read.")
@click.option("--since", help="Not before: HH:MM, the last time that it was, or ISO 8601; UTC.")
@how_many
@as_json
@of_books
@configured
def command(
    account_id: str | None,
    since: str | None,
    acts: int,
    plain: bool,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """What belongs to no authorization, could not be applied, or went too far; newest first."""
    refuse_card_numbers(account_id)
    if not acts:
        raise click.UsageError("--acts: one at least.")
    wanted = Wanted(
        account_id=account_id or "",
        since_ms=0 if since is None else read_since(since, utc(SystemClock().now_ms())),
    )

    async def look(client: Redis, past: Past) -> Plain:
        return await look_for_exceptions(client, wanted, acts, past)

    show(config, ledger_dir, look, plain, as_text)


def as_text(found: Plain) -> list[str]:
    if found["exceptions"]:
        return lines(found)
    why = f": {found['not_readable']}" if "not_readable" in found else ""
    left_out = f" in what was looked through{why}" if found["older_left_out"] else ""
    return [f"no exceptions{left_out}"]
