"""The dialects by the name that a configuration uses."""

from iso8583.dialects.iso87_ascii import ASCII_1987
from iso8583.dialects.iso87_binary import ASCII_BINARY_BITMAP_1987, BINARY_1987
from iso8583.spec import Dialect

BY_NAME: dict[str, Dialect] = {
    "iso87_ascii": ASCII_1987,
    "iso87_ascii_binary_bitmap": ASCII_BINARY_BITMAP_1987,
    "iso87_binary": BINARY_1987,
}
