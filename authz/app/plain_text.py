"""Plain data as text for people: names and values, tables of acts, amounts with currency."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from authz.app.meaning import BY_NUMBER

MINOR = "_minor"
NOTES = {
    "approved_authorizations": "reversed ones among them",
    "increments_minor": "asked for on top of what was approved",
}
COLUMNS = (
    "at", "kind", "mti", "stan", "rrn", "amount_minor", "verdict", "reason", "detail",
    "held_delta_minor", "posted_delta_minor", "authorization_id", "message_id",
)  # fmt: skip
# What is shown as a table, by its columns; of acts the newest first.
TABLES = {
    "latest_acts": COLUMNS,
    "messages": (*COLUMNS, "account_id", "card_id"),
    "cards": ("card_id", "state", "expiry"),
    "reviews": ("age", "review_id", "amount_minor", "merchant", "rule", "card_id"),
    "totals": ("total", "network", "ours", "differs"),
}
ACTS = ("latest_acts", "messages")


def lines(found: dict[str, Any], currency: str = "", indent: str = "") -> list[str]:
    """Name and value, one a line; lists and tables below their name.

    `x_minor` is in the currency `x_currency`, else in `currency`, else in that of what
    stands around it.
    """
    out = []
    currency = found.get("currency") or currency
    shown = [name for name in found if not name.endswith("_currency")]  # with its amount
    width = max((len(label_of(name)) for name in shown), default=0)
    for name in shown:
        value, label = found[name], label_of(name)
        if name in TABLES and value:
            out.append(f"{indent}{label}{', the newest first' if name in ACTS else ''}")
            out += table(value, TABLES[name], currency, indent)
            for act in value:
                if "totals" in act:
                    out += reconciled(act, indent)
        elif isinstance(value, dict) and value:
            out += [f"{indent}{label}", *lines(value, currency, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            out.append(f"{indent}{label}")
            for item in value:
                out += [f"{indent}  -", *lines(item, currency, indent + "    ")]
        else:
            said = text(name, value, currency_of(found, name, currency))
            note = f", {NOTES[name]}" if name in NOTES and value else ""
            out.append(f"{indent}{label:<{width}}  {said}{note}")
    return out


def table(
    rows: list[dict[str, Any]], columns: Sequence[str], currency: str, indent: str
) -> list[str]:
    cells = [[label_of(name) for name in columns]]
    cells += [[cell(row, name, currency) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [f"{indent}  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def reconciled(act: dict[str, Any], indent: str) -> list[str]:
    """Both sides of a reconciliation."""
    title = f"{indent}STAN {act['stan']}: {act['network']}, business date {act['business_date']}"
    return [title, *table(act["totals"], TABLES["totals"], act["currency"], indent)]


def cell(row: dict[str, Any], name: str, currency: str) -> str:
    currency = row.get("currency") or currency
    if name == "detail":
        return detail(row, currency)
    if name == "total":
        return label_of(row["total"])
    if name in ("network", "ours") and "total" in row:
        return text(row["total"], row[name], currency)
    if name == "differs":
        return "differs" if row[name] else ""
    if name == "verdict" and row["verdict"] == "moved" and row.get("state"):
        return f"now {row['state']}"  # of a card or an account; what moved may be a limit
    return text(name, row[name], currency_of(row, name, currency))


def detail(row: dict[str, Any], currency: str) -> str:
    """What was in the way, and which optional checks gave no answer."""
    said = in_the_way(row, currency)
    if not row.get("skipped_checks"):
        return said
    skipped = f"skipped {' '.join(row['skipped_checks'])}"
    return f"{skipped}, {said}" if row.get("detail") or said not in ("", "-") else skipped


def in_the_way(row: dict[str, Any], currency: str) -> str:
    """What refused, by its number where there is one; what there was; who said so."""
    said = [
        f"{label_of(of)} {text(of, row[of], currency)}"
        for of in ("ceiling_minor", "ceiling_count", "ledger_minor", "available_minor")
        if of in row
    ]
    if said:
        return ", ".join(said) + of_counter(row.get("counter", ""))
    if "limited_by" in row:
        approved = text("approved_minor", row["approved_minor"], currency)
        return f"partial: {approved}, {row['limited_by']}"
    if row.get("source"):
        return f"by {row['source']}"
    if row.get("rule") and not row["detail"]:
        return f"rule {row['rule']}"
    if row.get("business_date"):
        return f"{row['network']} {row['business_date']}"
    return text("detail", row["detail"], currency)


def of_counter(counter: str) -> str:
    """What it counts: its name without whose it is, and without its window."""
    what = "/".join(counter.split("/")[1:-1])
    return f" of {what}" if what else ""


def label_of(name: str) -> str:
    # A counter's own name is left as it is.
    return name if "/" in name else name.removesuffix(MINOR).replace("_", " ")


def currency_of(found: dict[str, Any], name: str, currency: str) -> str:
    return found.get(name.removesuffix(MINOR) + "_currency", currency) or ""


def text(name: str, value: Any, currency: str) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "currency":
        return BY_NUMBER[value].code if value in BY_NUMBER else str(value)
    if is_amount(name):
        return money(value, currency) if value or currency else "-"
    return str(value)


def is_amount(name: str) -> bool:
    """Counters of money among them: "<subject>/day_amount/<day>", "<subject>/…/amount/<when>"."""
    return name.endswith(MINOR) or "/day_amount/" in name or "/amount/" in name


def money(minor: int, currency: str) -> str:
    """Major units with the currency's own decimals; what it cannot place, as it is counted."""
    known = BY_NUMBER.get(currency)
    if known is None or known.exponent is None:
        return f"{minor} minor units"
    return f"{Decimal(minor).scaleb(-known.exponent)} {known.code}"
