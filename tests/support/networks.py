"""Messages as each network writes them, with its own elements; of tests/support/engine.py's."""

from typing import Any

from authz.clock import utc
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Message
from tests.support.engine import NOON, purchase, reversal
from tests.support.iso93 import purchase_1993

Fields = dict[int, Any]


def heard(dialect: str, mti: str, fields: Fields) -> Message:
    """The message as a link of that dialect would read it; fields in any order."""
    ordered = dict(sorted(fields.items()))
    return decode(encode(mti, ordered, BY_NAME[dialect]), BY_NAME[dialect])


def visa(
    stan: int = 1, amount: int = 5000, id: str = "306073123456789", at_ms: int = NOON, **more: Any
) -> Fields:
    """A purchase under its own transaction identifier."""
    fields = purchase(stan, amount, at_ms=at_ms)
    return own(fields | {22: "0510", 62: {1: "Y", 2: id}, 63: {1: "0002"}}, more)


def mastercard(
    stan: int = 1, amount: int = 5000, reference: str = "ABC123", at_ms: int = NOON, **more: Any
) -> Fields:
    """A purchase under its own network reference, of 22 March."""
    fields = purchase(stan, amount, at_ms=at_ms) | {
        15: "0322",
        43: "GROCER".ljust(22) + " " + "NEW YORK".ljust(13) + " USA",
        48: {"tcc": "R"},
        61: "0000000000300840",
        63: f"MCC{reference:9}",
    }
    return own(fields, more)


def postilion(
    stan: int = 1, amount: int = 5000, key: str = "", at_ms: int = NOON, **more: Any
) -> Fields:
    """A purchase under the switch's key."""
    key = key or f"SWITCH{stan:010}"
    return own(purchase(stan, amount, at_ms=at_ms) | {127: {2: key}}, more)


def generic(stan: int = 1, amount: int = 5000, at_ms: int = NOON, **more: Any) -> Fields:
    return own(purchase(stan, amount, at_ms=at_ms), more)


def iso93(stan: int = 1, amount: int = 5000, at_ms: int = NOON, **more: Any) -> Fields:
    return own(purchase_1993(stan, amount, at_ms=at_ms), more)


PURCHASE = {
    "visa": visa, "mastercard": mastercard, "postilion": postilion, "generic": generic,
    "iso93": iso93,
}  # fmt: skip


def own(fields: Fields, more: dict[str, Any]) -> Fields:
    """Changes as `purchase` takes them; None takes an element out."""
    fields |= {int(name[2:]): value for name, value in more.items()}
    return {number: value for number, value in sorted(fields.items()) if value is not None}


def trace(bought: Fields) -> str:
    """48.63 of a later message: DE 63 and DE 15 of the first."""
    return f"{bought[63][:9]}{bought[15]}  "


ZERO_FILLED = "0100" + "0" * 38  # DE 90 with nothing but the original's MTI

# By what a later message names its authorization in each network's own way: changes to it.
NAMED_BY = {
    "visa": lambda bought: {"de62": {2: bought[62][2]}},
    "mastercard": lambda bought: {"de15": bought[15], "de63": bought[63]},
    "mastercard in 48.63": lambda bought: {
        "de15": "0323", "de48": {"tcc": "R", "63": trace(bought)}, "de63": "MCCXYZ999   ",
    },
    "postilion": lambda bought: {"de127": {2: "ITSOWN", 11: bought[127][2]}},
}  # fmt: skip


def back(bought: Fields, stan: int = 900, *, at_ms: int = NOON + 30_000, **more: Any) -> Fields:
    """A reversal that names its authorization by nothing: add what it is to be named by."""
    plain: Fields = dict(reversal(bought, stan, at_ms=at_ms))
    for number in (37, 41, 42, 90):
        plain.pop(number, None)
    return own(plain, more)


def follow(bought: Fields, stan: int, *, at_ms: int = NOON + 60_000, **more: Any) -> Fields:
    """An advice, completion or increment that names its authorization by nothing; as `back`."""
    fields = {n: value for n, value in bought.items() if n not in (37, 41, 42, 62, 63, 15, 127)}
    fields |= {7: utc(at_ms).strftime("%m%d%H%M%S"), 11: f"{stan:06}"}
    return own(fields, more)
