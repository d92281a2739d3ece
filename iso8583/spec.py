"""What a dialect is: a table of fields, and four axes that do not know one another.

characters   what a value is made of           N A AN ANS Z XN B
size         fixed, or counted by a prefix     fixed(n) ll(max) lll(max)
coding       how characters become bytes       ASCII BCD HEX RAW
pad          what fills a last half byte       LEFT_ZERO RIGHT_F

A new network is a new table; a new coding is a new row in one of the axes.
"""

from enum import Enum, auto

from msgspec import Struct

from iso8583.encodings import DIGITS, NO_PREFIX, Prefixes, prefixes
from iso8583.plans import Plans

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PRINTABLE = bytes(range(0x20, 0x7F))
SIGNS = b"CD"  # credit and debit, in front of a signed amount


class Characters(Enum):
    """What a value may be made of. A value of kind B is `bytes`, of any other kind `str`."""

    N = DIGITS
    A = LETTERS
    AN = DIGITS + LETTERS
    ANS = PRINTABLE
    Z = DIGITS + b"=D"  # track 2; the separator is "=", or "D" as chips and BCD have it
    XN = SIGNS + DIGITS  # one sign, then digits
    B = bytes(range(256))


N, A, AN, ANS, Z, XN, B = Characters


class Coding(Enum):
    """How something stands on the wire."""

    DIALECT = auto()  # as the dialect says for its kind
    ASCII = auto()
    BCD = auto()  # two digits to a byte; a sign stays one ASCII byte
    HEX = auto()  # bytes written as hexadecimal digits
    RAW = auto()  # bytes as they are


DIALECT, ASCII, BCD, HEX, RAW = Coding


class Pad(Enum):
    """What fills the byte when BCD has an odd number of digits."""

    LEFT_ZERO = auto()
    RIGHT_F = auto()


class Size(Struct, frozen=True):
    """How long a value is, in digits, characters or bytes of the value (not of the wire)."""

    prefix_digits: int  # 0: always exactly `maximum` long
    maximum: int


def fixed(size: int) -> Size:
    return Size(0, size)


def ll(maximum: int) -> Size:
    return Size(2, maximum)


def lll(maximum: int) -> Size:
    return Size(3, maximum)


class Field(Struct, frozen=True):
    """One row of a dialect's table. What it leaves open, the dialect decides for its kind."""

    number: int
    name: str
    characters: Characters
    size: Size
    secret: bool = False  # never shown to anybody in clear
    coding: Coding = DIALECT
    prefix: Coding = DIALECT
    pad: Pad = Pad.LEFT_ZERO


class Element(Struct, frozen=True):
    """A field as its dialect writes it: nothing open, and its tables at hand."""

    number: int
    name: str
    characters: Characters
    allowed: bytes  # the characters themselves
    is_fixed: bool
    maximum: int  # digits, characters or bytes; the exact size of a fixed field
    secret: bool
    coding: Coding
    prefix: Coding
    prefixes: Prefixes  # empty for a fixed field
    pad: Pad

    def wire_size(self, length: int) -> int:
        """Bytes that a value of this length takes, without its prefix."""
        if self.coding is BCD:
            return (length + 1) // 2  # also with a sign: one byte, then an even number of digits
        return length * 2 if self.coding is HEX else length


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
        version: str = "0",
    ) -> None:
        assert mti in (ASCII, BCD)
        assert bitmap in (HEX, RAW)
        assert lengths in (ASCII, BCD)
        by_kind = {N: numbers, Z: numbers, XN: numbers, B: binary}
        fields: dict[int, Element] = {}
        for row in table:
            assert row.number not in fields, f"field {row.number} stands twice"
            coding = row.coding if row.coding is not DIALECT else by_kind.get(row.characters, ASCII)
            prefix = row.prefix if row.prefix is not DIALECT else lengths
            fields[row.number] = element(row, coding, prefix)
        names = {field.name for field in fields.values()}
        assert len(names) == len(fields), "a name stands twice"

        self.name = name
        self.table = table
        self.fields = {number: fields[number] for number in sorted(fields)}
        self.version = version  # first digit of its MTIs: 0 is 1987, 1 is 1993
        self.mti = mti
        self.bitmap = bitmap
        self.lengths, self.numbers, self.binary = lengths, numbers, binary
        self.mti_size = 4 if mti is ASCII else 2
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


def element(row: Field, coding: Coding, prefix: Coding) -> Element:
    """Fill in a row. One that could not be read back is refused here, when a table is made."""
    kind, maximum, digits = row.characters, row.size.maximum, row.size.prefix_digits
    where = f"field {row.number}"
    assert 2 <= row.number <= 128, f"{where}: fields are 2 to 128"
    # Bit 1 announces the second bitmap; bit 65 would announce a third, which 1987 never filled.
    assert row.number != 65, f"{where}: no third bitmap"
    assert maximum > 0, f"{where}: always empty"
    counts = 2 if coding is HEX else 1  # in a prefix, for each unit of the value
    assert not digits or maximum * counts < 10**digits, f"{where}: its prefix is too small"
    if kind is B:
        assert coding in (HEX, RAW), f"{where}: bytes are written as hexadecimal or raw"
    elif coding is BCD:
        assert kind in (N, Z, XN), f"{where}: BCD holds digits only"
    else:
        assert coding is ASCII, f"{where}: characters are written in ASCII or BCD"
    if kind is XN:
        assert digits == 0, f"{where}: a signed amount has a fixed size"
        assert maximum % 2 == 1, f"{where}: a sign and an even number of digits"
    return Element(
        number=row.number,
        name=row.name,
        characters=kind,
        allowed=kind.value,
        is_fixed=digits == 0,
        maximum=maximum,
        secret=row.secret,
        coding=coding,
        prefix=prefix,
        prefixes=prefixes(digits, maximum, prefix is BCD, counts) if digits else NO_PREFIX,
        pad=row.pad,
    )
