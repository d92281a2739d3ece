"""What more cards and more rules cost, at one rate, in one run.

Each row is a run of `bench load` with an engine and a store of its own. Capacity goes with the
processor time of a message, which a rate that the machine can bear tells better than a search for
its bound does: `capacity_ratio` is the first row's time over this row's.
"""

import sys
from collections.abc import Iterator
from typing import Any

import uvloop

from bench.load import Order, measure
from bench.machine import publish
from bench.scratch import scratch

CARDS = (10_000, 100_000, 1_000_000)
RULES = (1, 10, 100)
SHOWN = ("p50_ms", "p99_ms", "engine_us", "store_us", "engine_mb", "store_mb", "capacity_ratio")


def run(
    json_path: str | None, rate: float = 1000.0, seconds: float = 10.0, most_cards: int = CARDS[-1]
) -> dict[str, Any]:
    """Measure, print, and return all rows. Raises: EmbeddedError, RuntimeError."""
    rows: dict[str, dict[str, Any]] = {}
    machine = None
    for name, order in orders(rate, seconds, most_cards):
        print(f"  {name}: ", end="", file=sys.stderr, flush=True)
        with scratch() as folder:
            told = uvloop.run(measure(order, folder))
        rows[name] = row = row_of(told)
        # At once: a million cards are minutes of loading, and whoever gives up then has the rest.
        print(f"p99 {row['p99_ms']:.2f} ms, {cost(row):.0f} µs a message", file=sys.stderr)
        machine = told["machine"]
    for kind in ("cards", "rules"):
        of_kind = {name: row for name, row in rows.items() if name.startswith(kind)}
        first = next(iter(of_kind.values()), None)
        for row in of_kind.values():
            assert first is not None
            # Where nothing was answered, nothing is known of what an answer costs.
            row["capacity_ratio"] = round(cost(first) / cost(row), 3) if cost(row) else 0.0
    answer = {"rows": rows, "rate": rate, "seconds": seconds, "machine": machine}
    publish(answer, table(rows), json_path)
    return answer


def orders(rate: float, seconds: float, most: int) -> Iterator[tuple[str, Order]]:
    for cards in CARDS:
        if cards <= most:
            yield f"cards {cards}", Order(rate=rate, seconds=seconds, cards=cards)
    for rules in RULES:
        yield f"rules {rules}", Order(rate=rate, seconds=seconds, rules=rules)


def row_of(told: dict[str, Any]) -> dict[str, Any]:
    memory = told["memory_mb"]
    return {name: told[name] for name in ("p50_ms", "p99_ms", "engine_us", "store_us")} | {
        "engine_mb": memory["engine"], "store_mb": memory["store"],
        "answered": told["answered"], "audit_ok": told["audit_ok"],
    }  # fmt: skip


def cost(row: dict[str, Any]) -> float:
    """Of a message, in the engine and in the store: what the two cores have to give."""
    return float(row["engine_us"] + row["store_us"])


def table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield f"{'':<16}" + "".join(f"{name:>16}" for name in SHOWN)
    for name, row in rows.items():
        yield f"{name:<16}" + "".join(f"{row[key]:>16,.2f}" for key in SHOWN)
