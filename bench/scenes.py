"""What can go wrong under a steady load, each made on purpose, for real, and for a short while."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from authz.hot.admin import administrator
from bench.machine import fdatasync_ms
from bench.slow_link import SlowLink
from bench.stand import Stand
from ledger.database import connect

PAUSE_MS = 100
FSYNC_S = 2.0
FSYNC_BYTES = 4 << 20  # written and made durable at a time by each competing writer
FSYNC_WRITERS = 2
SLOW_S = 2.0
LOOK_S = 0.02
REWRITE_MAX_S = 15.0
COLLECT_MAX_S = 5.0
PROBES = 50  # of the disk, while it is kept busy


class Ground(Struct):
    """What the troubles are made on."""

    stood: Stand
    folder: Path  # on the disk of the store's append-only file
    collected: Path  # where the engine says how long a collection took
    slow_link: SlowLink
    overload_s: float = 0.0

    @property
    def store(self) -> Redis:
        return administrator(self.stood.valkey.url)


Facts = dict[str, Any]


class Scene(Struct, frozen=True, kw_only=True):
    """One trouble."""

    name: str
    title: str
    what: str  # was done, in one sentence
    make: Callable[[Ground], Awaitable[Facts]]  # returns when it is over
    books: bool = False  # it cannot be made without them
    overload: bool = False  # the load itself is the trouble
    slow_link: bool = False  # link 0 goes through the proxy, and is told apart


async def pause(ground: Ground) -> Facts:
    client = ground.store
    try:
        await client.client_pause(PAUSE_MS, all=False)
        await asyncio.sleep(PAUSE_MS / 1e3)
    finally:
        await client.aclose()
    return {"pause_ms": PAUSE_MS}


async def fsync(ground: Ground) -> Facts:
    until = monotonic() + FSYNC_S
    writers = [
        asyncio.to_thread(keep_disk_busy, ground.folder / f"busy-{n}", until)
        for n in range(FSYNC_WRITERS)
    ]
    disk, rounds = await asyncio.gather(
        asyncio.to_thread(fdatasync_ms, ground.folder, PROBES), asyncio.gather(*writers)
    )
    written = sum(rounds) * FSYNC_BYTES
    return {"fdatasync_ms": disk, "written_mb": round(written / 1e6), "fsyncs": sum(rounds)}


def keep_disk_busy(path: Path, until: float) -> int:
    """Write and fsync, again and again, in the same place. Returns how often."""
    block, times = os.urandom(FSYNC_BYTES), 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while not times or monotonic() < until:
            os.pwrite(file, block, 0)
            os.fsync(file)
            times += 1
    finally:
        os.close(file)
        path.unlink()
    return times


async def checkpoint(ground: Ground) -> Facts:
    assert ground.stood.books is not None
    connection = await connect(ground.stood.books.dsn, name="authz bench")
    try:
        began = monotonic()
        await connection.execute("CHECKPOINT")
        return {"checkpoint_ms": round((monotonic() - began) * 1e3, 1)}
    finally:
        await connection.close()


async def collection(ground: Ground) -> Facts:
    """Raises: TimeoutError, where the engine says nothing of it."""
    before = len(told_by(ground.collected))
    os.kill(ground.stood.engine.pid, signal.SIGUSR2)
    async with asyncio.timeout(COLLECT_MAX_S):
        while True:
            told = told_by(ground.collected)
            if len(told) > before:
                return {"collection_ms": round(told[-1] * 1e3, 2)}
            await asyncio.sleep(LOOK_S)


def told_by(path: Path) -> list[float]:
    if not path.exists():
        return []
    whole = path.read_text(encoding="ascii").rpartition("\n")[0]
    return [float(line) for line in whole.splitlines()]


async def drip(ground: Ground) -> Facts:
    ground.slow_link.slow = True
    try:
        await asyncio.sleep(SLOW_S)
    finally:
        ground.slow_link.slow = False
    return {"slow_s": SLOW_S}


async def overload(ground: Ground) -> Facts:
    await asyncio.sleep(ground.overload_s)
    return {}


async def rewrite(ground: Ground) -> Facts:
    """Raises: TimeoutError, where it takes too long; RuntimeError, where it fails."""
    client = ground.store
    try:
        began, before = monotonic(), await client.info("persistence")
        await client.bgrewriteaof()
        async with asyncio.timeout(REWRITE_MAX_S):
            while True:
                now = await client.info("persistence")
                if not now["aof_rewrite_in_progress"] and not now["aof_rewrite_scheduled"]:
                    break
                await asyncio.sleep(LOOK_S)
        if now["aof_last_bgrewrite_status"] != "ok":
            raise RuntimeError("the rewrite of the append-only file failed")
        return {
            "rewrite_s": round(monotonic() - began, 2),
            "aof_mb_before": round(before["aof_current_size"] / 1e6, 1),
            "aof_mb_after": round(now["aof_current_size"] / 1e6, 1),
        }
    finally:
        await client.aclose()


SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            name="pause", title="The store pauses for 100 ms", make=pause,
            what="CLIENT PAUSE 100 WRITE: whatever writes waits, functions among it.",
        ),
        Scene(
            name="fsync", title="The disk is busy for 2 s", make=fsync,
            what="Two others write and fsync 4 MB again and again, on the disk of the append-only"
            " file. The disk slows down by it; it is not made to stand still.",
        ),
        Scene(
            name="checkpoint", title="A checkpoint of Postgres", make=checkpoint, books=True,
            what="CHECKPOINT, in the books' database.",
        ),
        Scene(
            name="gc", title="A full garbage collection in the engine", make=collection,
            what="SIGUSR2 to an engine that collects all its garbage by it; what it froze at its"
            " start stays out of that, as always.",
        ),
        Scene(
            name="slow-link", title="One of the links is slow for 2 s", make=drip, slow_link=True,
            what="A proxy lets 256 bytes pass each 10 ms, in both directions, and then all that"
            " has gathered at once. The figures are the other links'.",
        ),
        Scene(
            name="overload", title="Twice the capacity", make=overload, overload=True,
            what="Twice the rate at which a closed loop was answered just before.",
        ),
        Scene(
            name="rewrite", title="The append-only file is rewritten", make=rewrite,
            what="BGREWRITEAOF, once; automatic rewrites are off in all scenes.",
        ),
    )
}  # fmt: skip
