"""Captured traffic for tests: what went over a link, in both directions."""

from typing import Any

from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from tests.support.iso import fits

Said = tuple[str, dict[int, Any]]  # MTI and fields


def bodies(said: list[Said], dialect: str = "iso87_ascii") -> list[bytes]:
    """As this dialect writes them, without what it has no place for."""
    kind = BY_NAME[dialect]
    return [
        encode(mti, {n: v for n, v in fields.items() if fits(n, v, kind)}, kind)
        for mti, fields in said
    ]


def stream(said: list[Said], dialect: str = "iso87_ascii", framing: str = "binary2") -> bytes:
    return b"".join(FRAMINGS[framing].pack(body) for body in bodies(said, dialect))


def lines(said: list[Said], dialect: str = "iso87_ascii") -> bytes:
    return b"".join(body.hex().encode() + b"\n" for body in bodies(said, dialect))


def answer(mti: str, fields: dict[int, Any], code: str = "00", approval: str = "") -> Said:
    """Of a request with these fields: its echoes, DE 38 and 39."""
    kept = {n: fields[n] for n in (2, 3, 4, 7, 11, 32, 37, 41, 42, 49) if n in fields}
    said = kept | {39: code} | ({38: approval} if approval else {})
    return f"{mti[:2]}{int(mti[2]) + 1}0", said
