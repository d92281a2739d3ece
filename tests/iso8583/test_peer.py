"""Beside pyiso8583, in its own interpreter: the same fields and the same bytes."""

import re
from pathlib import Path
from random import Random

import pytest

from bench.codec import DIALECTS, PEER_PYTHON, Peer, as_peer_has_it
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.message import Value
from tests.support.iso import any_message, value_of

MESSAGES = 200


@pytest.fixture(scope="module")
def peer():
    if not PEER_PYTHON.exists():
        pytest.skip("pyiso8583 is installed by `make peers`")
    with Peer() as peer:
        yield peer


def messages(dialect) -> list[tuple[str, dict[int, Value]]]:
    """Random ones, and each field alone at its longest."""
    randomly = Random(8583)
    randoms = [
        (f"{randomly.randrange(10000):04}", any_message(dialect, randomly)) for _ in range(MESSAGES)
    ]
    alone = [
        ("0100", {field.number: value_of(field, field.maximum, randomly)})
        for field in dialect.fields.values()
    ]
    return randoms + alone


@pytest.mark.parametrize("name", DIALECTS)
def test_both_read_and_write_the_same(peer, name):
    dialect = BY_NAME[name]
    sent = messages(dialect)
    spelled = [as_peer_has_it(mti, fields, dialect) for mti, fields in sent]
    ours = [encode(mti, fields, dialect) for mti, fields in sent]

    theirs = peer.ask(do="encode", dialect=name, messages=spelled)
    their_fields = peer.ask(do="decode", dialect=name, messages=[raw.hex() for raw in ours])

    assert [raw.hex() for raw in ours] == theirs
    for their, wanted in zip(their_fields, spelled):
        assert {key: text for key, text in their.items() if key not in ("p", "1")} == wanted
    for their_raw, (mti, fields) in zip(theirs, sent):
        message = decode(bytes.fromhex(their_raw), dialect)
        assert (message.mti, message.to_dict()) == (mti, fields)


NAMED_MESSAGES = sorted((Path(__file__).parents[1] / "wire").rglob("*.txt"))


def test_messages_named_by_meaning_read_the_same(peer):
    """The bytes that we wrote down once: another's reader finds the same fields in them."""
    for path in NAMED_MESSAGES:
        name, wire, _ = re.sub("^#.*\n", "", path.read_text("utf-8"), flags=re.M).split("\n\n")
        raw = bytes.fromhex(wire)
        message = decode(raw, BY_NAME[name])
        [theirs] = peer.ask(do="decode", dialect=name, messages=[raw.hex()])
        ours = as_peer_has_it(message.mti, message.to_dict(), BY_NAME[name])
        assert {key: text for key, text in theirs.items() if key not in ("p", "1")} == ours, path
