"""What every test shares: hypothesis profiles, and real servers from wheels."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import redis
from hypothesis import HealthCheck, settings

from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey

# Derandomized: CI finds the same thing twice or not at all. `make test-deep` looks further.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "deep",
    deadline=None,
    max_examples=2000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# A Redis or Valkey to run against instead of the embedded one. It must be empty: it is flushed.
OWN_SERVER = "AUTHZ_TEST_REDIS_URL"


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """One server for the whole run.

    Its fsync policy is `no`, for speed: no test looks at what this server keeps over a crash.
    Those that do start their own, with the product's default, `always`.
    """
    with EmbeddedValkey.start(appendfsync="no") as server:
        yield server


# A Postgres to run against instead of the embedded one: databases are made and dropped in it.
OWN_POSTGRES = "AUTHZ_TEST_POSTGRES_URL"
NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """One server for the whole run: "{}" stands where the name of a database goes."""
    own = os.environ.get(OWN_POSTGRES)
    if own:
        scheme, _, rest = own.partition("://")
        place, _, options = rest.partition("?")
        yield f"{scheme}://{place.partition('/')[0]}/{{}}" + (f"?{options}" if options else "")
        return
    with tempfile.TemporaryDirectory(prefix="authz-") as parent:
        os.chmod(parent, 0o711)  # its account must reach it, where we are root
        with EmbeddedPostgres.start(Path(parent) / "books") as server:
            yield server.dsn.replace("/postgres?", "/{}?")


@pytest.fixture
def fresh_postgres(postgres_dsn: str) -> Iterator[str]:
    """The DSN of a database with nothing in it."""
    name = f"authz_test_{os.getpid()}_{next(NUMBERS)}"
    asyncio.run(run_sql(postgres_dsn.format("postgres"), f'CREATE DATABASE "{name}"'))
    yield postgres_dsn.format(name)
    asyncio.run(run_sql(postgres_dsn.format("postgres"), f'DROP DATABASE "{name}" WITH (FORCE)'))


async def run_sql(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a real server, empty at the start and at the end of the run."""
    url = os.environ.get(OWN_SERVER)
    if not url:
        yield request.getfixturevalue("valkey").url
        return
    with redis.Redis.from_url(url) as store:
        refuse_a_used_server(store)
        yield url
        flush(store)


@pytest.fixture
def fresh_redis(redis_url: str) -> str:
    """The URL of a server with no key and no function in it."""
    with redis.Redis.from_url(redis_url) as store:
        flush(store)
    return redis_url


def refuse_a_used_server(store: redis.Redis) -> None:
    """We flush all databases and all functions, so all must be empty: never somebody's data."""
    if store.info("keyspace") or store.function_list():
        pytest.exit(
            f"The server that {OWN_SERVER} names is not empty, and the tests would flush it. "
            "Name another; or empty it yourself, if all it holds is left from a test run.",
            returncode=2,
        )


def flush(store: redis.Redis) -> None:
    store.flushall()
    store.function_flush()
