"""Generates the function that encodes one set of fields, given in one order.

For fields 2, 3, 4 and 11 in the ASCII dialect it writes:

    def encode_plan(mti, values):
        v2, v3, v4, v11, = values
        n2 = len(v2)
        p1 = 22 + n2
        t0 = ''.join((mti, '7020000000000000', W2[n2], v2, v3, v4, v11,)).encode('ascii')
        if (len(mti) == 4 and len(v3) == 6 and len(v4) == 12 and len(v11) == 6
                and t0[0:4].isdigit() and t0[20:p1 + 24].isdigit()):
            return t0

Values are checked after they were joined, a stretch at a time. None, or one of GIVES_UP,
means: not sure, write it slowly.
"""

from binascii import a2b_hex, hexlify

from iso8583.bitmap import bitmap_of
from iso8583.plan_source import CONSTANTS, Checks, Place, counts_in_kind
from iso8583.plans import Plan, compile_plan
from iso8583.spec import ASCII, BCD, EBCDIC, HEX, RAW, XN, B, Coding, Dialect, Element, N, Pad, Z

GIVES_UP = (AttributeError, LookupError, TypeError, ValueError)


def make_encode_plan(dialect: Dialect, numbers: tuple[int, ...]) -> Plan:
    """The numbers in the order in which their values will come."""
    return Generator().generate(dialect, numbers)


class Generator:
    """Writes the source of one plan: parts of text, of digits or of bytes, then one join."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.checks = Checks()
        self.names: dict[str, object] = {"a2b_hex": a2b_hex, "hexlify": hexlify, **CONSTANTS}
        self.parts: list[str] = []  # of the result
        self.coding = ASCII  # of the part being gathered: ASCII, EBCDIC, BCD
        self.gathered: list[str] = []
        self.at = Place(0)  # in the part being gathered

    def generate(self, dialect: Dialect, numbers: tuple[int, ...]) -> Plan:
        self.mti_and_bitmap(dialect, numbers)
        for number in sorted(numbers):
            self.field(dialect.fields[number])
        self.close()
        joined = self.parts[0] if len(self.parts) == 1 else f"b''.join(({', '.join(self.parts)}))"
        source = [
            "def encode_plan(mti, values):",
            f"{''.join(f'v{number}, ' for number in numbers)} = values" if numbers else "",
            *self.lines,
            f"if {self.checks}:",
            f"    return {joined}",
        ]
        return compile_plan("encode_plan", source, self.names)

    def mti_and_bitmap(self, dialect: Dialect, numbers: tuple[int, ...]) -> None:
        self.checks.add("len(mti) == 4")
        self.turn_to(dialect.mti)
        self.checks.stretch(N, self.part, self.at, self.at + 4)
        self.gather("mti", 4)
        bitmap = bitmap_of(numbers)
        if dialect.bitmap is HEX:
            self.turn_to(ASCII)
        if dialect.bitmap is HEX or self.coding is BCD:
            self.gather(repr(bitmap.hex().upper()), len(bitmap) * 2)
        else:
            self.put(repr(bitmap))

    def field(self, field: Element) -> None:
        number, value = field.number, f"v{field.number}"
        if field.is_fixed:
            self.checks.add(f"len({value}) == {field.maximum}")
        else:
            self.lines.append(f"n{number} = len({value})")
        if field.characters is B:
            self.checks.add(f"{value}.__class__ is bytes")
            self.prefix(field)
            self.put(f"hexlify({value}).upper()" if field.coding is HEX else value)
        elif field.characters is XN:
            self.signed(field)
        else:
            self.characters(field)

    def characters(self, field: Element) -> None:
        value = f"v{field.number}"
        if field.prefix is field.coding or (field.prefix is RAW and field.coding is BCD):
            self.turn_to(field.coding)
        first = self.at
        self.prefix(field)
        self.turn_to(field.coding)
        if not counts_in_kind(field):
            first = self.at
        if field.coding is not BCD:
            self.gather(value, self.length(field))
            self.checks.stretch(field.characters, self.part, first, self.at)
            return

        left = field.pad is Pad.LEFT_ZERO
        if left:
            self.fill(field, "0")
        digits = f"{value}.replace('=', 'D')" if field.characters is Z else value
        self.gather(digits, self.length(field))
        self.checks.stretch(field.characters, self.part, first, self.at)
        if not left:
            self.fill(field, "F")

    def fill(self, field: Element, filler: str) -> None:
        """Make the digits even."""
        if not field.is_fixed:
            odd = f"n{field.number} & 1"
            self.gather(f"('', '{filler}')[{odd}]", f"({odd})")
        elif field.maximum % 2:
            self.gather(f"'{filler}'", 1)

    def signed(self, field: Element) -> None:
        value = f"v{field.number}"
        self.checks.add(f"{value}[0] in 'CD'")
        digits = field.maximum - 1
        if field.coding is BCD:
            page = "cp037" if field.sign is EBCDIC else "ascii"
            self.put(f"{value}[:1].encode('{page}')")
            self.turn_to(BCD)
            self.gather(f"{value}[1:]", digits)
        else:
            self.turn_to(field.coding)
            self.gather(value, digits + 1)
        self.checks.stretch(N, self.part, self.at + -digits, self.at)

    def prefix(self, field: Element) -> None:
        if field.is_fixed:
            return
        number, table = field.number, field.prefixes
        name, choice = f"W{number}", f"W{number}[n{number}]"
        if field.prefix in (ASCII, EBCDIC):
            self.turn_to(field.prefix)
            self.names[name] = table.texts
            self.gather(choice, table.size)
        elif self.coding is BCD and self.gathered:
            self.names[name] = table.texts
            self.gather(choice, table.size * 2)
        else:
            self.names[name] = table.write
            self.put(choice)

    @property
    def part(self) -> str:
        """The name of the part being gathered."""
        return f"t{len(self.parts)}"

    def length(self, field: Element) -> int | str:
        return field.maximum if field.is_fixed else f"n{field.number}"

    def gather(self, expression: str, width: int | str) -> None:
        """Add characters to the part being gathered."""
        self.gathered.append(expression)
        if isinstance(width, int):
            self.at += width
            return
        variable = f"p{len(self.lines)}"
        self.lines.append(f"{variable} = {self.at} + {width}")
        self.at = Place(0, variable)

    def turn_to(self, coding: Coding) -> None:
        """Go on gathering in this coding."""
        if coding is not self.coding:
            self.close()
            self.coding = coding

    def put(self, expression: str) -> None:
        """Add bytes to the result as they are."""
        self.close()
        self.parts.append(expression)

    def close(self) -> None:
        """End the part being gathered, and make it bytes."""
        if not self.gathered:
            return
        part = self.part
        self.lines.append(f"{part} = ''.join(({', '.join(self.gathered)},)).encode('ascii')")
        wire = {BCD: f"a2b_hex({part})", EBCDIC: f"{part}.translate(TO_EBCDIC)"}
        self.parts.append(wire.get(self.coding, part))
        self.gathered = []
        self.at = Place(0)
