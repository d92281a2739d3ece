"""Runs as one page: what `load --json`, `trouble --json` and `soak --json` of `authz bench` told.

One file, nothing fetched: uPlot is inline, and so are the figures. Whoever is sent the page sees
what we saw, with the machine, the commit and the seed that it takes to see it again.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from html import escape
from math import ceil, log2
from pathlib import Path
from shutil import which
from typing import Any

from hdrh.histogram import HdrHistogram
from msgspec import ValidationError, convert

from bench import soak_page, trouble_page
from bench.load import BUDGET_S, FAILED, INCONCLUSIVE, OK
from bench.machine import CHECKOUT, Machine
from bench.scratch import scratch

VENDOR = CHECKOUT / "bench" / "vendor"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
RUN_PX = 2150  # the height of one run on the page
PERCENTILES = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100)
BINS_PER_DOUBLING = 4  # of the histogram
VERDICTS = {OK: "met", FAILED: "not met", INCONCLUSIVE: "inconclusive"}

STYLE = """
:root { color-scheme: light dark; --soft: #8884;
  --line: #2471a3; --second: #b9770e; --bad: #c0392b; --third: #1e8449; --fourth: #8e44ad; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.machine { color: color-mix(in srgb, currentColor 65%, transparent); }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.facts div { border: 1px solid var(--soft); border-radius: 6px; padding: .5rem .9rem; }
.facts b { display: block; font-size: 1.3rem; }
.bad b { color: var(--bad); }
table { border-collapse: collapse; }
th, td { text-align: right; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--soft); }
th:first-child, td:first-child { text-align: left; }
.bar { display: inline-block; height: .8rem; background: var(--line); vertical-align: middle; }
.u-legend { font-size: 13px; }
@media (max-width: 60rem) { table { display: block; overflow-x: auto; } }
"""

# Axis and series are drawn by uPlot on a canvas, which takes colours and no style sheet.
SCRIPT = """
const ink = getComputedStyle(document.body).color, soft = 'rgba(128,128,128,.25)';
const css = getComputedStyle(document.documentElement);
const colour = name => css.getPropertyValue(name).trim();
const axis = (label, values) =>
  ({label, values, stroke: ink, grid: {stroke: soft}, ticks: {stroke: soft}});
const upright = label => ({...axis(label), size: 68}); // room for "100,000" beside the label
const shown = named => ({value: (u, v) => v == null ? '' : v.toLocaleString(), ...named});
const fitted = (box, height, plot) =>
  new ResizeObserver(() => plot.setSize({width: box.clientWidth, height})).observe(box);
function draw(id, data, x, series, axes, scales) {
  const box = document.getElementById(id);
  fitted(box, 260, new uPlot({width: box.clientWidth, height: 260,
    cursor: {drag: {x: true, y: false}},
    scales: {x: {time: false, ...(scales.x || {})}, ...scales.y && {y: scales.y}},
    series: [x, ...series].map(shown), axes}, data, box));
}
const log = {distr: 3, log: 10}, ms = v => v >= 100 ? v.toFixed(0) : v.toPrecision(3);
for (const run of RUNS) {
  draw(run.id + '-percentiles', run.percentiles,
    {label: 'percentile', value: (u, v) => run.names[v] ?? ''},
    [{label: 'ms', stroke: colour('--line'), width: 2, points: {show: true}},
     {label: `budget, ${run.percentiles[2][0]} ms`, value: () => '',
      stroke: colour('--bad'), dash: [6, 4]}],
    [axis('percentile', (u, at) => at.map(v => run.names[v] ?? '')), upright('ms, logarithmic')],
    {y: log});
  draw(run.id + '-histogram', run.histogram,
    {label: 'ms, up to', value: (u, v) => run.bins[v] ? ms(run.bins[v]) : ''},
    [{label: 'answers', stroke: colour('--line'), fill: colour('--line') + '55',
      paths: uPlot.paths.bars({size: [0.9]}), points: {show: false}}],
    [axis('ms, up to', (u, at) => at.map(v => run.bins[v] ? ms(run.bins[v]) : '')),
     upright('answers')], {});
  draw(run.id + '-seconds', run.seconds, {label: 'second'},
    [{label: 'answered a second', stroke: colour('--line'), width: 2, scale: 'y'},
     {label: 'slowest, ms', stroke: colour('--second'), scale: 'ms'}],
    [axis('seconds since the first message'), upright('answered a second'),
     {...upright('slowest, ms'), scale: 'ms', side: 1, grid: {show: false}}],
    {y: {range: (u, least, most) => [0, Math.max(1, most * 1.1)]}});
}
"""


def run(paths: tuple[Path, ...], html: Path, png: Path | None = None) -> None:
    """Write the page, and a picture of it. Raises: OSError; ValueError, where a file is no run, or
    there is no browser to take the picture."""
    runs = []
    for path in paths:
        if path.resolve() in (html.resolve(), png and png.resolve()):
            raise ValueError(f"{path}: the page would take the place of its own run")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise ValueError(f"{path}: not JSON") from None
        if not isinstance(told, dict) or "machine" not in told or not is_run(told):
            raise ValueError(
                f"{path}: not what --json of `authz bench load`, `trouble` or `soak` writes"
            )
        runs.append((path.stem, told))
    browser = next(filter(None, map(which, BROWSERS)), None)
    if png is not None and browser is None:
        raise ValueError(
            f"a picture is taken by a browser, and none is here: {', '.join(BROWSERS)}"
        )
    html.write_text(page(runs), encoding="utf-8")
    if png is not None:
        picture(str(browser), html, png, sum(height(told) for _, told in runs))


def is_run(told: dict[str, Any]) -> bool:
    return any(part in told for part in ("histogram", "scenes", "looks"))


def height(told: dict[str, Any]) -> int:
    """Of a run's part of the picture."""
    if "scenes" in told:
        return trouble_page.height(told)
    return soak_page.height(told) if "looks" in told else RUN_PX


