"""What a network clears of the traffic that it carried: presentments, from what it saw approved.

Most are as much as was held. Some are less or more, come in parts, after the hold has ended, or
never; and some are of nothing that was ever asked. Which authorization has which story is thrown
from a seed; where there are enough of them, each story is told at least once.

What must become of each, where the file is what posts, is told beside it (`expected`), in the words
of `authz clear`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from random import Random

from msgspec import Struct

from authz.simulator.accents import life_cycle
from authz.simulator.cards import Card, Population
from authz.simulator.messages import Event
from authz.simulator.places import CURRENCIES
from authz.simulator.population import unknown_pan, with_luhn
from authz.simulator.report import Report

# Of all approved purchases. The rest clears as it was held.
SHARES = {
    "below": 0.08,
    "above": 0.05,  # a tip, a longer ride
    "parts": 0.05,  # two or three shipments
    "late": 0.03,  # in a file of its own, to be cleared when holds have ended by their date
    "missing": 0.04,  # never cleared: its hold ends by its date
    "refunded": 0.02,  # cleared, and all or some of it given back
    "taken_back": 0.01,  # cleared, and the record reversed in the same file
}
AFTER_REVERSAL = 0.20  # of those that were reversed: cleared all the same
STRAY, NOBODYS, FEES = 0.010, 0.005, 0.002  # records of nothing that was asked, per approved one
INTERCHANGE_PER_10_000 = 150  # of the amount, to us
APPROVED = "00"


class Presentment(Struct, frozen=True, kw_only=True, gc=False):
    """One record of a clearing file, in no network's format yet. Amounts are minor units."""

    story: str
    expected: str  # an outcome of `authz clear`
    kind: str  # presentment | cash | refund | fee
    pan: str  # "" of a fee
    transaction_minor: int
    transaction_currency: str
    billing_minor: int
    billing_currency: str
    reversal: bool = False
    arn: str = ""
    reference: str = ""  # a fee's own number
    interchange_minor: int = 0  # we are given it; in the billing currency
    late: bool = False  # for the file that comes when holds have ended
    life_cycle: str = ""
    rrn: str = ""
    approval_code: str = ""
    local_date: date | None = None
    local_time: str = ""
    mcc: str = ""
    merchant_id: str = ""
    merchant_name: str = ""
    merchant_city: str = ""
    merchant_country: str = ""  # ISO 3166 alpha-2
    terminal_id: str = ""
    acquirer_id: str = ""
    number: int = 0  # which clearing of how many; 0: the only one
    count: int = 0
    authorization: str = ""  # as the network's report names it: MTI, DE 7, 11 and 32

    def __repr__(self) -> str:
        return f"Presentment({self.story}, {self.expected})"  # it holds a card number


class Approved(Struct, frozen=True, gc=False):
    """An authorization that the network saw approved, and what of it still stands."""

    event: Event
    key: str
    approval_code: str
    left_minor: int  # in the transaction's currency; 0: all of it was taken back
    left_billed_minor: int


class Cleared(Struct, frozen=True):
    """All that is to be cleared of a run, and what never will be."""

    presentments: tuple[Presentment, ...]
    missing: tuple[str, ...]  # authorizations, as the report names them


def key_of(event: Event) -> str:
    e = event.elements
    return f"{event.mti[:3]}0 {e[7]} {e[11]} {e[32]}"


def approved_of(events: Iterable[Event], report: Report) -> list[Approved]:
    """Purchases and cash that were approved, and of whose reversals we know what became of them.

    Left out is what an issuer and a network may see differently: a reversal without an answer, one
    that overtook its authorization, a part of an amount that was converted.
    """
    events = list(events)
    known: dict[int, Event | None] = {}  # the reversal of an authorization; None: unclear
    for event in events:
        if event.about is not None and event.again is None:
            code = report.answers.get(key_of(event), "")[:2]
            clear = code == APPROVED and event.kind != "early_reversal"
            known[id(event.about)] = event if clear else None
    found = []
    for event in events:
        if event.again is not None or event.about is not None or not event.elements[7]:
            continue
        verdict, e = report.answers.get(key_of(event), ""), event.elements
        amount = int(e[4])
        if verdict[:2] != APPROVED or not amount:
            continue
        left, billed = amount, int(e.get(6, e[4]))
        if id(event) in known:
            reversal = known[id(event)]
            if reversal is None or (95 in reversal.elements and 6 in e):
                continue
            left = billed = int(reversal.elements[95][:12]) if 95 in reversal.elements else 0
        found.append(Approved(event, key_of(event), verdict[2:], left, billed))
    return found


