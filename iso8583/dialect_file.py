"""A dialect that a deployment brings itself: flat fields, on top of one of ours or from nothing.

    name = "North switch"
    based_on = "iso87_ascii"        # left out: every field and every axis is given here
    version = "0"                   # first digit of its MTIs: 0 for 1987, 1 for 1993
    lengths = "bcd"                 # axes: mti, bitmap, lengths, numbers, binary, text
    remove = [120, 121]             # fields of the base that this network does not have

    [field.48]                      # of a field of the base, only what differs
    max = 255
    prefix = 3                      # digits of its length; without a prefix: length = 12

    [field.120]
    name = "loyalty"
    kind = "ans"                    # n a an ans z xn b
    length = 12
    secret = false

The file has been parsed when it comes here. A composite field of the base keeps its parts, unless
the file gives it another kind; parts of one's own will be a key `parts` of a field.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from iso8583.dialects import BY_NAME
from iso8583.element import Codings, element
from iso8583.spec import DIALECT, XN, B, Characters, Coding, Dialect, Field, Pad, Size

# Found anywhere by their number: what they hold is never shown, whatever a file says.
ALWAYS_SECRET = frozenset({2, 34, 35, 36, 45, 52, 53, 55, 64, 128})
LENGTH_MAX = 9999  # each counted length has its row in a table; no framing of ours takes much more
PREFIX_MAX = 6  # digits: the longest that a network is known to write, Postilion's DE 127

CODINGS = {coding.name.lower(): coding for coding in Coding if coding is not DIALECT}
KINDS = {kind.name.lower(): kind for kind in Characters}
PADS = {pad.name.lower(): pad for pad in Pad}
# What may stand on each axis. Where there is no base `text` may be left out, and is ASCII.
AXES = {
    "mti": ("ascii", "ebcdic", "bcd"),
    "bitmap": ("hex", "raw"),
    "lengths": ("ascii", "ebcdic", "bcd", "raw"),
    "numbers": ("ascii", "ebcdic", "bcd"),
    "binary": ("hex", "raw"),
    "text": ("ascii", "ebcdic"),
}
OF_FIELDS = ("lengths", "numbers", "binary", "text")

Length = Annotated[int, Meta(ge=1, le=LENGTH_MAX)]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
Known = TypeVar("Known")


class DialectFileError(Exception):
    """A dialect's file says what cannot be. Names the file, the field and the key."""


