"""The policy file of the configuration, put in force by `authz serve`: at its start, and at SIGHUP.

A file that is wrong is told in the log with its line, and replaces nothing. Every engine of the
store has the policy from the next message on, whichever process was told to read it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import structlog
from redis.exceptions import RedisError

from authz.app.compose import ended
from authz.app.policy_file import fitting, read
from authz.hot import admin
from authz.hot.errors import HotStateError
from authz.judgement import put_policy, texts_in_force
from rules.fx import read_rates
from rules.policy import Policy

log = structlog.get_logger()

# Between tries while the store's gates are closed: an audit or a load has to open them.
AGAIN_S = 1.0


@asynccontextmanager
async def reloading(
    file: Path | None, url: str, stop: asyncio.Event, *, at_start: bool = True
) -> AsyncIterator[None]:
    """The file is in force when the block begins, and read again at SIGHUP until it ends.

    Raises: click.ClickException.
    """
    one = Reloading(file, url, stop)
    one.listen()
    if at_start:
        await one.first()
    running = asyncio.ensure_future(one.run())
    try:
        yield
    finally:
        await ended([running])


class Reloading:
    """Reads the file when it is asked to; any number of requests meanwhile are one more."""

    def __init__(self, file: Path | None, url: str, stop: asyncio.Event) -> None:
        self._file = file
        self._url = url  # of the store, as an administrator
        self._stop = stop
        self._asked = asyncio.Event()
        self._had_terminal = os.isatty(0)

    def listen(self) -> None:
        """From now on SIGHUP means to read the file; but where our terminal was closed, to end."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        if self._had_terminal and not os.isatty(0):
            self._stop.set()
        elif self._file is None:
            log.warning("policy_not_reloaded", why="no file is configured (rules.file)")
        else:
            self._asked.set()

    async def first(self) -> None:
        """Put the file in force, if there is one, before anything is answered.

        One that is wrong leaves the policy in force, of which there must be one. Raises:
        click.ClickException.
        """
        if self._file is None:
            return
        try:
            await self._load(self._file)
        except click.ClickException as error:
            log.error("policy_refused", why=error.message)
            client = admin.administrator(self._url)
            try:
                in_force, _ = await texts_in_force(client)
            finally:
                await client.aclose()
            if not in_force:
                raise click.ClickException(
                    f"rules.file: {error.message}; and no policy is in force"
                ) from None
        except (HotStateError, RedisError, OSError):
            self._asked.set()  # its gates are closed yet

    async def run(self) -> None:
        """Until cancelled."""
        is_told = False
        while True:
            await self._asked.wait()
            self._asked.clear()
            assert self._file is not None
            try:
                await self._load(self._file)
                is_told = False
            except click.ClickException as error:
                log.error("policy_refused", why=error.message)
            except (HotStateError, RedisError, OSError) as error:
                if not is_told:
                    log.warning("policy_waits_for_the_store", error=type(error).__name__)
                is_told = True
                self._asked.set()
                await asyncio.sleep(AGAIN_S)

    async def _load(self, file: Path) -> None:
        """Raises: click.ClickException, of the file; HotStateError, redis.RedisError, OSError."""
        policy, text = await asyncio.to_thread(read, file)
        source = f"authz serve, {file.name}"
        client = admin.administrator(self._url)
        try:
            _, rates = await texts_in_force(client)
            fitting(policy, read_rates(rates) if rates else None, file)
            version, changed = await put_policy(client, text, source)
        finally:
            await client.aclose()
        tell(policy, file, version, changed)


def tell(policy: Policy, file: Path, version: int, changed: bool) -> None:
    said = "policy_in_force" if changed else "policy_was_in_force"
    log.info(said, file=file.name, policy=policy.version, judgement=version)
