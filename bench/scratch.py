"""A folder for as long as a measurement takes, whatever ends it."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    """SIGTERM is as Ctrl-C inside: what was started is stopped, and the folder goes.

    (SIGKILL cannot be answered.)
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="authz-bench-") as folder:
            yield Path(folder)
    finally:
        signal.signal(signal.SIGTERM, before)
