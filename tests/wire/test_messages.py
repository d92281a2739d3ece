"""Messages named by meaning, byte for byte in both directions.

A file has a line for the dialect, then the bytes in hexadecimal, then the MTI and the
fields as they read. Card numbers are from a test range.
"""

from pathlib import Path

import pytest

from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Value
from iso8583.spec import B, Dialect

FILES = sorted(Path(__file__).parent.glob("*.txt"))


def load(path: Path) -> tuple[Dialect, bytes, str, dict[int, Value]]:
    text = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(True) if line[0] != "#"
    )
    name, wire, readable = text.strip().split("\n\n")
    dialect = BY_NAME[name.strip()]
    mti, *lines = readable.splitlines()
    fields: dict[int, Value] = {}
    for line in lines:
        number, value = int(line[:3]), line[5:]
        binary = dialect.fields[number].characters is B
        fields[number] = bytes.fromhex(value) if binary else value
    return dialect, bytes.fromhex(wire), mti, fields


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_directions(path):
    dialect, raw, mti, fields = load(path)

    message = decode(raw, dialect)

    assert message.mti == mti
    assert message.to_dict() == fields
    assert encode(mti, fields, dialect) == raw


def test_there_are_messages():
    assert len(FILES) >= 16
