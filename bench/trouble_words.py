"""The scenes of `authz bench trouble` as a table for people."""

from collections.abc import Iterator
from typing import Any

PHASES = ("before", "during", "after")


def table(a: dict[str, Any]) -> Iterator[str]:
    yield (
        f"capacity, by a closed loop: {a['capacity_per_s']:,.0f} verdicts a second; "
        f"steady load: {a['rate']:,.0f} a second"
    )
    for name, scene in a["scenes"].items():
        yield ""
        yield from scene_lines(name, scene)
    yield ""
    yield f"{a['verdict']} (exit code {a['exit_code']})"


def scene_lines(name: str, a: dict[str, Any]) -> Iterator[str]:
    if "skipped" in a:
        yield f"{name}: skipped, {a['skipped']}"
        return
    yield f"{name}: {a['title']}"
    yield f"  {a['what']}"
    for told in facts(a):
        yield f"  {told}"
    yield f"  {'':<8}{'verdicts':>9}{'91':>8}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9} ms"
    for phase in (*PHASES, *(("slow",) if a["slow"] else ())):
        yield f"  {phase:<8}{row(a[phase])}"
    during = a["during"]
    if during["told_91"]:
        yield (
            f"  91s of it: p50 {during['told_91_p50_ms']:.1f}, p99 {during['told_91_p99_ms']:.1f}, "
            f"max {during['told_91_max_ms']:.1f} ms"
        )
    if a["served_share"] is not None:
        yield (
            f"  served {during['per_s']:,.0f} a second: {a['served_share']:.0%} of the capacity of "
            f"{a['capacity_per_s']:,.0f} (closed loops before and after)"
        )
    yield f"  {ending(a)}"


def row(p: dict[str, Any]) -> str:
    times = "".join(f"{p[key]:>9.2f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))
    return f"{p['verdicts']:>9,}{p['told_91']:>8,}{times}"


def facts(a: dict[str, Any]) -> Iterator[str]:
    """What the trouble was, in figures; its own length is among them."""
    told = {
        name: f"p50 {value['p50']}, p99 {value['p99']}" if isinstance(value, dict) else f"{value:g}"
        for name, value in a["facts"].items()
    }
    began, ended = a["trouble_s"]
    parts = [f"{name} {value}" for name, value in told.items()]
    yield ", ".join([f"from {began:.2f} to {ended:.2f} s", *parts])


def ending(a: dict[str, Any]) -> str:
    """Whether it was over, and whether all still holds."""
    back = a["recovered_s"]
    recovered = "not within the run" if back is None else f"after {back:.0f} s"
    holds = "; ".join(a["faults"]) or "audit and books hold"
    return (
        f"p99 back under {a['back_ms']:.1f} ms {recovered}; over 200 ms: {a['over_budget']:,} "
        f"(engine's clock {a['engine_over_budget']:,}); unanswered {a['unanswered']:,}; {holds}; "
        f"machine stalls {a['stalls']}, stolen {a['steal_share']:.0%}"
    )
