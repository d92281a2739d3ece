"""Reading totals, one at a time however many ask: each costs the store as much as sixty holds.

Who asks while one is under way waits for the next, and shares it with all who wait for the same
day: what is told was read after it was asked for, so nothing that was answered before is missing.
Between two readings the store is left to purchases for as long as the first one took.
Promises: tests/authz/test_readings.py.
"""

import asyncio
from typing import Protocol

from authz.budget import Budget
from authz.hot.errors import Busy, TooLate
from authz.hot.totals import Totals

WAITING_MAX = 16  # days and currencies waited for: more could not be read in time anyway
TIMEOUT_S = 2.0  # of one reading; who waits for it leaves earlier

Wanted = tuple[str, int, str]  # network, business day, currency


class Reader(Protocol):
    """The part of the hot state that this needs."""

    async def totals(self, network: str, day: int, currency: str, timeout_s: float) -> Totals: ...


class Readings:
    """The one reading under way, and who waits for the next."""

    def __init__(self, hot: Reader) -> None:
        self._hot = hot
        self._waiting: dict[Wanted, asyncio.Future[Totals]] = {}  # the first is read next
        self._task: asyncio.Task[None] | None = None

    async def totals(self, network: str, day: int, currency: str, budget: Budget) -> Totals:
        """As the hot state has them, read after this was asked. Raises: HotStateError."""
        wanted = network, day, currency
        reading = self._waiting.get(wanted)
        if reading is None:
            if len(self._waiting) >= WAITING_MAX:
                raise Busy("too many readings are waited for")
            loop = asyncio.get_running_loop()
            reading = self._waiting[wanted] = loop.create_future()
            if self._task is None:
                self._task = loop.create_task(self._read())
        try:
            return await asyncio.wait_for(asyncio.shield(reading), budget.left_s())
        except TimeoutError:
            raise TooLate("its turn did not come in time") from None

    async def _read(self) -> None:
        """Until nobody waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            wanted = next(iter(self._waiting))
            reading = self._waiting.pop(wanted)
            began = loop.time()
            try:
                reading.set_result(await self._hot.totals(*wanted, TIMEOUT_S))
            except Exception as error:  # theirs to hear; the next are read all the same
                reading.set_exception(error)
                reading.exception()  # all who waited may have left
            if self._waiting:
                await asyncio.sleep(loop.time() - began)
        self._task = None
