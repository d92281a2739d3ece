"""Messages for tests: strategies, one plain example, and a dialect with every oddity."""

import string
from random import Random

from hypothesis import strategies as st

from iso8583.codec import encode
from iso8583.dialects import BY_NAME
from iso8583.errors import EncodeError
from iso8583.message import Value
from iso8583.spec import (
    AN,
    ANS,
    ASCII,
    BCD,
    EBCDIC,
    HEX,
    RAW,
    XN,
    A,
    B,
    Dialect,
    Element,
    Field,
    N,
    Pad,
    Z,
    counted,
    fixed,
    l1,
    ll,
    lll,
)

ALPHABET = {
    N: string.digits,
    A: string.ascii_letters,
    AN: string.digits + string.ascii_letters,
    ANS: "".join(map(chr, range(0x20, 0x7F))),
    Z: string.digits + "D",
}

# Every axis turned to its rarer side, and kinds of coding mixed within one message.
PECULIAR = Dialect(
    "peculiar",
    Field(2, "right_padded", N, ll(19), pad=Pad.RIGHT_F),
    Field(3, "odd_fixed", N, fixed(3), pad=Pad.RIGHT_F),
    Field(4, "odd_fixed_left", N, fixed(5)),
    Field(5, "letters", A, fixed(4)),
    Field(6, "letters_counted", A, lll(30), prefix=ASCII),
    Field(7, "track", Z, ll(37), pad=Pad.RIGHT_F),
    Field(8, "fixed_track", Z, fixed(7)),
    Field(9, "number_in_ascii", N, lll(30), coding=ASCII),
    Field(10, "number_counted_in_ascii", N, lll(30), prefix=ASCII),
    Field(11, "hexadecimal", B, lll(30), coding=HEX),
    Field(12, "hexadecimal_counted_in_ascii", B, ll(20), coding=HEX, prefix=ASCII),
    Field(13, "fixed_hexadecimal", B, fixed(4), coding=HEX),
    Field(14, "signed_in_ascii", XN, fixed(9), coding=ASCII),
    Field(15, "signed", XN, fixed(9)),
    Field(16, "text", ANS, lll(40)),
    Field(17, "one_digit", N, fixed(1)),
    Field(70, "alphanumeric", AN, ll(12)),
    Field(128, "raw", B, fixed(8)),
    mti=BCD,
    bitmap=HEX,
    lengths=BCD,
    numbers=BCD,
    binary=RAW,
)
# What a mainframe speaks: EBCDIC around BCD, lengths as binary numbers, fillers on either side.
HOST = Dialect(
    "host",
    Field(2, "lenient", N, l1(19), lenient=True),
    Field(3, "lenient_right", N, l1(19), pad=Pad.RIGHT_F, lenient=True),
    Field(4, "odd_fixed", N, fixed(5), lenient=True),
    Field(5, "letters", A, fixed(4)),
    Field(6, "letters_counted", A, l1(30)),
    Field(7, "track", Z, l1(37), pad=Pad.RIGHT_F, lenient=True),
    Field(8, "track_in_text", Z, ll(37), coding=EBCDIC, prefix=EBCDIC),
    Field(9, "number_in_text", N, l1(30), coding=EBCDIC),
    Field(10, "number_counted_in_text", N, lll(30), prefix=EBCDIC),
    Field(11, "bytes", B, counted(2, 300)),
    Field(12, "bytes_counted_in_text", B, lll(20), prefix=EBCDIC),
    Field(13, "text_in_ascii", ANS, l1(30), coding=ASCII),
    Field(14, "signed_in_text", XN, fixed(9), coding=EBCDIC),
    Field(15, "signed", XN, fixed(9)),
    Field(16, "text", ANS, l1(40)),
    Field(17, "text_counted_in_bcd", ANS, ll(40), prefix=BCD),
    Field(18, "alphanumeric", AN, fixed(3)),
    Field(70, "text_counted_in_text", AN, ll(12), prefix=EBCDIC),
    Field(128, "raw", B, fixed(8)),
    mti=EBCDIC,
    bitmap=RAW,
    lengths=RAW,
    numbers=BCD,
    binary=RAW,
    text=EBCDIC,
)
NETWORKS = list(BY_NAME.values())
DIALECTS = [*NETWORKS, HOST, PECULIAR]

PAN = "4000001234567899"

PURCHASE: dict[int, Value] = {
    2: PAN,
    3: "000000",
    4: "000000012550",
    7: "0314092653",
    11: "271828",
    12: "102653",
    13: "0314",
    18: "5411",
    19: "840",
    32: "40000012345",
    35: f"{PAN}D30122011234500001",
    37: "607310271828",
    41: "TERM0042",
    42: "MERCHANT0000042",
    49: "840",
    55: bytes.fromhex("9F2608A1B2C3D4E5F60718"),
}


def purchase_in(dialect: Dialect) -> dict[int, Value]:
    """PURCHASE as far as this dialect's fields have the same formats."""
    return {number: value for number, value in PURCHASE.items() if fits(number, value, dialect)}


def fits(number: int, value: Value, dialect: Dialect) -> bool:
    try:
        encode("0100", {number: value}, dialect)
    except EncodeError:
        return False
    return True


def length_of(field: Element) -> st.SearchStrategy[int]:
    if field.is_fixed:
        return st.just(field.maximum)
    # Short ones mostly, and the edges always.
    return st.sampled_from(sorted({0, 1, 2, 3, min(field.maximum, 12), field.maximum}))


@st.composite
def values(draw: st.DrawFn, field: Element) -> Value:
    """A value that the field can hold."""
    length = draw(length_of(field))
    randomly = Random(draw(st.integers(0, 2**32)))
    return value_of(field, length, randomly)


def value_of(field: Element, length: int, randomly: Random) -> Value:
    if field.characters is B:
        return randomly.randbytes(length)
    if field.characters is XN:
        return randomly.choice("CD") + "".join(randomly.choices(string.digits, k=length - 1))
    return "".join(randomly.choices(ALPHABET[field.characters], k=length))


@st.composite
def field_sets(draw: st.DrawFn, dialect: Dialect, min_size: int = 0) -> dict[int, Value]:
    """Fields of a message, in any order."""
    numbers = draw(
        st.lists(st.sampled_from(list(dialect.fields)), unique=True, min_size=min_size, max_size=14)
    )
    return {number: draw(values(dialect.fields[number])) for number in numbers}


mtis = st.text(string.digits, min_size=4, max_size=4)


def any_message(dialect: Dialect, randomly: Random) -> dict[int, Value]:
    """As `field_sets`, without hypothesis: for batches."""
    numbers = randomly.sample(list(dialect.fields), randomly.randint(1, 30))
    fields = (dialect.fields[number] for number in numbers)
    return {
        field.number: value_of(
            field,
            field.maximum if field.is_fixed else randomly.randint(0, field.maximum),
            randomly,
        )
        for field in fields
    }


@st.composite
def damaged(draw: st.DrawFn, raw: bytes, first: int = 0) -> bytes:
    """The bytes with a few changed, put in, cut out or cut off, from `first` on."""
    broken = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(first, max(first, len(broken))))
        match draw(st.sampled_from(["change", "insert", "cut", "end"])):
            case "change" if at < len(broken):
                broken[at] = draw(st.integers(0, 255))
            case "insert":
                broken[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "cut":
                del broken[at : at + draw(st.integers(1, 3))]
            case "end":
                del broken[at:]
    return bytes(broken)
