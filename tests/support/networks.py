"""Messages as each network writes them, with its own elements; of tests/support/engine.py's."""

from typing import Any

from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.engine import NOON, purchase, reversal

Fields = dict[int, Any]


def heard(dialect: str, mti: str, fields: Fields) -> Message:
    """The message as a link of that dialect would read it; fields in any order."""
    ordered = dict(sorted(fields.items()))
    return decode(encode(mti, ordered, BY_NAME[dialect]), BY_NAME[dialect])


def visa(stan: int = 1, amount: int = 5000, id: str = "306073123456789", **more: Any) -> Fields:
    """A purchase under its own transaction identifier."""
    return own(purchase(stan, amount) | {22: "0510", 62: {1: "Y", 2: id}, 63: {1: "0002"}}, more)


def mastercard(stan: int = 1, amount: int = 5000, reference: str = "ABC123", **more: Any) -> Fields:
    """A purchase under its own network reference, of 22 March."""
    fields = purchase(stan, amount) | {
        15: "0322",
        43: "GROCER".ljust(22) + " " + "NEW YORK".ljust(13) + " USA",
        48: {"tcc": "R"},
        61: "0000000000300840",
        63: f"MCC{reference:9}",
    }
    return own(fields, more)


def postilion(stan: int = 1, amount: int = 5000, key: str = "", **more: Any) -> Fields:
    """A purchase under the switch's key."""
    return own(purchase(stan, amount) | {127: {2: key or f"SWITCH{stan:010}"}}, more)


def generic(stan: int = 1, amount: int = 5000, **more: Any) -> Fields:
    return own(purchase(stan, amount), more)


def own(fields: Fields, more: dict[str, Any]) -> Fields:
    """Changes as `purchase` takes them; None takes an element out."""
    fields |= {int(name[2:]): value for name, value in more.items()}
    return {number: value for number, value in sorted(fields.items()) if value is not None}


def trace(bought: Fields) -> str:
    """48.63 of a later message: DE 63 and DE 15 of the first."""
    return f"{bought[63][:9]}{bought[15]}  "


def back(bought: Fields, stan: int = 900, *, at_ms: int = NOON + 30_000, **more: Any) -> Fields:
    """A reversal that names its authorization by nothing: tests add what it is named by."""
    plain = reversal(bought, stan, at_ms=at_ms)
    for number in (37, 41, 42, 90):
        plain.pop(number, None)
    return own(plain, more)


ZERO_FILLED = "0100" + "0" * 38  # DE 90 with nothing but the original's MTI
