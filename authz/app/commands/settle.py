"""authz settle: the ledger's writer."""

import asyncio
import contextlib
import gc
import signal
from pathlib import Path
from typing import Any

import asyncpg
import click
import uvloop
from redis.exceptions import RedisError

from authz.app.announce import CannotListen, announce_when_ready, listening
from authz.app.books import NO_BOOKS, FoundBooks, find_books, of_books
from authz.app.chain_watch import ChainWatch
from authz.app.compose import ended
from authz.app.http import Health, start_http
from authz.app.options import configured
from authz.app.output import counted, sentence
from authz.app.past import OtherBooks, check_whose
from authz.app.settling import Batching
from authz.app.store import NO_STORE, Store, find_store
from authz.clock import SystemClock
from authz.config import Config
from authz.hot import keys
from authz.hot.admin import administrator
from authz.log import set_up_log
from ledger.cleared import Cleared
from ledger.database import connect
from ledger.metrics import Metrics
from ledger.settlement_metrics import SettlementMetrics
from ledger.source import Source
from ledger.store import Books, OtherStore
from ledger.writer import GC_THRESHOLDS, Settings, Writer

WATCH_S = 1.0  # between looks at the lag: each is a read of every shard's position
STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
OTHER_STORE = (
    "These books are another store's: nothing was written. Name the store that they belong to, or "
    "other books; a store that has lost all is given back its own by `authz rebuild`."
)

EXAMPLES = """
\b
Examples:
  authz settle                         the journal of our own store, into a Postgres of our own
  authz settle --once                  all that is there now, and end
  authz settle --postgres postgresql://ledger@db/authz --redis redis://10.0.0.5:6379

\b
Exit codes:
  0  ended by SIGTERM or SIGINT; with --once, when everything was written
  1  the store or Postgres could not be had, or ended where it was our own; or a port is taken
  2  wrong use, or a wrong configuration

A second one beside the first waits until that ends; it needs a --metrics-port of its own.
docs/ledger.md says more."""


@click.command(epilog=EXAMPLES)
@click.option("--once", is_flag=True, help="Write what is there, and end.")
@click.option("--metrics-port", type=int, help="Port of /metrics and /health. [9584]")
@click.option(
    "--announce", type=click.Path(path_type=Path), help="Write the port here as JSON, once ready."
)
@of_books
@configured
def command(config: Config, ledger_dir: Path | None, once: bool, announce: Path | None) -> None:
    """Write what the hot state journalled into the books, each entry once."""
    set_up_log()
    raise SystemExit(uvloop.run(settle(config, ledger_dir, once, announce)))


