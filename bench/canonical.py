"""The canonical set: what `make bench` measures, in under ten minutes, and writes down.

Its table stands in docs/performance.md between two marks; what stands around it people write. Each
figure comes with the command that gives it alone.
"""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import uvloop

from authz.app.output import write_json
from bench import capacity, codec, decide, hot, ledger, load, memory
from bench.machine import CHECKOUT, Machine, this_machine
from bench.scratch import scratch
from bench.stand import PEER_PYTHON

PAGE = CHECKOUT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: make bench writes them -->", "<!-- end of figures -->"
RULES = 50  # of the policy under which load and capacity are measured, with five limits
QUIET = load.Order(rate=1000.0, seconds=20.0, rules=RULES)
SEARCH = capacity.Search(
    rules=RULES, naive=PEER_PYTHON.exists(), probe_s=10.0, steps=3, confirm_s=60.0
)

SEARCHED = f"--probe-s {SEARCH.probe_s:g} --steps {SEARCH.steps} --confirm-s {SEARCH.confirm_s:g}"


def run(json_path: str | None) -> int:
    """Measure all, refresh the page; 0 unless a promise of the load was broken.

    Raises: EmbeddedError, RuntimeError where a server does not start.
    """
    # A program that reads standard output gets nothing else there.
    with redirect_stdout(sys.stderr if json_path == "-" else sys.stdout):
        told = measured()
    if json_path is not None:
        write_json(json_path, told)
    return int(told["load"]["exit_code"] == load.FAILED)


def measured() -> dict[str, Any]:
    told: dict[str, Any] = {}
    if PEER_PYTHON.exists():
        told["codec"] = codec.run(None, rounds=5)
    told["decide"] = decide.run(None)
    told["hot"] = hot.run(None, rounds=3)
    told["ledger"] = ledger.run(None, entries=60_000, seconds=0.0)
    told["memory"] = memory.run(None, cards=2000)
    with scratch() as folder:
        told["load"] = uvloop.run(load.measure(QUIET, folder))
    print("\n".join(load.table(QUIET, told["load"])))
    with scratch() as folder:
        told["capacity"] = uvloop.run(capacity.measure(SEARCH, folder))
    print("\n".join(capacity.table(told["capacity"])))
    machine = this_machine(seed=SEARCH.seed, valkey=told["load"]["machine"].valkey,
                           durability="always")  # fmt: skip
    refresh(PAGE, told, machine)
    print(f"{PAGE.relative_to(CHECKOUT)} has these figures now")
    return told | {"machine": machine}


def refresh(page: Path, told: dict[str, Any], machine: Machine) -> None:
    """Raises: ValueError, where the marks are not there: nothing is written then."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: the marks of the figures are missing")
    lines = (machine.line(), "", "| what | figure | command |", "|---|---|---|")
    rows = (f"| {what} | {figure} | `{command}` |" for what, figure, command in figures(told))
    table = "\n".join((*lines, *rows))
    page.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")


def figures(told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What, how much, and how to have it again."""
    if "codec" in told:
        ratios = [one["decode_ratio"] for one in told["codec"]["dialects"].values()]
        span = f"{min(ratios):.1f} to {max(ratios):.1f} times"
        yield "decode with checks, against pyiso8583", span, "authz bench codec"
    by_rules = told["decide"]["by_rules"]
    yield (
        "a decision, 50 rules and 10 limits: p50, p99",
        f"{by_rules['50']['p50_us']:.1f}, {by_rules['50']['p99_us']:.1f} µs", "authz bench decide",
    )  # fmt: skip
    hold = told["hot"]
    yield (
        "the function over our connection, against redis-py",
        f"{hold['per_s']:,.0f} a second, {hold['ratio']:.1f} times; a repeat "
        f"{hold['repeat_ratio']:.1f} times", "authz bench hot",
    )  # fmt: skip
    books = told["ledger"]
    yield (
        "approvals drained into Postgres, engine idle",
        f"{books['per_s']:,.0f} a second; writer {books['writer_us']:.0f}, Postgres "
        f"{books['postgres_us']:.0f} µs each", "authz bench ledger --seconds 0",
    )  # fmt: skip
    held = told["memory"]["bytes_per_authorization"]
    yield (
        "hot state of an open authorization under five limits; its journal entry",
        f"{held['hot_state']:,.0f}; {held['journal']:,.0f} bytes",
        "authz bench memory --cards 2000",
    )  # fmt: skip
    yield from of_load(told["load"])
    yield from of_capacity(told["capacity"])


def of_load(a: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    command = f"authz bench load --rate {QUIET.rate:.0f} --seconds {QUIET.seconds:.0f} --rules 50"
    yield (
        "1,000 messages a second, 50 rules, 5 limits, books: p50, p99, p99.9, max",
        ", ".join(f"{a[key]:.2f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms")) + " ms",
        command,
    )
    yield (
        "CPU a message there: engine, store, writer, Postgres, generator",
        ", ".join(f"{a[key]:.0f}" for key in CPU) + " µs", command,
    )  # fmt: skip
    disk = a["fdatasync_ms"]
    yield "fdatasync of this disk: p50, p99", f"{disk['p50']:.2f}, {disk['p99']:.2f} ms", command


def of_capacity(a: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    command = f"authz bench capacity --rules 50 --naive {SEARCHED}"
    yield (
        "rate at the SLA (p99 10 ms, p99.9 50 ms), 60 s, all of it on these cores",
        f"{a['capacity_per_s']:,.0f} a second", command,
    )  # fmt: skip
    if a["confirmed"]:
        seen = a["confirmed"]
        yield "journal lag there at most, drained after", load.lag(seen), command
        yield (
            "CPU a message there: engine, store, writer, Postgres, generator",
            ", ".join(f"{seen[key]:.0f}" for key in CPU) + " µs", command,
        )  # fmt: skip
    for name, what, depth in (
        ("limit", "limit: the function alone at the same depth in flight", a["depth"]),
        ("full", "the function alone, its server never waiting", capacity.FULL_DEPTH),
    ):
        one = a[name]
        yield (
            f"{what}, its p99",
            f"{one['per_s']:,.0f} a second at {depth} in flight, {one['p99_ms']:.1f} ms, "
            f"{one['server_us']:.0f} µs of the server; ratio {a['ratio_to_' + name]:.2f}", command,
        )  # fmt: skip
    if a["naive_per_s"]:
        yield (
            "the naive engine at the SLA, ratio to it",
            f"{a['naive_per_s']:,.0f} a second, {a['ratio_to_naive']:.1f} times", command,
        )  # fmt: skip


CPU = ("engine_us", "store_us", "writer_us", "postgres_us", "generator_us")
