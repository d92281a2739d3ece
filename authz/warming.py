"""An engine learns the store's cards before they pay.

Right after a restart a near-cache is empty: each card's first message would ask the store three
times in place of once, all of them at the very moment at which a network calls again with what had
to wait. So whatever cards there are, up to the near-cache's bound, are looked up in the background.
Nothing depends on it: what has not been learnt is looked up when it pays, as ever.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from msgspec import MsgspecError

from authz.budget import Budget
from authz.engine import Engine
from authz.hot.errors import Cold, HotStateError, Refused

LOOK_S = 0.1  # between looks at whether there is something to be learnt
AGAIN_S = 1.0  # after a call that failed
TIMEOUT_S = 2.0  # nobody waits for it
NAMES = 250  # of the store's keys, looked through at once: some 0.1 ms of its time
AT_ONCE = 16  # cards, asked for together: a millisecond's work here, half as much of the store
REST = 4  # times as long as those took: a fifth of the time, less where live traffic is in the way


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Warming:
    """The task that fills the near-cache once, and again after all was forgotten."""

    def __init__(self, engine: Engine, keeper: Ready) -> None:
        self._engine = engine
        self._keeper = keeper

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._keeper.ready and not self._engine.cards.warm:
                try:
                    await self.learn()
                except HotStateError:  # the keeper tells of it
                    await asyncio.sleep(AGAIN_S)

    async def learn(self) -> None:
        """Every card of the store, or as many as there is room for. Raises: HotStateError."""
        cards, clock = self._engine.cards, self._engine.clock
        cursor, began = b"0", cards.cleared
        while not cards.full:
            started = clock.monotonic()
            cursor, found = await self._engine.hot.card_keys(cursor, NAMES, TIMEOUT_S)
            await asyncio.sleep(REST * (clock.monotonic() - started))
            new = [key for key in found if key not in cards]
            for start in range(0, len(new), AT_ONCE):
                if not cards.full:
                    await self._look_up(new[start : start + AT_ONCE])
            if cursor == b"0":
                break
        cards.warm = cards.cleared == began

    async def _look_up(self, card_keys: Sequence[str]) -> None:
        """Some cards, and a rest."""
        clock = self._engine.clock
        started = clock.monotonic()
        await asyncio.gather(*(self._learn_one(key, started) for key in card_keys))
        await asyncio.sleep(REST * (clock.monotonic() - started))

    async def _learn_one(self, card_key: str, started: float) -> None:
        engine, budget = self._engine, Budget(self._engine.clock, started, TIMEOUT_S)
        # Its account is missing, or what is there cannot be read: whoever pays with it hears of
        # that. Refused is a word on this card; a lost store has others.
        with suppress(Cold, Refused, MsgspecError, ValueError):
            await engine.cards.find(engine.hot, card_key, budget)
