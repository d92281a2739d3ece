"""A row of a table, and what may be inside it: composites, as data.

A field may be made of parts, in one of five shapes; each part is a row of the same kind
as a field, so composites nest:

positional   one part after the other                       Mastercard 61, Visa 44
repeated     the same positional parts, over and over        DE 54
tagged       tag, length, value; all sizes fixed             Mastercard 48, Visa's datasets
BER          tag, length, value; as chips have them          DE 55
bitmapped    a bitmap, then the parts that it announces      Visa 62, 63, 126; Postilion 127

What a tagged or BER composite does not know is kept as it came.
"""

from msgspec import Struct

from iso8583.axes import DIALECT, RAW, Characters, Coding, Pad, Size
from iso8583.errors import Key


class Positional(Struct, frozen=True):
    may_end_early: bool = False  # after any part; networks add parts at the end
    half_bytes: bool = False  # of bytes: each part is so many hexadecimal digits of them


class Repeated(Struct, frozen=True):
    """Positional parts, all fixed; each turn stands under its number, from 1."""


class Tagged(Struct, frozen=True):
    tag: int  # digits; of a RAW one: bytes, and its key is in upper-case hexadecimal
    length: int  # digits; of a RAW one: bytes. Counts bytes of the value
    coding: Coding = DIALECT  # of tag and length; as the dialect writes text
    # A part in front that has no tag. It is there when the value does not begin with a digit.
    lead: "Field | None" = None


class Ber(Struct, frozen=True):
    """Tags as upper-case hexadecimal. A constructed one has its own Parts, of the same table.

    Source: ISO/IEC 8825-1; EMV 4.3 Book 3, Annex B.
    """


class Bitmapped(Struct, frozen=True):
    size: int  # bytes of bitmap; bit 1 is part 1, and none announces a second bitmap
    coding: Coding = RAW  # of the bitmap; or HEX, digits in ASCII


Shape = Positional | Repeated | Tagged | Ber | Bitmapped


class Composite(Struct, frozen=True):
    """What a field is made of."""

    shape: Shape
    table: tuple["Field", ...]


class Field(Struct, frozen=True):
    """One row of a table. What it leaves open, the dialect decides for its kind.

    In a dialect's table the number is a data element's, in a composite's it is a part's key.
    """

    number: Key
    name: str
    characters: Characters
    size: Size
    secret: bool = False  # never shown to anybody in clear
    coding: Coding = DIALECT
    prefix: Coding = DIALECT
    pad: Pad = Pad.LEFT_ZERO
    lenient: bool = False  # on reading, an odd number of digits may be filled up on either side
    inside: Composite | None = None
