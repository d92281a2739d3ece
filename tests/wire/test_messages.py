"""Messages named by meaning, byte for byte in both directions.

A file has a line for the dialect, then the bytes in hexadecimal, then the MTI and the fields
as they read; a composite reads as its parts, each under its path. Card numbers are from test
ranges. Bytes are in hexadecimal, and a value that begins or ends with a space is in quotes.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from iso8583.codec import decode, encode, look_everywhere
from iso8583.composite import Ber, Positional, Repeated, Tagged
from iso8583.describe import describe
from iso8583.dialects import BY_NAME
from iso8583.element import Element, Inside
from iso8583.errors import DecodeError
from iso8583.message import Message
from iso8583.parts import Node, Parts
from iso8583.spec import B, Dialect

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.txt"))
LINE = re.compile(r' *(\S+)  (?:"(.*)"|(.*))')
each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HERE))[:-4])


def load(path: Path) -> tuple[Dialect, bytes, str, dict[Any, Any]]:
    text = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(True) if line[0] != "#"
    )
    name, wire, readable = text.strip().split("\n\n")
    dialect = BY_NAME[name.strip()]
    mti, *lines = readable.splitlines()
    fields: dict[Any, Any] = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match is not None, line
        put(dialect, fields, match[1].split("."), match[2] or match[3] or "")
    return dialect, bytes.fromhex(wire), mti, fields


def put(dialect: Dialect, tree: dict[Any, Any], path: list[str], value: str) -> None:
    """A value at its path, as bytes where the table or an unknown tag says so."""
    number = int(path[0])
    element: Element | None = dialect.fields[number]
    inside, keys = dialect.insides.get(number), [number, *path[1:]]
    for place, key in enumerate(path[1:], start=1):
        assert inside is not None, path
        keys[place], element, inside = step(inside, key)
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    assert keys[-1] not in tree, path
    binary = element is None or element.characters is B
    tree[keys[-1]] = bytes.fromhex(value) if binary else value


def step(inside: Inside, key: str) -> tuple[Any, Element | None, Inside | None]:
    if inside.lead is not None and key == inside.lead.number:
        return key, inside.lead, None
    if isinstance(inside.shape, Repeated):  # a turn, with the parts of the table in it
        return int(key), None, replace(inside, shape=Positional())
    tag: Any = key if isinstance(inside.shape, Tagged | Ber) else int(key)
    part = inside.elements.get(tag)
    # What the table does not know is a template of tags, or bytes.
    nested = inside if part is None else part.inside
    return tag, part, nested


def opened(message: Message) -> dict[Any, Any]:
    return {number: plain(message.parts(number) or value) for number, value in message.items()}


def plain(node: Node) -> Any:
    return node.to_dict() if isinstance(node, Parts) else node


@each_file
def test_both_directions(path):
    dialect, raw, mti, fields = load(path)

    message = decode(raw, dialect)

    assert message.mti == mti
    assert opened(message) == fields
    assert encode(mti, fields, dialect) == raw
    assert encode(mti, message.to_dict(), dialect) == raw


@each_file
def test_every_beginning_and_every_tail_is_refused(path):
    dialect, raw, _, _ = load(path)
    for wrong in (*(raw[:end] for end in range(len(raw))), raw + b"\0", raw + b"0"):
        with pytest.raises(DecodeError):
            look_everywhere(decode(wrong, dialect))


@each_file
def test_nothing_secret_is_shown(path):
    dialect, raw, _, fields = load(path)
    text = describe(decode(raw, dialect), dialect)
    for number in {2, 35, 52} & fields.keys():
        secret = fields[number]
        assert (secret.hex().upper() if isinstance(secret, bytes) else secret) not in text


def test_there_are_messages():
    dialects = Counter(load(path)[0].name for path in FILES)
    assert sum(dialects.values()) >= 40
    for name in ("iso93_ascii", "visa", "mastercard", "postilion"):
        assert dialects[BY_NAME[name].name] >= 8, name
