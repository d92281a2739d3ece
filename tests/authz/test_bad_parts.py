"""Composites that lie, on live links: a look into one is a format error, and no fault of ours.

The readers of what networks say look into some of them (authz/wire/indicators). A story that opens
everything stands in for those to come.
"""

import re
from random import Random
from typing import Any

import pytest

from authz import dispatch, session
from authz.dispatch import Dispatcher
from authz.engine import Outcome
from authz.server import Server
from authz.wire import written
from authz.wire.to_response import to_response
from iso8583.codec import encode, look_everywhere
from iso8583.dialects import BY_NAME
from iso8583.element import DEPTH
from iso8583.field_writer import write_text
from iso8583.message import Message, Value
from iso8583.mti import response_to
from iso8583.spec import EBCDIC, B
from tests.authz.test_server import Heard, play
from tests.support.engine import PAN, World, held, purchase
from tests.support.iso import fits, value_of


def e(text: str) -> bytes:
    return write_text(text, EBCDIC)


def h(digits: str) -> bytes:
    return bytes.fromhex(digits)


def templates(depth: int) -> bytes:
    """Chip templates in templates."""
    value = h("9F36020001")
    for _ in range(depth):
        value = b"\x72" + bytes([len(value)]) + value
    return value


def dataset(tags: bytes) -> bytes:
    return b"\x01" + len(tags).to_bytes(2, "big") + tags


# What is wrong, field, its value. Each is a good field of a good message, as the codec has it.
LIES: dict[str, list[tuple[str, int, Value]]] = {
    "visa": [
        ("a dataset longer than its field", 55, h("01FFFF9F3602")),
        ("a tag longer than its dataset", 55, dataset(h("9F36030001"))),
        ("half a dataset's length", 55, h("0100")),
        ("templates beyond the depth", 55, dataset(templates(DEPTH + 1))),
        ("as many templates as fit", 55, dataset(templates(100))),
        ("a tag without end", 55, dataset(b"\x1f" + b"\xff" * 200)),
        ("a length without end", 55, dataset(h("9F3680"))),
        ("a letter among half bytes", 60, h("45A0")),
        ("an odd number of half bytes", 60, h("450000A000")),
        ("half bytes left over", 60, h("450000100000000000")),
        ("half a bitmap", 62, h("80000000")),
        ("a bit that nobody knows", 62, h("0000000000000001") + b"\xf0"),
        ("a part that is not there", 62, h("4000000000000000")),
        ("a digit that is none", 62, h("4000000000000000") + h("0A23456789012345")),
        ("bytes left over", 63, h("000000") + b"\x00"),
    ],
    "mastercard": [
        ("a subelement longer than its field", 48, e("R6199") + e("1")),
        ("a length that is no number", 48, e("R61X510000")),
        ("a tag that is no number", 48, e("RX10510000")),
        ("half a tag", 48, e("R6")),
        ("a subelement in a subelement, longer than it", 48, e("R42070109212")),
        ("a flag that is no digit", 48, e("R61051A000")),
        ("a subelement too short for its parts", 48, e("R6303MCC")),
        ("a tag longer than its field", 55, h("9F36030001")),
        ("templates beyond the depth", 55, templates(DEPTH + 1)),
        ("as many templates as fit", 55, templates(100)),
        ("a tag without end", 55, b"\x1f" + b"\xff" * 200),
        ("half a tag's length", 55, h("9F3682FF")),
        ("a flag that is no digit", 61, "0000X"),
        ("half a reference", 63, "MCCABC"),
        ("half an amount", 54, "0001840C00000001"),
        ("a subelement beyond the field", 112, e("001099") + e("1")),
    ],
    "postilion": [
        ("half a bitmap", 127, h("40000000")),
        ("a bit that nobody knows", 127, h("0000000000000001") + b"1"),
        ("a part longer than its field", 127, h("4000000000000000") + b"99short"),
        ("a length that is no number", 127, h("4000000000000000") + b"X5short"),
        ("a digit that is none", 127, h("0040000000000000") + b"12X"),
        ("bytes left over", 127, h("0000000000000000") + b"1"),
        ("a bitmap in a bitmap that is none", 127,
         h("0000008000000000") + b"0016" + b"400000000000000G"),
        ("chip data longer than its field", 127, h("0000008000000000") + b"9999" + b"40"),
        ("an amount in it too short", 127,
         h("0000008000000000") + b"0020" + b"4000000000000000" + b"0000"),
        ("half an amount", 54, "0001840C00000001"),
    ],
}  # fmt: skip


# Broken, in a composite that nothing in the engine needs.
UNREAD: dict[str, tuple[int, Value]] = {
    "visa": (104, b"\x01"), "mastercard": (112, b"\x01"), "postilion": (54, "0001"),
}  # fmt: skip


