"""A clearing file from its path to its outcomes, for the command, the demo and the tests."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from authz.app.clearing import Poster
from authz.app.clearing_acts import FileFacts
from authz.app.clearing_plan import file_row, rows_of
from authz.app.compose import FIRST_READ_S, settings_of
from authz.app.dry_run import Nobody, NoSpool
from authz.app.history import Plain
from authz.app.store import Store, opened, pan_keys
from authz.cards import NearCache
from authz.clock import SystemClock
from authz.config import Config
from authz.engine import Engine
from authz.hot import keys
from authz.privacy import PanKeys
from authz.wire.networks import NETWORKS
from ledger.cleared import Cleared
from ledger.clearing.outcome import MEANING, Outcome
from ledger.clearing.reading import ClearingFile
from ledger.database import connect

CARDS = 20_000  # kept in memory while a file is gone through, some 20 MB
ITEM_DIGITS = 12  # of a file's id, in the name that a person knows an item by
LISTED = 50  # of those that wait for a person; `authz exceptions` has all


class Busy(Exception):
    """Somebody else clears just now."""


class OtherSource(Exception):
    """Engines say that money moves by other networks' files than this configuration does."""

    def __init__(self, theirs: str, ours: str) -> None:
        super().__init__(
            f'The engines of this store have clearing.by_file = "{theirs}", and this command '
            f'"{ours}": nothing was posted. Give it the engines\' configuration.'
        )


class Desk(Struct, frozen=True):
    """What clearing works with."""

    engine: Engine  # that prices as engines do, and serves no link
    client: Redis
    cleared: Cleared
    keys: PanKeys
    source: str  # who clears
    by_file: frozenset[str]


@asynccontextmanager
async def desk(
    config: Config, store: Store, client: Redis, dsn: str, source: str
) -> AsyncIterator[Desk]:
    """Raises: Busy, OtherSource; HotStateError, RedisError, OSError, asyncpg.PostgresError."""
    theirs: bytes | None = await client.get(keys.BY_FILE)  # type: ignore[assignment]
    ours = config.clearing.said
    if theirs is not None and theirs.decode() != ours:
        # A record would be compared with online messages that only held: nothing would post.
        raise OtherSource(theirs.decode(), ours)
    connection = await connect(dsn, name="authz clear", command_timeout=None)
    try:
        cleared = Cleared(connection)
        if not await cleared.lock():
            raise Busy
        async with opened(store, source) as state:
            settings = settings_of(config)
            name = f"clear-{secrets.token_hex(3)}"
            engine = Engine(
                state, NearCache(CARDS), SystemClock(), NoSpool(), Nobody(), settings, name
            )
            await engine.keep_up(FIRST_READ_S)
            yield Desk(engine, client, cleared, pan_keys(config), source, settings.by_file)
    finally:
        await connection.close()


async def clear(
    at: Desk, file: ClearingFile, network: str = "", step: Callable[[str], None] = lambda _: None
) -> Plain:
    """Write a file down and post it; or go on with it, or say that it was done before.

    `network`: of items that tell none; `step` is called between steps, for tests that kill it
    there. Raises: NoNetwork, ClearingRefused, and nothing was kept; HotStateError, RedisError,
    OSError, asyncpg.PostgresError, and it may be run again.
    """
    for file_id in await at.cleared.unfinished():
        if file_id != file.file_id:
            await post(at, file_id, step)
    known = await at.cleared.file(file.file_id)
    if known is None:
        # DE 7 of what is cleared may lie ahead of the store's clock by so much.
        now_s = (await at.client.time())[0] + at.engine.settings.clock_skew_s
        row = file_row(file, network, at.source, now_s)
        await at.cleared.plan(row, rows_of(file, at.keys, network, frozenset(NETWORKS)))
        step("planned")
    if known is None or known["status"] != "done":
        await post(at, file.file_id, step)
    return await told(at.cleared, file.file_id, done_before=bool(known and known["done_at"]))


async def post(at: Desk, file_id: str, step: Callable[[str], None]) -> int:
    """All of a file that is written down; how many records had no outcome yet."""
    row = await at.cleared.file(file_id)
    assert row is not None
    date = row["business_date"]
    facts = FileFacts(file_id, date.isoformat() if date else "", row["sent_s"], row["source"])
    return await Poster(at.engine, at.client, at.cleared, facts, at.by_file, step).run()


async def told(cleared: Cleared, file_id: str, *, done_before: bool = False) -> Plain:
    """What became of a file, by outcome; and what waits for a person."""
    file = await cleared.file(file_id)
    assert file is not None
    rows = await cleared.outcomes(file_id)
    listed = await cleared.listed(LISTED + 1, file_id=file_id)
    return {
        "file": file["name"],
        "file_id": file_id,
        "format": file["format"],
        "network": file["network"],
        "business_date": file["business_date"].isoformat() if file["business_date"] else "",
        "status": file["status"],
        "done_before": file["done_at"].isoformat(timespec="seconds") if done_before else "",
        "records": file["records"],
        "items": file["items"],
        "refused": file["refused"],
        "others": file["others"],
        "outcomes": [
            {
                "outcome": row["outcome"],
                "records": row["records"],
                "amount_minor": row["minor"],
                "owed_minor": row["owed"],
                "currency": row["currency"],
                "means": MEANING[Outcome(row["outcome"])] if row["outcome"] else "not yet",
            }
            for row in rows
        ],
        "exceptions": [exception(row) for row in listed[:LISTED]],
        "more_exceptions": len(listed) > LISTED,
    }


def exception(row: dict[str, Any]) -> Plain:
    """One that waits for a person, as data and as text."""
    return {
        "at": row["at"].isoformat(timespec="milliseconds"),
        "item": f"{row['file_id'][:ITEM_DIGITS]}/{row['record']}",
        "file": row["file"],
        "file_id": row["file_id"],
        "record": row["record"],
        "network": row["network"],
        "kind": row["kind"],
        "outcome": row["outcome"],
        "detail": row["detail"],
        "amount_minor": row["transaction_minor"],
        "amount_currency": row["transaction_currency"],
        "billed_minor": row["billed_minor"] if row["billed_currency"] else None,
        "billed_currency": row["billed_currency"],
        "arn": row["arn"],
        "account_id": row["account_id"],
        "authorization_id": row["authorization_id"],
        "message_id": row["message_id"],
    }
