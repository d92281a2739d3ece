"""What a dialect is: a table of fields, each of which differs along the axes of `axes.py`.

A new network is a new table; a new coding is a new row in one of the axes; a new way to
put parts into a field is a new shape in `composite.py`.
"""

from iso8583.axes import (
    AN,
    ANS,
    ASCII,
    BCD,
    DIALECT,
    EBCDIC,
    HEX,
    PRINTABLE,
    RAW,
    SIGNS,
    XN,
    A,
    B,
    Characters,
    Coding,
    N,
    Pad,
    Size,
    Z,
    counted,
    fixed,
    l1,
    ll,
    lll,
    rest,
)
from iso8583.composite import (
    Ber,
    Bitmapped,
    Composite,
    Field,
    Positional,
    Repeated,
    Tagged,
)
from iso8583.element import Codings, Element, Inside, element
from iso8583.errors import Key
from iso8583.plans import Plans

# Whoever writes or reads a table finds all its words here.
__all__ = [
    "AN", "ANS", "ASCII", "BCD", "DIALECT", "EBCDIC", "HEX", "PRINTABLE", "RAW", "SIGNS", "XN",
    "A", "B", "Ber", "Bitmapped", "Characters", "Coding", "Composite", "Dialect", "Element",
    "Field", "Inside", "Key", "N", "Pad", "Positional", "Repeated", "Size", "Tagged", "Z",
    "counted", "fixed", "l1", "ll", "lll", "rest",
]  # fmt: skip


class Dialect:
    """Everything needed to read and write one network's messages.

    Owns the plans that the codec makes for it, so that they live and die together.
    """

    def __init__(
        self,
        name: str,
        *table: Field,
        mti: Coding,
        bitmap: Coding,
        lengths: Coding,
        numbers: Coding,
        binary: Coding,
        text: Coding = ASCII,
        version: str = "0",
    ) -> None:
        assert mti in (ASCII, EBCDIC, BCD)
        assert bitmap in (HEX, RAW)
        assert lengths in (ASCII, EBCDIC, BCD, RAW)
        assert text in (ASCII, EBCDIC)
        codings = Codings(lengths=lengths, numbers=numbers, binary=binary, text=text)
        fields: dict[int, Element] = {}
        for row in table:
            number = row.number
            assert isinstance(number, int), f"field {number}: its number is none"
            assert 2 <= number <= 128, f"field {number}: fields are 2 to 128"
            # Bit 1 announces the second bitmap; bit 65 would announce a third, which 1987
            # never filled.
            assert number != 65, f"field {number}: no third bitmap"
            assert number not in fields, f"field {number} stands twice"
            fields[number] = element(row, codings)
        names = {field.name for field in fields.values()}
        assert len(names) == len(fields), "a name stands twice"

        self.name = name
        self.table = table
        self.fields = {number: fields[number] for number in sorted(fields)}
        self.insides = {n: field.inside for n, field in self.fields.items() if field.inside}
        self.version = version  # first digit of its MTIs: 0 is 1987, 1 is 1993
        self.mti = mti
        self.bitmap = bitmap
        self.codings = codings
        self.mti_size = 2 if mti is BCD else 4
        self.bitmap_size = 16 if bitmap is HEX else 8  # of each bitmap
        self.short_head = self.mti_size + self.bitmap_size
        self.long_head = self.short_head + self.bitmap_size
        self.decode_plans: Plans[bytes] = Plans()
        self.encode_plans: Plans[tuple[int, ...]] = Plans()

    @property
    def is_text(self) -> bool:
        """Whether its messages are printable ASCII throughout."""
        return (self.mti, self.bitmap) == (ASCII, HEX) and all(
            field.coding in (ASCII, HEX) and field.prefix is ASCII for field in self.fields.values()
        )

    def __repr__(self) -> str:
        return f"Dialect({self.name!r}, {len(self.fields)} fields)"
