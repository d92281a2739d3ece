"""Dialects that a deployment might make for itself."""

from iso8583.spec import Dialect


def without(dialect: Dialect, *numbers: int) -> Dialect:
    """The same, but for these elements."""
    return Dialect(
        f"{dialect.name} without {numbers}",
        *(field for field in dialect.table if field.number not in numbers),
        mti=dialect.mti, bitmap=dialect.bitmap, lengths=dialect.codings.lengths,
        numbers=dialect.codings.numbers, binary=dialect.codings.binary,
        text=dialect.codings.text, version=dialect.version,
    )  # fmt: skip
