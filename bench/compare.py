"""Two JSON answers of one command, figure by figure.

Machines differ, and one machine differs from hour to hour: where the two were not run on the same
one, at the same commit but for the change, a ratio says little, so what differs is said first.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SKIPPED = frozenset(
    {"histogram", "by_second", "machine", "asked", "probes", "naive_probes", "seed"}
)


def run(before: Path, after: Path) -> None:
    """Print the ratios. Raises: ValueError, where the two cannot be compared."""
    for line in table(read(before), read(after)):
        print(line)


def read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: not JSON") from None
    if not isinstance(told, dict) or "machine" not in told:
        raise ValueError(f"{path}: not the answer of an `authz bench` command")
    return told


def table(a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
    """Raises: ValueError, where they are of two commands, or share no figure."""
    if kind(a) != kind(b):
        raise ValueError("the two are not of one command")
    for what in ("machine", "asked"):
        for key, (one, other) in differing(a.get(what), b.get(what)):
            yield f"differs: {what} {key}: {one} → {other}"
    for key, (one, other) in differing(dict(words(a)), dict(words(b))):
        yield f"differs: {key}: {one} → {other}"
    mine, theirs = dict(numbers(a)), dict(numbers(b))
    shared = [key for key in mine if key in theirs]
    if not shared:
        raise ValueError("the two have no figure in common")
    yield f"{'':<44}{'before':>14}{'after':>14}{'ratio':>9}"
    for key in shared:
        one, other = mine[key], theirs[key]
        ratio = f"{other / one:.2f}" if one else ("1.00" if other == one else "")
        yield f"{key:<44}{spelt(one):>14}{spelt(other):>14}{ratio:>9}"


def differing(a: Any, b: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            if a.get(key) != b.get(key):
                yield key, (a.get(key), b.get(key))


def numbers(answer: dict[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """Each figure by its path."""
    for key, value in answer.items():
        if key in SKIPPED:
            continue
        if isinstance(value, dict):
            yield from numbers(value, f"{above}{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield above + key, value


def kind(answer: dict[str, Any]) -> str:
    """By what only answers of that command have; "" where only the figures can tell."""
    return next((key for key in ("scenes", "histogram", "capacity_per_s") if key in answer), "")


def words(answer: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is said besides figures: verdicts, and whether what must hold does."""
    for key, value in answer.items():
        if key in SKIPPED:
            continue
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            value = "; ".join(value) or "none"
        if isinstance(value, (str, bool)):
            yield key, value


def spelt(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.3f}"
