"""The spools of withdrawals of one engine: where they lie, for which store, and that they are ours.

A withdrawal is for the store that its attempt was sent to, and for no other: there it would
be answered "marked" and struck off, and the hold would stay. So each store has files of its
own, by its permanent id, one for each worker. An engine that comes back to a store finds them.

Two engines must not work on the same files: each would strike off what the other had noted.
So an engine holds a lock on those of its store for as long as any process of it lives.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from authz.app.embedded.process import try_lock
from authz.clock import SystemClock
from authz.config import Config
from authz.withdrawals import Withdrawals, Withdrawer, read_spool

log = structlog.get_logger()

# An engine that was killed a moment ago may have workers that still finish what is in flight:
# the server's two seconds for that, and an orderly end.
LOCK_WAIT_S = 3.0


class SpoolsTaken(RuntimeError):
    """Another engine has this store's spools. The text names the file."""


@asynccontextmanager
async def spools_locked(config: Config, store_id: str) -> AsyncIterator[int]:
    """The lock, as a descriptor: who inherits it holds it, too. Raises: SpoolsTaken, OSError."""
    folder = folder_of(config)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"withdrawals-{store_id}.lock"
    clock = SystemClock()
    until = clock.monotonic() + LOCK_WAIT_S
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        while not try_lock(descriptor):
            if clock.monotonic() > until:
                raise SpoolsTaken(
                    f"An engine is already running on this store: {path} is locked. "
                    "Stop it, or give this one another folder with --state-dir."
                )
            await asyncio.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def open_spool(
    config: Config, store_id: str, hot: Withdrawer, told: Callable[[str], None]
) -> Withdrawals:
    """This worker's spool. The first worker takes over those of workers there are no more."""
    folder = folder_of(config)
    worker = int(os.environ.get("AUTHZ_WORKER", "0"))
    ours = f"withdrawals-{store_id}-"
    spool = Withdrawals(folder / f"{ours}{worker}.jsonl", hot, told)
    if worker == 0:
        for path in sorted(folder.glob("withdrawals-*.jsonl")):
            number = path.stem.rpartition("-")[2]
            if not path.name.startswith(ours):
                tell_of_anothers(path)
            elif number.isdigit() and int(number) >= config.engine.workers:
                spool.adopt(path)
    return spool


def tell_of_anothers(path: Path) -> None:
    """Not worked off here, and left where it is: an engine of its store will."""
    pending = len(read_spool(path))
    if pending:
        log.warning("spool_of_another_store", file=str(path), pending=pending)


def folder_of(config: Config) -> Path:
    return config.engine.state_dir.expanduser()
