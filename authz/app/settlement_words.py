"""Batches for people and for files: a table, a report, a settlement file."""

import csv
import io
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import asyncpg

from authz.app.output import counted
from authz.app.plain_text import money
from authz.clock import utc
from ledger import settlement_read
from ledger.settlement import minor
from ledger.settlement_compare import Comparison
from ledger.settlement_read import Batch, Difference, Standing

MINUTE = "%Y-%m-%d %H:%M"
HEADER = ("H", "authz settlement 1")
ITEM = (
    "shard", "seq", "line", "at", "what", "reference", "authorization_id", "mcc", "amount_minor",
    "interchange_minor", "fees_minor",
)  # fmt: skip
DIFFERENCES_SHOWN = 40


def batch_row(batch: Batch) -> dict[str, Any]:
    """One batch as JSON has it: rounded amounts beside the exact ones."""
    plain = {name: getattr(batch, name) for name in batch.__struct_fields__}
    return plain | {
        "interchange_minor": batch.interchange_minor,
        "fees_minor": batch.fees_minor,
        "expected_minor": batch.expected_minor,
        "due_minor": batch.settling.due_minor,
    }


async def plain_batch(connection: asyncpg.Connection, batch: Batch) -> dict[str, Any]:
    """The same, with what it is made of, and how its money was converted."""
    return batch_row(batch) | {
        "kinds": await settlement_read.kinds(connection, batch.id),
        "fx": await settlement_read.route(connection, batch.id),
    }


def columns(rows: list[list[str]], right: frozenset[int] = frozenset()) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def batches_of(count: int) -> str:
    return "1 batch" if count == 1 else f"{count:,} batches"


def status_lines(
    standing: Standing, found: list[Batch], wrong: list[Difference] | None
) -> list[str]:
    said = ", ".join(f"{count:,} {status}" for status, count in standing.batches.items())
    lines = [f"batches: {said}"]
    for currency, net in standing.net_minor.items():
        whom = "networks owe us" if net > 0 else "we owe networks"
        lines.append(f"not settled: {money(abs(net), currency)}, {whom}")
    if standing.entries_not_taken:
        lines.append(f"not looked at yet: {counted(standing.entries_not_taken, 'journal entry')}")
    if found:
        rows = [["batch", "status", "settles on", "items", "net"]]
        rows += [
            [b.id, b.status, str(b.settles_on), f"{b.items:,}", money(b.net_minor, b.currency)]
            for b in found
        ]
        lines += ["", *columns(rows, frozenset({3, 4}))]
    if wrong is not None:
        lines += ["", *(
            f"{d.where}: {d.what}: {d.found}, should be {d.expected}"
            for d in wrong[:DIFFERENCES_SHOWN]
        )]  # fmt: skip
        lines.append(
            counted(len(wrong), "difference") if wrong
            else "Each line of a network's account is in one batch, and the accounts are what is "
            "not settled."
        )  # fmt: skip
    return lines


def report_lines(told: list[dict[str, Any]]) -> list[str]:
    if not told:
        return ["no batches"]
    lines: list[str] = []
    for batch in told:
        lines += ["", *one_report(batch)]
    return lines[1:]


