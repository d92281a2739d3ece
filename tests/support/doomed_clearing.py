"""Somebody who clears a file, in a process that kills itself at its n-th step.

    python -m tests.support.doomed_clearing REDIS_URL DSN FILE STEPS

SIGKILL from within is what kill -9 from outside would be, at a line that is known. 0: it lives.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from authz.app.clearing_run import clear
from ledger.clearing.reading import read_clearing
from tests.support.office import NETWORK, at_desk


async def run(url: str, dsn: str, path: Path, left: int) -> None:
    def step(place: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async with at_desk(url, dsn) as desk:
        await clear(desk, read_clearing(path), NETWORK, step)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
