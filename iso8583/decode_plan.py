"""Generates the function that decodes the messages of one MTI and bitmap.

For an 0100 with fields 2, 3, 4 and 11 in the ASCII dialect it writes:

    def decode_plan(raw):
        n2 = L2[raw[20:22]]
        p2 = 22 + n2
        s = raw.decode("latin-1")
        v2 = s[22:p2]
        v3, v4, v11 = G3(s[p2:p2 + 24])
        if p2 + 24 == len(raw) and raw[20:p2 + 24].isdigit():
            return Message('0100', (v2, v3, v4, v11), layout)

Offsets are constants wherever the fields before are fixed. Slices never raise, so the end
is checked once, for all borders. None, or one of GIVES_UP, means: not sure, read it slowly.
"""

from binascii import a2b_hex, hexlify
from itertools import groupby
from operator import itemgetter

from msgspec import Struct

from iso8583.message import Layout, Message
from iso8583.plan_source import CONSTANTS, Checks, Place, counts_in_kind
from iso8583.plans import Plan, compile_plan
from iso8583.spec import ASCII, BCD, EBCDIC, HEX, XN, B, Coding, Dialect, Element, N, Pad

TEXT_VIEWS = {ASCII: "s", EBCDIC: "u"}
GIVES_UP = (KeyError, IndexError, ValueError)


class Placed(Struct, frozen=True):
    """A field with its borders."""

    field: Element
    first: Place  # of the prefix, if it has one
    start: Place  # of the value
    end: Place


def make_decode_plan(dialect: Dialect, mti: str, numbers: tuple[int, ...], at: int) -> Plan:
    fields = [dialect.fields[number] for number in numbers]
    return Generator(at).generate(mti, fields, Layout.of(numbers, dialect.insides))


def run_view(field: Element) -> str:
    """The view in which fixed neighbours can be sliced out together, if any."""
    if not field.is_fixed or field.characters in (XN, B):
        return ""
    if field.coding in TEXT_VIEWS:
        return TEXT_VIEWS[field.coding]
    return "h" if field.characters is N else ""