def one_report(b: dict[str, Any]) -> list[str]:
    currency = b["currency"]
    lines = [
        f"{b['id']}: {b['status']}",
        f"  {b['network']}, program {b['program']}, currency {currency}",
        f"  cut-off {utc(b['closes_at_ms']).strftime(MINUTE)} UTC, T+{b['days']}: settles on "
        f"{b['settles_on']}",
    ]
    for name in ("closed", "settled", "reconciled"):
        if b[f"{name}_at_ms"] is not None:
            lines.append(f"  {name} {utc(b[f'{name}_at_ms']).strftime(MINUTE)} UTC")
    rows = [["", "items", "network owes", "we owe"]]
    for kind in b["kinds"]:
        amounts = [money(kind[name], currency) for name in ("debit_minor", "credit_minor")]
        rows.append([kind["what"].replace("_", " "), f"{kind['items']:,}", *amounts])
    rows.append(
        ["in all", f"{b['items']:,}", money(b["debit_minor"], currency),
         money(b["credit_minor"], currency)]
    )  # fmt: skip
    lines += [f"  {line}" for line in columns(rows, frozenset({1, 2, 3}))]
    figures = [["net", money(b["net_minor"], currency), ""]]
    for name, about in (
        ("interchange", f"told of {counted(b['told_items'], 'item')}"),
        ("fees", "told beside items"),
        ("due", "net, interchange and fees"),
    ):
        figures.append([name, money(b[f"{name}_minor"], currency), about])
    if b["expected_minor"]:
        figures.append(
            ["expected", money(b["expected_minor"], currency),
             "interchange by our own table, where none was told; not in what is due"]
        )  # fmt: skip
    if b["fee_items_minor"]:
        figures.append(["of the net", money(b["fee_items_minor"], currency), "network's fees"])
    if b["moved_minor"] is not None:
        figures.append(["moved", money(b["moved_minor"], b["moved_currency"]), "by the bank"])
        income = b["booked_interchange_minor"] + b["booked_fees_minor"]
        figures.append(["income", money(income, currency), "interchange and fees, as booked"])
        if b["moved_currency"] == currency:
            rest = b["net_minor"] + income - b["moved_minor"]
            if rest:
                figures.append(["disputes", money(rest, currency), "due and not moved, as booked"])
    lines += [f"  {line}" for line in columns(figures, frozenset({1}))]
    if b["uncounted_fees"]:
        lines.append(f"  {counted(b['uncounted_fees'], 'fee')} told in another currency, or "
                     "without saying who pays: not counted")  # fmt: skip
    if b["fx"] is not None:
        lines += fx_lines(b["fx"], currency)
    return lines


def fx_lines(fx: dict[str, Any], currency: str) -> list[str]:
    into = fx["into_currency"]
    rows = [["source", "rate", "converted", "cost", "moved"]]
    rows += [
        [o["source"] + (" *" if o["source"] == fx["source"] else ""), o["rate"],
         *(money(o[name], into) for name in ("converted_minor", "cost_minor", "moved_minor"))]
        for o in fx["offers"]
    ]  # fmt: skip
    title = f"  converted {money(fx['amount_minor'], currency)} (* was taken)"
    return [title, *(f"    {line}" for line in columns(rows, frozenset({1, 2, 3, 4})))]


def comparison_lines(found: Comparison) -> list[str]:
    lines = []
    for row in found.rows:
        where = f"line {row.row}: {row.network} {row.currency} {row.cycle_date}"
        lines.append(f"{where}, {batches_of(len(row.batches))}: "
                     f"{'agrees' if row.agrees else 'differs'}")  # fmt: skip
        for name, told, ours in row.differences:
            lines.append(f"  {name.removesuffix('_minor').replace('_', ' ')}: "
                         f"{said(name, told, row.currency)} told, "
                         f"{said(name, ours, row.currency)} ours")  # fmt: skip
    lines += [f"{id}: not in the file" for id in found.not_told]
    lines += [f"{id}: reconciled" for id in found.reconciled]
    lines.append("All agrees." if found.agrees else "Something differs.")
    return lines


def said(name: str, value: int | None, currency: str) -> str:
    if value is None:
        return "nothing"
    return money(value, currency) if name.endswith("_minor") else f"{value:,}"


async def settlement_file(connection: asyncpg.Connection, batch: Batch) -> AsyncIterator[str]:
    """Line by line, each with its end."""
    digest = sha256()

    def line(*cells: object) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(cells)
        digest.update(text.getvalue().encode())
        return text.getvalue()

    yield line(*HEADER, batch.id, batch.network, batch.program, batch.currency, batch.cycle_date,
               utc(batch.closes_at_ms).isoformat(), batch.settles_on)  # fmt: skip
    yield line("N", *ITEM)
    items = 0
    async for one in settlement_read.items(connection, batch.id):
        if one["settles"]:
            continue
        items += 1
        yield line(
            "I", one["shard"], one["seq"], one["line"], utc(one["at_ms"]).isoformat(), one["what"],
            one["reference"], one["authorization_id"], one["mcc"], one["amount_minor"],
            exact(one["interchange_micro"]), exact(one["fees_micro"]),
        )  # fmt: skip
    sums = batch.debit_minor, batch.credit_minor, batch.net_minor
    told = minor(batch.interchange_micro), minor(batch.fees_micro)
    yield line("T", items, *sums, *told, digest.hexdigest())


def exact(micro: int) -> str:
    """Minor units with as many decimals as they have: single items are not rounded."""
    whole, rest = divmod(abs(micro), 1_000_000)
    text = f"{whole}.{rest:06}".rstrip("0").rstrip(".") if rest else str(whole)
    return f"-{text}" if micro < 0 else text
