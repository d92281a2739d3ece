"""Reading and writing whole messages, the strict way; each path, plan and table, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.codec import decode, decode_slowly, encode, encode_slowly, salvage
from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError, EncodeError, Problem
from iso8583.spec import BCD, Z
from tests.support.iso import DIALECTS, NETWORKS, PURCHASE, damaged, field_sets, mtis, purchase_in

ASCII_1987, BINARY_1987 = BY_NAME["iso87_ascii"], BY_NAME["iso87_binary"]
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)


@each_dialect
@given(raw=st.binary(max_size=80), mti=mtis, data=st.data())
def test_any_bytes(dialect, raw, mti, data):
    """Random bytes, and messages gone wrong, are a message or a DecodeError."""
    fields = data.draw(field_sets(dialect))
    whole = encode(mti, fields, dialect)
    head = whole[: dialect.short_head]
    for candidate in (raw, head + raw, data.draw(damaged(whole))):
        try:
            message = decode(candidate, dialect)
        except DecodeError:
            message = None
        # A plan must not change the answer, nor what `salvage` makes of it.
        saved = salvage(candidate, dialect)
        if message is not None:
            assert saved == message
        elif saved is not None:
            assert set(saved) <= set(dialect.fields)


@each_dialect
@given(mti=mtis, data=st.data())
def test_what_is_written_is_read_back(dialect, mti, data):
    fields = data.draw(field_sets(dialect))

    raw = encode(mti, fields, dialect)
    message = decode(raw, dialect)

    assert message.mti == mti
    assert message.to_dict() == fields
    assert encode(message.mti, message.to_dict(), dialect) == raw


@each_dialect
@given(data=st.data())
def test_a_repaired_message_is_written_as_it_was_read(dialect, data):
    """Whatever decode accepts, encode writes again, byte for byte but for the case of hex.

    And but for fillers on the other side, where a field is lenient: these are put right.
    """
    raw = data.draw(damaged(encode("0100", data.draw(field_sets(dialect)), dialect)))
    try:
        message = decode(raw, dialect)
    except DecodeError:
        return
    again = encode(message.mti, message.to_dict(), dialect)
    assert decode(again, dialect) == message
    if len(again) == len(raw):
        lenient = any(dialect.fields[number].lenient for number in message)
        assert lenient or again.upper() == raw.upper()
    else:  # an empty second bitmap is read, and left out when written
        assert len(raw) - len(again) == dialect.bitmap_size


# A purchase with fields 3, 4, 11 and 48, one thing wrong with each. Offsets count from the MTI.
GOOD = "01003020000000010000000000000000012550271828004ABCD"
REFUSALS = [
    ("", Problem.TOO_SHORT, None, 0),
    ("010", Problem.TOO_SHORT, None, 3),
    ("0l00" + GOOD[4:], Problem.BAD_MTI, None, 0),
    ("٠١٠٠" + GOOD[4:], Problem.BAD_MTI, None, 0),
    (GOOD[:19], Problem.TOO_SHORT, None, 19),
    (GOOD[:10] + "G" + GOOD[11:], Problem.BAD_BITMAP, None, 10),
    (GOOD[:10] + " " + GOOD[11:], Problem.BAD_BITMAP, None, 10),
    ("0100" + "B" + GOOD[5:20], Problem.TOO_SHORT, None, 20),
    ("0100" + "8000000000000000" + "8000000000000000" + "0" * 16, Problem.UNKNOWN_FIELD, 65, 36),
    (GOOD[:24], Problem.SHORT_FIELD, 3, 20),
    (GOOD[:26] + "-00000001250" + GOOD[38:], Problem.BAD_CHARACTER, 4, 26),
    (GOOD[:26] + "+00000001250" + GOOD[38:], Problem.BAD_CHARACTER, 4, 26),
    (GOOD[:26] + "00000O012550" + GOOD[38:], Problem.BAD_CHARACTER, 4, 31),
    (GOOD[:26] + "0000_0012550" + GOOD[38:], Problem.BAD_CHARACTER, 4, 30),
    (GOOD[:26] + "٠00000125" + GOOD[38:], Problem.BAD_CHARACTER, 4, 26),
    (GOOD[:26] + "²0000012550" + GOOD[38:], Problem.BAD_CHARACTER, 4, 26),
    (GOOD[:44], Problem.SHORT_FIELD, 48, 44),
    (GOOD[:46], Problem.SHORT_FIELD, 48, 44),
    (GOOD[:50], Problem.LYING_LENGTH, 48, 44),
    (GOOD[:44] + "-04ABCD", Problem.BAD_LENGTH, 48, 44),
    (GOOD[:44] + " 04ABCD", Problem.BAD_LENGTH, 48, 44),
    (GOOD[:44] + "1_0ABCDEFGHIJ", Problem.BAD_LENGTH, 48, 44),
    (GOOD[:47] + "AB\x1bD", Problem.BAD_CHARACTER, 48, 49),
    (GOOD[:47] + "ABé", Problem.BAD_CHARACTER, 48, 49),
    (GOOD + "\n", Problem.LEFTOVER, None, 51),
]


@pytest.mark.parametrize(("text", "problem", "field", "offset"), REFUSALS)
def test_refusals(text, problem, field, offset):
    with pytest.raises(DecodeError) as caught:
        decode(text.encode(), ASCII_1987)
    error = caught.value
    assert (error.problem, error.field, error.offset) == (problem, field, offset)


def test_the_good_one_of_the_refusals():
    message = decode(GOOD.encode(), ASCII_1987)
    assert message.to_dict() == {3: "000000", 4: "000000012550", 11: "271828", 48: "ABCD"}


# Fields 2, 19 and 35 in BCD: odd numbers of digits, so that there are nibbles to fill up.
BINARY_GOOD = "010040002000200000000301230840050123D4"
BINARY_REFUSALS = [
    ("010A" + BINARY_GOOD[4:], Problem.BAD_MTI, None, 0),
    (BINARY_GOOD.replace("030123", "0A0123"), Problem.BAD_LENGTH, 2, 10),
    (BINARY_GOOD.replace("030123", "200123"), Problem.LYING_LENGTH, 2, 10),
    (BINARY_GOOD.replace("030123", "031123"), Problem.BAD_PADDING, 2, 11),
    (BINARY_GOOD.replace("030123", "03012C"), Problem.BAD_CHARACTER, 2, 12),
    (BINARY_GOOD.replace("0840", "8400"), Problem.BAD_PADDING, 19, 13),
    (BINARY_GOOD.replace("0840", "0B40"), Problem.BAD_CHARACTER, 19, 13),
    (BINARY_GOOD.replace("0123D4", "F123D4"), Problem.BAD_PADDING, 35, 16),
    (BINARY_GOOD.replace("0123D4", "0123C4"), Problem.BAD_CHARACTER, 35, 18),
    (BINARY_GOOD[:-2], Problem.LYING_LENGTH, 35, 15),
    (BINARY_GOOD + "00", Problem.LEFTOVER, None, 19),
]


@pytest.mark.parametrize(("digits", "problem", "field", "offset"), BINARY_REFUSALS)
def test_refusals_in_binary(digits, problem, field, offset):
    with pytest.raises(DecodeError) as caught:
        decode(bytes.fromhex(digits), BINARY_1987)
    error = caught.value
    assert (error.problem, error.field, error.offset) == (problem, field, offset)


def test_the_good_one_of_the_binary_refusals():
    message = decode(bytes.fromhex(BINARY_GOOD), BINARY_1987)
    assert message.to_dict() == {2: "123", 19: "840", 35: "123D4"}


@pytest.mark.parametrize("dialect", [ASCII_1987], ids=lambda d: d.name)
def test_a_bitmap_in_lower_case_is_read(dialect):
    raw = encode("0100", PURCHASE, dialect)
    lower = raw[:4] + raw[4:20].lower() + raw[20:]
    assert lower != raw
    assert decode(lower, dialect) == decode(raw, dialect)


def test_chip_data_in_lower_case_is_read_and_whitespace_in_it_is_not():
    raw = encode("0100", {55: b"\x9f\x26"}, ASCII_1987)
    assert decode(raw[:-4] + b"9f26", ASCII_1987)[55] == b"\x9f\x26"
    with pytest.raises(DecodeError):
        decode(raw[:-4] + b"9f 2", ASCII_1987)
    with pytest.raises(DecodeError):  # an odd number of hexadecimal digits
        decode(raw[:-7] + b"003" + b"9F2", ASCII_1987)


def test_the_order_of_fields_does_not_matter():
    for dialect in BY_NAME.values():
        fields = purchase_in(dialect)
        backwards = dict(reversed(fields.items()))
        for _ in range(40):  # past the point where each order has its plan
            assert encode("0100", backwards, dialect) == encode("0100", fields, dialect)


def test_the_separator_of_track_2_may_be_an_equals_sign():
    track = "4000001234567899=3012"
    for dialect in BY_NAME.values():
        read = decode(encode("0100", {35: track}, dialect), dialect)[35]
        in_bcd = dialect.fields[35].coding is BCD
        assert dialect.fields[35].characters is Z
        assert read == (track.replace("=", "D") if in_bcd else track)


ENCODE_REFUSALS = [
    ("0100", {1: "0"}, Problem.UNKNOWN_FIELD, 1),
    ("0100", {65: "0"}, Problem.UNKNOWN_FIELD, 65),
    ("0100", {129: "0"}, Problem.UNKNOWN_FIELD, 129),
    ("0100", {-3: "0"}, Problem.UNKNOWN_FIELD, -3),
    ("100", {}, Problem.BAD_MTI, None),
    ("O100", {}, Problem.BAD_MTI, None),
    ("٠١٠٠", {}, Problem.BAD_MTI, None),
    ("0100", {4: "12550"}, Problem.WRONG_SIZE, 4),
    ("0100", {2: "4" * 20}, Problem.WRONG_SIZE, 2),
    ("0100", {52: bytes(7)}, Problem.WRONG_SIZE, 52),
    ("0100", {52: "0" * 8}, Problem.WRONG_TYPE, 52),
    ("0100", {4: b"000000012550"}, Problem.WRONG_TYPE, 4),
    ("0100", {4: 12550}, Problem.WRONG_TYPE, 4),
    ("0100", {4: "-00000012550"}, Problem.BAD_CHARACTER, 4),
    ("0100", {4: "٠٠٠٠٠٠٠٠٠٠٠٠"}, Problem.BAD_CHARACTER, 4),
    ("0100", {43: "CAFÉ".ljust(40)}, Problem.BAD_CHARACTER, 43),
    ("0100", {97: "X" + "0" * 16}, Problem.BAD_CHARACTER, 97),
    ("0100", {97: "0" * 17}, Problem.BAD_CHARACTER, 97),
    ("0100", {97: "CD" + "0" * 15}, Problem.BAD_CHARACTER, 97),
]


@pytest.mark.parametrize("dialect", BY_NAME.values(), ids=lambda d: d.name)
@pytest.mark.parametrize(("mti", "fields", "problem", "field"), ENCODE_REFUSALS)
def test_encode_refusals(dialect, mti, fields, problem, field):
    with pytest.raises(EncodeError) as caught:
        encode(mti, fields, dialect)
    assert (caught.value.problem, caught.value.field) == (problem, field)


SALVAGE = [
    # what happened                          what is left
    (GOOD, [3, 4, 11, 48]),
    (GOOD[:26] + "-" + GOOD[27:], [3, 11, 48]),  # its borders are certain: read on behind it
    (GOOD[:47] + "AB\x1bD", [3, 4, 11]),
    (GOOD[:44] + "-04ABCD", [3, 4, 11]),  # where would 49 begin?
    (GOOD[:40], [3, 4]),
    (GOOD + "0", [3, 4, 11, 48]),
    ("0100" + "3020000000010000"[:9], []),
    ("0100" + "8000000000000000" + "8000000000000000" + "000000", []),
]


@pytest.mark.parametrize(("text", "numbers"), SALVAGE)
def test_salvage_keeps_what_is_certain(text, numbers):
    message = salvage(text.encode(), ASCII_1987)
    assert message is not None
    assert message.mti == "0100"
    assert list(message) == numbers
    whole = decode(GOOD.encode(), ASCII_1987)
    assert all(message[number] == whole[number] for number in numbers)


@pytest.mark.parametrize("raw", [b"", b"010", b"O100" + b"0" * 40, bytes(40)])
def test_without_an_mti_nothing_is_salvaged(raw):
    assert salvage(raw, ASCII_1987) is None


@each_dialect
def test_plans_take_over_and_agree(dialect):
    fields = purchase_in(dialect) if dialect in NETWORKS else {16: "text", 2: "1", 70: "a1"}
    dialect.decode_plans.clear()
    dialect.encode_plans.clear()
    raw = encode_slowly("0100", fields, dialect)
    message = decode_slowly(raw, dialect)
    for _ in range(40):
        assert decode(raw, dialect) == message
        assert encode("0100", fields, dialect) == raw
    assert len(dialect.decode_plans) == len(dialect.encode_plans) == 1
