"""One piece of work at the books, for a command: found, and told in words what is wrong."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import click

from authz.app.books import NO_BOOKS, find_books
from authz.app.looking import NotThere
from authz.app.output import sentence
from authz.config import Config
from ledger.database import connect

T = TypeVar("T")


async def at_books(
    config: Config, folder: Path | None, work: Callable[[asyncpg.Connection], Awaitable[T]]
) -> T:
    """What the work gives. Raises: click.ClickException, where there are no books."""
    try:
        books = await find_books(config, folder, make=False)
    except NO_BOOKS as error:
        raise click.ClickException(str(error)) from None
    try:
        connection = await connect(books.dsn, command_timeout=None)
        try:
            return await work(connection)
        finally:
            await connection.close()
    except NotThere as error:
        raise click.ClickException(sentence(error)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        name = type(error).__name__
        raise click.ClickException(f"The books could not be read ({name}).") from None
    finally:
        books.stop()
