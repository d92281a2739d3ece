"""The scenes of `authz bench trouble --json` on the page of `authz bench report`."""

from collections.abc import Iterator
from html import escape
from typing import Any

from bench.load import BUDGET_S
from bench.trouble_figures import SLOT_S
from bench.trouble_words import PHASES, ending, facts

HEAD_PX, SCENE_PX = 300, 610  # of the picture: what stands above the scenes, and one of them

# The time of the trouble is shaded before anything else is drawn.
SCRIPT = """
for (const scene of SCENES) {
  const [began, ended] = scene.trouble, box = document.getElementById(scene.id);
  const shade = u => {
    const left = u.valToPos(began, 'x', true), right = u.valToPos(ended, 'x', true);
    u.ctx.save();
    u.ctx.fillStyle = colour('--bad') + '33';
    u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 3), u.bbox.height);
    u.ctx.restore();
  };
  fitted(box, 280, new uPlot({width: box.clientWidth, height: 280, cursor: {drag: {x: true, y: false}},
    scales: {x: {time: false}, ms: {range: (u, low, high) => [0, Math.max(high, scene.budget) * 1.05]}},
    series: [{label: 's'},
      {label: 'verdicts a second', stroke: colour('--line'), width: 2, scale: 'y'},
      {label: '91 a second', stroke: colour('--third'), width: 1, scale: 'y'},
      {label: 'slowest verdict, ms', stroke: colour('--second'), scale: 'ms'},
      {label: 'slowest 91, ms', stroke: colour('--fourth'), dash: [3, 3], scale: 'ms'},
      {label: 'budget', stroke: colour('--bad'), dash: [8, 4], scale: 'ms', points: {show: false}}],
    axes: [axis('seconds since the first message; by tenths; the trouble is shaded'), upright('answers a second'),
      {...upright('slowest, ms'), scale: 'ms', side: 1, grid: {show: false}}],
    hooks: {drawClear: [shade]}}, scene.slots, box));
}
"""  # noqa: E501


def height(a: dict[str, Any]) -> int:
    """Of the picture."""
    return HEAD_PX + SCENE_PX * len(a["scenes"])


def section(id: str, name: str, machine: str, a: dict[str, Any]) -> Iterator[str]:
    yield "<h1>Under trouble</h1>"
    yield f'<p class="machine">{escape(name)}: {escape(machine)}; '
    asked = a["asked"]
    books = "" if asked["books"] else ", without books"
    yield f"{asked['cards']:,} cards, {asked['links']:,} links, {asked['rules']:,} rules{books}</p>"
    yield f"<p>A closed loop was answered {a['capacity_per_s']:,.0f} verdicts a second, servers "
    yield f"and generator on the same cores. The steady load is {a['rate']:,.0f} authorizations a "
    yield f"second. {escape(a['verdict'])}. "
    yield "Latency counts from when a message should have left.</p>"
    for scene_name, scene in a["scenes"].items():
        yield from scene_section(f"{id}-{scene_name}", scene)


def scene_section(id: str, a: dict[str, Any]) -> Iterator[str]:
    yield f"<h2>{escape(a['title'])}</h2>"
    if "skipped" in a:
        yield f"<p>Skipped: {escape(a['skipped'])}.</p>"
        return
    yield f"<p>{escape(a['what'])} The trouble: {escape('; '.join(facts(a)))}.</p>"
    yield f'<div id="{id}"></div>'
    yield "<table><tr><th></th><th>verdicts</th><th>a second</th><th>91</th><th>p50</th>"
    yield "<th>p99</th><th>p99.9</th><th>max ms</th><th>91: p50</th><th>p99</th><th>max ms</th>"
    yield f"<th>over {BUDGET_S * 1e3:.0f} ms</th></tr>"
    for phase in (*PHASES, *(("slow",) if a["slow"] else ())):
        p = a[phase]
        yield f"<tr><td>{'on the slow link' if phase == 'slow' else phase}</td>"
        yield f"<td>{p['verdicts']:,}</td><td>{p['per_s']:,.0f}</td><td>{p['told_91']:,}</td>"
        for prefix, quantiles in (("", ("p50", "p99", "p999", "max")),
                                  ("told_91_", ("p50", "p99", "max"))):  # fmt: skip
            for quantile in quantiles:
                shown = p["told_91"] if prefix else p["verdicts"]
                yield f"<td>{p[f'{prefix}{quantile}_ms']:,.1f}</td>" if shown else "<td></td>"
        yield f"<td>{p['over_budget']:,}</td></tr>"
    yield "</table><p>"
    if a["served_share"] is not None:
        yield f"<b>{a['served_share']:.0%}</b> of the capacity ({a['capacity_per_s']:,.0f} a "
        yield "second in closed loops before and after) was served. "
    yield f"{escape(ending(a))}.</p>"


def charts(id: str, a: dict[str, Any]) -> list[dict[str, Any]]:
    """What the script draws: rates from what fell due in each slot."""
    return [
        {
            "id": f"{id}-{name}",
            "trouble": scene["trouble_s"],
            "budget": BUDGET_S * 1e3,
            "slots": [
                [slot[0] for slot in scene["slots"]],
                [round(slot[1] / SLOT_S) for slot in scene["slots"]],
                [round(slot[2] / SLOT_S) for slot in scene["slots"]],
                [slot[3] or None for slot in scene["slots"]],
                [slot[4] or None for slot in scene["slots"]],
                [BUDGET_S * 1e3] * len(scene["slots"]),
            ],
        }
        for name, scene in a["scenes"].items()
        if "skipped" not in scene
    ]
