"""What settles: lines on a network's account, what is told of them, and what a batch comes to.

A network's account is below zero where we owe it. So is an item's amount, and a batch's net.
Interchange and fees that a clearing file tells beside an item are no part of its amount: they are
kept in millionths of a minor unit, exactly, and rounded once, for the whole batch, half to even.

Pure; ledger/settling.py reads and writes.
"""

import re
from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from ledger.journal import Body, LedgerBody
from ledger.split import share

MICRO = 1_000_000
MICRO_MAX = 10**17  # of one item: a billion in major units; a hundred of them still fit a column
SHIFT_MAX = 18  # decimal places: no format tells more
TEXT_MAX = 64  # of what is kept of a text: an ARN has 23
# Of fees that are told beside an item, those that are interchange: Visa's, by our own reader's
# name, and Mastercard's fee type 00 of PDS 0146.
INTERCHANGE = frozenset({"interchange", "00"})
SETTLEMENT = "settlement"  # LedgerBody.what, of what settles a batch
FEE = "fee"  # likewise, of a network's own fee
NAME = re.compile(r"[A-Za-z0-9_-]{1,24}")
OPEN, CLOSED, SETTLED, RECONCILED = STATUSES = ("open", "closed", "settled", "reconciled")


class Told(Struct, frozen=True):
    """What an entry's body says of the item that it is about. What it does not say is ""."""

    bin: str = ""
    mcc: str = ""
    card_present: bool = False
    reference: str = ""
    what: str = ""  # "": as the entry's kind
    fees: tuple[Any, ...] = ()  # name, sign, amount, currency, decimals
    settles_in: str = ""  # the currency of the item, where the body says it


NOTHING_TOLD = Told()


class Item(NamedTuple):
    """What decides on an item's cycle, and on what it should bring."""

    network: str
    program: str
    currency: str
    bin: str
    mcc: str
    card_present: bool


class Cycle(NamedTuple):
    """What is settled together, and when."""

    closes_at_ms: int
    day: date  # of its cut-off, a business day
    settles_on: date
    days: int


class Terms(Protocol):
    """By what items are gathered into batches: rules of the configuration."""

    @property
    def exponents(self) -> Mapping[str, int]:
        """Digits of minor units, by currency."""

    def cycle(self, item: Item, at_ms: int) -> Cycle:
        """The cycle of what happened then; `at_ms` = its cut-off gives the one after it."""

    def expected_micro(self, item: Item, amount_minor: int) -> int:
        """Interchange to be expected where none was told; above zero is ours, as amounts are."""


class FeesTold(NamedTuple):
    """Beside one item, in its currency; above zero is ours."""

    interchange_micro: int = 0
    fees_micro: int = 0
    told: bool = False  # anything at all
    uncounted: int = 0  # in another currency, or without saying who pays


class Line(NamedTuple):
    """One line on a network's account, as it goes into its batch."""

    shard: int
    seq: int
    line: int
    batch_id: str
    settles: bool
    at_ms: int
    what: str
    authorization_id: str
    reference: str
    bin: str
    mcc: str
    amount_minor: int
    interchange_micro: int
    fees_micro: int
    told: bool
    uncounted_fees: int
    expected_micro: int
    counter_currency: str
    counter_minor: int


class Key(NamedTuple):
    """What a batch is of."""

    network: str
    program: str
    currency: str
    cycle_date: date
    closes_at_ms: int
    settles_on: date
    days: int

    @property
    def id(self) -> str:
        """The same for the same batch, wherever it is made: "20261120-2200Z.t1.visa.acme.840"."""
        minutes = self.closes_at_ms // 60_000 % 1440
        when = f"{self.cycle_date:%Y%m%d}-{minutes // 60:02}{minutes % 60:02}Z.t{self.days}"
        names = [
            name
            if NAME.fullmatch(name)
            else f"x{blake2b(name.encode(), digest_size=8).hexdigest()}"
            for name in (self.network, self.program)
        ]
        return ".".join((when, *names, self.currency))


