"""Compare the steps of `bench/micro` with a baseline, by ratio to a loop in the same run.

A machine that is half as fast makes the loop twice as slow, too; what is left is our own doing. The
least of all rounds is taken: noise only ever adds.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

CALIBRATION = "test_calibration"
BASELINE = Path(__file__).parent / "micro" / "baseline.json"
SLOWER = 1.25  # by which a step may exceed its baseline: two quiet runs differ by up to a fifth


def ratios(told: Path) -> dict[str, float]:
    """Each step's least time over the loop's. Raises: ValueError, KeyError, OSError."""
    rows = json.loads(told.read_text(encoding="utf-8"))["benchmarks"]
    least = {row["name"]: row["stats"]["min"] for row in rows}
    loop = least.pop(CALIBRATION)
    return {name: round(took / loop, 4) for name, took in sorted(least.items())}


def compared(now: dict[str, float], before: dict[str, float]) -> Iterator[tuple[str, bool]]:
    """A line of each step, and whether it is slower than it may be."""
    for name in sorted({*now, *before}):
        if name not in now or name not in before:
            yield f"{name:<34}{'only in one of the two':>30}", True
            continue
        ratio = now[name] / before[name]
        slow = ratio > SLOWER
        word = "SLOWER" if slow else ""
        yield f"{name:<34}{before[name]:>10.3f}{now[name]:>10.3f}{ratio:>9.2f}  {word}", slow


def main(told: str, *words: str) -> int:
    """0: none is slower. `--save` makes this run the baseline."""
    now = ratios(Path(told))
    if "--save" in words:
        BASELINE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        print(f"{len(now)} steps are the baseline now")
        return 0
    print(f"{'step, over the calibration loop':<34}{'baseline':>10}{'now':>10}{'ratio':>9}")
    bad = False
    for line, slow in compared(now, json.loads(BASELINE.read_text(encoding="utf-8"))):
        print(line)
        bad |= slow
    return int(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
