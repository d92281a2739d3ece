"""The proof of a day as one HTML page: nothing is fetched, no script runs, and it prints."""

from collections.abc import Iterator
from html import escape

from authz.app.proof_words import (
    amount,
    code_of,
    extent,
    fates_of,
    looked_at,
    sheet_of,
    standing,
    title,
    told,
    verdict,
)
from ledger.proof import Hold, Money, Proof

STYLE = """
:root { color-scheme: light dark; --soft: #8884; --faint: #8882; --good: #1e8449; --bad: #c0392b;
  --cleared: #2471a3; --reversed: #d68910; --expired: #7f8c8d; --released: #a569bd;
  --withdrawn: #cb4335; --open: #1e8449; }
@media (prefers-color-scheme: dark) { :root { --good: #58d68d; --bad: #ec7063; --open: #58d68d;
  --cleared: #5dade2; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
.as-of { margin-top: .2rem; opacity: .75; }
.verdict { display: inline-block; border: 2px solid; border-radius: 6px; padding: .4rem 1rem;
  font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--faint); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.count, .zero { opacity: .6; }
tr.total td { font-weight: 600; border-top: 1px solid var(--soft);
  border-bottom: 1px solid var(--soft); }
.checks td { text-align: left; white-space: normal; }
.bar { width: 100%; height: 20px; display: block; margin: .8rem 0 .3rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: 0;
  list-style: none; font-variant-numeric: tabular-nums; }
.legend i { display: inline-block; width: .7rem; height: .7rem; border-radius: 2px;
  margin-right: .35rem; background: var(--soft); }
@media print { body { margin: 0; max-width: none; font-size: 10px; } h2 { break-after: avoid; }
  .wide { overflow: visible; } tr { break-inside: avoid; } @page { size: landscape; } }
"""
BAR = 1000  # units of the bar of holds, which is as wide as the page
COLOURS = ("cleared", "reversed", "expired", "released", "withdrawn")


def page(proof: Proof) -> str:
    """The whole page."""
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title(proof))}</title>",
            f"<style>{STYLE}</style></head><body>",
            *body(proof),
            "</body></html>\n",
        )
    )


def body(proof: Proof) -> Iterator[str]:
    yield f"<h1>{escape(title(proof))}</h1>"
    yield f'<p class="as-of">{escape(standing(proof))}<br>{escape(extent(proof))}</p>'
    yield f'<p class="verdict {"good" if proof.ok else "bad"}">{escape(verdict(proof))}</p>'
    if proof.unexplained:
        yield "<ul>"
        for finding in proof.unexplained:
            yield f"<li>{escape(told(finding))}</li>"
        if proof.found > len(proof.unexplained):
            yield f"<li>and {proof.found - len(proof.unexplained):,} more</li>"
        yield "</ul>"
    for money in proof.currencies:
        yield from of_currency(money)
    yield '<h2>What was compared</h2><table class="checks">'
    for check in proof.checks.values():
        style = "bad" if check.differences else "good" if check.compared else "zero"
        yield f"<tr><td>{escape(check.what)}</td>"
        yield f'<td class="{style}">{looked_at(check)}</td></tr>'
    yield "</table><p>Debits are above zero: what cardholders may spend is a debt to them, so it "
    yield "stands below. Each row, and each column from opening to closing, adds up.</p>"


def of_currency(money: Money) -> Iterator[str]:
    sheet = sheet_of(money)
    yield f'<h2>{escape(code_of(money.currency))}</h2><div class="wide"><table><tr><th></th>'
    yield "<th>acts</th>"
    yield "".join(f"<th>{escape(name)}</th>" for name in sheet.titles)
    yield "</tr>"
    for row in sheet.rows:
        cells = "".join(
            f"<td{'' if minor else zero}>{amount(minor, money.currency)}</td>"
            for minor in row.amounts
            for zero in (' class="zero"',)
        )
        count = f"{row.count:,}" if row.count else ""
        style = ' class="total"' if row.is_total else ""
        yield f"<tr{style}><td>{escape(row.name)}</td>"
        yield f'<td class="count">{count}</td>{cells}</tr>'
    yield "</table></div>"
    yield from of_holds(money.holds, money.currency)


def of_holds(hold: Hold, currency: str) -> Iterator[str]:
    """Where holds went, as one bar; what a credit makes below zero is only in the figures."""
    parts = [(name, max(getattr(hold, f"{name}_minor"), 0)) for name in COLOURS]
    parts.append(("open", max(hold.closing_minor, 0)))
    whole = sum(minor for _, minor in parts)
    if whole:
        yield f'<svg class="bar" viewBox="0 0 {BAR} 20" preserveAspectRatio="none" role="img">'
        left = 0.0
        for name, minor in parts:
            width = BAR * minor / whole
            yield f'<rect x="{left:.2f}" width="{width:.2f}" height="20" '
            yield f'style="fill: var(--{name})"><title>{name}</title></rect>'
            left += width
        yield "</svg>"
    yield '<ul class="legend"><li>Holds:</li>'
    for name, minor in fates_of(hold):
        if not minor and not name.startswith("open"):
            continue
        colour = "open" if name == "open after" else name if name in COLOURS else "soft"
        yield f'<li><i style="background: var(--{colour})"></i>{name} '
        yield f"{amount(minor, currency)}</li>"
    yield "</ul>"
