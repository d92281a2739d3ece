"""The proof of a day in words and tables; the command and the page share them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec import Struct

from authz.app.meaning import BY_NUMBER
from authz.app.output import counted
from ledger.proof import FATES, Check, Finding, Hold, Money, Proof, order_of

TITLES = {
    "open": "cardholders", "held": "held", "line": "credit lines", "lines_granted": "lines granted",
    "network": "networks", "bank": "bank", "fees": "fees", "cross_border": "cross-border",
    "fx_income": "FX income", "fx_position": "FX position", "stand_in_losses": "stand-in losses",
}  # fmt: skip


class Row(Struct, frozen=True):
    """One row of a currency's table: a name, and an amount for each column; None where nothing
    moved."""

    name: str
    amounts: tuple[int | None, ...]
    count: int | None = None  # acts
    is_total: bool = False


class Sheet(Struct, frozen=True):
    """One currency as a table: account classes across, the day downwards."""

    currency: str
    titles: tuple[str, ...]
    rows: tuple[Row, ...]


def sheet_of(money: Money) -> Sheet:
    roles = [r for r in money.roles if r.opening_minor or r.closing_minor or r.movements]
    names = sorted({*money.counts, *(n for r in roles for n in r.movements)}, key=order_of)
    rows = [total("opening", [r.opening_minor for r in roles])]
    for name in names:
        amounts = tuple(r.movements.get(name) for r in roles)
        if any(amounts) or money.counts.get(name):
            rows.append(Row(name, (*amounts, sum(a or 0 for a in amounts)), money.counts.get(name)))
    rows.append(total("closing", [r.closing_minor for r in roles]))
    titles = tuple(TITLES.get(r.role, r.role.replace("_", " ")) for r in roles)
    return Sheet(money.currency, (*titles, "sum"), tuple(rows))


def total(name: str, amounts: list[int]) -> Row:
    return Row(name, (*amounts, sum(amounts)), is_total=True)


def fates_of(hold: Hold) -> Iterator[tuple[str, int]]:
    """The story of holds: what was open, what was placed, where it went, what is open."""
    yield "open before", hold.opening_minor
    for fate in FATES:
        yield fate, getattr(hold, f"{fate}_minor")
    yield "open after", hold.closing_minor


def code_of(currency: str) -> str:
    known = BY_NUMBER.get(currency)
    return known.code if known is not None else currency


def amount(minor: int | None, currency: str) -> str:
    """Major units with separators: "-1,234.50"; nothing for what is not there."""
    if minor is None:
        return ""
    known = BY_NUMBER.get(currency)
    exponent = known.exponent if known is not None else None
    return f"{Decimal(minor).scaleb(-(exponent or 0)):,f}"


def title(proof: Proof) -> str:
    return f"Proof of {proof.date} ({proof.zone})"


def standing(proof: Proof) -> str:
    """As of when: of a day that is not over, and of books that may lag behind."""
    newest = moment(proof.newest_ms, proof.zone) if proof.newest_ms else "nothing"
    so_far = "so far, " if proof.so_far else ""
    return f"{so_far}as of journal position {proof.position:,}; the newest entry is of {newest}"


def moment(ms: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def extent(proof: Proof) -> str:
    return ", ".join((
        counted(proof.entries, "journal entry"), counted(proof.postings, "posting"),
        counted(proof.authorizations, "authorization"), f"{proof.approved:,} approved",
    ))  # fmt: skip


def verdict(proof: Proof) -> str:
    if proof.ok:
        return "Nothing is unexplained."
    minor = f"; {proof.unexplained_minor:,} minor units in all" if proof.unexplained_minor else ""
    return f"Unexplained: {counted(proof.found, 'finding')}{minor}."


def looked_at(check: Check) -> str:
    if check.differences:
        return f"{check.differences:,} of {check.compared:,} DIFFER"
    return f"{check.compared:,} compared, all agree" if check.compared else "none"


def told(finding: Finding) -> str:
    """One finding as a sentence's worth."""
    found, expected = (
        f"{amount(value, finding.currency)} {code_of(finding.currency)}"
        if finding.currency and isinstance(value, int) and not isinstance(value, bool)
        else str(value)
        for value in (finding.found, finding.expected)
    )
    return f"{finding.where}: {finding.what}: {found}, should be {expected}"
