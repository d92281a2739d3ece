"""Bytes to message and back. The length header is `framing.py`'s business.

Each direction has two ways to the same answer: a plan, generated for the set of fields
at hand once it has been seen often, and the walk along the table, which decides whenever
the plan has doubts (tests/iso8583/test_plans.py holds the two against each other).
"""

from collections.abc import Mapping

from iso8583 import decode_plan, encode_plan
from iso8583.composite_writer import put_together
from iso8583.errors import DecodeError
from iso8583.message import Layout, Message, Value
from iso8583.parts import Given
from iso8583.slow_reader import read_bitmaps, read_mti, walk
from iso8583.slow_writer import write
from iso8583.spec import Dialect


def decode(raw: bytes, dialect: Dialect) -> Message:
    """Read one whole message.

    Strict: an unknown field, a short field or a byte left over is an error. Guessing a
    field border wrong would read one amount as another.

    Raises: DecodeError, with the field and the byte offset. Nothing else, whatever the
        input (tests/iso8583/test_codec.py::test_any_bytes).
    Source: ISO 8583:1987 section 4.
    """
    # A plan is known by the MTI and the bitmaps; which of them has two is not yet looked at.
    get = dialect.decode_plans.get
    plan = get(raw[: dialect.short_head]) or get(raw[: dialect.long_head])
    if plan is not None:
        try:
            message: Message | None = plan(raw)
        except decode_plan.GIVES_UP:
            message = None
        if message is not None:
            return message
    return decode_slowly(raw, dialect)


def decode_slowly(raw: bytes, dialect: Dialect) -> Message:
    mti = read_mti(raw, dialect)
    numbers, at = read_bitmaps(raw, dialect)
    values: list[Value] = []
    for step in walk(raw, dialect, numbers, at):
        if isinstance(step, DecodeError):
            raise step
        values.append(step[1])
    dialect.decode_plans.saw(
        raw[:at], lambda: decode_plan.make_decode_plan(dialect, mti, numbers, at)
    )
    return Message(mti, tuple(values), Layout.of(numbers, dialect.insides))


def encode(mti: str, fields: Mapping[int, Given], dialect: Dialect) -> bytes:
    """Write one whole message; the fields may come in any order.

    A composite may be given as its value, or as a mapping of its parts.

    Raises: EncodeError, with the field.
    """
    plan = dialect.encode_plans.get(tuple(fields))
    if plan is not None:
        try:
            raw: bytes | None = plan(mti, fields.values())
        except encode_plan.GIVES_UP:
            raw = None
        if raw is not None:
            return raw
    return encode_slowly(mti, fields, dialect)


def encode_slowly(mti: str, fields: Mapping[int, Given], dialect: Dialect) -> bytes:
    raw = write(mti, put_together(fields, dialect.fields), dialect)
    numbers = tuple(fields)
    dialect.encode_plans.saw(numbers, lambda: encode_plan.make_encode_plan(dialect, numbers))
    return raw


def look_everywhere(message: Message) -> None:
    """Open every composite once, for a caller that wants no surprises later.

    Raises: PartError, for the first one that is broken.
    """
    for number in message.layout.insides:
        message.parts(number)


def salvage(raw: bytes, dialect: Dialect) -> Message | None:
    """What can still be trusted of a message that `decode` refused.

    The MTI and every field that reads cleanly between certain borders, so that the
    answer to a format error can echo them. None when not even the MTI is one.
    """
    try:
        mti = read_mti(raw, dialect)
    except DecodeError:
        return None
    fields: dict[int, Value] = {}
    try:
        numbers, at = read_bitmaps(raw, dialect)
    except DecodeError:
        return Message.of(mti, fields, dialect.insides)
    for step in walk(raw, dialect, numbers, at):
        if not isinstance(step, DecodeError):
            fields[step[0]] = step[1]
    return Message.of(mti, fields, dialect.insides)
