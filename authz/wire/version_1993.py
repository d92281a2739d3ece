"""A message of ISO 8583:1993 in the elements of 1987, which the stories are told in.

What means the same keeps its place; what has moved is put back; what has no place in 1987 is
left out, so that nothing is read as something else. The MTI keeps its version, and the answer
is made from the message as it came.

    1993                                      1987
    DE 12  YYMMDDhhmmss, local                DE 13 and DE 12
    DE 26  card acceptor business code        DE 18, the MCC
    DE 39  three digits                       DE 39: approved, in part, or not
    DE 43  name, street, city, country        DE 43 of forty characters
    DE 56  MTI, DE 11, DE 12, DE 32           DE 90, with DE 12 where 1987 has DE 7
    DE 24  401, with DE 4 and DE 30           DE 95: what stays, and DE 4: of the original

Of a partial reversal DE 4 is read as the amount that stays and DE 30 as the original's; public
sources name the two elements, and none that was found says this in so many words.

Source: ISO 8583:1993, data element dictionary; host interfaces gathered in docs/matching.md.
"""

import iso3166

from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.to_request import Unsupported
from iso8583.message import Message, Value

FULL_REVERSAL, PARTIAL_REVERSAL = "400", "401"  # DE 24
# These have another meaning in 1987, or another form.
WITHOUT_PLACE = (
    13, 24, 25, 26, 28, 29, 30, 31, 53, 56, 57, 58, 66, 70, 71, 72, *range(82, 86), *range(90, 97),
)  # fmt: skip


def as_1987(message: Message) -> Message:
    """Raises: BadElement, Unsupported."""
    given = message.to_dict()
    fields = {number: value for number, value in given.items() if number not in WITHOUT_PLACE}
    if 12 in given:
        fields[13], fields[12] = local_date_and_time(message)
    if 26 in given:
        fields[18] = given[26]
    if 39 in given:
        fields[39] = outcome(elements.text(message, 39))
    if 43 in given:
        fields[43] = name_and_location(elements.text(message, 43))
    if 56 in given:
        fields[90] = original_data(elements.text(message, 56))
    if message.mti[1] == "4":
        reverse_in_part(message, fields)
    return Message.of(message.mti, fields)


def local_date_and_time(message: Message) -> tuple[str, str]:
    """MMDD and hhmmss."""
    digits = elements.text(message, 12)
    if not is_number(digits, 12):
        raise BadElement(12, "not a date and time")
    return digits[2:6], digits[6:]


def outcome(action_code: str) -> str:
    """What was decided elsewhere, as far as it matters: 00, 10 for a part, 05 for no."""
    if not is_number(action_code, 3):
        raise BadElement(39, "not an action code")
    if action_code in ("002", "006"):
        return "10"
    return "00" if action_code[0] == "0" else "05"


def name_and_location(text: str) -> str:
    r"""Of `name\street\city\postcode region country`, the parts that 1987 has."""
    name, *others = text.split("\\")
    city = others[1] if len(others) > 1 else ""
    country = iso3166.countries_by_alpha3.get(text[-3:].upper())
    country = country or iso3166.countries_by_numeric.get(text[-3:])
    return f"{name[:25]:25}{city[:13]:13}{country.alpha2 if country else '':2}"


def original_data(digits: str) -> str:
    """DE 90 from DE 56: MTI 4, STAN 6, date and time 12, then DE 32 behind its length."""
    if not (digits.isascii() and digits.isdigit() and len(digits) >= 22):
        raise BadElement(56, "not original data elements")
    acquirer = digits[24:]
    if len(digits) > 22 and (
        not is_number(digits[22:24], 2) or int(digits[22:24]) != len(acquirer)
    ):
        raise BadElement(56, "not original data elements")
    mti, stan, sent = digits[0:4], digits[4:10], digits[12:22]
    return f"0{mti[1:]}{stan}{sent}{acquirer[:11]:0>11}{'':0>11}"


def reverse_in_part(message: Message, fields: dict[int, Value]) -> None:
    function = elements.text(message, 24) or FULL_REVERSAL
    if function == FULL_REVERSAL:
        return
    if function != PARTIAL_REVERSAL:
        raise Unsupported(f"function code {function}")
    original = elements.required(message, 30)
    if not is_number(original, 24):
        raise BadElement(30, "not original amounts")
    stays = elements.required(message, 4)
    fields[4], fields[95] = original[:12], f"{stays}{'':0>30}"


def is_number(text: str, size: int) -> bool:
    return len(text) == size and text.isascii() and text.isdigit()
