"""How lengths stand on the wire.

Lengths are looked up, not computed: a table knows every prefix that is allowed and no
other, so `int()` with its signs, spaces and foreign digits never sees a peer's bytes.
"""

from binascii import a2b_hex
from functools import cache

from msgspec import Struct

DIGITS = b"0123456789"
BCD_BYTES = bytes(16 * high + low for high in range(10) for low in range(10))


class Prefixes(Struct, frozen=True, gc=False):
    """All the length prefixes of one kind of field."""

    size: int  # bytes on the wire
    write: tuple[bytes, ...]  # by length of the value
    texts: tuple[str, ...]  # the same as digits, for generated code that packs a run at a time
    read: dict[bytes, int]  # to length of the value
    digits: bytes  # what a prefix is made of, right or wrong


NO_PREFIX = Prefixes(size=0, write=(), texts=(), read={}, digits=b"")


@cache  # a handful per dialect; its keys come from tables, not from peers
def prefixes(digits: int, maximum: int, bcd: bool, counts: int) -> Prefixes:
    """Prefixes for values of 0 to `maximum`, each unit of which counts for one or two."""
    if bcd:
        digits += digits % 2
    texts = tuple(f"{length * counts:0{digits}}" for length in range(maximum + 1))
    write = tuple(a2b_hex(text) if bcd else text.encode() for text in texts)
    return Prefixes(
        size=len(write[0]),
        write=write,
        texts=texts,
        read={prefix: length for length, prefix in enumerate(write)},
        digits=BCD_BYTES if bcd else DIGITS,
    )
