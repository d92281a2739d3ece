"""authz explain: every check of one decision, from what the journal kept."""

from pathlib import Path

import click
from redis.asyncio import Redis

from authz.app.books import of_books
from authz.app.commands.show import as_json, refuse_card_numbers, show
from authz.app.explaining import explain
from authz.app.explanation import in_words
from authz.app.history import Plain
from authz.app.options import configured
from authz.app.past import Past
from authz.config import Config

EXAMPLES = """
\b
Examples:
  authz explain kQ2vM9sT4xY7bN1cR5wZ
  authz explain kQ2vM9sT4xY7bN1cR5wZ --account acme-1 --replay --json

Message ids are shown by `authz show message` and `authz show account`; an authorization's id is
that of the message that asked for it. Without --account all journals are looked through.

Each check is told with what it saw, up to the first that objected; counters and funds as they were
in the step that decided. The decision is made once more from the journal, and must be the same:
"decided again" is what card, account, lists and rules say, before counters and funds. "asked" is
the amount as it was billed, in the account's currency.

\b
Exit codes:
  0  explained, and decided alike again
  1  not there, decided otherwise, or the store gave no answer
  2  wrong use"""


@click.command(epilog=EXAMPLES)
@click.argument("message_id")
@click.option("--account", "account_id", default="", help="Its account: found sooner.")
@click.option("--replay", is_flag=True, help="Also how long the decision takes.")
@as_json
@of_books
@configured
def command(
    message_id: str,
    account_id: str,
    replay: bool,
    plain: bool,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """Why a request was answered as it was."""
    refuse_card_numbers(message_id, account_id)
    told: Plain = {}

    async def look(client: Redis, past: Past) -> Plain:
        told.update(await explain(client, message_id, account_id, replay, past))
        return told

    show(config, ledger_dir, look, plain, in_words)
    if not told["same"]:
        raise SystemExit(1)
