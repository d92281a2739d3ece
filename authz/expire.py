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
AT_ONCE = (
    32  # of one shard in one tick: 64 shards end 2,048 a second, and live traffic hardly waits
)
TIMEOUT_S = 2.0  # nobody waits for it


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Expiry:
    """The task that ends holds. `told` hears of each: expired | open | gone."""

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

        Raises: HotStateError; what was not ended is due at the next tick.
        """
        now_s = self._engine.now_ms() // 1000
        closed = 0
        for shard in keys.ALL_SHARDS:
            due = await self._engine.hot.due(shard, now_s, AT_ONCE, TIMEOUT_S)
            for account_id, authorization_id in due:
                said, _ = await self._engine.hot.close(
                    expired(account_id, authorization_id, now_s), TIMEOUT_S
                )
                self._told(said)
                closed += said == "closed"
        return closed


def expired(account_id: str, authorization_id: str, at: int) -> Close:
    return Close(
        act_id=identity.closing_id("expired", account_id, authorization_id, at),
        account_id=account_id,
        authorization_id=authorization_id,
        kind="expired",
        at=at,
        body=encode_body(CloseBody("expiry")),
    )
