"""What settlement commands do in the books, and at the store."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import click
from redis.asyncio import Redis

from authz.app.at_store import at_store
from authz.app.books import NO_BOOKS, find_books
from authz.app.output import sentence
from authz.app.plain_text import money
from authz.app.settling import NoRoute, convert, journal
from authz.app.store import Store, opened
from authz.config import Config
from ledger import settlement_read
from ledger.database import connect
from ledger.settlement import CLOSED
from ledger.settlement_entry import Settling, movement
from ledger.settlement_read import Batch
from ledger.settling import Batcher

WAIT_S = 3.0  # for the books to have what was journalled, where somebody writes them
LOOK_S = 0.1

T = TypeVar("T")


def in_books(
    config: Config, folder: Path | None, work: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    """What the work gives, over one session of the books. Raises: click.ClickException."""

    async def run() -> T:
        try:
            books = await find_books(config, folder, make=False)
        except NO_BOOKS as error:
            raise click.ClickException(str(error)) from None
        try:
            connection = await connect(books.dsn, name="authz settlement", command_timeout=None)
            try:
                return await work(connection)
            finally:
                await connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            name = type(error).__name__
            raise click.ClickException(f"The books gave no answer ({name}).") from None
        finally:
            books.stop()

    return asyncio.run(run())


async def known(connection: asyncpg.Connection, batch_id: str) -> Batch:
    """Raises: click.ClickException."""
    found = await settlement_read.batch(connection, batch_id) if "\0" not in batch_id else None
    if found is None:
        raise click.ClickException("There is no such batch: authz settlement status shows them.")
    return found


async def settle_now(
    config: Config, connection: asyncpg.Connection, batcher: Batcher, batch: Batch,
    words: tuple[int | None, int | None, str],
) -> tuple[Batch, str]:  # fmt: skip
    """Journal it, and wait until the books have it, if somebody writes them."""
    moved, interchange, source = words
    settling = batch.settling
    if interchange is not None:
        settling = Settling(settling.net_minor, interchange, settling.fees_minor)
    try:
        conversion = await convert(connection, config, batch, settling)
    except NoRoute as error:
        raise click.ClickException(sentence(error)) from None
    if moved is None:
        c = conversion
        moved = settling.due_minor if c is None else c.converted_minor - c.cost_minor
    body = movement(batch.id, batch.key, settling, moved, source, conversion)

    async def say(_: Redis, store: Store) -> str:
        async with opened(store, source) as state:
            verdict = await journal(
                state, batch.id, body, secrets.token_hex(8), config.engine.advice_window_s
            )
            return verdict.kind

    kind = await at_store(config, source, say)
    if kind == "mismatch":
        raise click.ClickException(
            "It was journalled before with other numbers, and those stand. "
            "`authz settle` writes them into the books."
        )
    for _ in range(int(WAIT_S / LOOK_S)):
        await batcher.take()
        found = await known(connection, batch.id)
        if found.status != CLOSED:
            return found, "is settled"
        await asyncio.sleep(LOOK_S)
    into = batch.currency if conversion is None else conversion.into
    return batch, (
        f"is journalled: the bank moved {money(moved, into)}; "
        "`authz settle` writes it into the books"
    )
