"""A message in DE 127, and one more in its field 25."""

import pytest

from iso8583.codec import decode, encode
from iso8583.describe import describe
from iso8583.dialects.postilion import POSTILION
from iso8583.errors import PartError, Problem

PRIVATE = {
    2: "0000000042",
    10: "987",
    25: {2: "000000012550", 4: "A0000000031010", 12: "A1B2C3D4E5F60718", 28: "42"},
    29: bytes(40),
}


def test_messages_in_messages():
    raw = encode("0100", {127: PRIVATE}, POSTILION)
    chip = b"5010001000000000" + b"000000012550" + b"14A0000000031010" + b"A1B2C3D4E5F60718242"
    assert raw[POSTILION.long_head :] == (
        b"%06d" % (8 + 12 + 3 + 4 + len(chip) + 40)
        + bytes.fromhex("4040008800000000")
        + b"100000000042" + b"987" + b"%04d" % len(chip) + chip + bytes(40)
    )  # fmt: skip
    message = decode(raw, POSTILION)
    assert message[127, 25, 12] == "A1B2C3D4E5F60718"
    parts = message.parts(127)
    assert parts is not None
    assert parts.to_dict() == PRIVATE


def test_secrets_are_hidden_at_every_depth():
    text = describe(decode(encode("0100", {127: PRIVATE}, POSTILION), POSTILION), POSTILION)
    assert "987" not in text
    assert "127.25.12" in text


@pytest.mark.parametrize(
    ("value", "problem", "path"),
    [
        (bytes(7), Problem.TOO_SHORT, (127,)),
        (bytes.fromhex("8000000000000000"), Problem.UNKNOWN_FIELD, (127, 1)),
        (bytes.fromhex("0000008000000000") + b"9999", Problem.LYING_LENGTH, (127, 25)),
        (bytes.fromhex("0000008000000000") + b"0008<IccData", Problem.TOO_SHORT, (127, 25)),
        (bytes.fromhex("0000008000000000") + b"0016" + b"8" + bytes(15).replace(b"\0", b"0"),
         Problem.UNKNOWN_FIELD, (127, 25, 1)),
    ],
)  # fmt: skip
def test_lies(value, problem, path):
    message = decode(encode("0100", {127: value}, POSTILION), POSTILION)
    with pytest.raises(PartError) as caught:
        message.parts(127)
    assert (caught.value.problem, caught.value.path) == (problem, path)
