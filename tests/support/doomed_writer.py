"""A writer in a process of its own, that may be told to kill itself at a place in its n-th cycle.

    python -m tests.support.doomed_writer REDIS_URL DSN [PLACE NUMBER]

SIGKILL from within is what kill -9 from outside would be, at a line that is known.
"""

import asyncio
import os
import signal
import sys

from ledger.writer import Settings, Writer
from tests.support.books import STREAMS, Heard

PLACES = ("read", "insert", "commit", "acknowledge", "trim")  # "commit": right before it


def main() -> None:
    redis_url, dsn, *doom = sys.argv[1:]
    place, left = (doom[0], int(doom[1])) if doom else ("", 0)

    def at(here: str) -> None:
        nonlocal left
        if here == place:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(batch=200, linger_ms=5, trim_keep_s=3600, standby_s=0.1, backoff_s=0.5)
    asyncio.run(Writer(redis_url, dsn, STREAMS, settings, Heard(), at).run(once=not doom))


if __name__ == "__main__":
    main()
