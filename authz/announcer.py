"""Tells networks which of our cards are blocked, until each has acknowledged it.

A network that cannot reach us may answer in our stead: a card that is blocked here is blocked
there only if it was told. What is to be told waits in the hot state (authz/hot/outbox.lua), so it
survives us, and any engine with an open link to the network tells it. What is not acknowledged is
told again, after a while that doubles. At least once, then; a record added twice is one record.
Promises: tests/authz/test_announcer.py.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from authz.actions import FileAnswer, FileUpdate
from authz.hot.errors import HotStateError
from authz.hot.outbox import Taken
from authz.hot.store import HotState
from authz.sealing import Sealer, Unreadable

log = structlog.get_logger()

TICK_S = 1.0
AT_ONCE = 256  # of one network in one tick: some 25 kB, which a peer that reads slowly may leave
FIRST_S = 15  # before the second try: an answer takes seconds at most
LONGEST_S = 3600  # between tries; a network that refuses is mended by people
TIMEOUT_S = 2.0  # of one call: nobody waits for it
OPEN_MAX = 65_536  # told and not answered, as we remember them; what is forgotten is told again
UNREADABLE = "unreadable"  # said of a word that was sealed under another key
OUTCOMES = ("sent", "acknowledged", "refused", "gone", UNREADABLE, "failed")


class Ready(Protocol):
    @property
    def ready(self) -> bool: ...


class Teller(Protocol):
    """A link, as far as this needs it."""

    def update_file(self, told: FileUpdate) -> None: ...


class Announcer:
    """The task that tells. `told` hears of each step: one of OUTCOMES."""

    def __init__(
        self,
        hot: HotState,
        keeper: Ready,
        networks: Iterable[str],
        link_for: Callable[[str], Teller | None],
        sealer: Sealer,
        told: Callable[[str], None],
        *,
        tick_s: float = TICK_S,
        first_s: int = FIRST_S,
        longest_s: int = LONGEST_S,
    ) -> None:
        self.pending = 0  # words without an acknowledgement, of these networks, at the last look
        self._hot = hot
        self._keeper = keeper
        self._networks = tuple(networks)
        self._link_for = link_for
        self._sealer = sealer
        self._told = told
        self._tick_s, self._first_s, self._longest_s = tick_s, first_s, longest_s
        self._open: dict[tuple[str, str, str], tuple[str, Taken]] = {}
        self._settling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Tick after tick, until cancelled."""
        while self._networks:
            await asyncio.sleep(self._tick_s)
            if self._keeper.ready:
                try:
                    await self.tick()
                except HotStateError as trouble:
                    log.warning("announcements_wait", error=type(trouble).__name__)

    async def tick(self) -> int:
        """Tell what is due, a bounded number to each network. Returns how many were told.

        Raises: HotStateError. What was taken and not told is due again by itself.
        """
        told = pending = 0
        for network in self._networks:
            waiting = await self._hot.waiting(network, TIMEOUT_S)
            pending += sum(waiting.values())
            room = AT_ONCE
            for shard in waiting:
                if room == 0 or self._link_for(network) is None:
                    break  # nothing is taken that could not be told now
                words = await self._hot.take_words(
                    shard, network, room, self._first_s, self._longest_s, TIMEOUT_S
                )
                room -= len(words)
                for word in words:
                    told += await self._tell(shard, network, word)
        self.pending = pending
        return told

    async def _tell(self, shard: str, network: str, word: Taken) -> bool:
        try:
            number = self._sealer.open(word.sealed, word.card_id).reveal()
        except Unreadable:
            log.error("announcement_unreadable", card=word.card_id, network=network)
            await self._settle(shard, network, word, "refused", UNREADABLE)
            return False
        link = self._link_for(network)
        if link is None:
            return False  # it went in the meantime
        if len(self._open) >= OPEN_MAX:
            del self._open[next(iter(self._open))]
        self._open[network, word.card_id, word.token] = shard, word
        link.update_file(FileUpdate(word.card_id, word.token, word.code, number))
        self._told("sent")
        return True

    def answered(self, network: str, answer: FileAnswer) -> None:
        """The network's word on it, from a link; in time or late."""
        known = self._open.pop((network, answer.card_id, answer.token), None)
        if known is None:
            self._told("gone")  # another try of it was answered before
            return
        kind = "acknowledged" if answer.done else "refused"
        if not answer.done:
            log.warning("announcement_refused", card=answer.card_id, network=network)
        task = asyncio.get_running_loop().create_task(
            self._settle(known[0], network, known[1], kind, answer.said)
        )
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, shard: str, network: str, word: Taken, kind: str, said: str) -> None:
        """Where the store does not answer, it is told and answered once more."""
        try:
            became = await self._hot.settle_word(shard, network, word, kind, said, TIMEOUT_S)
        except HotStateError as trouble:
            log.warning("announcement_not_settled", error=type(trouble).__name__)
            became = "failed"
        self._told(UNREADABLE if said == UNREADABLE else became)
