"""One IPM message: its bytes, and its elements by number. What they mean is ipm.py's business.

Not cardutil's own reader: it renders a hexadecimal dump of every record for a log line that
nobody asked for, which is most of its time, and that line and its errors hold card numbers.
"""

from msgspec import Struct

from ledger.clearing.errors import BadElement, CannotWrite
from ledger.clearing.ipm_frames import HEAD
from ledger.clearing.ipm_table import BINARY, BY_NUMBER, PDS_HOLDERS

PDS_TAG, PDS_LENGTH = 4, 3
PDS_MAX = 999 - PDS_TAG - PDS_LENGTH


class Message(Struct, frozen=True):
    """As it stands in the file, as text. An element that is bytes is Latin-1 or EBCDIC nonsense."""

    mti: str
    elements: dict[int, str]

    def __repr__(self) -> str:
        return f"Message({self.mti!r}, {sorted(self.elements)})"  # the content is not for showing

    def pds(self) -> dict[str, str]:
        """The private data subelements, by tag. Raises: BadElement."""
        found: dict[str, str] = {}
        for holder in PDS_HOLDERS:
            text = self.elements.get(holder, "")
            at = 0
            while at < len(text):
                tag, length = text[at : at + 4], text[at + 4 : at + 7]
                if not (is_digits(tag, PDS_TAG) and is_digits(length, PDS_LENGTH)):
                    raise BadElement(f"DE {holder}", "not private data subelements")
                at += 7 + int(length)
                if at > len(text):
                    raise BadElement(f"DE {holder}", "a subelement ends behind it")
                found[tag] = text[at - int(length) : at]
        return found


def is_digits(text: str, size: int) -> bool:
    return len(text) == size and text.isascii() and text.isdigit()


def read_message(raw: bytes, codec: str) -> Message:
    """Strict: an unknown element, a short one or bytes left over are errors.

    Raises: BadElement.
    """
    text = raw.decode(codec)  # of one byte each, all of them known: cannot fail
    mti = text[:4]
    if not is_digits(mti, 4):
        raise BadElement("MTI", "not four digits")
    bits = int.from_bytes(raw[4:HEAD])
    if not bits >> 127:
        raise BadElement("bitmap", "the second one is not announced")
    elements: dict[int, str] = {}
    at = HEAD
    for number in numbers_of(bits):
        element = BY_NUMBER.get(number)
        if element is None:
            raise BadElement(f"DE {number}", "unknown element")
        size = element.size
        if element.prefix:
            length = text[at : at + element.prefix]
            if not is_digits(length, element.prefix):
                raise BadElement(f"DE {number}", "its length is no number")
            if int(length) > size:
                raise BadElement(f"DE {number}", "its length is above its maximum")
            size = int(length)
            at += element.prefix
        elements[number] = text[at : at + size]
        at += size
        if at > len(text):
            raise BadElement(f"DE {number}", "the record ends inside it")
    if at != len(text):
        raise BadElement("", "bytes behind the last element")
    return Message(mti, elements)


_NUMBERS: dict[int, tuple[int, ...]] = {}
BITMAPS_MAX = 1024  # remembered; files have a few dozen, a damaged one may have as many as records


def numbers_of(bits: int) -> tuple[int, ...]:
    found = _NUMBERS.get(bits)
    if found is None:
        found = tuple(n for n in range(2, 129) if bits >> (128 - n) & 1)
        if len(_NUMBERS) < BITMAPS_MAX:
            _NUMBERS[bits] = found
    return found


def write_message(mti: str, elements: dict[int, str], codec: str) -> bytes:
    """Raises: CannotWrite."""
    bits, parts = 1 << 127, []
    for number in sorted(elements):
        element, value = BY_NUMBER[number], elements[number]
        name = f"DE {number}"
        if len(value) > element.size or (not element.prefix and len(value) != element.size):
            raise CannotWrite(name, f"does not have its size, {element.size}")
        if number not in BINARY and not (value.isascii() and value.isprintable()):
            raise CannotWrite(name, "characters beyond ASCII, or none that print")
        bits |= 1 << (128 - number)
        parts.append((f"{len(value):0{element.prefix}}" if element.prefix else "") + value)
    return mti.encode(codec) + bits.to_bytes(16) + "".join(parts).encode(codec)


def write_pds(subelements: dict[str, str]) -> dict[int, str]:
    """Spread over the elements that hold them. Raises: CannotWrite."""
    held: dict[int, str] = {}
    holders = iter(PDS_HOLDERS)
    holder, text = next(holders), ""
    for tag in sorted(subelements):
        value = subelements[tag]
        if len(value) > PDS_MAX:
            raise CannotWrite(f"PDS {tag}", f"above {PDS_MAX} characters")
        part = f"{tag}{len(value):03}{value}"
        if len(text) + len(part) > 999:
            held[holder] = text
            text = ""
            try:
                holder = next(holders)
            except StopIteration:
                raise CannotWrite(f"PDS {tag}", "no element is left to hold it") from None
        text += part
    if text:
        held[holder] = text
    return held