class Head(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The dialect itself."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    based_on: str | None = None
    version: Annotated[str, Meta(pattern="^[0-9]$")] | None = None
    mti: str | None = None
    bitmap: str | None = None
    lengths: str | None = None
    numbers: str | None = None
    binary: str | None = None
    text: str | None = None
    remove: tuple[int, ...] = ()


class Row(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One field; what is left out is as in the base."""

    name: Name | None = None
    kind: str | None = None
    length: Length | None = None  # always so long
    max: Length | None = None  # at most so long, behind a prefix
    prefix: Annotated[int, Meta(ge=1, le=PREFIX_MAX)] | None = None  # digits
    secret: bool | None = None
    coding: str | None = None  # of the value, where it is not the dialect's for its kind
    prefix_coding: str | None = None
    pad: str | None = None


def make_dialect(file: str, content: Mapping[str, Any]) -> Dialect:
    """The dialect that a parsed file describes. `file` is its name, for errors.

    Raises: DialectFileError.
    """
    reader = Reader(file)
    given = dict(content)
    rows = reader.table_of("field", given.pop("field", {}))
    head = reader.convert("", given, Head)
    base = None
    if head.based_on is not None:
        base = reader.known("based_on", head.based_on, BY_NAME)
    axes = {axis: reader.axis(axis, getattr(head, axis), base) for axis in AXES}
    fields = {row.number: row for row in base.table} if base is not None else {}
    for number in head.remove:
        if fields.pop(number, None) is None:
            reader.fail("remove", f"there is no field {number} to remove")
    names = {row.name: row.number for row in fields.values()}
    for text, table in rows.items():
        number = reader.number(text)
        where = f"field {number}"
        row = reader.convert(where, reader.table_of(where, table), Row)
        fields[number] = field = reader.field(where, number, row, fields.get(number))
        if names.setdefault(field.name, number) != number:
            reader.fail(f"{where}, name", f"field {names[field.name]} has this name")
    if not fields:
        reader.fail("field", "there is none")
    version = head.version or (base.version if base is not None else "0")
    codings = Codings(**{axis: axes[axis] for axis in OF_FIELDS})
    for field in fields.values():  # of the base too: an axis may have changed under them
        reader.check(f"field {field.number}", field, codings)
    return Dialect(head.name, *fields.values(), **axes, version=version)


class Reader:
    """Reads the parts of one file; every error begins with its name."""

    def __init__(self, file: str) -> None:
        self._file = file

    def fail(self, where: str, problem: str) -> NoReturn:
        place = f"{where}: " if where else ""
        raise DialectFileError(f"{self._file}: {place}{problem}")

    def convert(self, where: str, content: object, kind: type[Known]) -> Known:
        try:
            return msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            problem, _, path = str(error).partition(" - at `$")
            key = path.rstrip("`").lstrip(".")
            self.fail(", ".join(filter(None, (where, key))), problem[0].lower() + problem[1:])

    def table_of(self, where: str, content: object) -> Mapping[str, Any]:
        if not isinstance(content, dict):
            self.fail(where, "is a table")
        return content

    def known(self, where: str, name: str, names: Mapping[str, Known]) -> Known:
        if name not in names:
            self.fail(where, f"unknown; known are {', '.join(names)}")
        return names[name]

    def axis(self, axis: str, name: str | None, base: Dialect | None) -> Any:
        if name is None:
            if base is not None:
                return getattr(base.codings if axis in OF_FIELDS else base, axis)
            if axis != "text":
                self.fail(axis, "missing; it may be left out only with based_on")
            name = "ascii"
        return self.known(axis, name, {name: CODINGS[name] for name in AXES[axis]})

    def number(self, text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0
        if not 2 <= number <= 128 or number == 65 or text != str(number):
            self.fail(f"field {text}", "fields are 2 to 128 without 65")
        return number

    def field(self, where: str, number: int, row: Row, base: Field | None) -> Field:
        """The row of the table: what the file says, over what the base says."""
        if base is None:
            for key in ("name", "kind"):
                if getattr(row, key) is None:
                    self.fail(f"{where}, {key}", "missing")
            if row.length is None and row.max is None:
                self.fail(f"{where}, length", "missing; or max, with prefix")
            # Shown to nobody until somebody says that it may be.
            base = Field(number, str(row.name), KINDS["ans"], Size(0, 1), secret=True)
        kind = base.characters
        if row.kind is not None:
            kind = self.known(f"{where}, kind", row.kind, KINDS)
        secret = base.secret if row.secret is None else row.secret
        inside = base.inside if kind is base.characters else None
        # Bytes of ours that are not secret have parts, and each is shown or hidden by itself.
        whole = kind is B and (inside is None or base.secret)
        if not secret and (number in ALWAYS_SECRET or whole):
            self.fail(f"{where}, secret", "card data, keys and bytes are always secret")
        return replace(
            base,
            name=row.name or base.name,
            characters=kind,
            size=self.size(where, row, base.size),
            secret=secret,
            coding=self.coding(f"{where}, coding", row.coding, base.coding),
            prefix=self.coding(f"{where}, prefix_coding", row.prefix_coding, base.prefix),
            pad=base.pad if row.pad is None else self.known(f"{where}, pad", row.pad, PADS),
            inside=inside,
        )

    def size(self, where: str, row: Row, base: Size) -> Size:
        if row.length is not None:
            for key in ("max", "prefix"):
                if getattr(row, key) is not None:
                    self.fail(f"{where}, {key}", "not beside length")
            return Size(0, row.length)
        prefix = base.prefix_digits if row.prefix is None else row.prefix
        if row.max is not None and not prefix:
            self.fail(f"{where}, prefix", "missing; how many digits has its length?")
        if row.prefix is not None and row.max is None and not base.prefix_digits:
            self.fail(f"{where}, max", "missing beside prefix")
        return Size(prefix, base.maximum if row.max is None else row.max)

    def coding(self, where: str, name: str | None, base: Coding) -> Coding:
        return base if name is None else self.known(where, name, CODINGS)

    def check(self, where: str, row: Field, codings: Codings) -> None:
        """As `Dialect` will: what it asserts of our own tables is somebody's mistake here."""
        coding = codings.of(row.characters) if row.coding is DIALECT else row.coding
        prefix = codings.lengths if row.prefix is DIALECT else row.prefix
        digits, counts = row.size.prefix_digits, 2 if coding is CODINGS["hex"] else 1
        most = 256**digits if prefix is CODINGS["raw"] else 10**digits
        if digits and row.size.maximum * counts >= most:
            self.fail(f"{where}, prefix", "too small for what it must count")
        if digits and prefix is CODINGS["hex"]:
            names = ", ".join(AXES["lengths"][:-1])
            self.fail(f"{where}, prefix_coding", f"a length is written in {names} or raw")
        if row.characters is XN and (digits or row.size.maximum % 2 == 0):
            self.fail(f"{where}, length", "of a signed amount: a sign and an even number of digits")
        try:
            element(row, codings)
        except AssertionError:
            self.fail(f"{where}, coding", f"does not go with kind {row.characters.name.lower()}")