async def settle(config: Config, ledger_dir: Path | None, once: bool, announce: Path | None) -> int:
    """Run until SIGTERM or SIGINT, or until all is written; a batch under way is finished."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    try:
        books = await find_books(config, ledger_dir)
    except NO_BOOKS as error:
        store.stop()
        raise click.ClickException(str(error)) from None
    try:
        if once:
            await refuse_emptied(store, books)
        return await run(config, store, books, once, announce, stop)
    except CannotListen as error:
        raise click.ClickException(str(error)) from None
    finally:
        books.stop()
        store.stop()


async def refuse_emptied(store: Store, books: FoundBooks) -> None:
    """A store that has lost everything has nothing to write: that is not "all is written". A writer
    that goes on waits for the rebuild instead.

    Raises: click.ClickException.
    """
    client = administrator(store.url)
    try:
        connection = await connect(books.dsn)
        try:
            await check_whose(client, connection)
        finally:
            await connection.close()
    except OtherBooks as error:
        if await client.get(keys.STORE_ID) is None:
            raise click.ClickException(sentence(error)) from None
        raise click.ClickException(OTHER_STORE) from None
    except (RedisError, OSError, asyncpg.PostgresError) as error:
        name = type(error).__name__
        raise click.ClickException(f"The store or the books gave no answer ({name}).") from None
    finally:
        await client.aclose()


async def run(
    config: Config, store: Store, books: FoundBooks, once: bool, announce: Path | None,
    stop: asyncio.Event,
) -> int:  # fmt: skip
    redis_url = store.url
    gc.set_threshold(*GC_THRESHOLDS)
    metrics, s = Metrics(), config.settle
    settings = Settings(
        batch=s.batch, linger_ms=s.linger_ms, lanes=s.lanes, parked_max=s.parked_max,
        trim_keep_s=s.trim_keep_s,
    )  # fmt: skip
    writer = Writer(
        redis_url, books.dsn, STREAMS, settings, metrics, store_keys=(keys.STORE_ID, keys.PAN_KEY)
    )  # fmt: skip
    watch = Watch(redis_url, books.dsn, metrics)
    batching = Batching(
        config, redis_url, books.dsn, SettlementMetrics(metrics.registry), SystemClock().now_ms
    )

    def health() -> Health:
        return Health(ready=not watch.trouble, reason=watch.trouble)

    with listening("metrics", s.metrics_host, s.metrics_port, "--metrics-port"):
        http = await start_http(s.metrics_host, s.metrics_port, metrics.text, health, dict)
    if not once:
        click.echo(f"metrics   http://{s.metrics_host}:{http.port}/metrics, /health")
    watching: asyncio.Future[Any] = asyncio.ensure_future(watch.run())
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    writing = asyncio.ensure_future(writer.run(once=once))
    lost: asyncio.Future[Any] = asyncio.ensure_future(until_lost(store, books))
    tasks = [watching, stopped, lost]
    if not once:
        saying = announce_when_ready(watch.has_looked, {}, http.port, announce)
        tasks.append(asyncio.ensure_future(saying))
        if s.reconcile_every_s:
            chains = ChainWatch(
                redis_url, books.dsn, metrics, s.reconcile_every_s, lambda: writer.owned > 0
            )
            tasks.append(asyncio.ensure_future(chains.run()))
        if config.settlement.batches:
            tasks.append(asyncio.ensure_future(batching.run()))
    try:
        await asyncio.wait((writing, stopped, lost), return_when=asyncio.FIRST_COMPLETED)
        writer.stop()
        try:
            await writing
        except BaseExceptionGroup as trouble:
            if trouble.subgroup(OtherStore) is None:
                raise
            raise click.ClickException(OTHER_STORE) from None
        if lost.done():
            click.echo("a server that we started has ended: its log is in its folder")
            return 1
        if once and config.settlement.batches:
            await batching.look()
        if once:
            click.echo(f"{counted(metrics.entries, 'journal entry')} written")
    finally:
        await ended(tasks)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
        await http.close()
    return 0


async def until_lost(store: Store, books: FoundBooks) -> None:
    """Until a server of our own is gone: whoever supervises us then starts all of it again."""
    ours = [server for server in (store.embedded, books.embedded) if server is not None]
    while all(server.running for server in ours):  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(WATCH_S)


class Watch:
    """Looks at the lag, whoever writes; and at what waits for a person."""

    def __init__(self, redis_url: str, dsn: str, metrics: Metrics) -> None:
        self._redis_url, self._dsn, self._metrics = redis_url, dsn, metrics
        self.trouble = "not looked yet"

    async def has_looked(self) -> bool:
        return not self.trouble

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except (OSError, TimeoutError, RedisError) as error:
                self.trouble = f"the store: {type(error).__name__}"
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.trouble = f"Postgres: {type(error).__name__}"
            await asyncio.sleep(WATCH_S)

    async def _look(self) -> None:
        """Until something is away: then it says so, and begins anew."""
        connection = await connect(self._dsn, name="authz settle watch")
        source = Source(self._redis_url, STREAMS)
        try:
            while True:
                entries, seconds = await source.lag()
                self._metrics.stands(entries, seconds, await Books(connection).count_parked())
                self._metrics.cleared(await Cleared(connection).count_open())
                self.trouble = ""
                await asyncio.sleep(WATCH_S)
        finally:
            await source.close()
            with contextlib.suppress(Exception):
                await connection.close(timeout=2)
