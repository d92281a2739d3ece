"""The chip's tags by name, bare as Mastercard sends them and in Visa's dataset."""

from iso8583.codec import decode, encode
from iso8583.describe import describe
from iso8583.dialects import BY_NAME
from iso8583.emv import NAMES, SECRET_NAMES, named

VISA, MASTERCARD = BY_NAME["visa"], BY_NAME["mastercard"]
TAGS = {
    "9F26": bytes.fromhex("A1B2C3D4E5F60718"),
    "9F36": bytes.fromhex("0042"),
    "95": bytes.fromhex("0000008000"),
    "5A": bytes.fromhex("4000001234567899"),
    "71": {"9F18": bytes(4), "86": bytes.fromhex("841E0000")},
    "9F8103": b"\1",
}
NAMED = {
    "cryptogram": bytes.fromhex("A1B2C3D4E5F60718"),
    "transaction_counter": bytes.fromhex("0042"),
    "verification_results": bytes.fromhex("0000008000"),
    "pan": bytes.fromhex("4000001234567899"),
    "script_id": bytes(4),
    "script_command": bytes.fromhex("841E0000"),
    "9F8103": b"\1",
}


def test_bare_tags():
    message = decode(encode("0100", {55: TAGS}, MASTERCARD), MASTERCARD)
    assert message[55, "9F36"] == b"\x00\x42"
    assert message[55, "71", "86"] == bytes.fromhex("841E0000")
    assert named(message.parts(55)) == NAMED


def test_tags_in_a_dataset():
    message = decode(encode("0100", {55: {"01": TAGS}}, VISA), VISA)
    raw = message[55]
    assert isinstance(raw, bytes)
    assert (raw[0], int.from_bytes(raw[1:3], "big")) == (1, len(raw) - 3)
    assert message[55, "01", "9F36"] == b"\x00\x42"
    assert named(message.parts(55)) == NAMED


def test_a_dataset_that_nobody_knows_is_kept():
    raw = encode("0100", {55: {"01": {"95": bytes(5)}, "02": b"\xab"}}, VISA)
    message = decode(raw, VISA)
    parts = message.parts(55)
    assert named(parts) == {"verification_results": bytes(5), "02": b"\xab"}
    assert encode("0100", {55: parts}, VISA) == raw


def test_of_a_tag_that_stands_twice_the_first_has_the_name():
    message = decode(encode("0100", {55: bytes.fromhex("9F36020001" "9F36020002")}, MASTERCARD),
                     MASTERCARD)  # fmt: skip
    assert named(message.parts(55)) == {"transaction_counter": b"\0\1"}


def test_no_name_stands_twice():
    assert len({*NAMES.values(), *SECRET_NAMES.values()}) == len(NAMES) + len(SECRET_NAMES)
    assert not NAMES.keys() & SECRET_NAMES.keys()


def test_what_is_shown_of_a_chip():
    message = decode(encode("0100", {55: {"01": TAGS}}, VISA), VISA)
    text = describe(message, VISA)
    assert "400000******7899" in text
    assert "A1B2C3D4E5F60718" in text
    assert "4000001234567899" not in text
    assert "841E" not in text
