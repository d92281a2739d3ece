"""The dialects by the name that a configuration uses."""

from iso8583.dialects import iso87_ascii, iso87_binary, iso93_ascii

BY_NAME = {
    "iso87_ascii": iso87_ascii.ASCII_1987,
    "iso87_ascii_binary_bitmap": iso87_binary.ASCII_BINARY_BITMAP_1987,
    "iso87_binary": iso87_binary.BINARY_1987,
    "iso93_ascii": iso93_ascii.ASCII_1993,
}