def picture(browser: str, html: Path, png: Path, height: int) -> None:
    """As the browser shows the page. Raises: ValueError, where it does not."""
    png.unlink(missing_ok=True)
    with scratch() as folder:  # what the browser leaves where it is interrupted goes with it
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size=1100,{height}", f"--screenshot={png.resolve()}",
                html.resolve().as_uri(),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False,
            env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
    if not png.exists():
        raise ValueError(f"{browser} took no picture")


def page(runs: list[tuple[str, dict[str, Any]]]) -> str:
    """Raises: ValueError, where a part of a run is not there."""
    drawn, scenes, soaks = [], [], []
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        "<title>authz: latency, measured</title>",
        f"<style>{vendored('uPlot.min.css')}{STYLE}</style></head><body>",
    ]
    for n, (name, told) in enumerate(runs):
        id = f"run{n}"
        try:
            if "scenes" in told:
                parts.extend(trouble_page.section(id, name, machine_line(told["machine"]), told))
                scenes += trouble_page.charts(id, told)
            elif "looks" in told:
                parts.extend(soak_page.section(id, name, machine_line(told["machine"]), told))
                soaks += soak_page.charts(id, told)
            else:
                parts.extend(section(id, name, told))
                drawn.append(charts(id, told))
        except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
            raise ValueError(f"{name}: a part of the run is missing or broken: {error}") from None
    # A "<" in a text could end the script, or begin a comment in it.
    data, acts, looks = (
        json.dumps(each).replace("<", "\\u003c") for each in (drawn, scenes, soaks)
    )
    parts += [
        f"<script>{vendored('uPlot.iife.min.js')}</script>",
        f"<script>const RUNS = {data};{SCRIPT}const SCENES = {acts};{trouble_page.SCRIPT}"
        f"const SOAKS = {looks};{soak_page.SCRIPT}</script></body></html>\n",
    ]
    return "\n".join(parts)


def vendored(name: str) -> str:
    return (VENDOR / name).read_text(encoding="utf-8")


def section(id: str, name: str, a: dict[str, Any]) -> Iterator[str]:
    m, asked = a["machine"], a["asked"]
    yield f"<h1>{rate_of(asked)} messages a second for {asked['seconds']:g} s</h1>"
    yield f'<p class="machine">{escape(name)}: {escape(machine_line(m))}; '
    yield f"{asked['cards']:,} cards, {asked['links']:,} links, {escape(asked['dialect'])}</p>"
    yield '<div class="facts">'
    sla = f"SLA: p99 {asked['p99_ms']:g}, p99.9 {asked['p999_ms']:g} ms, all answered"
    for value, what, bad in (
        (VERDICTS[a["exit_code"]], sla, a["exit_code"] != OK),
        (f"{a['answered']:,} of {a['sent']:,}", "answered", a["unanswered"] > 0),
        (f"{a['p50_ms']:.2f} ms", "p50", False),
        (f"{a['p99_ms']:.2f} ms", "p99", a["p99_ms"] > asked["p99_ms"]),
        (f"{a['p999_ms']:.2f} ms", "p99.9", a["p999_ms"] > asked["p999_ms"]),
        (f"{a['max_ms']:.1f} ms", "slowest", a["max_ms"] > BUDGET_S * 1e3),
        (f"{a['over_budget']:,}", f"over {BUDGET_S * 1e3:.0f} ms", a["over_budget"] > 0),
        (f"{a.get('no_verdict', 0):,}", "no verdict (91, 96)", a.get("no_verdict", 0) > 0),
        (f"{a['stalls']:,}", "stalls of the machine itself", False),
        ("holds" if a["audit_ok"] else "differs", "audit", not a["audit_ok"]),
    ):
        yield f"<div{' class=bad' if bad else ''}><b>{value}</b>{escape(what)}</div>"
    yield f"</div><p>{escape(a['verdict'])}. "
    yield "Latency counts from when a message should have left.</p>"
    for what, title in (
        ("percentiles", "Latency by percentile, and the budget"),
        ("histogram", "How many answers took how long"),
        ("seconds", "Second by second, warm-up included"),
    ):
        yield f'<h2>{title}</h2><div id="{id}-{what}"></div>'
    yield from waterfall(a)
    yield from costs(a)


