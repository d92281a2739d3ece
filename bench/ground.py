"""What a drill is held on: two servers whose folders may be destroyed, an engine and a writer."""

import asyncio
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError

import msgspec

from authz.app.books import FOR_BOOKS
from authz.app.child import EngineProcess, WriterProcess
from authz.app.embedded.binaries import installation, site_folder, unprivileged_user
from authz.app.embedded.postgres import CLUSTER, EmbeddedPostgres, give
from authz.app.embedded.process import write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.people import load_population
from authz.app.store import Store, as_engine, opened
from authz.clock import SystemClock, utc
from authz.hot import admin, keys, library
from authz.privacy import PanKeys
from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from ledger.source import Source

SEED = 1
STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
READY_S = 120.0
LOOK_S = 0.02
DRAIN_S = 60.0


class Ground:
    """Two servers whose folders may be destroyed, an engine and a writer beside them."""

    def __init__(self, folder: Path, cards: int) -> None:
        self.folder = folder
        self.secret = secrets.token_bytes(32)
        self.key_file = folder / "pan.key"
        write_privately(self.key_file, self.secret.hex() + "\n")
        self.valkey = self.start_valkey()
        self.postgres = self.start_postgres()
        self.writer: WriterProcess | None = None
        today = utc(SystemClock().now_ms()).date()
        self.population = make_population(SEED, cards, today)
        self.traffic = Traffic(self.population, make_merchants(SEED), SEED, first_day=today)

    @property
    def store_folder(self) -> Path:
        return self.folder / "store"

    @property
    def books_folder(self) -> Path:
        return self.folder / "books"

    def start_valkey(self) -> EmbeddedValkey:
        return EmbeddedValkey.start(
            self.store_folder, appendfsync="always", acl=(library.ENGINE_ACL,)
        )

    def start_postgres(self) -> EmbeddedPostgres:
        return EmbeddedPostgres.start(self.books_folder, settings=FOR_BOOKS)

    async def begin(self) -> None:
        store = Store(self.valkey.url, as_engine(self.valkey.url), self.valkey, fresh=True)
        async with opened(store, "drill") as state:
            await load_population(state, PanKeys(self.secret), self.population, "drill")
        client = admin.administrator(self.valkey.url)
        await admin.check_pan_key(client, PanKeys(self.secret).check, claim=True)
        # While it is copied, a file must not be replaced by another.
        await client.config_set("auto-aof-rewrite-percentage", 0)
        await client.aclose()
        self.engine = EngineProcess(
            self.folder, "--redis", self.valkey.url, "--pan-key-file",
            str(self.key_file),
        )  # fmt: skip
        self.engine.wait_until_ready()
        await self.start_writer()

    async def start_writer(self) -> None:
        self.writer = WriterProcess(self.folder, self.valkey.url, self.postgres.dsn)
        await asyncio.to_thread(self.writer.wait_until_ready)

    def stop_writer(self) -> None:
        if self.writer is not None:
            self.writer.kill()
            self.writer = None

    async def drained(self) -> None:
        source, until = Source(self.valkey.url, STREAMS), monotonic() + DRAIN_S
        try:
            while (await source.lag())[0]:
                if monotonic() > until:
                    raise RuntimeError("the journal is not drained")
                await asyncio.sleep(LOOK_S)
        finally:
            await source.close()

    async def is_ready(self) -> bool:
        try:
            health = await asyncio.to_thread(self.engine.ask, "/health")
        except (HTTPError, OSError):
            return False
        return b'"ready":true' in health

    async def until_ready(self) -> None:
        until = monotonic() + READY_S
        while not await self.is_ready():
            if monotonic() > until:
                raise RuntimeError("the engine did not become ready")
            await asyncio.sleep(LOOK_S)

    # -- backups and their return --------------------------------------------------------

    def back_up_books(self) -> Path:
        """A base backup, as any Postgres gives one."""
        into = self.folder / "backup" / CLUSTER
        into.parent.mkdir(exist_ok=True)
        shutil.rmtree(into, ignore_errors=True)
        install = installation(site_folder(), unprivileged_user())
        subprocess.run(
            [
                install / "bin" / "pg_basebackup", "--pgdata", into, "--dbname", self.postgres.dsn,
                "--checkpoint", "fast", "--wal-method", "stream", "--no-sync",
            ],
            check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return into

    def copy_store(self) -> Path:
        """Its append-only file as it lies there; a cut end is dropped when it is read."""
        into = self.folder / "backup" / "appendonlydir"
        into.parent.mkdir(exist_ok=True)
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(self.store_folder / "appendonlydir", into)
        return into

    def destroy_store(self) -> None:
        self.valkey.kill()
        shutil.rmtree(self.store_folder)

    def destroy_books(self) -> None:
        self.postgres.kill()
        shutil.rmtree(self.books_folder)

    def restore_books(self, backup: Path) -> None:
        self.books_folder.mkdir(mode=0o700)
        user = unprivileged_user()
        if user is not None:
            self.books_folder.chmod(0o711)  # passed through, as the embedded server has it
        shutil.copytree(backup, self.books_folder / CLUSTER)
        (self.books_folder / CLUSTER).chmod(0o700)
        for path in [self.books_folder / CLUSTER, *(self.books_folder / CLUSTER).rglob("*")]:
            give(path, user)
        self.postgres = self.start_postgres()

    def restore_store(self, copy: Path | None) -> None:
        """From its copy, or with nothing in it."""
        if copy is not None:
            self.store_folder.mkdir(mode=0o700)
            shutil.copytree(copy, self.store_folder / "appendonlydir")
        self.valkey = self.start_valkey()

    def rebuild(self) -> dict[str, Any]:
        """The command, as a person runs it."""
        done = subprocess.run(
            [
                sys.executable, "-m", "authz", "rebuild", "--redis", self.valkey.url,
                "--postgres", self.postgres.dsn, "--pan-key-file", str(self.key_file),
                "--json", "-",
            ],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found: dict[str, Any] = msgspec.json.decode(done.stdout)
        return found

    def stop(self) -> None:
        if hasattr(self, "engine"):
            self.engine.stop()
        self.stop_writer()
        self.postgres.stop()
        self.valkey.stop()


@asynccontextmanager
async def ground(folder: Path, cards: int) -> AsyncIterator[Ground]:
    here = Ground(folder, cards)
    try:
        await here.begin()
        yield here
    finally:
        await asyncio.to_thread(here.stop)
