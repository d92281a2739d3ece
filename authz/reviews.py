"""Cases that nobody decides end by themselves, a bounded number at a time; and how many there are.

Every engine does this; a case that another has ended meanwhile is found gone.
"""

import asyncio
from typing import Protocol

import structlog

from authz.engine import Engine
from authz.hot import keys
from authz.hot.acts import SettleReview
from authz.hot.errors import HotStateError
from authz.hot.reviews import ReviewCounts
from ledger.journal import ReviewBody, encode_body

log = structlog.get_logger()

TICK_S = 30.0  # cases wait for people; each tick reads two small things of each shard
AT_ONCE = 32  # of one shard in one tick
TIMEOUT_S = 2.0
LIFE_S = 30 * 86_400  # a cardholder who was referred a month ago has paid otherwise long since


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Reviews:
    """The task that ends old cases. `counts` is of the whole store, at the last look."""

    def __init__(self, engine: Engine, keeper: Ready) -> None:
        self.counts = ReviewCounts()
        self._engine = engine
        self._keeper = keeper

    async def run(self) -> None:
        """Tick after tick, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._keeper.ready:
                try:
                    await self.tick()
                except HotStateError as trouble:
                    log.warning("reviews_wait", error=type(trouble).__name__)

    async def tick(self) -> int:
        """End what is due, and count. Returns how many were ended. Raises: HotStateError."""
        hot, before_s, ended = self._engine.hot, self._engine.now_ms() // 1000 - LIFE_S, 0
        for shard in keys.ALL_SHARDS:
            for account_id, message_id in await hot.due_reviews(
                shard, before_s, AT_ONCE, TIMEOUT_S
            ):
                said = await hot.settle_review(old(account_id, message_id), TIMEOUT_S)
                ended += said == "ended"
        self.counts = await hot.review_counts(TIMEOUT_S)
        return ended


def old(account_id: str, message_id: str) -> SettleReview:
    return SettleReview(
        message_id=message_id,
        account_id=account_id,
        verdict="ended",
        waited_s=LIFE_S,
        body=encode_body(ReviewBody("nobody decided")),
    )
