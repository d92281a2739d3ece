"""Which store a command talks to: the one that the configuration names, or one of our own.

Our own lives in the data folder. The first command that needs it starts it, and it ends
with that command; others that come meanwhile find it running by its address file.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)

from authz.app.embedded.process import EmbeddedError, write_privately
from authz.app.embedded.valkey import EmbeddedValkey, has_data
from authz.config import Config, ConfigError
from authz.hot import admin, library
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.privacy import PanKeys

ADDRESS = "valkey.address"  # in the data folder: the URL of the server that runs on it
PAN_KEY = "pan.key"  # likewise: the key that was drawn for it, in hex


class StoreMissing(Exception):
    """There is no store, or it does not let us in. The text says which, without a password."""


# What finding a store may raise. Each has a text for the person who asked for it.
NO_STORE = (StoreMissing, EmbeddedError, admin.NotFit, ConfigError)


class Store(Struct):
    """Where the hot state is."""

    url: str  # for the administrator
    engine_url: str  # for the engine: on a store of our own, as a user that may do little else
    embedded: EmbeddedValkey | None  # where we started it ourselves
    fresh: bool  # nothing has ever been kept in it
    id: str = ""  # its own, for good; known once somebody has asked

    def stop(self) -> None:
        if self.embedded is not None:
            self.embedded.stop()


async def find_store(config: Config, *, make: bool = True) -> Store:
    """The configured store, or our own, running; made where there is none, unless told not to.

    Raises: StoreMissing; EmbeddedError; NotFit where a configured store is weaker than it must be.
    """
    address = config.redis.address()
    if address is not None:
        store = Store(address, address, None, False)
    else:
        try:
            store = await own_store(config.embedded.data_dir.expanduser(), config.redis.fsync, make)
        except OSError as error:
            raise StoreMissing(f"The {named(config)} cannot be had: {error.strerror}.") from None
    client = admin.administrator(store.url)
    try:
        await admin.check_fit(client, config.redis.fsync)
    except (AuthenticationError, AuthorizationError, NoPermissionError):
        store.stop()
        raise StoreMissing(f"The {named(config)} refuses this user or password.") from None
    except (RedisError, OSError):
        store.stop()
        raise StoreMissing(f"The {named(config)} cannot be reached.") from None
    finally:
        await client.aclose()
    return store


def named(config: Config) -> str:
    """Which store this is, for people: an address in a configuration has no password in it."""
    if config.redis.url is not None:
        return f"store at {config.redis.url}"
    return f"store in {config.embedded.data_dir.expanduser()}"


async def own_store(data_dir: Path, fsync: str, make: bool) -> Store:
    """The server of this data folder, started unless it runs already."""
    address_file = data_dir / ADDRESS
    url = address_file.read_text().strip() if address_file.exists() else ""
    if url and await answers(url):
        return Store(url, as_engine(url), None, False)
    if not make and not has_data(data_dir):
        # Whoever only looks would leave an empty one behind, that nobody knows to be new.
        raise StoreMissing(f"There is no store in {data_dir} yet: `authz load` makes one.")
    embedded = EmbeddedValkey.start(
        data_dir,
        appendfsync="no" if fsync in ("no", "off") else fsync,  # type: ignore[arg-type]
        acl=(library.ENGINE_ACL,),
    )
    write_privately(address_file, embedded.url + "\n")
    return Store(embedded.url, as_engine(embedded.url), embedded, embedded.fresh)


async def answers(url: str) -> bool:
    try:
        connection = await connect(url, timeout_s=1.0)
    except (OSError, TimeoutError):
        return False
    connection.close()
    return True


def as_engine(url: str) -> str:
    """The same address as the user that may only do what the engine does."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc="engine:@" + parts.netloc))


def pan_keys(config: Config) -> PanKeys:
    """The key under which card numbers become directory keys.

    For a store of our own it is drawn once and kept beside the data. For any other it
    must be named: a key that is not where its store is would make every card unknown.
    Raises: ConfigError.
    """
    secret = config.pan.key_bytes()
    if secret is not None:
        return PanKeys(secret, config.pan.key_id)
    if config.redis.url is not None:
        raise ConfigError("pan.key_file: name the key that this store's cards are kept under")
    data_dir = config.embedded.data_dir.expanduser()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / PAN_KEY
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        os.write(file, secrets.token_hex(32).encode() + b"\n")
        os.fsync(file)
        os.close(file)
    return PanKeys(bytes.fromhex(path.read_text().strip()), config.pan.key_id)


async def prepare(store: Store, source: str) -> None:
    """Load the function library, and open the gates of a store that has never held anything.

    Only one of our own is opened unasked, and only in the moment of its making: an empty
    store may be one that has lost everything.
    """
    client = admin.administrator(store.url)
    try:
        await admin.install(client)
        if store.fresh and await admin.state_of_gates(client) == "new":
            await admin.open_gates(client, new=True, source=source)
    finally:
        await client.aclose()


async def learn_id(store: Store) -> None:
    """Ask which store this is: what an engine keeps for it is under that name."""
    client = admin.administrator(store.url)
    try:
        store.id = await admin.store_id(client)
    finally:
        await client.aclose()


async def check_pan_key(store: Store, config: Config) -> None:
    """Refuse a key under which the store's cards would all be unknown.

    A store of our own that was just made is tied to ours at once; any other by its first card.
    Raises: NotFit, ConfigError.
    """
    client = admin.administrator(store.url)
    try:
        await admin.check_pan_key(client, pan_keys(config).check, claim=store.fresh)
    finally:
        await client.aclose()


@asynccontextmanager
async def opened(store: Store, source: str) -> AsyncIterator[RedisHotState]:
    """The hot state for an administrator's command: library loaded, connected."""
    await prepare(store, source)
    client = admin.administrator(store.url)
    run_id = await admin.run_id(client)
    await client.aclose()
    state = RedisHotState()
    connection = await connect(store.url)
    state.attach(connection, run_id)
    try:
        yield state
    finally:
        connection.close()
