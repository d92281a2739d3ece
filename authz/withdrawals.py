"""Taking back what was not answered in time. "No reply" is not "no".

Before the network is told 91, the attempt is noted in a spool on disk; then it is
withdrawn, again and again until the hot state has answered. A spool that was left
behind by a killed engine is worked off by the next one.

The file is appended to and not synced: it outlives a killed process, not a lost
machine. What is lost with the machine is a hold that ends by itself.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from authz.hot.acts import Withdraw
from authz.hot.errors import HotStateError

log = structlog.get_logger()

# Above this many the engine stops sending what it may have to take back, and says 91 at
# once. At 200 bytes a line the spool then has 20 MB.
PENDING_MAX = 100_000

RETRY_S = 0.2  # between rounds while the hot state does not answer
AT_ONCE = 64  # withdrawals in flight in one round: they share the connection with live traffic
TIMEOUT_S = 2.0  # nobody waits for it, and a slow store must get through


class Withdrawer(Protocol):
    """The part of the hot state that this needs."""

    async def withdraw(self, act: Withdraw, timeout_s: float) -> str: ...


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the spool: an attempt to be withdrawn, or one that has been."""

    act: Withdraw | None = None
    done: str = ""  # the attempt


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Withdrawals:
    """The spool and the task that works it off. `told` hears each outcome, for the metrics."""

    def __init__(
        self, path: Path, hot: Withdrawer, told: Callable[[str], None] = lambda outcome: None
    ) -> None:
        self._hot = hot
        self._told = told
        self._more = asyncio.Event()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._pending = read_spool(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if self._pending:
            self._more.set()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def full(self) -> bool:
        return len(self._pending) >= PENDING_MAX

    def note(self, act: Withdraw) -> None:
        """Remember that this attempt must be withdrawn. On disk before it returns.

        Raises: OSError where the disk refuses; it is remembered in memory all the same.
        """
        self._pending[act.attempt] = act
        self._more.set()
        self._append(Line(act=act))

    async def run(self) -> None:
        """Work the spool off, until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            batch = list(self._pending.values())[:AT_ONCE]
            tried = (self._withdraw(act) for act in batch)
            answered = await asyncio.gather(*tried, return_exceptions=True)
            for trouble in answered:
                if isinstance(trouble, Exception):
                    log.error("withdrawal_failed", error=type(trouble).__name__)
            if not all(one is True for one in answered):
                await asyncio.sleep(RETRY_S)
            if self._pending:
                self._more.set()
            else:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, 0)

    async def _withdraw(self, act: Withdraw) -> bool:
        try:
            outcome = await self._hot.withdraw(act, TIMEOUT_S)
        except HotStateError:
            return False
        self._told(outcome)
        del self._pending[act.attempt]
        with contextlib.suppress(OSError):  # asked once more after a restart, which is harmless
            self._append(Line(done=act.attempt))
        return True

    def _append(self, line: Line) -> None:
        """A line of its own, also behind a torn one. Raises: OSError, also where it was cut."""
        raw = b"\n" + _encode(line) + b"\n"
        if os.write(self._file, raw) != len(raw):
            raise OSError(errno.ENOSPC, "the spool was cut short")

    def close(self) -> None:
        os.close(self._file)

    def adopt(self, path: Path) -> None:
        """Take over the spool of a worker that will not come back. Raises: OSError."""
        for act in read_spool(path).values():
            self.note(act)
        path.unlink(missing_ok=True)


def read_spool(path: Path) -> dict[str, Withdraw]:
    """What an engine left to be withdrawn, by attempt. Of a torn line the 91 was never sent."""
    pending: dict[str, Withdraw] = {}
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return pending
    for raw in content.split(b"\n"):
        try:
            line = _decode(raw)
        except msgspec.DecodeError:
            continue
        if line.act is not None:
            pending[line.act.attempt] = line.act
        pending.pop(line.done, None)
    return pending
