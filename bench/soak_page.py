"""A soak of `authz bench soak --json` on the page of `authz bench report`."""

from collections.abc import Iterator
from html import escape
from typing import Any

# Each chart with what it draws of the looks, as far as a run has it.
CHARTS = (
    ("Memory, MB", ("engine_mb", "writer_mb", "store_mb", "store_used_mb", "postgres_mb")),
    ("Latency between looks, ms", ("p50_ms", "p99_ms")),
    ("Open files", ("engine_files", "writer_files")),
    ("Fragmentation of the store's memory", ("fragmentation",)),
    ("Keys in the store", ("keys",)),
    ("Books on disk, MB", ("database_mb",)),
)
HEAD_PX, ROW_PX, CHART_PX = 500, 34, 360  # of the picture: all else, a row of the table, a chart

SCRIPT = """
const many = ['--line', '--second', '--bad', '--third', '--fourth'].map(colour);
for (const chart of SOAKS) {
  const box = document.getElementById(chart.id);
  fitted(box, 260, new uPlot({width: box.clientWidth, height: 260,
    cursor: {drag: {x: true, y: false}},
    scales: {x: {time: false}, y: {range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1]}},
    series: [{label: 'minute', value: (u, v) => v == null ? '' : v.toFixed(1)}].concat(
      chart.names.map((label, n) => ({label, stroke: many[n], width: 2, points: {show: false}}))),
    axes: [axis('minutes'), upright('')]}, chart.data, box));
}
"""


def height(a: dict[str, Any]) -> int:
    """Of the picture."""
    return HEAD_PX + ROW_PX * len(a["slopes_per_h"]) + CHART_PX * len(list(drawn(a)))


def drawn(a: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The charts of this run: title, and what each draws."""
    for title, names in CHARTS:
        there = [name for name in names if any(name in look for look in a["looks"])]
        if there:
            yield title, there


def section(id: str, name: str, machine: str, a: dict[str, Any]) -> Iterator[str]:
    asked = a["asked"]
    yield f"<h1>{asked['rate']:,.0f} messages a second for {a['minutes']:g} min</h1>"
    books = "" if asked["books"] else ", without books"
    yield f'<p class="machine">{escape(name)}: {escape(machine)}; '
    yield f"{asked['cards']:,} cards, {asked['links']:,} links{books}</p>"
    yield f"<p>{a['answered']:,} of {a['sent']:,} answered. The verdict: "
    yield f"{escape(a['verdict'])}. "
    yield "What something gains in an hour is a line through the second half of the run, by least "
    yield "squares: in the first, caches fill.</p>"
    yield "<table><tr><th></th><th>at first</th><th>at last</th><th>gained in an hour</th></tr>"
    for what, gain in a["slopes_per_h"].items():
        first, last = a["first"].get(what, 0.0), a["last"].get(what, 0.0)
        yield f"<tr><td>{escape(words(what))}</td><td>{first:,.2f}</td><td>{last:,.2f}</td>"
        yield f"<td>{gain:+,.2f}</td></tr>"
    yield "</table>"
    for number, (title, _) in enumerate(drawn(a)):
        yield f'<h2>{escape(title)}</h2><div id="{id}-{number}"></div>'


def charts(id: str, a: dict[str, Any]) -> list[dict[str, Any]]:
    """What the script draws."""
    looks = a["looks"]
    minutes = [round(look["at_s"] / 60, 3) for look in looks]
    return [
        {
            "id": f"{id}-{number}",
            "names": [words(name) for name in names],
            "data": [minutes, *([look.get(name) for look in looks] for name in names)],
        }
        for number, (_, names) in enumerate(drawn(a))
    ]


def words(name: str) -> str:
    """A figure's name, for people: "engine, MB"."""
    for unit, said in (("_mb", ", MB"), ("_ms", ", ms"), ("_files", ", files")):
        if name.endswith(unit):
            return name.removesuffix(unit).replace("_", " ") + said
    return name.replace("_", " ")
