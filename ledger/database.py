"""The connection to Postgres, and the migrations that bring its schema to ours.

Migrations are the numbered files of ledger/schema. Each runs once, in a transaction of its own,
under an advisory lock, and is remembered with its checksum: a file that was changed after it ran
is refused, since nobody could tell what the database is.
"""

from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg

SCHEMA = "ledger"
LOCK = 0x61757468  # of migrations; locks of shards are pairs, and a space of their own
COMMAND_TIMEOUT_S = 120.0  # a batch takes a fraction of a second; a lost server must be noticed


class SchemaError(Exception):
    """The database is not one that this version can keep books in; the text says why."""


class Migration(NamedTuple):
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """In their order. Raises: SchemaError, where two have one number or one is missing."""
    found = [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in files("ledger").joinpath("schema").iterdir()
        if file.name.endswith(".sql")
    ]
    found.sort()
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise SchemaError("the migrations are not numbered from 1 without a hole")
    return found


async def connect(dsn: str, *, name: str = "authz", **options: Any) -> asyncpg.Connection:
    """A session in our schema. Commits wait for the disk, whatever the server's default is.

    Raises: OSError, asyncpg.PostgresError, TimeoutError.
    """
    return await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=options.pop("command_timeout", COMMAND_TIMEOUT_S),
        server_settings={
            "search_path": SCHEMA,
            "application_name": name,
            "synchronous_commit": "on",
            "jit": "off",  # statements of milliseconds, seconds of compiling
        }
        | options,
    )


async def migrate(connection: asyncpg.Connection, found: list[Migration] | None = None) -> int:
    """Bring the schema up to date; how many migrations ran. Raises: SchemaError."""
    ran = 0
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (number int PRIMARY KEY, name text NOT NULL, "
            "checksum text NOT NULL, ran_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = await connection.fetch("SELECT number, name, checksum FROM migration")
        before = {row["number"]: row for row in rows}
        found = migrations() if found is None else found
        newer = before.keys() - {m.number for m in found}
        if newer:
            raise SchemaError(f"the database is of a newer version: migration {max(newer)}")
        for m in found:
            row = before.get(m.number)
            if row is None:
                async with connection.transaction():
                    await connection.execute(m.sql)
                    await connection.execute(
                        "INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)",
                        m.number, m.name, m.checksum,
                    )  # fmt: skip
                ran += 1
            elif row["checksum"] != m.checksum:
                raise SchemaError(f"migration {m.name} was changed after it ran")
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
    return ran
