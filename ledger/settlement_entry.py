"""The journal entry that settles a batch: what it moves, what it says, and how that is read back.

The network's account comes to zero, the bank moves, and income is booked where it is known. Pure.
"""

from typing import NamedTuple

from msgspec import Struct

from ledger.chart import Role
from ledger.journal import LedgerBody, LedgerLine
from ledger.settlement import SETTLEMENT, Key


class Conversion(Struct, frozen=True):
    """How a batch's money was converted: by which source, and what the others would have made."""

    source: str
    into: str
    rate: str
    amount_minor: int  # of the batch's currency
    converted_minor: int  # of `into`, by the rate alone
    cost_minor: int  # never below zero
    interchange_minor: int  # of `into`: the part of `converted_minor` that is interchange and fees
    fees_minor: int
    closed_minor: int  # likewise: what the items that we converted ourselves come to
    counter_minor: int  # what stands against those in the FX position of `into`
    offers: tuple[tuple[str, str, int, int, int], ...]  # source, rate, converted, cost, moved


class Settling(NamedTuple):
    """What settles a batch, in its own currency: above zero is ours."""

    net_minor: int
    interchange_minor: int
    fees_minor: int

    @property
    def due_minor(self) -> int:
        """What the bank should move, before it is converted."""
        return self.net_minor + self.interchange_minor + self.fees_minor


def movement(
    batch_id: str, key: Key, s: Settling, moved_minor: int, source: str,
    conversion: Conversion | None = None,
) -> LedgerBody:  # fmt: skip
    """The journal entry that settles a batch: its lines on the network's account sum to zero.

    `moved_minor`: what the bank moved, in the currency that it moves. What that differs by from
    what was due stands in `disputes`, as a claim on the network or a debt to it.
    """
    lines: list[LedgerLine] = []

    def line(currency: str, role: Role, amount: int, subject: str = "") -> None:
        if amount:
            lines.append((key.program, currency, role, subject, amount))

    line(key.currency, Role.NETWORK, -s.net_minor, key.network)
    if conversion is None:
        into, due = key.currency, s.due_minor
        line(into, Role.INTERCHANGE, -s.interchange_minor)
        line(into, Role.FEES, -s.fees_minor)
    else:
        # The principal leaves by the FX position; income is income in the currency that comes in.
        c, into = conversion, conversion.into
        due = c.converted_minor - c.cost_minor
        principal = c.converted_minor - c.interchange_minor - c.fees_minor
        line(key.currency, Role.FX_POSITION, s.net_minor)
        line(into, Role.INTERCHANGE, -c.interchange_minor)
        line(into, Role.FEES, -c.fees_minor)
        # What we converted ourselves is closed: what is left of it is what our rate brought.
        line(into, Role.FX_POSITION, -c.counter_minor - (principal - c.closed_minor))
        line(into, Role.FX_INCOME, c.cost_minor + c.counter_minor - c.closed_minor)
    line(into, Role.BANK, moved_minor)
    line(into, Role.DISPUTES, due - moved_minor)
    facts = facts_of(s, into, moved_minor, conversion)
    return LedgerBody(SETTLEMENT, batch_id, source, tuple(lines), facts)


def facts_of(
    s: Settling, into: str, moved_minor: int, conversion: Conversion | None
) -> tuple[tuple[str, str], ...]:
    """What is kept of a settlement beside its lines; `read_settled` reads it back."""
    facts = [
        ("currency", into),
        ("moved_minor", str(moved_minor)),
        ("interchange_minor", str(s.interchange_minor)),
        ("fees_minor", str(s.fees_minor)),
    ]
    if conversion is not None:
        c = conversion
        facts += [
            ("fx_source", c.source),
            ("fx_rate", c.rate),
            ("fx_amount_minor", str(c.amount_minor)),
            ("fx_converted_minor", str(c.converted_minor)),
            ("fx_cost_minor", str(c.cost_minor)),
        ]
        facts += [(f"fx_offer {n}", " ".join(map(str, o))) for n, o in enumerate(c.offers, 1)]
    return tuple(facts)


class Settled(NamedTuple):
    """What a settlement's entry says of itself."""

    moved_minor: int
    currency: str
    interchange_minor: int  # of the batch's currency, as the next
    fees_minor: int
    # Source, currency, rate, amount, converted, cost; and all offers.
    route: tuple[str, str, str, int, int, int] | None
    offers: tuple[tuple[str, str, int, int, int], ...]


def read_settled(body: LedgerBody) -> Settled | None:
    """None, where it is not one that `movement` made."""
    facts = dict(body.facts)
    try:
        moved, into = int(facts["moved_minor"]), facts["currency"]
        income = int(facts["interchange_minor"]), int(facts["fees_minor"])
        if "fx_source" not in facts:
            return Settled(moved, into, *income, None, ())
        route = (
            facts["fx_source"], into, facts["fx_rate"], int(facts["fx_amount_minor"]),
            int(facts["fx_converted_minor"]), int(facts["fx_cost_minor"]),
        )  # fmt: skip
        offers = []
        for name, text in body.facts:
            if name.startswith("fx_offer "):
                source, rate, *numbers = text.split()
                converted, cost, by_bank = map(int, numbers)
                offers.append((source, rate, converted, cost, by_bank))
    except (KeyError, ValueError):
        return None
    return Settled(moved, into, *income, route, tuple(offers))
