"""`authz`, with one door more: SIGUSR2 makes it collect its garbage, all of it, at once.

    python -m bench.collecting FILE serve …

What is frozen stays frozen, so this is the longest that a collection can take as the engine runs.
Its seconds are added to FILE, a line each.
"""

import gc
import signal
import sys
from pathlib import Path
from time import perf_counter

PROGRAM = (sys.executable, "-m", "bench.collecting")


def main() -> None:
    told = Path(sys.argv.pop(1))

    def collect(*_: object) -> None:
        began = perf_counter()
        gc.collect()
        took_s = perf_counter() - began
        with told.open("a", encoding="ascii") as file:
            file.write(f"{took_s:.6f}\n")

    signal.signal(signal.SIGUSR2, collect)
    from authz.app.cli import main as authz

    authz()


if __name__ == "__main__":
    main()
