"""One piece of work at the store, for a command: let in, and told in words what is wrong."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz.app.commands.load import let_in
from authz.app.looking import NotThere
from authz.app.output import sentence
from authz.app.store import NO_STORE, Store, find_store
from authz.config import Config
from authz.hot import admin
from authz.hot.errors import HotStateError

T = TypeVar("T")


async def at_store(
    config: Config,
    source: str,
    work: Callable[[Redis, Store], Awaitable[T]],
    *,
    lets_in: bool = True,
) -> T:
    """What the work gives. `lets_in`: with gates open, which work that only looks can do without.

    Raises: click.ClickException, where there is no store or it refuses.
    """
    try:
        store = await find_store(config, make=False)
    except NO_STORE as error:
        raise click.ClickException(str(error)) from None
    client = admin.administrator(store.url)
    try:
        if lets_in:
            await let_in(store, client, new_store=False, source=source)
        return await work(client, store)
    except (NotThere, admin.NotFit) as error:
        raise click.ClickException(sentence(error)) from None
    except (HotStateError, RedisError, OSError) as error:
        raise click.ClickException(
            f"The store gave no answer ({type(error).__name__}). Run it again."
        ) from None
    finally:
        await client.aclose()
        store.stop()