def clear(
    network: str, events: Iterable[Event], report: Report, population: Population, *,
    seed: int, day: date, first_number: int = 0, counts_parts: bool = True,
) -> Cleared:  # fmt: skip
    """What the network sends for this run. `day`: of the run; `first_number`: ARNs count from
    there; `counts_parts`: whether its format says which clearing of how many a record is."""
    dice = Random(f"clearing {seed}")
    maker = _Maker(network, dice, day, first_number, counts_parts)
    approved = approved_of(events, report)
    dice.shuffle(approved)
    groups: list[Iterator[Presentment]] = []
    missing: list[str] = []
    due = [*SHARES, "after_reversal"]  # told at least once
    for one in approved:
        story = story_of(one, due, dice)
        if story in due:
            due.remove(story)
        if story == "missing":
            missing.append(one.key)
        elif story:
            groups.append(maker.tell(story, one))
    groups += (iter((one,)) for one in maker.strays(population, len(approved)))
    return Cleared(tuple(strewn(groups, dice)), tuple(sorted(missing)))


def strewn(groups: Iterable[Iterator[Presentment]], dice: Random) -> Iterator[Presentment]:
    """All records in any order, but those of one authorization in theirs."""
    told = [list(group) for group in groups]
    turns = [at for at, group in enumerate(told) for _ in group]
    dice.shuffle(turns)
    left = [iter(group) for group in told]
    return (next(left[at]) for at in turns)


def story_of(one: Approved, due: Sequence[str], dice: Random) -> str:
    """Its name; "" where there is nothing to be cleared."""
    throw = dice.random()
    if not one.left_minor:
        told = throw < AFTER_REVERSAL or "after_reversal" in due
        return "after_reversal" if told else ""
    smallest = min(one.left_minor, one.left_billed_minor)
    for name in due:
        if name in SHARES and smallest >= 10:
            return name
    for name, share in SHARES.items():
        throw -= share
        if throw < 0 and smallest >= 10:  # of less there are no parts
            return name
    return "equal"


