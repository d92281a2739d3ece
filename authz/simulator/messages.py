"""What an acquirer puts into its messages: intended events and their data elements.

An event is intended before it is sent, so DE 7 is still open: `stamp` fills it in, and
DE 90 with it, which quotes the DE 7 of the original.
"""

from msgspec import Struct

from authz.simulator.merchants import Merchant
from authz.simulator.places import COUNTRY_NUMERIC, CURRENCIES, Currency

PURCHASE, CASH = "000000", "010000"  # DE 3
SHOP_ENTRY = ("051", "051", "051", "071", "071", "901")  # DE 22: chip, contactless, stripe
ONLINE_ENTRY = "812"  # DE 22: electronic commerce
FULL, ZEROS, ABSENT = "full", "zeros", "absent"  # how a reversal fills DE 90


class Event(Struct, gc=False, kw_only=True):
    """One message that somebody means to send, and what it means to us.

    `again` is the event whose bytes this sends once more (perhaps as a repeat);
    `about` is the authorization that a reversal takes back. Never both. An event is sent
    once: afterwards its elements carry the time of that sending.
    """

    mti: str
    kind: str  # a row of `traffic.SHARES`, or "purchase"
    elements: dict[int, str]  # by number, ascending; DE 7 is "" until it is stamped
    category: str = ""  # of the calibration
    dollars: float = 0.0  # what was meant to be spent, in US dollars
    hour: int = 0  # of the local day
    is_fraud: bool | None = None  # None where nobody said
    again: "Event | None" = None
    about: "Event | None" = None

    def __repr__(self) -> str:
        return f"Event({self.mti}, {self.kind})"  # the elements hold a card number


class Party(Struct, frozen=True, gc=False):
    """Who pays: what a terminal reads from the card."""

    pan: str
    expiry: str  # YYMM
    currency: str  # of the account, ISO 4217 alphabetic


class Moment(Struct, frozen=True, gc=False):
    """When, on the clock at the merchant's."""

    time: str  # DE 12, hhmmss
    date: str  # DE 13, MMDD
    day_code: str  # last digit of the year and day of the year: the head of DE 37


def authorization(
    kind: str,
    party: Party,
    merchant: Merchant,
    dollars: float,
    moment: Moment,
    stan: str,
    *,
    processing_code: str = PURCHASE,
    terminal: int = 0,  # any number: it chooses among the merchant's
) -> Event:
    """A 0100. Abroad, the network converts: DE 6, 10 and 51 say what the account is billed."""
    local, billed = CURRENCIES[merchant.place.currency], CURRENCIES[party.currency]
    amount = local.minor(dollars)
    elements = {2: party.pan, 3: processing_code, 4: f"{amount:012d}"}
    if local is not billed:
        elements[6] = f"{converted(amount, local, billed):012d}"
    elements[7] = ""
    if local is not billed:
        elements[10] = conversion_rate(local, billed)
    elements[11] = stan
    elements[12] = moment.time
    elements[13] = moment.date
    elements[14] = party.expiry
    elements[18] = merchant.mcc
    elements[19] = COUNTRY_NUMERIC[merchant.place.country]
    online = merchant.category.endswith("_net")
    elements[22] = ONLINE_ENTRY if online else SHOP_ENTRY[terminal % len(SHOP_ENTRY)]
    elements[25] = "59" if online else "00"
    elements[32] = merchant.acquirer_id
    # Unique by terminal and day: nobody sends a million messages in an hour by one acquirer.
    elements[37] = f"{moment.day_code}{moment.time[:2]}{stan}"
    elements[41] = merchant.terminals[terminal % len(merchant.terminals)]
    elements[42] = merchant.merchant_id
    elements[43] = merchant.name_location
    elements[49] = local.numeric
    if local is not billed:
        elements[51] = billed.numeric
    return Event(
        mti="0100",
        kind=kind,
        elements=elements,
        category=merchant.category,
        dollars=dollars,
        hour=int(moment.time[:2]),
    )


def once_more(kind: str, first: Event, as_repeat: bool) -> Event:
    """The same message again: byte for byte, or as a repeat with its own MTI (0101)."""
    mti = first.mti[:3] + "1" if as_repeat else first.mti
    return Event(mti=mti, kind=kind, elements=first.elements, again=first)


# A reversal keeps these of its authorization. Its STAN, DE 7 and so its id are its own.
KEPT_BY_REVERSAL = (2, 3, 4, 12, 13, 14, 18, 19, 22, 25, 32, 37, 41, 42, 43, 49)


def reversal(
    first: Event, mti: str, stan: str, *, original: str = FULL, remaining_minor: int | None = None
) -> Event:
    """A 0400 or 0420. `remaining_minor` is what stays taken, in the currency of DE 4."""
    kept = {number: first.elements[number] for number in KEPT_BY_REVERSAL}
    kept |= {7: "", 11: stan}
    if original != ABSENT:
        kept[90] = ""
    if remaining_minor is not None:
        kept[95] = f"{remaining_minor:012d}{0:030d}"  # DE 95.1: the actual amount
    elements = dict(sorted(kept.items()))
    kind = "reversal" if remaining_minor is None else "partial_reversal"
    event = Event(mti=mti, kind=kind, elements=elements, about=first)
    if original == ZEROS:
        # Networks ask for the first part only, and some acquirers send no more than that.
        elements[90] = "0100" + "0" * 38
    return event


def advice(first: Event, stan: str) -> Event:
    """A 0120: the network approved another such purchase in our stead, which we can only note."""
    elements = first.elements | {7: "", 11: stan, 39: "00"}
    elements[37] = f"{first.elements[37][:6]}{stan}"
    return Event(mti="0120", kind="advice", elements=dict(sorted(elements.items())))


def completion(first: Event, stan: str) -> Event:
    """A 0220 of an authorization's whole amount, named by its DE 37, 41 and 42."""
    return Event(mti="0220", kind="completion", elements=first.elements | {7: "", 11: stan})


def stamp(event: Event, now: str) -> dict[int, str]:
    """The elements with DE 7 (and DE 90) filled in, once: a repeat keeps its first time."""
    if event.again is not None:
        # Its elements are the first's; where that was never sent, nobody has filled them in yet.
        return stamp(event.again, now)
    elements = event.elements
    if elements[7]:
        return elements
    elements[7] = now
    first = event.about
    if first is not None:
        # A reversal that overtakes its authorization quotes the time the latter will have.
        about = stamp(first, now)
        if elements.get(90) == "":
            elements[90] = f"0100{about[11]}{about[7]}{about[32]:0>11}{0:011d}"
    return elements


def converted(amount_minor: int, local: Currency, billed: Currency) -> int:
    """The amount in the other currency's minor units."""
    dollars = amount_minor / local.unit / local.per_dollar
    return billed.minor(dollars)


def conversion_rate(local: Currency, billed: Currency) -> str:
    """DE 10: the first digit counts the decimals of the seven that follow."""
    rate = billed.per_dollar / local.per_dollar
    decimals = max(0, min(7, 7 - len(str(int(rate)))))
    return f"{decimals}{round(rate * 10**decimals):07d}"
