"""How lengths and EBCDIC texts stand on the wire.

Lengths are looked up, not computed: a table knows every prefix that is allowed and no
other, so `int()` with its signs, spaces and foreign digits never sees a peer's bytes.
"""

from binascii import a2b_hex
from functools import cache

from msgspec import Struct

from iso8583.axes import ASCII, BCD, DIGITS, EBCDIC, PRINTABLE, RAW, Coding

BCD_BYTES = bytes(16 * high + low for high in range(10) for low in range(10))

# Code page 037. The sources say 037 or 1047: both write letters, digits and nearly all signs
# alike, and Python has only the first; they differ in "[", "]" and "^". What is no printable
# character becomes a zero byte, which no kind of text allows.
TO_EBCDIC = bytes.maketrans(PRINTABLE, PRINTABLE.decode().encode("cp037"))
FROM_EBCDIC = bytes(
    byte if byte in PRINTABLE else 0 for byte in bytes(range(256)).decode("cp037").encode("latin-1")
)


class Prefixes(Struct, frozen=True, gc=False):
    """All the length prefixes of one kind of field."""

    size: int  # bytes on the wire
    write: tuple[bytes, ...]  # by length of the value
    texts: tuple[str, ...]  # the same as digits, for generated code that packs a run at a time
    read: dict[bytes, int]  # to length of the value
    digits: bytes  # what a prefix is made of, right or wrong


NO_PREFIX = Prefixes(size=0, write=(), texts=(), read={}, digits=b"")


@cache  # a handful per dialect; its keys come from tables, not from peers
def prefixes(digits: int, maximum: int, coding: Coding, counts: int) -> Prefixes:
    """Prefixes for values of 0 to `maximum`, each unit of which counts for one or two."""
    if coding is BCD:
        digits += digits % 2
    form = f"0{2 * digits}x" if coding is RAW else f"0{digits}"
    texts = tuple(format(length * counts, form) for length in range(maximum + 1))
    write = tuple(write_digits(text, coding) for text in texts)
    made_of = {ASCII: DIGITS, EBCDIC: DIGITS.translate(TO_EBCDIC), BCD: BCD_BYTES}
    return Prefixes(
        size=len(write[0]),
        write=write,
        texts=texts,
        read={prefix: length for length, prefix in enumerate(write)},
        digits=made_of.get(coding, bytes(range(256))),
    )


def write_digits(text: str, coding: Coding) -> bytes:
    """Digits, hexadecimal ones if RAW, as they stand on the wire."""
    if coding in (BCD, RAW):
        return a2b_hex(text)
    return text.encode() if coding is ASCII else text.encode().translate(TO_EBCDIC)


def as_digits(raw: bytes, coding: Coding) -> bytes:
    """A tag or a length as digits, hexadecimal ones if it is raw. Anything else stays no digit."""
    if coding is RAW:
        return raw.hex().upper().encode()
    return raw.translate(FROM_EBCDIC) if coding is EBCDIC else raw
