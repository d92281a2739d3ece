"""The dialects by the name that a configuration uses.

Plain ones stand first: whoever guesses a dialect from bytes that several can read takes the
first.
"""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.iso87_binary import ASCII_BINARY_BITMAP_1987, BINARY_1987
from iso8583.dialects.iso93_ascii import ASCII_1993
from iso8583.dialects.mastercard import MASTERCARD
from iso8583.dialects.postilion import POSTILION
from iso8583.dialects.visa import VISA
from iso8583.spec import Dialect

BY_NAME: dict[str, Dialect] = {
    "iso87_ascii": ASCII_1987,
    "iso87_ascii_binary_bitmap": ASCII_BINARY_BITMAP_1987,
    "iso87_binary": BINARY_1987,
    "iso93_ascii": ASCII_1993,
    "visa": VISA,
    "mastercard": MASTERCARD,
    "postilion": POSTILION,
}
