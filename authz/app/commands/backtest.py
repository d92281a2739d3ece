"""authz rules backtest: what another policy would have said to what was recorded."""

import asyncio
import csv
from datetime import UTC, datetime
from pathlib import Path

import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.backtest_page import page
from authz.app.backtest_words import in_words
from authz.app.backtesting import ENTRIES_MAX, Answer, Order
from authz.app.backtesting import backtest as replay
from authz.app.books import of_books
from authz.app.options import configured
from authz.app.output import write_json
from authz.app.past import Past
from authz.app.policy_file import FILE, read
from authz.app.store import Store
from authz.config import Config
from rules.fx import RatesError
from rules.policy_text import PolicyError

EXAMPLES = """
\b
Examples:
  authz rules backtest                                  what was in force: must be the same
  authz rules backtest draft.toml --from 2026-11-01 --to 2026-11-08
  authz rules backtest draft.toml --labels frauds.csv --html report.html

The journal is read from its beginning up to --to, so that a month's counter is right on its last
day; requests from --from on are reported. Both are UTC. Funds are followed: where the draft would
have declined before, what it left is there. What would have come after an approval that was never
given is not known: its hold is taken to stand.

\b
LABELS is a CSV with a header: message_id or rrn, and is_fraud (1 or 0).

\b
Memory: some 0.7 kB of each authorization that the journal has, and 0.5 kB of each card.

\b
Exit codes:
  0  replayed; without DRAFT: every recorded answer came out the same
  1  without DRAFT: one did not; or the store gave no answer
  2  wrong use"""

LABELS_MAX = 5_000_000


@click.command("backtest", epilog=EXAMPLES)
@click.argument("draft", type=FILE, metavar="[DRAFT]", required=False)
@click.option("--from", "since", metavar="TIME", help="Of ISO 8601, UTC: 2026-11-01.")
@click.option("--to", "until", metavar="TIME", help="Up to, but not with it.")
@click.option("--labels", type=FILE, help="A CSV of what was fraud.")
@click.option("--json", "json_file", metavar="FILE", help="The report as JSON; - for stdout.")
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The report as a page with charts, which needs nothing else.",
)
@click.option(
    "--entries-max", type=click.IntRange(1), default=ENTRIES_MAX, show_default=True,
    help="Read no more of the journal than this.",
)  # fmt: skip
@of_books
@configured
def backtest(
    draft: Path | None,
    since: str | None,
    until: str | None,
    labels: Path | None,
    json_file: str | None,
    html_file: Path | None,
    entries_max: int,
    ledger_dir: Path | None,
    config: Config,
) -> None:
    """Replay the journal under DRAFT, or under what was in force then; nothing is changed."""
    from_ms, to_ms = moment("--from", since) or 0, moment("--to", until)
    if to_ms is not None and to_ms <= from_ms:
        raise click.UsageError("--to: not after --from.")
    order = Order(
        draft=read(draft)[0] if draft else None,
        from_ms=from_ms,
        to_ms=to_ms,
        labels=labels_of(labels) if labels else {},
        hold_rules=config.holds,
        hold_days=config.engine.hold_days,
        entries_max=entries_max,
    )

    async def work(client: Redis, _: Store) -> Answer:
        async with Past(client, config, ledger_dir) as past:
            return await replay(client, order, past)

    try:
        answer = asyncio.run(at_store(config, "authz rules backtest", work))
    except (PolicyError, RatesError) as error:
        raise click.ClickException(f"A policy or rates that were in force: {error}") from None
    if json_file != "-":
        click.echo("\n".join(in_words(answer)))
    write(answer, json_file, html_file)
    if draft is None and not answer.report.reproduced:
        raise SystemExit(1)


def write(answer: Answer, json_file: str | None, html_file: Path | None) -> None:
    try:
        if json_file is not None:
            write_json(json_file, answer)
        if html_file is not None:
            html_file.write_text(page(answer), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def moment(option: str, text: str | None) -> int | None:
    """Milliseconds since 1970. Raises: click.UsageError."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: not a time of ISO 8601.") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)


def labels_of(file: Path) -> dict[str, bool]:
    """By message id, by acquirer and RRN, or by RRN alone.

    Raises: click.ClickException, with the line and never its content.
    """
    found: dict[str, bool] = {}
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = csv.DictReader(opened)
            names = set(rows.fieldnames or ())
            by = "message_id" if "message_id" in names else "rrn"
            of = by == "rrn" and "acquirer_id" in names
            if not {by, "is_fraud"} <= names:
                raise click.ClickException(f"{file.name}: needs message_id or rrn, and is_fraud")
            for row in rows:
                key, label = row[by], row["is_fraud"]
                key = f"{row['acquirer_id']}/{key}" if of and key else key
                if not key or label not in ("0", "1") or len(found) >= LABELS_MAX:
                    raise click.ClickException(f"{file.name}, line {rows.line_num}: not a label")
                found[key] = label == "1"
    except (UnicodeDecodeError, csv.Error, OSError):
        raise click.ClickException(f"{file.name}: cannot be read as CSV") from None
    return found
