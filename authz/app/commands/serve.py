"""authz serve: the engine."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import click
import uvloop

from authz.app.announce import CannotListen, announce_when_ready, tell
from authz.app.compose import running
from authz.app.options import COMMON, read_config, without_url
from authz.app.reloading import reloading
from authz.app.spools import SpoolsTaken, spools_locked
from authz.app.store import NO_STORE, Store, check_pan_key, find_store, learn_id, prepare
from authz.config import Config, ConfigError
from authz.hot.admin import NotFit
from authz.log import set_up_log
from authz.wire.networks import NETWORKS
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS

STORE_LOOK_S = 0.5  # between looks at a store of our own

EXAMPLES = """
\b
Examples:
  authz serve                          on 127.0.0.1:8583, with a store of its own
  authz serve --port 9000 --dialect iso87_binary --framing ascii4
  authz serve --config authz.toml      several listeners, an own Redis, secrets by file

\b
Exit codes:
  0  ended by SIGTERM or SIGINT
  1  it could not start (a port, the store, another engine on it), or its own store ended
  2  wrong use, or a wrong configuration
"""


@click.command(epilog=EXAMPLES)
@click.option("--host", help="Address to listen on. [127.0.0.1]")
@click.option("--port", type=int, help="Port for ISO 8583; 0 is any free one. [8583]")
@click.option("--dialect", help=f"{', '.join(BY_NAME)}. [iso87_ascii]")
@click.option("--framing", help=f"{', '.join(FRAMINGS)}. [binary2]")
@click.option("--network", help=f"{', '.join(NETWORKS)}. [the dialect's]")
@click.option("--no-sign-on", is_flag=True, help="Take requests before an 0800 sign-on.")
@click.option("--workers", type=int, help="Engine processes. [1]")
@click.option("--metrics-port", type=int, help="Port of /metrics, /health, /latency. [9583]")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Where the spool is kept.")
@click.option(
    "--announce", type=click.Path(path_type=Path), help="Write ports here as JSON, once ready."
)
def command(announce: Path | None, **given: Any) -> None:
    """Answer card networks: ISO 8583 over TCP, with the money held in Redis."""
    config = config_of(given)
    set_up_log()
    if config.engine.workers > 1:
        from authz.app.workers import serve_with_workers

        code = asyncio.run(serve_with_workers(config, announce))
    else:
        code = uvloop.run(serve(config, announce))
    raise SystemExit(code)


for option in reversed(COMMON):
    command = option(command)


def config_of(given: dict[str, Any]) -> Config:
    """The configuration, with this command's flags over it."""
    flags = {
        "link.host": given["host"],
        "link.port": given["port"],
        "link.dialect": given["dialect"],
        "link.framing": given["framing"],
        "link.network": given["network"],
        "link.sign_on_required": False if given["no_sign_on"] else None,
        "engine.workers": given["workers"],
        "engine.state_dir": given["state_dir"],
        "metrics.port": given["metrics_port"],
        "redis.url": given["redis_url"],
        "embedded.data_dir": given["data_dir"],
        "pan.key_file": given["pan_key_file"],
    }
    config = read_config(given["config_file"], flags)
    return without_url(config) if given["embedded"] else config


async def serve(config: Config, announce: Path | None) -> int:
    """Run until SIGTERM or SIGINT; in-flight requests are answered first."""
    code = 0
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        store = await find_store(config)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    try:
        await prepare(store, "authz serve")
        await learn_id(store)
        await check_pan_key(store, config)
        async with (
            spools_locked(config, store.id),
            reloading(config.rules.file, store.url, stop),
            running(config, store) as run,
        ):
            tell(config, run.ports, run.http_port)
            waiting = asyncio.ensure_future(stop.wait())
            ready = asyncio.ensure_future(
                announce_when_ready(run.is_ready, run.ports, run.http_port, announce)
            )
            lost = asyncio.ensure_future(until_lost(store))
            await asyncio.wait((waiting, lost), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                click.echo("the store that we started has ended: see valkey.log in its data folder")
                code = 1
            lost.cancel()
            waiting.cancel()
            click.echo("stopping: what is in flight is answered first")
            ready.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ready
    except (SpoolsTaken, CannotListen, NotFit, ConfigError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        store.stop()
    return code


async def until_lost(store: Store) -> None:
    """Until a store of our own is gone: whoever supervises us then starts both again."""
    while store.embedded is None or store.embedded.running:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(STORE_LOOK_S)