class Sums(Struct):
    """What the lines of a batch add up to."""

    items: int = 0
    debit_minor: int = 0
    credit_minor: int = 0
    fee_items_minor: int = 0
    interchange_micro: int = 0
    fees_micro: int = 0
    told_items: int = 0
    uncounted_fees: int = 0
    expected_micro: int = 0

    def add(self, line: Line) -> None:
        self.items += 1
        self.debit_minor += max(line.amount_minor, 0)
        self.credit_minor += max(-line.amount_minor, 0)
        self.fee_items_minor += line.amount_minor if line.what == FEE else 0
        self.interchange_micro += line.interchange_micro
        self.fees_micro += line.fees_micro
        self.told_items += line.told
        self.uncounted_fees += line.uncounted_fees
        self.expected_micro += line.expected_micro

    @property
    def net_minor(self) -> int:
        return self.debit_minor - self.credit_minor


def minor(micro: int) -> int:
    """Millionths as whole minor units, half to even."""
    return share(1, micro, MICRO)


def told_of(read: Body | None) -> Told:
    """What a body tells of its item; nothing, where it is about no card or cannot be read."""
    if isinstance(read, LedgerBody):
        facts = dict(read.facts)
        return Told(
            bin=bin_of(facts.get("bin", "")),
            mcc=mcc_of(facts.get("mcc", "")),
            reference=clean(facts.get("arn", "") or read.reference),
            what=clean(read.what),
            fees=fees_in(facts.get("fees", "")),
        )
    about: Any = read if hasattr(read, "mcc") else None
    for name in ("told", "asked"):
        about = about or getattr(read, name, None)
    if about is None:
        return NOTHING_TOLD
    return Told(
        bin=bin_of(about.bin),
        mcc=mcc_of(about.mcc),
        card_present=about.card_present,
        reference=clean(getattr(read, "arn", "")),
        what=kind_of(read),
        fees=getattr(read, "fees", ()),
        settles_in=getattr(read, "settlement_currency", ""),
    )


def kind_of(read: Any) -> str:
    """Of an item of a clearing file, what was cleared; of others nothing."""
    kind: str = getattr(read, "kind", "")
    return clean(f"{kind}_reversal" if kind and read.reversal else kind)


def fees_in(text: str) -> tuple[tuple[str, int, int, str, int], ...]:
    """As the facts of a movement spell them: "name,sign,amount,currency,decimals", by blanks."""
    try:
        parts = [one.split(",") for one in text.split()]
        return tuple((n, int(sign), int(a), of, int(d)) for n, sign, a, of, d in parts)
    except ValueError:
        return ()


def clean(text: str) -> str:
    """Fit for a column, whatever a body says: an entry that cannot be taken would stop all."""
    return "".join(c for c in text[:TEXT_MAX] if c.isprintable())


def mcc_of(text: str) -> str:
    return text if len(text) == 4 and text.isascii() and text.isdigit() else ""


def bin_of(text: str) -> str:
    """Six digits and no more: whatever else stands there is no BIN, and may be a card number."""
    return text if len(text) == 6 and text.isascii() and text.isdigit() else ""


def fees_of(told: Told, currency: str, exponents: Mapping[str, int]) -> FeesTold:
    """What a body tells of fees, for a line of this currency.

    A fee that names no currency is in the item's. One that does not say who pays is not
    counted, and neither is one in another currency, as nobody says at what rate, nor one that is
    larger than any.
    """
    interchange = fees = uncounted = 0
    for name, sign, amount, of, decimals in told.fees:
        shift = 0 if decimals < 0 else exponents.get(currency, 2) - decimals
        if sign not in (-1, 1) or (of or currency) != currency or abs(shift) > SHIFT_MAX:
            uncounted += 1
            continue
        micro = -sign * shifted(amount * MICRO, shift)
        if abs(micro) > MICRO_MAX:
            uncounted += 1
        elif name in INTERCHANGE:
            interchange += micro
        else:
            fees += micro
    return FeesTold(interchange, fees, len(told.fees) > uncounted, uncounted)


def shifted(amount: int, places: int) -> int:
    """By so many decimal places; half to even, where they do not all fit."""
    return amount * 10**places if places >= 0 else share(1, amount, 10**-places)
