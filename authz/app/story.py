"""Where a story is told: an engine and a store of our own, or one that runs; and how it reads."""

import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import click
from redis.asyncio import Redis

from authz.app.child import EngineProcess
from authz.app.embedded.process import EmbeddedError, write_privately
from authz.app.embedded.valkey import EmbeddedValkey
from authz.app.looking import look_at_account
from authz.app.plain_text import money
from authz.app.store import Store, as_engine, find_store, opened, pan_keys
from authz.clock import SystemClock
from authz.config import Config
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, library
from authz.hot.errors import HotStateError
from authz.privacy import Pan, PanKeys
from authz.simulator.stories import CURRENCY, OPENING_MINOR, STORIES, Story
from authz.simulator.story_messages import Composer, Tongue
from authz.simulator.storyteller import Balance, NoAnswer, Told, line_to, tell
from iso8583.describe import name_of, show
from iso8583.message import Message
from iso8583.spec import Dialect
from rules.facts import AccountProfile, AccountState

# What telling may end in: no engine, a store that is silent, a server that does not start.
TROUBLE = (NoAnswer, HotStateError, EmbeddedError, RuntimeError)
BIN = "999903"  # a range that no issuer has
SOURCE = "authz simulate --story"


class Stage:
    """An engine, its store, and a new account with a new card for each telling."""

    def __init__(
        self,
        store: Store,
        keys: PanKeys,
        line: Callable[[Tongue], Awaitable[tuple[str, int]]],
        framing: str | None = None,
    ) -> None:
        self._store, self._keys, self._line, self._framing = store, keys, line, framing
        self._clock = SystemClock()

    async def tell(self, story: Story, hear: Callable[[Told], None]) -> bool:
        """Whether it went as the table says. Raises: NoAnswer, HotStateError."""
        # Every telling has numbers of its own, or its messages would be repeats of another one's.
        # A card number's check digit is of no interest here.
        pan, account_id = f"{BIN}{secrets.randbelow(10**10):010}", f"story-{secrets.token_hex(8)}"
        host, port = await self._line(story.tongue)
        await self._open(account_id, pan)
        composer = Composer(
            story.steps, story.tongue, pan, self._clock.now_ms(), secrets.randbelow(1_000_000)
        )
        client = admin.administrator(self._store.url)
        try:
            async with line_to(host, port, story.tongue, self._clock, self._framing) as line:
                return await tell(story, line, composer, lambda: balance(client, account_id), hear)
        finally:
            await client.aclose()

    async def _open(self, account_id: str, pan: str) -> None:
        profile = AccountProfile(
            account_id=account_id, program="stories", currency=CURRENCY, credit_line_minor=0,
            time_zone="UTC", state=AccountState.ACTIVE,
        )  # fmt: skip
        account = NewAccount(profile=profile, opening_minor=OPENING_MINOR)
        card = NewCard(pan=Pan(pan), account_id=account_id, expiry="3012")
        async with opened(self._store, SOURCE) as state:
            await put_accounts(state, [account], SOURCE)
            await put_cards(state, self._keys, [card], SOURCE)


async def balance(client: Redis, account_id: str) -> Balance:
    found = await look_at_account(client, account_id)
    return Balance(found["held_minor"], found["available_minor"])


@asynccontextmanager
async def own_stage() -> AsyncIterator[Stage]:
    """A store of our own, and an engine for each tongue that is spoken; gone afterwards.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    engines: dict[Tongue, EngineProcess] = {}
    with tempfile.TemporaryDirectory(prefix="authz-story-") as scratch:
        folder, secret = Path(scratch), secrets.token_hex(32)
        write_privately(folder / "pan.key", secret + "\n")
        with EmbeddedValkey.start(folder / "store", acl=(library.ENGINE_ACL,)) as valkey:
            store = Store(valkey.url, as_engine(valkey.url), valkey, fresh=True)

            async def line(tongue: Tongue) -> tuple[str, int]:
                if tongue not in engines:
                    home = folder / f"engine-{len(engines)}"
                    home.mkdir()
                    engines[tongue] = EngineProcess(
                        home, "--redis", valkey.url, "--pan-key-file", str(folder / "pan.key"),
                        "--dialect", tongue.dialect_name, "--network", tongue.network,
                    )  # fmt: skip
                    engines[tongue].wait_until_ready()
                return "127.0.0.1", engines[tongue].port

            try:
                async with opened(store, SOURCE):  # the gates of a new store are ours to open
                    pass
                yield Stage(store, PanKeys(bytes.fromhex(secret)), line, "binary2")
            finally:
                for engine in engines.values():
                    engine.stop()


@asynccontextmanager
async def stage_beside(
    config: Config, host: str, port: int, framing: str | None
) -> AsyncIterator[Stage]:
    """An engine that runs, whose store this configuration names. Raises: NO_STORE."""
    store = await find_store(config, make=False)

    async def line(tongue: Tongue) -> tuple[str, int]:
        return host, port

    try:
        yield Stage(store, pan_keys(config), line, framing)
    finally:
        store.stop()


# -- for people ---------------------------------------------------------------------


def listed() -> str:
    width = max(len(story.name) for story in STORIES)
    return "\n".join(f"{story.name:<{width}}  {story.about}" for story in STORIES)


def headline(story: Story) -> str:
    return f"{story.name}: {story.about}"


async def tell_aloud(stage: Stage, story: Story) -> bool:
    """Step by step on standard output. Raises: TROUBLE."""
    click.echo(headline(story))
    ok = await stage.tell(story, lambda told: click.echo(as_text(told, story.tongue)))
    click.echo("as told\n" if ok else "NOT as told\n")
    return ok


def as_text(told: Told, tongue: Tongue) -> str:
    """One step: who said what, both messages element by element, masked, and the balance."""
    step, dialect = told.step, tongue.dialect
    lines = [f"{told.number}. The {step.who} {step.says}.", *messages(told, dialect)]
    if told.balance is not None:
        held, available = told.balance.held, told.balance.available
        lines.append(f"   held {money(held, CURRENCY)}, available {money(available, CURRENCY)}")
    lines += [f"   NOT AS IN THE STORY: {what}" for what in told.differs]
    return "\n".join(lines)


def messages(told: Told, dialect: Dialect) -> list[str]:
    """Two columns: what was sent and what came back."""
    rows = [("", "", told.sent.mti, told.answer.mti)]
    for number in sorted({*told.sent, *told.answer}):
        sent, came = (shown(number, side, dialect) for side in (told.sent, told.answer))
        rows.append((str(number), name_of(number, dialect), sent, came))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"   {de:>{widths[0]}}  {name:<{widths[1]}}  {sent:<{widths[2]}}  {came}".rstrip()
        for de, name, sent, came in rows
    ]


def shown(number: int, message: Message, dialect: Dialect) -> str:
    return show(number, message[number], dialect) if number in message else ""
