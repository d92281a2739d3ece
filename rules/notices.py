"""What a network says about itself and not about a card: its day, its counts, its notices."""

from msgspec import Struct

DAYS_KEPT = 35  # of totals: networks reconcile a month, and then a dispute is on paper


class CutOver(Struct, frozen=True, kw_only=True, gc=False):
    """The network's word that its business day is over (DE 70 = 201; of 1993, DE 24 = 821)."""

    network: str
    mti: str
    stan: str
    sent_at: int  # DE 7 as seconds since 1970, UTC
    forwarder_id: str  # DE 33
    day: int  # DE 15: the day that begins, in days since 1970; 0 where it is not told


class Reconciliation(Struct, frozen=True, kw_only=True, gc=False):
    """A network's question what we counted on a business day, and what it counted itself."""

    network: str
    mti: str
    stan: str
    sent_at: int
    acquirer_id: str
    forwarder_id: str
    day: int  # DE 15, in days since 1970; 0: the one that ended last
    currency: str  # DE 50, or DE 49: ISO 4217 numeric
    told: tuple[tuple[str, int], ...]  # its own totals, by name


class Balance(Struct, frozen=True, gc=False):
    """What is said to a reconciliation."""

    day: int  # in days since 1970
    ours: dict[str, int]  # our own totals, by name: "debits_number", "debits_amount", …, "net"
    differs: bool  # from what the network told


class Administrative(Struct, frozen=True, kw_only=True, gc=False):
    """An administrative advice (0620): that it came, and nothing of its text, which is free."""

    network: str
    mti: str
    stan: str
    sent_at: int
    acquirer_id: str  # DE 32
    forwarder_id: str  # DE 33
    elements: tuple[int, ...]  # numbers of the data elements that it had, none of their content
