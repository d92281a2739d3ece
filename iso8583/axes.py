"""The axes along which fields differ: none of them knows another.

characters   what a value is made of           N A AN ANS Z XN B
size         fixed, counted by a prefix,       fixed(n) l1(max) ll(max) lll(max) counted(n, max)
             or all that its container left    rest(max)
coding       how characters become bytes       ASCII EBCDIC BCD HEX RAW
pad          what fills a last half byte       LEFT_ZERO RIGHT_F
"""

from enum import Enum, auto

from msgspec import Struct

DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PRINTABLE = bytes(range(0x20, 0x7F))
SIGNS = b"CD"  # credit and debit, in front of a signed amount


class Characters(Enum):
    """What a value may be made of. A value of kind B is `bytes`, of any other kind `str`."""

    N = DIGITS
    A = LETTERS
    AN = DIGITS + LETTERS
    ANS = PRINTABLE
    Z = DIGITS + b"=D"  # track 2; the separator is "=", or "D" as chips and BCD have it
    XN = SIGNS + DIGITS  # one sign, then digits
    B = bytes(range(256))


N, A, AN, ANS, Z, XN, B = Characters


class Coding(Enum):
    """How something stands on the wire."""

    DIALECT = auto()  # as the dialect says for its kind
    ASCII = auto()
    EBCDIC = auto()  # code page 037, see encodings.py
    BCD = auto()  # two digits to a byte; a sign stays one byte of text
    HEX = auto()  # bytes written as hexadecimal digits
    RAW = auto()  # bytes as they are; of a length: a binary number


DIALECT, ASCII, EBCDIC, BCD, HEX, RAW = Coding


class Pad(Enum):
    """What fills the byte when BCD has an odd number of digits."""

    LEFT_ZERO = auto()
    RIGHT_F = auto()


class Size(Struct, frozen=True):
    """How long a value is, in digits, characters or bytes of the value (not of the wire)."""

    prefix_digits: int  # of a RAW prefix: bytes. 0: nothing counts the value
    maximum: int
    is_rest: bool = False  # as long as its container leaves it; else, uncounted, exactly `maximum`


def fixed(size: int) -> Size:
    return Size(0, size)


def l1(maximum: int) -> Size:
    return Size(1, maximum)


def ll(maximum: int) -> Size:
    return Size(2, maximum)


def lll(maximum: int) -> Size:
    return Size(3, maximum)


def counted(prefix_digits: int, maximum: int) -> Size:
    return Size(prefix_digits, maximum)


def rest(maximum: int) -> Size:
    """Of parts only: what a tag's length says, or what is left at the end."""
    return Size(0, maximum, is_rest=True)
