"""Beside pyemv's TLV, in its own interpreter: the same tags, the same bytes, the same refusals."""

import subprocess
from random import Random
from typing import Any

import pytest

from bench.codec import PEER_PYTHON, Peer
from iso8583.codec import decode, encode
from iso8583.composite_reader import look_into
from iso8583.dialects import BY_NAME
from iso8583.emv import NAMES, SECRET_NAMES
from iso8583.errors import PartError

MASTERCARD = BY_NAME["mastercard"]
TAGS = [*NAMES, *SECRET_NAMES, "C1", "DF8101", "9F7F", "DF01"]
TEMPLATES = ["71", "72", "E0", "BF0C"]
VALUES = 300


@pytest.fixture(scope="module")
def peer():
    there = PEER_PYTHON.exists()
    if not there or subprocess.run([PEER_PYTHON, "-Ic", "import pyemv"]).returncode != 0:
        pytest.skip("pyemv is installed by `make peers`")
    with Peer("pyemv_worker.py") as peer:
        yield peer


def some_tags(randomly: Random, depth: int = 0) -> dict[Any, Any]:
    tags: dict[Any, Any] = {}
    for tag in randomly.sample(TAGS, randomly.randint(0, 6)):
        tags[tag] = randomly.randbytes(randomly.choice([0, 1, 2, 6, 8, 32]))
    if depth < 2 and randomly.random() < 0.3:
        tags[randomly.choice(TEMPLATES)] = some_tags(randomly, depth + 1)
    return tags


def in_hex(tags: dict[Any, Any]) -> dict[Any, Any]:
    return {
        tag: in_hex(value) if isinstance(value, dict) else value.hex()
        for tag, value in tags.items()
    }


def messages(randomly: Random):
    """Chip data that fits DE 55, with the value that it has there."""
    while True:
        tags = some_tags(randomly)
        if sum(len(str(value)) for value in in_hex(tags).items()) < 400:
            yield tags, decode(encode("0100", {55: tags}, MASTERCARD), MASTERCARD)[55]


def test_both_read_and_write_the_same(peer):
    pairs = [pair for pair, _ in zip(messages(Random(8583)), range(VALUES))]
    tags, values = [tags for tags, _ in pairs], [value for _, value in pairs]

    theirs = peer.ask(do="encode", values=[in_hex(one) for one in tags])
    read = peer.ask(do="decode", values=[value.hex() for value in values])

    assert theirs == [value.hex() for value in values]
    assert read == [in_hex(one) for one in tags]


def test_what_they_refuse_we_refuse(peer):
    """Each value cut off anywhere: half a tag is no tag to either."""
    cut: list[bytes] = []
    for (_, value), _ in zip(messages(Random(55)), range(40)):
        cut += [value[:end] for end in range(len(value))]
    theirs = peer.ask(do="decode", values=[value.hex() for value in cut])
    for value, their in zip(cut, theirs):
        try:
            ours = in_hex(look_into(MASTERCARD.insides[55], 55, value).to_dict())
        except PartError:
            ours = None
        assert ours == their, value.hex()
