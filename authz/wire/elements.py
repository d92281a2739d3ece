"""Data elements of ISO 8583:1987 read as what they mean; refused where they mean nothing.

Source: ISO 8583:1987, data element dictionary.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter, methodcaller

import iso3166

from authz.privacy import Pan
from iso8583.message import Message, Value


class BadElement(Exception):
    """A data element is missing or malformed. Says which and how, never what it held."""

    def __init__(self, field: int, problem: str) -> None:
        super().__init__(f"DE {field}: {problem}")
        self.field = field
        self.problem = problem


def text(message: Message, field: int) -> str:
    """A field's text without padding, or "" where it is absent."""
    value = message.get(field)
    return value.strip(" ") if isinstance(value, str) else ""


def texts(message: Message, fields: tuple[int, ...]) -> tuple[str, ...]:
    """The same of several fields, in one go: a question is read from some fifteen."""
    picked = _picker(message.layout.fields, fields)((*message.values, ""))
    try:
        return tuple(map(WITHOUT_PADDING, picked))
    except TypeError:  # a deployment's own dialect may have some of them as bytes
        return tuple([value.strip(" ") if isinstance(value, str) else "" for value in picked])


WITHOUT_PADDING = methodcaller("strip", " ")


@lru_cache(maxsize=1024)  # messages of one bitmap share it
def _picker(
    there: tuple[int, ...], fields: tuple[int, ...]
) -> Callable[[tuple[Value, ...]], tuple[Value, ...]]:
    """Takes these fields' values, and for those that are absent the one behind all others."""
    places = {number: place for place, number in enumerate(there)}
    return itemgetter(*(places.get(number, len(there)) for number in fields))


def named(message: Message) -> str:
    """What a message is looked for by in a log: its MTI and DE 11, and nothing of its card."""
    stan = text(message, 11)
    fit = len(stan) <= 6 and stan.isascii() and stan.isdigit()
    return f"MTI {message.mti}, STAN {stan if fit else '-'}"


def required(message: Message, field: int) -> str:
    """A field's text. Raises: BadElement where it is absent or blank."""
    return said(text(message, field), field)


def said(value: str, field: int) -> str:
    """The same of a text that was taken before."""
    if not value:
        raise BadElement(field, "missing")
    return value


def card_number(message: Message) -> Pan:
    """The PAN, from DE 2 or from the track in DE 35. Raises: BadElement."""
    digits, field = message.get(2), 2
    if digits is None:
        track, field = message.get(35), 35
        if not isinstance(track, str):
            raise BadElement(2, "missing")
        digits = track.replace("D", "=").partition("=")[0]
    try:
        return Pan(str(digits))
    except ValueError:
        raise BadElement(field, "not a card number") from None


def amount(message: Message, field: int) -> int:
    """An amount in minor units of its currency. Raises: BadElement."""
    return minor(text(message, field), field)


def minor(digits: str, field: int) -> int:
    """The same of a text that was taken before."""
    if not (digits.isascii() and digits.isdigit()):
        raise BadElement(field, "not an amount" if digits else "missing")
    return int(digits)


def billing_rate(message: Message) -> str:
    """DE 10 in decimals; "" where it says nothing. It is kept and shown, and no money is worked out
    by it, so one that cannot be read refuses nothing.

    Source: ISO 8583:1987: the first digit tells how many of the other seven stand behind the point.
    """
    digits = text(message, 10)
    if not (len(digits) == 8 and digits.isascii() and digits.isdigit()) or not int(digits[1:]):
        return ""
    rate = f"{Decimal(int(digits[1:])).scaleb(-int(digits[0])):f}"
    return rate.rstrip("0").rstrip(".") if "." in rate else rate


def currency(code: str, field: int) -> str:
    """An ISO 4217 numeric code. Raises: BadElement."""
    if not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise BadElement(field, "not a numeric currency code" if code else "missing")
    return code


def transmission_time(message: Message, now_ms: int) -> int:
    """DE 7 in seconds since 1970, UTC, with the year that brings it nearest to now.

    Raises: BadElement, also for 29 February where no near year has one.
    """
    digits = required(message, 7)
    if not (len(digits) == 10 and digits.isascii() and digits.isdigit()):
        raise BadElement(7, "not a time")
    moment = _nearest(digits, now_ms // 86_400_000)
    if moment is None:
        raise BadElement(7, "not a time")
    return moment


@lru_cache(maxsize=4096)  # one per second of the last hour: most messages share a second
def _nearest(digits: str, today: int) -> int | None:
    """`today` in days since 1970. What is half a year off may be a day early or late in turning."""
    noon = today * 86_400 + 43_200
    year = datetime.fromtimestamp(noon, UTC).year
    month, day = int(digits[0:2]), int(digits[2:4])
    hour, minute, second = int(digits[4:6]), int(digits[6:8]), int(digits[8:10])
    candidates = []
    for y in (year - 1, year, year + 1):
        try:
            at = datetime(y, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
        candidates.append(int(at.timestamp()))
    return min(candidates, key=lambda at: abs(at - noon)) if candidates else None


def named_at(message: Message) -> str:
    """DE 13 and 12 of a message of 1993: its DE 56 names the original by them, not by DE 7."""
    return text(message, 13) + text(message, 12) if message.mti[0] == "1" else ""


def merchant_country(message: Message) -> str:
    """The merchant's country as ISO 3166 alpha-2: from DE 43, else the acquirer's from DE 19."""
    location = message.get(43)
    if isinstance(location, str) and len(location) == 40:
        code = location[38:40].upper()
        if code in iso3166.countries_by_alpha2:
            return code
    country = iso3166.countries_by_numeric.get(text(message, 19))
    return country.alpha2 if country else ""


NAME_SIZE = 25  # of DE 43, as ISO 8583:1987 has it
NAME_SIZES = {"mastercard": 22}  # then a blank and the city


def merchant_name(message: Message, network: str) -> str:
    """The name that DE 43 begins with, without padding."""
    location = message.get(43)
    size = NAME_SIZES.get(network, NAME_SIZE)
    return location[:size].rstrip() if isinstance(location, str) else ""


def retrieval_reference(message: Message) -> str:
    """DE 37, or "" where it is absent or zeros, which name nothing."""
    return named_by(text(message, 37))


def named_by(rrn: str) -> str:
    """The same of a text that was taken before."""
    return rrn if rrn.strip("0") else ""
