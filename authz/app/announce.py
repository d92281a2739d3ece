"""Saying where an engine listens: to the person who started it, and to a program that waits."""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from authz.config import Config

POLL_S = 0.01


class CannotListen(Exception):
    """An address is not to be had. The text says which, and what to do."""


@contextmanager
def listening(what: str, host: str, port: int, option: str) -> Iterator[None]:
    """Raises: CannotListen for OSError, by name of the port."""
    try:
        yield
    except OSError as error:
        where = f"{what} port {port} is taken (on {host})"
        if error.errno != errno.EADDRINUSE:
            where = f"{what} port {port} on {host} cannot be used ({error.strerror})"
        raise CannotListen(f"The {where}: name another with {option}.") from None


def tell(config: Config, ports: dict[str, int], http_port: int) -> None:
    """Where it listens. `ports` by the links' names."""
    for link in config.links:
        where = f"to {link.connect}" if link.connect else f"{link.host}:{ports[link.name]}"
        click.echo(f"ISO 8583  {where}  {link.dialect}, {link.framing}")
    click.echo(f"metrics   http://{config.metrics.host}:{http_port}/metrics, /health, /latency")


async def announce_when_ready(
    is_ready: Callable[[], Awaitable[bool]],
    ports: dict[str, int],
    http_port: int,
    file: Path | None,
) -> None:
    """Say once that requests are decided from now on; in a file as well, as JSON."""
    while not await is_ready():  # noqa: ASYNC110 - readiness comes and goes; it is no event
        await asyncio.sleep(POLL_S)
    click.echo("ready")
    if file is not None:
        part = file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode({"ports": ports, "http_port": http_port}))
        part.rename(file)  # whoever waits for the file never sees half of it
