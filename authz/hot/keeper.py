"""Keeps the engine connected to its store, and knows whether it may be trusted.

On each connect it reads the store's run id. Another run than the gates were opened for
means a restart, a failover or a flush: the gates stay shut, and every request is told
91, until the state has been audited. Another store behind the same address is not asked at
all: what the engine remembers of cards, and has to withdraw, is of the one it was started for.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from authz.clock import Clock
from authz.hot import keys
from authz.hot.admin import EMPTY, LAYOUT, OTHER_KEY, OTHER_LAYOUT, UNFINISHED
from authz.hot.errors import HotStateError, Refused
from authz.hot.resp import Connection, connect
from authz.hot.store import RedisHotState

log = structlog.get_logger()

CALL_S = 2.0  # for the keeper's own calls: nobody waits for them
LOOK_S = 0.5  # between looks at the gates and the store's clock
# Between audits that did not open the gates; the last one repeats. Each reads the whole store, and
# whoever mends it by hand waits a minute at most. Gates that others open are seen at the next look.
AUDIT_AGAIN_S = (1.0, 5.0, 15.0, 60.0)
BACK_OFF_S = (0.02, 0.05, 0.1, 0.2, 0.5)  # between attempts to connect; the last one repeats

Reopen = Callable[[str], Awaitable[str]]  # run id -> "" when the gates are open, else why not


class Keeper:
    """One engine's connection, from first connect to last. `run` is its task."""

    def __init__(
        self,
        url: str,
        hot: RedisHotState,
        clock: Clock,
        reopen: Reopen,
        on_ready: Callable[[int], Awaitable[None]],
        store_id: str = "",  # of the only store that is ours; "" for any
        pan_check: str = "",  # of our PAN key; "" for any
        forget: Callable[[], None] = lambda: None,  # what was learnt of a store that lost it
    ) -> None:
        self.ready = False
        self.why_not = "connecting to the hot state"
        self._was_ready = False  # ever
        self._url = url
        self._hot = hot
        self._clock = clock
        self._reopen = reopen
        self._on_ready = on_ready  # with the store's clock less ours, in ms
        self._store_id = store_id
        self._pan_check = pan_check
        self._forget = forget
        self._rebuilt: bytes | None = b""  # how often the store was, at the last look; b"": no look
        self._lost = asyncio.Event()
        self._refusals = 0  # audits of this run of the store that did not open its gates,
        self._refused = ""  # why the last of them did not,
        self._audit_from = 0.0  # and when there may be another

    async def run(self) -> None:
        """Connect, watch, connect again; until cancelled."""
        failures = 0
        while not is_cancelled():
            try:
                self._lost.clear()
                connection = await connect(self._url, self._lost.set)
                failures = 0
                try:
                    await self._watch(connection)
                finally:
                    self._hot.detach()
                    connection.close()
            except (OSError, TimeoutError, HotStateError) as error:
                self._not_ready(f"the hot state cannot be reached ({type(error).__name__})")
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
            except Exception as error:  # the engine must not be left without its keeper
                log.error("keeper_failed", error=type(error).__name__)
                self._not_ready(f"looking at the hot state failed ({type(error).__name__})")
                await asyncio.sleep(BACK_OFF_S[-1])

    async def _watch(self, connection: Connection) -> None:
        """Look at the gates until the connection is lost. Raises: HotStateError."""
        run_id = await store_run_id(connection)
        self._refusals, self._refused = 0, ""
        while connection.connected and not is_cancelled():
            if self._store_id not in ("", await store_id(connection)):
                self._hot.detach()
                self._not_ready(
                    "this is not the store that the engine was started for, or it was emptied: "
                    "authz rebuild gives it back what the books have; or load accounts into it "
                    "if it is empty, and start the engine again"
                )
            elif await self._has_another_key(connection):
                self._hot.detach()
                self._not_ready(OTHER_KEY)
            elif await self._is_being_rebuilt(connection):
                self._hot.detach()
                self._not_ready(UNFINISHED)
            else:
                self._hot.attach(connection, run_id)
                await self._look(connection, run_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._lost.wait()
        self._not_ready("the connection to the hot state was lost")

    async def _is_being_rebuilt(self, connection: Connection) -> bool:
        """Whether it is; and where it was since the last look, all is forgotten that was learnt of
        the store before: its last moments may be lost, and a version come again and say something
        else."""
        times: bytes | None = await connection.call(("GET", keys.REBUILT), CALL_S)
        since: bytes | None = await connection.call(("GET", keys.REBUILDING), CALL_S)
        if self._rebuilt not in (b"", times):
            self._hot.detach()
            self._forget()
            log.warning("store_was_rebuilt")
        self._rebuilt = times
        return since is not None

    async def _has_another_key(self, connection: Connection) -> bool:
        """Whether its cards are kept under another PAN key: every one of them would be unknown."""
        found: bytes | None = await connection.call(("GET", keys.PAN_KEY), CALL_S)
        return bool(self._pan_check) and found not in (None, self._pan_check.encode())

    async def _look(self, connection: Connection, run_id: str) -> None:
        """Whether requests are decided from now on. Raises: HotStateError."""
        offset_ms = await self._clock_offset_ms(connection)
        state = await gates(connection, run_id)
        if state == "shut":
            state = await self._audit(run_id) or await gates(connection, run_id)
        if state == "open" and not await has_library(connection):
            self._not_ready("the function library is missing")
            state = await self._reopen(run_id) or await gates(connection, run_id)
        if state == "open":
            await self._on_ready(offset_ms)
            if not self.ready:
                log.info("ready", store_run=run_id[:8])
            self.ready, self.why_not, self._was_ready = True, "", True
        elif state == "new":
            self._not_ready(f"{EMPTY}; with authz load --new-store, if it is a new one")
        else:
            self._not_ready(f"the gates are not open: {state}")

    async def _audit(self, run_id: str) -> str:
        """ "" when the gates are open, else why not: as the last audit told, until the next."""
        if self._refused and self._clock.monotonic() < self._audit_from:
            return self._refused
        if not self._refused:
            # Of a store that this engine has not seen before, nothing else is to be expected.
            self._not_ready(
                "the store was restarted: its state is being audited", is_news=self._was_ready
            )
        self._refused = await self._reopen(run_id)
        pause_s = AUDIT_AGAIN_S[min(self._refusals, len(AUDIT_AGAIN_S) - 1)]
        self._refusals += 1
        self._audit_from = self._clock.monotonic() + pause_s
        return self._refused

    async def _clock_offset_ms(self, connection: Connection) -> int:
        before = self._clock.now_ms()
        seconds, microseconds = await connection.call(("TIME",), CALL_S)
        after = self._clock.now_ms()
        store_ms = int(seconds) * 1000 + int(microseconds) // 1000
        return store_ms - (before + after) // 2

    def _not_ready(self, why: str, *, is_news: bool = True) -> None:
        before, self.ready, self.why_not = self.why_not, False, why
        if before != why:
            log.log(logging.WARNING if is_news else logging.INFO, "not_ready", why=why)


def is_cancelled() -> bool:
    """Whether this task was cancelled, also where it did not hear of it.

    asyncio.wait_for of Python 3.11 drops a cancel that comes in one turn with its result.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def store_run_id(connection: Connection) -> str:
    """Which run of the server this is. Raises: HotStateError."""
    info: bytes = await connection.call(("INFO", "server"), CALL_S)
    for line in info.decode().splitlines():
        name, _, value = line.partition(":")
        if name == "run_id":
            return value
    raise HotStateError("the store does not tell its run id")


async def store_id(connection: Connection) -> str:
    """Which store this is; "" where it does not know. Raises: HotStateError."""
    found: bytes | None = await connection.call(("GET", keys.STORE_ID), CALL_S)
    return (found or b"").decode()


async def gates(connection: Connection, run_id: str) -> str:
    """open | new (never opened) | shut (for this run) | torn (some missing).

    Raises: HotStateError.
    """
    calls = [
        connection.call(("HMGET", keys.control(shard), "layout", "run_id"), CALL_S)
        for shard in keys.ALL_SHARDS
    ]
    rows: list[Any] = await asyncio.gather(*calls)
    if all(layout is None for layout, _ in rows):
        return "new"
    if any(layout is None for layout, _ in rows):
        return "torn"
    if any(layout != LAYOUT for layout, _ in rows):
        return OTHER_LAYOUT
    return "open" if all(found == run_id.encode() for _, found in rows) else "shut"


async def has_library(connection: Connection) -> bool:
    """Whether our functions are there to be called. Raises: HotStateError."""
    nobody = keys.account_keys("-")
    try:
        await connection.call(("FCALL_RO", "authz_look", 4, *nobody), CALL_S)
    except Refused:
        return False
    return True