class _Maker:
    """The dice, and what is counted up."""

    def __init__(
        self, network: str, dice: Random, day: date, first_number: int, counts_parts: bool
    ) -> None:
        self._network, self._dice, self._day = network, dice, day
        self._counts_parts = counts_parts
        self._number = first_number

    def tell(self, story: str, one: Approved) -> Iterator[Presentment]:
        """The records of one authorization, in their order."""
        dice, whole, billed = self._dice, one.left_minor, one.left_billed_minor
        match story:
            case "below":
                share = dice.uniform(0.5, 0.95)
                minor, less = max(int(whole * share), 1), max(int(billed * share), 1)
                yield self._record(story, "cleared_below", one, minor, less)
            case "above":
                share = dice.uniform(1.1, 1.25)
                minor, more = int(whole * share) + 1, int(billed * share) + 1
                yield self._record(story, "cleared_above", one, minor, more)
            case "parts":
                yield from self._parts(one)
            case "late":
                yield self._record(story, "cleared_late", one, whole, billed, late=True)
            case "after_reversal":
                e = one.event.elements
                minor, again = int(e[4]), int(e.get(6, e[4]))
                yield self._record(story, "cleared_late", one, minor, again)
            case "refunded":
                yield self._record(story, "cleared", one, whole, billed)
                share = dice.choice((1.0, 0.5))
                minor, back = max(int(whole * share), 1), max(int(billed * share), 1)
                yield self._record(story, "refunded", one, minor, back, kind="refund")
            case "taken_back":
                first = self._record(story, "cleared", one, whole, billed)
                yield first
                yield self._record(
                    story, "reversed", one, whole, billed, reversal=True, arn=first.arn
                )
            case _:
                yield self._record(story, "cleared", one, whole, billed)

    def _parts(self, one: Approved) -> Iterator[Presentment]:
        """Two or three, of which the last takes what is left of the hold. A format that does not
        count them ends the hold with whichever comes first, so the others are above it."""
        count = self._dice.choice((2, 3))
        part, part_billed = one.left_minor // count, one.left_billed_minor // count
        for number in range(1, count + 1):
            last = number == count
            minor = one.left_minor - part * (count - 1) if last else part
            billed = one.left_billed_minor - part_billed * (count - 1) if last else part_billed
            if self._counts_parts:
                yield self._record(
                    "parts", "cleared_part", one, minor, billed, number=number, count=count
                )
            else:
                expected = "cleared_below" if number == 1 else "cleared_above"
                yield self._record("parts", expected, one, minor, billed)

    def _record(
        self, story: str, expected: str, one: Approved, minor: int, billed: int,
        kind: str = "", **changes: object,
    ) -> Presentment:  # fmt: skip
        e = one.event.elements
        references: dict[str, object] = {}
        if kind != "refund":  # which is no authorization's: nobody asked for it
            references = {
                "life_cycle": life_cycle(self._network, one.event), "rrn": e[37],
                "approval_code": one.approval_code, "authorization": one.key,
            }  # fmt: skip
        told: dict[str, object] = {
            "story": story, "expected": expected,
            "kind": kind or ("cash" if e[3][:2] == "01" else "presentment"), "pan": e[2],
            "transaction_minor": minor, "transaction_currency": e[49], "billing_minor": billed,
            "billing_currency": e.get(51, e[49]), "arn": changes.get("arn") or self.arn(e[32]),
            "interchange_minor": billed * INTERCHANGE_PER_10_000 // 10_000,
            "local_date": self._date_of(e[13]), "local_time": e[12], "mcc": e[18],
            "merchant_id": e[42], "merchant_name": e[43][:25].strip(),
            "merchant_city": e[43][25:38].strip(), "merchant_country": e[43][38:40],
            "terminal_id": e[41], "acquirer_id": e[32],
        }  # fmt: skip
        return Presentment(**(told | references | changes))  # type: ignore[arg-type]

    def _date_of(self, mmdd: str) -> date:
        """DE 13 with the year that puts it nearest to the run's day."""
        years = (self._day.year - 1, self._day.year, self._day.year + 1)
        days = []
        for year in years:
            try:
                days.append(date(year, int(mmdd[:2]), int(mmdd[2:])))
            except ValueError:
                continue  # the 29th of February of another year
        return min(days, key=lambda one: abs((one - self._day).days))

    def arn(self, acquirer_id: str) -> str:
        """23 digits: a format, the acquirer's BIN, year and day, a number, the check digit."""
        self._number += 1
        day = f"{self._day.year % 10}{self._day:%j}"
        digits = f"79999{acquirer_id[-2:]}{day}{self._number:011}"
        return with_luhn(digits)

    def strays(self, population: Population, approved: int) -> Iterator[Presentment]:
        """Of a card of ours that asked nothing; of a card that is nobody's; and a fee."""
        ours = [card for card in population.cards if is_good(card)]
        for share, story, expected in (
            (STRAY, "stray", "forced"), (NOBODYS, "nobodys", "unmatched"),
        ):  # fmt: skip
            for _ in range(max(round(approved * share), 1)):
                if story == "nobodys":
                    yield self._stray(story, expected, unknown_pan(self._dice), "840")
                elif ours:
                    card = self._dice.choice(ours)
                    currency = CURRENCIES[card.account.currency].numeric
                    yield self._stray(story, expected, card.pan, currency)
        for number in range(max(round(approved * FEES), 1)):
            minor = 1250 + 25 * number  # no two alike: BASE II has no number that tells them apart
            self._number += 1
            yield Presentment(
                story="fee", expected="fee", kind="fee", pan="", transaction_minor=minor,
                transaction_currency="840", billing_minor=minor, billing_currency="840",
                local_date=self._day, reference=f"{self._number:011}",
            )  # fmt: skip

    def _stray(self, story: str, expected: str, pan: str, currency: str) -> Presentment:
        minor = self._dice.randint(100, 9_999)
        return Presentment(
            story=story, expected=expected, kind="presentment", pan=pan, transaction_minor=minor,
            transaction_currency=currency, billing_minor=minor, billing_currency=currency,
            arn=self.arn("999900099"), local_date=self._day, local_time="120000", mcc="5999",
            merchant_id="M99999999999999", merchant_name="NOBODY ASKED", merchant_city="NOWHERE",
            merchant_country="US", terminal_id="T9999999", acquirer_id="999900099",
            interchange_minor=minor * INTERCHANGE_PER_10_000 // 10_000,
        )  # fmt: skip


def is_good(card: Card) -> bool:
    return card.status == "active" and card.account.status == "active"