def rate_of(asked: dict[str, Any]) -> str:
    ramp = asked.get("ramp")
    return f"{ramp['start']:,.0f} to {ramp['end']:,.0f}" if ramp else f"{asked['rate']:,.0f}"


def machine_line(m: dict[str, Any]) -> str:
    return convert(m, Machine).line()


def waterfall(a: dict[str, Any]) -> Iterator[str]:
    """Where an answer's mean time went, one stage after the other."""
    stages = a.get("stages_us") or {}
    if not stages:
        return
    whole = sum(stages.values()) or 1.0
    yield "<h2>Stages of an answer, mean</h2><table><tr><th>stage</th><th>µs</th><th></th></tr>"
    before = 0.0
    for name, took in stages.items():
        left, width = 24 * before / whole, max(24 * took / whole, 0.1)
        place = f"margin-left:{left:.2f}rem;width:{width:.2f}rem"
        yield f"<tr><td>{escape(name)}</td><td>{took:,.1f}</td><td style='text-align:left'>"
        yield f"<span class=bar style='{place}'></span></td></tr>"
        before += took
    yield "</table><p><code>hot</code> waits for the store and its disk; the others work.</p>"


def costs(a: dict[str, Any]) -> Iterator[str]:
    memory = a.get("memory_mb") or {}
    yield "<h2>What it cost</h2><table>"
    yield "<tr><th>process</th><th>CPU µs a message</th><th>MB</th></tr>"
    for name, key in (
        ("generator", "generator_us"), ("engine", "engine_us"), ("store", "store_us"),
        ("writer", "writer_us"), ("postgres", "postgres_us"),
    ):  # fmt: skip
        kept = f"{memory[name]:,.0f}" if name in memory else ""
        yield f"<tr><td>{name}</td><td>{a.get(key, 0):,.1f}</td><td>{kept}</td></tr>"
    disk = a.get("fdatasync_ms")
    yield "</table><p>"
    yield f"{a['busy_share']:.0%} of all cores by these, {a['others_share']:.0%} by others, "
    yield f"{a.get('steal_share', 0):.1%} stolen by the machine below. "
    if disk:
        yield f"fdatasync on this disk: p50 {disk['p50']:.2f}, p99 {disk['p99']:.2f} ms. "
    if a["journal_lag_max"] is not None:
        drained = "never" if a["drained_s"] is None else f"in {a['drained_s']:.1f} s"
        yield f"Books: {a['journal_lag_max']:,} entries behind at most, drained {drained}."
    yield "</p>"
    yield from asides(a)


def asides(a: dict[str, Any]) -> Iterator[str]:
    """What a reader should know beside the figures, as far as the run told it."""
    shares, garbage, generator = a.get("by_share"), a.get("garbage"), a.get("generator")
    if shares:
        parts = (f"{one['per_cent']:.1f} % {escape(name)}" for name, one in shares.items())
        yield f"<p>Traffic: {', '.join(parts)}.</p>"
    if garbage:
        yield f"<p>The engine's collector: {garbage['pauses']:,} pauses, "
        yield f"{garbage['total_ms']:.1f} ms in all, the longest "
        yield f"{garbage['longest_ms']:.1f} ms.</p>"
    if generator:
        yield f"<p>The generator used {generator['core_share']:.0%} of a core; messages left "
        yield f"{generator['left_late_p50_ms']:.2f} ms late (p50), "
        yield f"{generator['left_late_p99_ms']:.2f} ms (p99), which counts in what is shown."
        slow = generator["bottleneck"]
        yield f" <b>It was the bottleneck: {escape(slow)}.</b></p>" if slow else "</p>"


def charts(id: str, a: dict[str, Any]) -> dict[str, Any]:
    """What the script draws."""
    histogram = HdrHistogram.decode(a["histogram"])
    # A run without an answer has no latency: a gap, since a logarithmic axis has no place for 0.
    answered = histogram.get_total_count() > 0
    at = [histogram.get_value_at_percentile(p) / 1e3 if answered else None for p in PERCENTILES]
    edges, counts = bins(histogram)
    seconds = a.get("by_second") or []
    places = list(range(len(PERCENTILES)))
    return {
        "id": id,
        "names": [f"{p:g}" for p in PERCENTILES],
        "percentiles": [places, at, [BUDGET_S * 1e3] * len(at)],
        "bins": edges,
        "histogram": [list(range(len(edges))), counts],
        "seconds": [[s[0] for s in seconds], [s[1] for s in seconds], [s[3] for s in seconds]],
    }


def bins(histogram: Any) -> tuple[list[float], list[int]]:
    """Upper edges in ms, and how many answers each bin has; wider the slower."""
    counts: dict[int, int] = {}
    for item in histogram.get_recorded_iterator():
        bin = ceil(BINS_PER_DOUBLING * log2(max(item.value_iterated_to, 1)))
        counts[bin] = counts.get(bin, 0) + item.count_added_in_this_iter_step
    if not counts:
        return [], []
    all_bins = range(min(counts), max(counts) + 1)
    edges = [round(2 ** (bin / BINS_PER_DOUBLING) / 1e3, 4) for bin in all_bins]
    return edges, [counts.get(bin, 0) for bin in all_bins]
