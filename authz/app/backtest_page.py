"""A backtest as one HTML page: nothing is fetched, no script runs, charts are drawn as SVG."""

from collections.abc import Iterator, Mapping
from html import escape

from authz.app.backtest_words import SHOWN, sum_of
from authz.app.backtesting import Answer
from rules.differences import Report, Sum

STYLE = """
:root { color-scheme: light dark; --declined: #c0392b; --approved: #2471a3; --soft: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.facts { display: flex; flex-wrap: wrap; gap: 1rem; }
.facts div { border: 1px solid var(--soft); border-radius: 6px; padding: .6rem 1rem; }
.facts b { display: block; font-size: 1.4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--soft); }
svg { width: 100%; height: auto; } svg text { font-size: 13px; fill: currentColor; }
.declined { fill: var(--declined); } .approved { fill: var(--approved); }
"""
NAME, BAR, ROW = 230, 500, 24  # pixels of a chart: names, the longest bar, a row
HEIGHT = 140  # of the chart by day
DAYS_MAX = 370


def page(answer: Answer) -> str:
    """The whole page."""
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>Backtest of {escape(answer.report.policy)}</title>",
            f"<style>{STYLE}</style></head><body>",
            *body(answer),
            "</body></html>\n",
        )
    )


def body(answer: Answer) -> Iterator[str]:
    r, read = answer.report, answer.read
    yield f"<h1>Backtest of policy {escape(r.policy)}</h1>"
    yield '<div class="facts">'
    for number, what in (
        (r.requests, "requests"), (r.same, "answered the same"),
        (r.newly_declined.count, "newly declined"), (r.newly_approved.count, "newly approved"),
        (r.other_reason, "declined for another reason"), (r.other_amount, "held otherwise"),
    ):  # fmt: skip
        yield f"<div><b>{number:,}</b>{what}</div>"
    yield "</div>"
    for what, kind, total, by in (
        ("Newly declined, by rule or limit", "declined", r.newly_declined, r.declined_by),
        ("Newly approved, by what stood in the way", "approved", r.newly_approved, r.approved_by),
    ):
        yield f"<h2>{what}</h2>"
        yield from told(kind, total, by)
    if r.by_day:
        yield "<h2>By day (UTC): declined above, approved below</h2>"
        yield from by_day(r)
    if r.labelled:
        yield from labelled(r)
    yield "<h2>What this rests on</h2><ul>"
    yield f"<li>{read.entries:,} journal entries; {read.unreadable:,} unreadable, "
    yield f"{read.skipped:,} requests without the facts they were judged by</li>"
    if not read.whole:
        yield "<li>The journal has no beginning: counters of the draft begin where it does.</li>"
    if read.bounded:
        yield "<li>There is more: the bound on entries was reached.</li>"
    yield f"<li>Funds are followed: {r.after_other_funds:,} answers differ because earlier ones "
    yield "left other funds. What would have come after an approval that was never given is not "
    yield "known: its hold stands.</li></ul>"


def told(kind: str, total: Sum, by: Mapping[str, Sum]) -> Iterator[str]:
    """Bars of the largest, and a table with their amounts."""
    if not by:
        yield "<p>None.</p>"
        return
    rows = sorted(by.items(), key=lambda item: -item[1].count)[:SHOWN]
    largest = rows[0][1].count
    yield f'<svg viewBox="0 0 {NAME + BAR + 70} {ROW * len(rows)}" role="img">'
    for n, (name, one) in enumerate(rows):
        y, width = ROW * n, max(BAR * one.count // largest, 1)
        short = name if len(name) <= 30 else f"{name[:29]}…"
        yield f'<text x="0" y="{y + 16}">{escape(short)}</text>'
        yield f'<rect class="{kind}" x="{NAME}" y="{y + 3}" width="{width}" height="{ROW - 6}"/>'
        yield f'<text x="{NAME + width + 6}" y="{y + 16}">{one.count:,}</text>'
    yield "</svg><table><tr><th>what</th><th>requests and amounts</th></tr>"
    for name, one in rows:
        yield f"<tr><td>{escape(name)}</td><td>{escape(sum_of(one))}</td></tr>"
    yield f"<tr><th>all</th><th>{escape(sum_of(total))}</th></tr></table>"


def by_day(r: Report) -> Iterator[str]:
    days = sorted(r.by_day.items())[-DAYS_MAX:]
    largest = max(max(both) for _, both in days)
    whole, middle = NAME + BAR + 70, HEIGHT // 2
    step = min(whole / len(days), 60.0)
    yield f'<svg viewBox="0 0 {whole} {HEIGHT + 22}" role="img">'
    for n, (day, (declined, approved)) in enumerate(days):
        x, width = round(n * step, 1), round(step * 0.8, 1)
        up, down = middle * declined // largest, middle * approved // largest
        yield f"<g><title>{day}: {declined:,} declined, {approved:,} approved</title>"
        yield f'<rect class="declined" x="{x}" y="{middle - up}" width="{width}" height="{up}"/>'
        yield f'<rect class="approved" x="{x}" y="{middle}" width="{width}" height="{down}"/></g>'
    yield f'<text x="0" y="{HEIGHT + 16}">{days[0][0]}</text>'
    if len(days) > 1:
        yield f'<text x="{whole}" y="{HEIGHT + 16}" text-anchor="end">{days[-1][0]}</text>'
    yield "</svg>"


def labelled(r: Report) -> Iterator[str]:
    genuine = r.labelled - r.fraud
    yield f"<h2>Labelled: {r.labelled:,} requests</h2>"
    yield "<table><tr><th></th><th>of</th><th>declined then</th><th>declined here</th></tr>"
    for what, of, then, here in (
        ("fraud", r.fraud, r.fraud_declined_then, r.fraud_declined_here),
        ("genuine", genuine, r.genuine_declined_then, r.genuine_declined_here),
    ):
        yield f"<tr><td>{what}</td><td>{of:,}</td><td>{then:,}</td><td>{here:,}</td></tr>"
    yield "</table>"
