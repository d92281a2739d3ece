"""What the simulator means, in the words of each network; and what it hears, in generic ones.

Events are made in the elements of 1987 (`messages.py`). A network's accent moves them to where it
has them and adds what its messages never lack: an id for the whole life of a payment, which a
reversal tells again. Ids come from the acquirer and its STAN, so the same seed says the same.

Source: docs/networks.md.
"""

from binascii import a2b_hex
from collections.abc import Callable

import iso3166

from authz.simulator.messages import ONLINE_ENTRY, Event
from authz.wire.networks import NETWORKS
from authz.wire.response_codes import CODES
from iso8583.spec import Dialect
from rules.reason import Reason

Fields = dict[int, str | bytes]
Accent = Callable[[Event, dict[int, str]], Fields]


def serial(elements: dict[int, str]) -> int:
    """A number of its own for each message of a run: acquirers count for themselves."""
    return int(elements[32][-3:]) * 1_000_000 + int(elements[11])


def named(event: Event, elements: dict[int, str]) -> dict[int, str]:
    """Whose life it is: that of the authorization that a reversal is about, or its own."""
    return elements if event.about is None else event.about.elements


def life_cycle(network: str, first: Event) -> str:
    """The id of an authorization's whole life as the engine spells it, and clearing tells it; ""
    where the network has none that a clearing record has room for."""
    match network:
        case "visa":
            return f"{serial(first.elements):015}"
        case "mastercard":
            return f"MCC{serial(first.elements):X} {first.elements[7][:4]}"
        case _:
            return ""


def as_it_is(event: Event, elements: dict[int, str]) -> Fields:
    return dict(elements)


def visa(event: Event, elements: dict[int, str]) -> Fields:
    """DE 22 of four digits; 60 for a request, 62.2, 63.1, and 63.3 = 2502 for a reversal."""
    is_request = event.about is None
    fields: Fields = dict(elements)
    fields[22] = elements[22] + "0"
    if is_request:
        online = elements[22] == ONLINE_ENTRY
        fields[60] = a2b_hex("000000000700" if online else "450000000000")
    fields[62] = b"\x40" + bytes(7) + a2b_hex(f"{serial(named(event, elements)):016}")
    fields[63] = a2b_hex("8000000002" if is_request else "a0000000022502")
    return fields


def mastercard(event: Event, elements: dict[int, str]) -> Fields:
    """DE 15, 43, 48, 61 and 63. A message has a reference of its own; 48.63 tells the first's."""
    fields: Fields = dict(elements)
    place = elements[43]
    country = iso3166.countries_by_alpha2[place[38:40]].alpha3
    fields[15] = elements[7][:4]
    fields[43] = f"{place[:22]} {place[25:38]} {country}"
    fields[63] = f"MCC{serial(elements):X}".ljust(12)
    additional = "R"
    if event.about is not None:
        first = event.about.elements
        additional += f"6315{f'MCC{serial(first):X}':9}{first[7][:4]}  "
    fields[48] = additional.encode("cp037")
    presence = "5" if elements[22] == ONLINE_ENTRY else "0"
    fields[61] = f"000{presence}0000003" + "00" + elements[19]
    return fields


def postilion(event: Event, elements: dict[int, str]) -> Fields:
    """DE 127: the switch's key, and that of the first in a reversal."""
    own = f"{serial(elements):016}".encode()
    if event.about is None:
        return elements | {127: b"\x40" + bytes(7) + b"16" + own}
    first = f"{serial(event.about.elements):016}".encode()
    return elements | {127: b"\x40\x20" + bytes(6) + b"16" + own + b"16" + first}


ENTRY_1993 = {"051": "510101511344", "071": "A10101A11344", "901": "210101211344"}
ONLINE_1993 = "100050600130"
MOVED_1993 = (13, 18, 25, 90, 95)


def iso93(event: Event, elements: dict[int, str]) -> Fields:
    """DE 12 with the date, 22, 24, 26, 43; of a reversal 30 and 56 for DE 90 and 95."""
    fields: Fields = {n: value for n, value in elements.items() if n not in MOVED_1993}
    place = elements[43]
    country = iso3166.countries_by_alpha2[place[38:40]].alpha3
    fields[12] = date_and_time(elements)
    fields[22] = ENTRY_1993.get(elements[22], ONLINE_1993)
    fields[24] = "100" if event.about is None else "401" if 95 in elements else "400"
    fields[26] = elements[18]
    fields[43] = f"{place[:25].rstrip()}\\1 STREET\\{place[25:38].rstrip()}\\{'':16}{country}"
    if 95 in elements:
        fields[4], fields[30] = elements[95][:12], f"{elements[4]}{0:012}"
    if event.about is not None and 90 in elements:
        first = event.about.elements
        told = f"{first[11]}{date_and_time(first)}{len(first[32]):02}{first[32]}"
        fields[56] = "1100" + (told if elements[90][4:].strip("0") else "0" * 18)
    return fields


def date_and_time(elements: dict[int, str]) -> str:
    """DE 12 of 1993. The year is any: nobody compares it with another message's."""
    return "26" + elements[13] + elements[12]


ACCENTS: dict[str, Accent] = {
    "generic": as_it_is,
    "visa": visa,
    "mastercard": mastercard,
    "postilion": postilion,
    "iso93": iso93,
}
assert ACCENTS.keys() == NETWORKS.keys()

# What a dialect is spoken with, where nothing else is said.
FRAMING_OF = {"visa": "vap"}


def as_said(network: str, dialect: Dialect, event: Event, elements: dict[int, str]) -> Fields:
    """The fields, in the order of the wire. What is sent once more says what it said first."""
    fields = ACCENTS[network](event.again or event, elements)
    size = dialect.fields[22].maximum
    entry = fields.get(22)
    if isinstance(entry, str) and len(entry) < size:  # a dialect of visa with generic words
        fields[22] = entry.ljust(size, "0")
    return dict(sorted(fields.items()))


def mti_in(network: str, mti: str) -> str:
    return NETWORKS[network].version + mti[1:]


def _generic_codes(network: str) -> dict[str, str]:
    """DE 39 of a network to what 1987 says for the same reason."""
    generic, own = CODES["generic"], CODES[network]
    heard = {own.of[reason]: generic.of[reason] for reason in Reason}
    for code in (own.account_check, *own.accepted.values()):
        heard[code] = generic.of[Reason.APPROVED]
    return heard | {own.partial: generic.partial}


GENERIC_CODES = {network: _generic_codes(network) for network in NETWORKS}
