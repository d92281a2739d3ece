"""A message for human eyes: one line a field or part, and nothing secret on it."""

from collections.abc import Iterator

from iso8583.composite import Repeated
from iso8583.composite_reader import look_into
from iso8583.element import Element, Inside
from iso8583.errors import DecodeError, Key
from iso8583.mask import mask_pan
from iso8583.message import Message, Value
from iso8583.mti import describe_mti
from iso8583.parts import Parts
from iso8583.spec import Dialect

PAN = "pan"  # by name, wherever it stands: the one secret that may be shown in part
Line = tuple[str, str, str]  # path, name, value


def describe(message: Message, dialect: Dialect) -> str:
    """Aligned columns of field number, name and value; under a composite, its parts.

    Fails closed: what the dialect does not know is hidden like what it calls secret, and so
    is a composite that is broken. A control or foreign character never reaches the terminal
    raw.
    """
    lines = [f"{''.join(map(plain, message.mti))}  {describe_mti(message.mti)}"]
    rows = [line for number, value in message.items() for line in rows_of(number, value, dialect)]
    left = max((len(path) for path, _, _ in rows), default=0)
    width = max((len(name) for _, name, _ in rows), default=0)
    lines += [f"{path:>{max(left, 4)}}  {name:<{width}}  {value}" for path, name, value in rows]
    return "\n".join(lines)


def rows_of(number: int, value: Value, dialect: Dialect) -> Iterator[Line]:
    path, name, shown = str(number), name_of(number, dialect), show(number, value, dialect)
    inside = dialect.insides.get(number)
    if inside is None:
        yield path, name, shown
        return
    try:
        parts = look_into(inside, number, value)
    except DecodeError as error:
        yield path, name, f"{hidden(value)}, {error}"
        return
    # A text that is no secret has no secret part either, and says most as a whole.
    yield path, name, shown if isinstance(value, str) and not dialect.fields[number].secret else ""
    yield from rows_inside(path, inside, parts)


def rows_inside(path: str, inside: Inside, parts: Parts) -> Iterator[Line]:
    for key, value in parts.items():
        where = f"{path}.{key}"
        if not isinstance(value, Parts):
            part = element_of(inside, key)
            yield where, "unknown" if part is None else part.name, show_value(part, value)
            continue
        # A turn of repeated parts, and a constructed tag, are made of the same table again.
        part = None if isinstance(inside.shape, Repeated) else inside.elements.get(key)
        nested = inside if part is None or part.inside is None else part.inside
        yield where, "" if part is None else part.name, ""
        yield from rows_inside(where, nested, value)


def element_of(inside: Inside, key: Key) -> Element | None:
    if inside.lead is not None and inside.lead.number == key:
        return inside.lead
    return inside.elements.get(key)


def name_of(number: int, dialect: Dialect) -> str:
    field = dialect.fields.get(number)
    return "unknown" if field is None else field.name


def show(number: int, value: Value, dialect: Dialect) -> str:
    return show_value(dialect.fields.get(number), value)


def show_value(field: Element | None, value: Value) -> str:
    if field is not None and field.name == PAN:
        # A chip has it as bytes, filled up on the right.
        return mask_pan(value if isinstance(value, str) else value.hex().upper().rstrip("F"))
    if field is None or field.secret:
        return hidden(value)
    return "".join(map(plain, value)) if isinstance(value, str) else value.hex().upper()


def hidden(value: Value) -> str:
    return f"‹hidden, {len(value)} {'characters' if isinstance(value, str) else 'bytes'}›"


def plain(character: str) -> str:
    """The character itself if it is printable ASCII, its escape if not."""
    if " " <= character <= "~" and character != "\\":
        return character
    return character.encode("unicode_escape").decode()
