"""Holds end by themselves: what is due is closed, a bounded number at a time.

Every engine does this; a hold that another has closed meanwhile is found gone. It needs no ledger.
Promise P7: tests/authz/test_expire.py.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from authz import identity
from authz.engine import Engine
from authz.hot import keys
from authz.hot.acts import Close
from authz.hot.errors import HotStateError
from ledger.journal import CloseBody, encode_body

log = structlog.get_logger()

TICK_S = 1.0  # a hold lives for days: to the second is exact
AT_ONCE = 32  # of one shard in one tick, asked together; live traffic is served in between
TIMEOUT_S = 2.0  # nobody waits for it


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Expiry:
    """The task that ends holds. `told` hears of each: closed | open | gone | failed."""

    def __init__(self, engine: Engine, keeper: Ready, told: Callable[[str], None]) -> None:
        self._engine = engine
        self._keeper = keeper
        self._told = told

    async def run(self) -> None:
        """Tick after tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._keeper.ready:
                try:
                    await self.tick()
                except HotStateError as trouble:
                    log.warning("expiry_waits", error=type(trouble).__name__)

    async def tick(self) -> int:
        """End what is due, at most `AT_ONCE` of each shard. Returns how many were closed.

        One that cannot be ended is logged and keeps no other: it is due at the next tick again.
        Raises: HotStateError where the store does not even say what is due.
        """
        now_s = self._engine.now_ms() // 1000
        closed = 0
        for shard in keys.ALL_SHARDS:
            due = await self._engine.hot.due(shard, now_s, AT_ONCE, TIMEOUT_S)
            asked = (self._end(account_id, id, now_s) for account_id, id in due)
            closed += sum(await asyncio.gather(*asked))
        return closed

    async def _end(self, account_id: str, authorization_id: str, now_s: int) -> bool:
        try:
            said, _ = await self._engine.hot.close(
                expired(account_id, authorization_id, now_s), TIMEOUT_S
            )
        except HotStateError as trouble:
            log.warning("hold_not_ended", account=account_id, error=type(trouble).__name__)
            said = "failed"
        self._told(said)
        return said == "closed"


def expired(account_id: str, authorization_id: str, at: int) -> Close:
    return Close(
        act_id=identity.closing_id("expired", account_id, authorization_id, at),
        account_id=account_id,
        authorization_id=authorization_id,
        kind="expired",
        at=at,
        body=encode_body(CloseBody("expiry")),
    )
