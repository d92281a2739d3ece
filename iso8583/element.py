"""Fields and composites as their dialect writes them: nothing open, and their tables at hand.

Every table goes through here when a dialect is made, so a row that could not be read back
is refused before any message comes.
"""

from msgspec import Struct
from msgspec.structs import replace

from iso8583.axes import (
    ASCII,
    BCD,
    DIALECT,
    EBCDIC,
    HEX,
    RAW,
    XN,
    B,
    Characters,
    Coding,
    N,
    Pad,
    Z,
)
from iso8583.composite import (
    Ber,
    Bitmapped,
    Composite,
    Field,
    Positional,
    Repeated,
    Shape,
    Tagged,
)
from iso8583.encodings import NO_PREFIX, Prefixes, prefixes
from iso8583.errors import Key

# Composites in composites. Three are in use: datasets in DE 55, chip data in a dataset, a script
# template in the chip data. Two more for dialects of one's own; deeper nesting is an attack.
DEPTH = 5


class Codings(Struct, frozen=True):
    """How each kind of thing is written where a row does not say."""

    lengths: Coding
    numbers: Coding
    binary: Coding
    text: Coding

    def of(self, kind: Characters) -> Coding:
        return {N: self.numbers, Z: self.numbers, XN: self.numbers, B: self.binary}.get(
            kind, self.text
        )


# Inside a text: it is read already, so its parts are plain characters.
IN_TEXT = Codings(lengths=ASCII, numbers=ASCII, binary=HEX, text=ASCII)


class Element(Struct, frozen=True):
    """A field as its dialect writes it."""

    number: Key
    name: str
    characters: Characters
    allowed: bytes  # the characters themselves
    is_fixed: bool
    is_rest: bool  # parts only; see Size
    maximum: int  # digits, characters or bytes; the exact size of a fixed field
    secret: bool
    coding: Coding
    sign: Coding  # of a signed amount's first character: ASCII or EBCDIC
    prefix: Coding
    prefixes: Prefixes  # empty for a field that is not counted
    pad: Pad
    lenient: bool
    inside: "Inside | None"
    is_opaque: bool  # a part of any bytes, as long as its tag says: read without a look

    def wire_size(self, length: int) -> int:
        """Bytes that a value of this length takes, without its prefix."""
        if self.coding is BCD:
            return (length + 1) // 2  # also with a sign: one byte, then an even number of digits
        return length * 2 if self.coding is HEX else length


class Inside(Struct, frozen=True):
    """A composite as its dialect writes it."""

    shape: Shape
    elements: dict[Key, Element]  # in the order of the table
    coding: Coding  # of tags and their lengths
    lead: Element | None = None
    closed: "Inside | None" = None  # the same, with parts that are not looked into


def element(row: Field, codings: Codings, depth: int = 1) -> Element:
    """Fill in a row of a dialect, or of a composite when the depth is above 1."""
    kind, maximum, digits = row.characters, row.size.maximum, row.size.prefix_digits
    coding = row.coding if row.coding is not DIALECT else codings.of(kind)
    prefix = row.prefix if row.prefix is not DIALECT else codings.lengths
    where = f"field {row.number}"
    assert maximum > 0, f"{where}: always empty"
    assert depth > 1 or not row.size.is_rest, f"{where}: only parts take what is left"
    counts = 2 if coding is HEX else 1  # in a prefix, for each unit of the value
    most = 256**digits if prefix is RAW else 10**digits
    assert not digits or maximum * counts < most, f"{where}: its prefix is too small"
    if kind is B:
        assert coding in (HEX, RAW), f"{where}: bytes are written as hexadecimal or raw"
    elif coding is BCD:
        assert kind in (N, Z, XN), f"{where}: BCD holds digits only"
    else:
        assert coding in (ASCII, EBCDIC), f"{where}: characters are written as text or in BCD"
    if kind is XN:
        assert digits == 0, f"{where}: a signed amount has a fixed size"
        assert not row.size.is_rest, f"{where}: a signed amount has a fixed size"
        assert maximum % 2 == 1, f"{where}: a sign and an even number of digits"
    return Element(
        number=row.number,
        name=row.name,
        characters=kind,
        allowed=kind.value,
        is_fixed=digits == 0 and not row.size.is_rest,
        is_rest=row.size.is_rest,
        maximum=maximum,
        secret=row.secret,
        coding=coding,
        sign=codings.text if coding is BCD else coding,
        prefix=prefix,
        prefixes=prefixes(digits, maximum, prefix, counts) if digits else NO_PREFIX,
        pad=row.pad,
        lenient=row.lenient,
        inside=None if row.inside is None else inside(row, row.inside, codings, depth),
        is_opaque=coding is RAW and row.size.is_rest and row.inside is None,
    )


def inside(row: Field, composite: Composite, codings: Codings, depth: int) -> Inside:
    """Fill in a composite; its parts are written as the dialect writes fields."""
    where, shape = f"field {row.number}", composite.shape
    assert row.characters is not XN, f"{where}: a signed amount has no parts"
    assert depth < DEPTH, f"{where}: nested too deep"
    halves = isinstance(shape, Positional) and shape.half_bytes
    assert row.characters is B or not halves, f"{where}: only bytes have halves"
    if row.characters is B and not halves:
        inner = Codings(codings.lengths, codings.numbers, RAW, codings.text)
    else:
        inner = IN_TEXT
    assert composite.table or isinstance(shape, Tagged | Ber), f"{where}: it has no parts"
    elements: dict[Key, Element] = {}
    for part in composite.table:
        assert part.number not in elements, f"{where}: part {part.number} stands twice"
        elements[part.number] = element(part, inner, depth + 1)
    # Whoever shows the field whole must not show a part that it would hide.
    anything = isinstance(shape, Tagged | Ber) or any(part.secret for part in elements.values())
    assert row.secret or not anything, f"{where}: something secret in a field that is not"
    names = {part.name for part in elements.values()}
    assert len(names) == len(elements), f"{where}: a name stands twice in it"

    coding, lead = inner.text, None  # type: Coding, Element | None
    match shape:
        case Positional():
            *first, _ = elements.values()
            assert not any(part.is_rest for part in first), f"{where}: only the last takes the rest"
        case Repeated():
            parts = elements.values()
            assert all(part.is_fixed for part in parts), f"{where}: repeated parts are fixed"
        case Bitmapped():
            assert shape.coding in (RAW, HEX), f"{where}: bitmaps are hexadecimal or raw"
            bits = range(1, 8 * shape.size + 1)
            assert elements.keys() <= set(bits), f"{where}: a part that its bitmap has no bit for"
            parts = elements.values()
            assert not any(part.is_rest for part in parts), f"{where}: none takes the rest"
        case Tagged():
            coding = inner.text if shape.coding is DIALECT else shape.coding
            assert coding in (ASCII, EBCDIC, RAW), f"{where}: tags are text or bytes"
            assert shape.lead is None or coding is not RAW, f"{where}: no digit tells its lead"
            if shape.lead is not None:
                lead = element(shape.lead, inner, depth + 1)
    shut = {key: replace(part, inside=None) for key, part in elements.items()}
    closed = Inside(shape=shape, elements=shut, coding=coding, lead=lead)
    return Inside(shape=shape, elements=elements, coding=coding, lead=lead, closed=closed)
