"""ISO 8583:1987 with digits packed two to a byte: what jPOS calls ISO87B.

The fields are those of the ASCII dialect, written otherwise: MTI, numbers, track 2 and
lengths in BCD (an odd number of digits gets a zero nibble in front), bitmaps and bytes as
they are, texts in ASCII. A length counts digits for numbers, characters for texts and
bytes for bytes; two digits of length take one byte, three take two. The sign of an amount
stays one ASCII character.

pyiso8583 has no such specification ready made (its `default` is ASCII_BINARY_BITMAP_1987
below); with one that says the same it reads and writes the same bytes, which
tests/iso8583/test_peer.py holds up.
"""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.spec import ASCII, BCD, RAW, Dialect

BINARY_1987 = Dialect(
    "ISO 8583:1987 binary",
    *ASCII_1987.table,
    mti=BCD,
    bitmap=RAW,
    lengths=BCD,
    numbers=BCD,
    binary=RAW,
)

# Between the two, and as common: ASCII throughout, bitmaps and binary fields as bytes.
ASCII_BINARY_BITMAP_1987 = Dialect(
    "ISO 8583:1987 ASCII, binary bitmap",
    *ASCII_1987.table,
    mti=ASCII,
    bitmap=RAW,
    lengths=ASCII,
    numbers=ASCII,
    binary=RAW,
)