def purchase_of(name: str, stan: int, amount: int = 10) -> dict[int, Any]:
    dialect = BY_NAME[name]
    fields = purchase(stan, amount) | {22: "0510" if name == "visa" else "051"}
    return {n: value for n, value in fields.items() if fits(n, value, dialect)}


async def look_then_authorize(dispatcher: Dispatcher, said: dispatch.Heard) -> Outcome:
    look_everywhere(said.message)
    return await Dispatcher._authorization(dispatcher, said)


@pytest.fixture
def curious(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stories that look into every composite of a message."""
    monkeypatch.setitem(dispatch.STORIES, "0100", look_then_authorize)


@pytest.mark.parametrize("name", LIES)
@pytest.mark.usefixtures("curious")
def test_each_is_a_format_error_that_names_its_field(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        for stan, (what, number, value) in enumerate(LIES[name], start=1):
            said = await peer.ask("0100", purchase_of(name, stan) | {number: value})
            assert (said.mti, said[39], said[11]) == ("0110", "30", f"{stan:06}"), what
            if name == "mastercard":
                assert said[44] == f"{number:03}", what
        assert len(heard.bad) == len(LIES[name])
        assert {*heard.bad} <= {"bad_part", "bad_element"}  # who looks first says which
        assert held(world) == 0
        # The link is as it was, and a good message is what it was.
        assert (await peer.ask("0100", purchase_of(name, 999)))[39] == "00"

    play(story, dialect=BY_NAME[name], network=name)
    out = "".join(capsys.readouterr())
    for stan, (_, number, _) in enumerate(LIES[name][:5], start=1):
        assert re.search(rf"MTI 0100, STAN {stan:06}, (\w+ at field|DE) {number}\b", out)
    assert "malfunction" not in out
    assert PAN not in out


@pytest.mark.parametrize("name", LIES)
def test_what_no_story_needs_is_read_past(name: str) -> None:
    """A network may put something new into DE 104 or 112 without a word: purchases go on."""

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        number, value = UNREAD[name]
        said = await peer.ask("0100", purchase_of(name, 1) | {number: value})
        assert said[39] == "00"
        assert not heard.bad

    play(story, dialect=BY_NAME[name], network=name)


@pytest.mark.parametrize("name", LIES)
@pytest.mark.usefixtures("curious")
def test_any_content_of_any_composite_is_answered_and_never_with_96(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dialect, chance = BY_NAME[name], Random(name)
    own = {2, 3, 4, 7, 11, 22, 37, 43}  # what identifies it, or must be there to be judged
    numbers = [number for number in dialect.insides if number not in own]

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer, codes = await connect(), set()
        for stan in range(1, 301):
            field = dialect.fields[number := chance.choice(numbers)]
            size = field.maximum if field.is_fixed else chance.randint(0, min(field.maximum, 200))
            value = value_of(field, size, chance)
            if field.characters is B and chance.random() < 0.5:
                # Lengths and tags that look like some, more often than by mere chance.
                value = bytes(chance.choice(b"\x00\x01\x02\x40\x72\x80\x9f\xf1\xf6") for _ in value)
            said = await peer.ask("0100", purchase_of(name, stan) | {number: value})
            assert (said.mti, said[11]) == ("0110", f"{stan:06}")
            codes.add(said[39])
        assert codes <= {"00", "30"}
        assert "30" in codes

    play(story, dialect=dialect, network=name)
    assert "malfunction" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", LIES)
def test_an_answer_that_cannot_look_says_what_was_decided(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once money is held, the network must be told, whatever the answer would have quoted."""

    def looking(message: Message, *others: Any) -> dict[int, str | bytes]:
        look_everywhere(message)
        return to_response(message, *others)

    monkeypatch.setattr(written, "to_response", looking)

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        number, value = UNREAD[name]
        said = await peer.ask("0100", purchase_of(name, 1) | {number: value})
        assert (said.mti, said[39]) == (response_to("0100"), "00")
        assert held(world) == 10

    play(story, dialect=BY_NAME[name], network=name)


@pytest.mark.parametrize("name", LIES)
def test_what_a_session_itself_looks_into_is_a_format_error_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = BY_NAME[name]
    take = session.Session._on_message

    def looking(self: Any, message: Message, *others: Any) -> None:
        look_everywhere(message)
        take(self, message, *others)

    monkeypatch.setattr(session.Session, "_on_message", looking)

    async def story(world: World, server: Server, heard: Heard, connect: Any) -> None:
        peer = await connect()
        _, number, value = LIES[name][0]
        echo = {7: "0322120000", 11: "000001", 70: "301"}
        assert (await peer.ask("0800", echo | {number: value}))[39] == "30"
        # An answer that we cannot read is no reason to answer.
        peer.writer.write(peer.framing.pack(encode("0810", echo | {number: value}, dialect)))
        assert (await peer.ask("0800", echo))[39] == "00"
        assert heard.bad == ["bad_part", "bad_part"]

    play(story, dialect=dialect, network=name)
