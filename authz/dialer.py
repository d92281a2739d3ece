"""A link that we dial: to a network that waits for its members to call.

Once it stands it is like any other link. When it ends, for whatever reason, it is dialled
again, until the engine stops.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from authz.backoff import Backoff
from authz.clock import Clock
from authz.link import Link
from authz.session import LinkSettings

log = structlog.get_logger()

CONNECT_S = 5.0  # for the handshake of TCP; what a firewall drops would be tried for minutes
# A link that ends sooner was none: a peer that accepts and hangs up at once, or that refuses
# our sign-on, is dialled no faster than one that is not there.
STEADY_S = 5.0

DOWN, CONNECTED, OPEN = "down", "connected", "open"
STATES = (DOWN, CONNECTED, OPEN)
OUTCOMES = ("connected", "failed")


class Observer(Protocol):
    """Who counts the tries; the metrics."""

    def dialled(self, link: str, outcome: str) -> None: ...


class Dialer:
    """Keeps one link to one address."""

    def __init__(
        self,
        make_link: Callable[[], Link],
        settings: LinkSettings,
        address: tuple[str, int],
        backoff: Backoff,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self.settings = settings
        self._make_link = make_link
        self._address = address
        self._backoff = backoff
        self._clock = clock
        self._observer = observer
        self._link: Link | None = None

    @property
    def state(self) -> str:
        """One of STATES."""
        return self.get_state()

    def get_state(self) -> str:
        """One of STATES; open is when requests are taken. As a function, for who asks later."""
        if self._link is None:
            return DOWN
        return OPEN if self._link.is_open else CONNECTED

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            link = await self._connect()
            if link is not None:
                since = self._clock.monotonic()
                self._link = link
                await link.lost.wait()
                self._link = None
                if self._clock.monotonic() - since >= STEADY_S:
                    self._backoff.reset()
            wait_s = self._backoff.next_s()
            log.info("link_dialled_again", link=self.settings.name, in_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)

    async def _connect(self) -> Link | None:
        host, port = self._address
        name = self.settings.name
        try:
            async with asyncio.timeout(CONNECT_S):
                loop = asyncio.get_running_loop()
                _, link = await loop.create_connection(self._make_link, host, port)
        except (OSError, TimeoutError) as error:
            self._observer.dialled(name, "failed")
            log.warning("link_not_reached", link=name, error=type(error).__name__)
            return None
        self._observer.dialled(name, "connected")
        log.info("link_connected", link=name)
        return link
