"""Which Postgres holds the books: the one that the configuration names, or one of our own.

As with the store: the first command that needs our own starts it, and it ends with that command;
others that come meanwhile find it by its address file.
"""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import asyncpg
import click
from msgspec import Struct

from authz.app.embedded.postgres import CLUSTER, EmbeddedPostgres
from authz.app.embedded.process import EmbeddedError, write_privately
from authz.config import Config, ConfigError
from ledger.database import SchemaError, connect, migrate

ADDRESS = "postgres.address"  # in its folder: the DSN of the server that runs there
# Under root the server runs as another account, who cannot enter root's home.
OF_ROOT = Path("/var/lib/authz/ledger")
OWN = "ledger"  # below the data folder


# For a server of our own. Half a minute of full load fills a gigabyte of log, and each checkpoint
# makes what follows dearer; the newest pages of a dozen indexes are always in use.
FOR_BOOKS = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}


class BooksMissing(Exception):
    """There is no Postgres to be had. The text says which, without a password."""


# What finding the books may raise. Each has a text for the person who asked for them.
NO_BOOKS = (BooksMissing, EmbeddedError, SchemaError, ConfigError)


class FoundBooks(Struct):
    """Where the books are."""

    dsn: str
    embedded: EmbeddedPostgres | None  # where we started it ourselves

    def stop(self) -> None:
        if self.embedded is not None:
            self.embedded.stop()


def of_books(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which books, over the configuration."""

    @wraps(command)
    def with_flags(postgres_url: str | None, metrics_port: int | None = None, **rest: Any) -> Any:
        flags = {"postgres.url": postgres_url, "settle.metrics_port": metrics_port}
        return command(flags=flags, **rest)

    for option in (
        click.option("--ledger-dir", type=click.Path(path_type=Path),
                     help=f"Where our own Postgres keeps its data. [{OWN} in --data-dir; "
                     f"under root {OF_ROOT}, whatever that is]"),
        click.option("--postgres", "postgres_url",
                     help="postgresql://host/database; else our own."),
    ):  # fmt: skip
        with_flags = option(with_flags)
    return with_flags


async def find_books(
    config: Config, folder: Path | None = None, *, make: bool = True
) -> FoundBooks:
    """The configured Postgres, or our own, running, with our schema in it. `folder`: of our own.

    Raises: NO_BOOKS.
    """
    address = config.postgres.address()
    if address is not None:
        books, named = FoundBooks(address, None), f"Postgres at {config.postgres.url}"
    else:
        folder = folder or own_folder(config)
        named = f"Postgres in {folder}"
        try:
            books = await own_books(folder, make=make)
        except OSError as error:
            raise BooksMissing(f"The {named} cannot be had: {error.strerror}.") from None
    try:
        connection = await connect(books.dsn)
        try:
            await migrate(connection)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        books.stop()
        raise BooksMissing(f"The {named} cannot be used ({type(error).__name__}).") from None
    except SchemaError:
        books.stop()
        raise
    return books


def has_books(config: Config, folder: Path | None = None) -> bool:
    """Whether there are any to be looked into: a Postgres that is named, or one of our own; that
    belongs to a store of our own, so with another store it must be named."""
    if config.postgres.address() is not None:
        return True
    if folder is None and config.redis.url is not None:
        return False
    return ((folder or own_folder(config)) / CLUSTER).exists()


def own_folder(config: Config) -> Path:
    if os.geteuid() == 0:
        return OF_ROOT
    return config.embedded.data_dir.expanduser() / OWN


async def own_books(folder: Path, *, make: bool) -> FoundBooks:
    """The server of this folder, started unless it runs already."""
    file = folder / ADDRESS
    dsn = file.read_text().strip() if file.exists() else ""
    if dsn and await answers(dsn):
        return FoundBooks(dsn, None)
    if not make and not (folder / CLUSTER).exists():
        raise BooksMissing(f"There are no books in {folder} yet: `authz settle` makes them.")
    if os.geteuid() == 0:
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    embedded = EmbeddedPostgres.start(folder, settings=FOR_BOOKS, gives_way=True)
    write_privately(file, embedded.dsn + "\n")
    return FoundBooks(embedded.dsn, embedded)


async def answers(dsn: str) -> bool:
    try:
        connection = await connect(dsn)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True
