"""A message for human eyes: one line a field, and nothing secret on it."""

from iso8583.mask import mask_pan
from iso8583.message import Message, Value
from iso8583.mti import describe_mti
from iso8583.spec import Dialect

PAN = 2  # the one secret that may be shown in part


def describe(message: Message, dialect: Dialect) -> str:
    """Aligned columns of field number, name and value.

    Fails closed: what the dialect does not know is hidden like what it calls secret. A
    control or foreign character never reaches the terminal raw.
    """
    lines = [f"{''.join(map(plain, message.mti))}  {describe_mti(message.mti)}"]
    names = {number: name_of(number, dialect) for number in message.layout.fields}
    width = max(map(len, names.values()), default=0)
    for number, value in message.items():
        lines.append(f"{number:>4}  {names[number]:<{width}}  {show(number, value, dialect)}")
    return "\n".join(lines)


def name_of(number: int, dialect: Dialect) -> str:
    field = dialect.fields.get(number)
    return "unknown" if field is None else field.name


def show(number: int, value: Value, dialect: Dialect) -> str:
    field = dialect.fields.get(number)
    if number == PAN and isinstance(value, str):
        return mask_pan(value)
    if isinstance(value, bytes):
        return f"‹hidden, {len(value)} bytes›"
    if field is None or field.secret:
        return f"‹hidden, {len(value)} characters›"
    return "".join(map(plain, value))


def plain(character: str) -> str:
    """The character itself if it is printable ASCII, its escape if not."""
    if " " <= character <= "~" and character != "\\":
        return character
    return character.encode("unicode_escape").decode()
