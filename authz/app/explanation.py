"""An explanation for people: what was asked, then a row for each check up to the answer."""

import re
from typing import Any

from authz.app.plain_text import lines, money

CHECKS = ("check", "saw", "says")
CEILINGS = ("check", "counter", "before", "use", "ceiling", "after", "says")


def in_words(found: dict[str, Any]) -> list[str]:
    """`lines` for what is a name and a value; tables for checks and ceilings."""
    currency = found.get("funds", {}).get("currency", "")
    rest = {k: v for k, v in found.items() if k not in ("checks", "ceilings", "funds")}
    out = lines(rest, currency)
    rows = [row | {"saw": with_money(row["saw"], currency)} for row in found["checks"]]
    timed = ("us",) if rows and "us" in rows[0] else ()
    out += ["checks", *table(rows, (*CHECKS, *timed))]
    if found.get("ceilings"):
        out += ["ceilings", *table([ceiling(row, currency) for row in found["ceilings"]], CEILINGS)]
    if "funds" in found:
        out += ["funds", *lines(found["funds"], currency, "  ")]
    return out


def with_money(seen: str, currency: str) -> str:
    return re.sub(r"(\d+) minor units", lambda found: money(int(found[1]), currency), seen)


def ceiling(row: dict[str, Any], currency: str) -> dict[str, str]:
    """Its numbers as money, or as numbers."""
    said = {name: row[name] for name in ("check", "counter", "says")}
    for name in ("before", "use", "ceiling", "after"):
        if f"{name}_minor" in row:
            amount = row[f"{name}_minor"]
            said[name] = "-" if amount is None else money(amount, currency)
        else:
            number = row[f"{name}_count"]
            said[name] = "-" if number is None else str(number)
    return said


def table(rows: list[dict[str, str]], columns: tuple[str, ...]) -> list[str]:
    cells = [list(columns), *([str(row[name]) or "-" for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