class Generator:
    """Writes the source of one plan while walking along the message.

    Views of it, for checks and for values: `raw` and `s`, its characters in ASCII; `t` and
    `u`, its characters in EBCDIC; `x` and `h`, its half bytes.
    """

    def __init__(self, at: int) -> None:
        self.at = Place(at)
        self.borders: list[str] = []  # lines that find where fields start and end
        self.values: list[str] = []  # lines that take them out
        self.checks = Checks()
        self.last_digits: Place | None = None  # where the last BCD field ends
        self.views: set[str] = set()  # of text that are needed
        self.names: dict[str, object] = {
            "Message": Message,
            "a2b_hex": a2b_hex,
            "hexlify": hexlify,
            **CONSTANTS,
        }

    def generate(self, mti: str, fields: list[Element], layout: Layout) -> Plan:
        for view, group in groupby(fields, run_view):
            run = [self.place(field) for field in group]
            for placed in run:
                self.check(placed)
            if view and len(run) > 1:
                self.take_apart(view, run)
            else:
                for placed in run:
                    self.take(placed)
        self.names["layout"] = layout
        values = "".join(f"v{field.number}, " for field in fields)
        source = ["def decode_plan(raw):", *self.borders]
        if "s" in self.views:
            source.append('s = raw.decode("latin-1")')
        if "u" in self.views:
            source += ["t = raw.translate(FROM_EBCDIC)", "u = t.decode()"]
        if self.last_digits is not None:
            source += [f"x = hexlify(raw[:{self.last_digits}])", "h = x.decode()"]
        source += [
            *self.values,
            f"if {self.at} == len(raw) and {self.checks}:",
            f"    return Message({mti!r}, ({values}), layout)",
        ]
        return compile_plan("decode_plan", source, self.names)

    def place(self, field: Element) -> Placed:
        """Step over a field; a variable one gives a new variable to count from."""
        first, number = self.at, field.number
        if field.is_fixed:
            self.at = first + field.wire_size(field.maximum)
            return Placed(field, first, first, self.at)
        self.names[f"L{number}"] = field.prefixes.read
        start = first + field.prefixes.size
        width = {BCD: f"(n{number} + 1 >> 1)", HEX: f"n{number} + n{number}"}
        self.borders += [
            f"n{number} = L{number}[raw[{first}:{start}]]",
            f"p{number} = {start} + {width.get(field.coding, f'n{number}')}",
        ]
        self.at = Place(0, f"p{number}")
        return Placed(field, first, start, self.at)

    def nibbles(self, place: Place) -> Place:
        """The same place, counted in half bytes."""
        if not place.base:
            return Place(place.plus * 2)
        double = place.base.replace("p", "q")
        line = f"{double} = {place.base} + {place.base}"
        if line not in self.borders:
            self.borders.append(line)
        return Place(place.plus * 2, double)

    def digits(self, placed: Placed) -> tuple[Place, Place, str]:
        """Where the digits of a BCD value start and end, and what its padding must satisfy."""
        field = placed.field
        start, end = self.nibbles(placed.start), self.nibbles(placed.end)
        left = field.pad is Pad.LEFT_ZERO
        filled = f"x[{start}] == {ord('0')}" if left else f"x[{end + -1}] == {ord('f')}"
        if field.is_fixed:
            if field.maximum % 2 == 0:
                return start, end, ""
            return (start + 1, end, filled) if left else (start, end + -1, filled)
        number = field.number
        edge = Place(0, f"e{number}")
        line = f"{edge} = {end} - n{number}" if left else f"{edge} = {start} + n{number}"
        if line not in self.borders:
            self.borders.append(line)
        unless_even = f"(n{number} & 1 == 0 or {filled})"
        return (edge, end, unless_even) if left else (start, edge, unless_even)

    def check(self, placed: Placed) -> None:
        field, checks = placed.field, self.checks
        if field.characters is B:
            return  # any byte will do, and a2b_hex knows its digits
        start, end, view = placed.start, placed.end, "raw"
        if EBCDIC in (field.coding, field.sign):
            view = "t"
            self.views.add("u")
        if field.characters is XN:
            checks.add(f"{view}[{start}] in SIGNS")
            start += 1
        elif counts_in_kind(field):
            start = placed.first  # so the stretch before runs on over the prefix
        if field.coding is BCD:
            view = "x"
            self.last_digits = placed.end
            start, end = self.nibbles(start), self.nibbles(end)
            if field.characters is not XN:
                _, last, padding = self.digits(placed)
                if padding:
                    checks.add(padding)
                if field.pad is Pad.RIGHT_F:
                    end = last
        kind = N if field.characters is XN else field.characters
        checks.stretch(kind, view, start, end)

    def take_apart(self, view: str, run: list[Placed]) -> None:
        """Fixed neighbours: one slice, taken apart by one call."""
        spans = [self.digits(p)[:2] if view == "h" else (p.start, p.end) for p in run]
        begin, end = spans[0][0], spans[-1][1]
        self.views.add(view)
        number = run[0].field.number
        self.names[f"G{number}"] = itemgetter(
            *(slice(start.plus - begin.plus, stop.plus - begin.plus) for start, stop in spans)
        )
        values = ", ".join(f"v{placed.field.number}" for placed in run)
        self.values.append(f"{values} = G{number}({view}[{begin}:{end}])")

    def take(self, placed: Placed) -> None:
        """One value by its own slice."""
        field, start, end = placed.field, placed.start, placed.end
        if field.characters is B:
            piece = f"raw[{start}:{end}]"
            value = f"a2b_hex({piece})" if field.coding is HEX else piece
        elif field.coding in TEXT_VIEWS:
            value = f"{self.text(field.coding)}[{start}:{end}]"
        elif field.characters is XN:
            digits = f"h[{self.nibbles(start) + 2}:{self.nibbles(end)}]"
            value = f"{self.text(field.sign)}[{start}:{start + 1}] + {digits}"
        else:
            first, last, _ = self.digits(placed)
            value = f"h[{first}:{last}]"
            if field.characters is not N:
                value += ".upper()"
        self.values.append(f"v{field.number} = {value}")

    def text(self, coding: Coding) -> str:
        """The view that shows what is written so."""
        self.views.add(TEXT_VIEWS[coding])
        return TEXT_VIEWS[coding]
