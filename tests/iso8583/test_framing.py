"""Each stream is read whole, byte by byte, with a tail, and cut anywhere: always the same."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso8583.errors import FrameError, Problem
from iso8583.framing import FRAMINGS, HEAD_SIZE, Broken, Frame, KeepAlive, OverLong

LIMIT = 300
TPDU = b"\x60\x01\x02\x03\x04"
BASE1 = bytes.fromhex("16 01 02 0000 123456 654321 00 0000 000000 00 000000 00")
HEADERS = {len(TPDU): TPDU, len(BASE1): BASE1, 12: b"ISO026000070"}
each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=lambda f: f.name)


def header_for(framing):
    """One that a network would send, as long as the framing's."""
    return HEADERS.get(framing.header.size, b"")


def pack(framing, body):
    return framing.pack(body, header_for(framing))


def came(framing, body):
    """The frame that a body comes in as, its header with the total filled in."""
    return Frame(body, framing.header.finished(header_for(framing), len(body)))


def too_long(framing, body):
    if framing.is_text:
        return OverLong(LIMIT + 1, body[:HEAD_SIZE])  # where it ends nobody has said
    return OverLong(len(body), body[:HEAD_SIZE], came(framing, body).header)


def plain(items):
    """Items as things that compare, an error by its problem."""
    return [item.error.problem if isinstance(item, Broken) else item for item in items]


def read_whole(framing, stream, tail=b""):
    """The same items, whole and byte by byte; a tail begun behind them changes nothing."""
    whole = framing.reader(LIMIT)
    items = plain(whole.feed(stream))
    slow = framing.reader(LIMIT)
    assert plain([item for byte in stream for item in slow.feed(bytes((byte,)))]) == items
    assert slow.waiting == whole.waiting
    if not any(isinstance(item, Problem) for item in items) and not whole.waiting:
        begun = framing.reader(LIMIT)
        assert plain(begun.feed(stream + b"0")) == items
        assert begun.waiting
    return items


bodies = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"x" * LIMIT, b"y" * (LIMIT + 1), b"z" * 9000]),
).map(lambda body: body.replace(b"\x03", b"\x04"))  # which ends a message in some


@each_framing
@given(
    sent=st.lists(bodies.map(lambda body: body.replace(b"\x03", b"\x04")), max_size=6),
    cuts=st.lists(st.integers(0, 30000), max_size=12),
)
def test_any_cutting_of_the_stream_gives_the_same_frames(framing, sent, cuts):
    stream = b"".join(pack(framing, body) for body in sent)
    expected = plain(framing.reader(LIMIT).feed(stream))
    reader = framing.reader(LIMIT)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    items = [i for a, b in pairwise(edges) for i in reader.feed(stream[a:b])]

    assert items == expected
    assert not reader.waiting
    assert len(items) == len(sent)
    for item, body in zip(items, sent):
        if len(body) > LIMIT:
            assert item == too_long(framing, body)
        elif body or framing.header.size or (framing.size and framing.trailer):
            assert item == came(framing, body)
        else:
            assert item == KeepAlive()


@each_framing
@given(stream=st.binary(max_size=120))
def test_any_bytes_give_items_and_no_exception(framing, stream):
    read_whole(framing, stream)


@each_framing
def test_frames_one_after_another(framing):
    stream = pack(framing, b"one") + framing.keep_alive + pack(framing, b"two")
    assert read_whole(framing, stream) == [
        came(framing, b"one"),
        KeepAlive(),
        came(framing, b"two"),
    ]


@each_framing
def test_waiting_is_true_exactly_while_part_of_a_frame_is_here(framing):
    reader = framing.reader(LIMIT)
    stream = pack(framing, b"body")
    assert not reader.waiting
    for byte in stream[:-1]:
        assert reader.feed(bytes((byte,))) == []
        assert reader.waiting
    assert len(reader.feed(stream[-1:])) == 1
    assert not reader.waiting


@each_framing
def test_an_over_long_frame_is_told_by_its_head_and_skipped(framing):
    body = bytes(range(4, 256)) * 20
    stream = pack(framing, body)
    told_at = len(stream) - len(body) - len(framing.trailer) + HEAD_SIZE
    if framing.is_text:
        told_at = LIMIT + 1
    reader = framing.reader(LIMIT)

    assert reader.feed(stream[: told_at - 1]) == []
    [over] = reader.feed(stream[told_at - 1 : told_at])

    assert over == too_long(framing, body)
    assert reader.waiting
    assert reader.feed(stream[told_at:-1]) == []
    assert reader.waiting
    assert reader.feed(stream[-1:] + pack(framing, b"next")) == [came(framing, b"next")]


def test_the_declared_length_is_not_allocated():
    reader = FRAMINGS["binary2"].reader(LIMIT)
    reader.feed(b"\xff\xff" + bytes(HEAD_SIZE))
    tracemalloc.start()
    for _ in range(60):
        reader.feed(bytes(1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5000


def test_a_limit_below_the_head_still_gives_what_there_is():
    reader = FRAMINGS["binary2"].reader(limit=3)
    assert reader.feed(b"\x00\x05hello" + b"\x00\x02ok") == [OverLong(5, b"hello"), Frame(b"ok")]


@pytest.mark.parametrize("prefix", [b"00O3", b"-003", b"+003", b" 003", b"1_00", b"\xb2003"])
def test_a_length_that_is_no_number_breaks_the_stream_after_the_frames_before(prefix):
    framing = FRAMINGS["ascii4"]
    assert read_whole(framing, pack(framing, b"good") + prefix + b"abc") == [
        Frame(b"good"),
        Problem.BAD_LENGTH,
    ]


@pytest.mark.parametrize("declared", [1, 2, 3, 4])
def test_a_frame_without_room_for_its_tpdu_breaks_the_stream(declared):
    framing = FRAMINGS["binary2_tpdu"]
    assert read_whole(framing, pack(framing, b"good") + bytes((0, declared)) + b"abcdefgh") == [
        Frame(b"good", TPDU),
        Problem.TOO_SHORT,
    ]


def test_nothing_is_read_behind_a_break():
    reader = FRAMINGS["ascii4"].reader()
    assert isinstance(reader.feed(b"GET /")[-1], Broken)
    assert reader.feed(b"0003abc") == []
    assert not reader.waiting


def test_the_tpdu_of_an_answer_has_destination_and_source_swapped():
    framing = FRAMINGS["binary2_tpdu"]
    [frame] = framing.reader().feed(pack(framing, b"body"))
    assert frame.header == TPDU
    assert framing.reply_header(frame.header) == b"\x60\x03\x04\x01\x02"
    assert FRAMINGS["binary2"].reply_header(b"") == b""


LONGEST = {
    "binary2": 65535, "ascii4": 9999, "binary2_tpdu": 65530, "binary2_inclusive": 65533,
    "binary2_inclusive_tpdu": 65528, "binary3": 16777215, "bcd2": 9999, "bcd2_tpdu": 9994,
    "hex4": 65535, "binary2_zeros": 65535, "zeros_binary2": 65535, "vap": 65513,
    "base24": 65534, "base24_iso": 65522, "etx": None, "rbp": 65535,
}  # fmt: skip


@each_framing
def test_a_body_that_no_length_can_count_is_refused(framing):
    longest = framing.longest
    assert longest == LONGEST[framing.name]
    if longest is None:
        return
    [item] = framing.reader(limit=2**24).feed(framing.pack(bytes(longest)))
    assert isinstance(item, Frame)
    with pytest.raises(FrameError):
        framing.pack(bytes(longest + 1))


# The body "AB" as each network puts it on the wire, and what says that nothing is sent.
ON_THE_WIRE = {
    "binary2": ("0002 4142", "0000"),
    "ascii4": ("30303032 4142", "30303030"),
    "binary2_tpdu": ("0007 6001020304 4142", "0000"),
    "binary2_inclusive": ("0004 4142", "0000"),
    "binary2_inclusive_tpdu": ("0009 6001020304 4142", "0000"),
    "binary3": ("000002 4142", "000000"),
    "bcd2": ("0002 4142", "0000"),
    "bcd2_tpdu": ("0007 6001020304 4142", "0000"),
    "hex4": ("30303032 4142", "30303030"),
    "binary2_zeros": ("0002 0000 4142", "0000 0000"),
    "zeros_binary2": ("0000 0002 4142", "0000 0000"),
    "vap": ("0018 0000 160102 0018 123456 654321 00 0000 000000 00 000000 00 4142", "0000 0000"),
    "base24": ("0003 4142 03", "0000"),
    "base24_iso": ("000f 49534f303236303030303730 4142 03", "0000"),
    "etx": ("4142 03", "03"),
    "rbp": ("d04a 0002 0000 4142", "d04a 0000 0000"),
}


@each_framing
def test_each_on_the_wire(framing):
    wire, nothing = ON_THE_WIRE[framing.name]
    assert pack(framing, b"AB").hex() == wire.replace(" ", "")
    assert framing.keep_alive.hex() == nothing.replace(" ", "")


def test_lengths_in_every_writing():
    assert FRAMINGS["bcd2"].pack(bytes(1234))[:2] == b"\x12\x34"
    assert FRAMINGS["hex4"].pack(bytes(0xABC))[:4] == b"0ABC"
    [frame] = FRAMINGS["hex4"].reader().feed(b"000a" + bytes(10))
    assert frame == Frame(bytes(10))
    assert FRAMINGS["binary3"].pack(bytes(70000))[:3] == b"\x01\x11\x70"


BROKEN = [
    ("bcd2", "00a1", Problem.BAD_LENGTH),
    ("hex4", "30303047", Problem.BAD_LENGTH),
    ("hex4", "2b303031", Problem.BAD_LENGTH),
    ("zeros_binary2", "00010002", Problem.BAD_LENGTH),
    ("rbp", "d04b00020000", Problem.BAD_LENGTH),
    ("rbp", "d04a0002020041424344", Problem.BAD_LENGTH),  # flags that nobody knows
    ("binary2_inclusive", "0001", Problem.TOO_SHORT),
    ("binary2_inclusive_tpdu", "000660", Problem.TOO_SHORT),
    ("base24", "0003414203".replace("4203", "4243"), Problem.BAD_LENGTH),  # no trailer
    ("vap", "001500001601", Problem.TOO_SHORT),  # no room for the header
    ("vap", "001700001501" + "00" * 21, Problem.TOO_SHORT),  # its header has 21 bytes
    ("vap", "001700001681" + "00" * 21, Problem.TOO_SHORT),  # a second header, and no room
    ("vap", "009000001681" + "00" * 20 + "1681" + "00" * 90, Problem.TOO_SHORT),  # a third
]


@pytest.mark.parametrize(("name", "digits", "problem"), BROKEN)
def test_a_stream_that_is_lost(name, digits, problem):
    framing = FRAMINGS[name]
    stream = pack(framing, b"good") + bytes.fromhex(digits)
    assert read_whole(framing, stream) == [came(framing, b"good"), problem]


def test_the_header_of_base_1_goes_back_with_its_addresses_changed_over():
    framing = FRAMINGS["vap"]
    [frame] = framing.reader().feed(framing.pack(b"asked", BASE1))

    answer = framing.pack(b"told", framing.reply_header(frame.header))

    assert frame.header[3:5] == (22 + 5).to_bytes(2, "big")
    assert answer[:4] == b"\x00\x1a\x00\x00"
    assert answer[4 + 3 : 4 + 11] == bytes.fromhex("001a 654321 123456")
    assert framing.reply_header(framing.reply_header(frame.header)) == frame.header


def test_a_reject_has_two_headers_and_is_told_from_a_message():
    framing = FRAMINGS["vap"]
    reject = b"\x1a\x01" + bytes(24) + BASE1
    [plain, rejected] = framing.reader().feed(
        framing.pack(b"x", BASE1) + b"\x00\x34\x00\x00" + reject + b"body"
    )
    assert rejected == Frame(b"body", reject)
    assert framing.header.is_reject(rejected.header)
    assert not framing.header.is_reject(plain.header)
    assert framing.header.reject_code(rejected.header) == ""
    told = b"\x1a\x01" + bytes(20) + b"\x80\x00\x02\x91" + BASE1
    assert framing.header.reject_code(told) == "0291"
    assert framing.header.reject_code(plain.header) == ""
    assert FRAMINGS["binary2_tpdu"].header.reject_code(bytes(30)) == ""
    assert len(framing.reply_header(rejected.header)) == 22


def test_reserved_bytes_are_not_looked_at():
    assert read_whole(FRAMINGS["binary2_zeros"], b"\x00\x02\xff\x20AB") == [Frame(b"AB")]
    assert read_whole(FRAMINGS["vap"], b"\x00\x00\x00\x20") == [KeepAlive()]


def fragment(piece, more):
    return b"\xd0\x4a" + len(piece).to_bytes(2, "big") + bytes((more, 0)) + piece


def test_fragments_are_put_together():
    framing = FRAMINGS["rbp"]
    stream = fragment(b"ab", 1) + fragment(b"", 1) + fragment(b"cd", 0) + fragment(b"e", 0)
    assert read_whole(framing, stream) == [Frame(b"abcd"), Frame(b"e")]
    reader = framing.reader()
    assert reader.feed(fragment(b"ab", 1)) == []
    assert reader.waiting


@pytest.mark.parametrize("pieces", [[200, 200, 9], [400, 5], [5, 400], [LIMIT, 1]])
def test_fragments_that_are_too_long_together_are_told_once(pieces):
    framing = FRAMINGS["rbp"]
    parts = [bytes((65 + n,)) * size for n, size in enumerate(pieces)]
    stream = b"".join(fragment(part, 1) for part in parts) + fragment(b"", 0) + fragment(b"ok", 0)
    over, good = read_whole(framing, stream)
    assert isinstance(over, OverLong)
    assert over.declared > LIMIT
    assert over.head == b"".join(parts)[: len(over.head)]
    assert good == Frame(b"ok")


def test_what_would_end_a_message_early_is_not_sent():
    with pytest.raises(FrameError):
        FRAMINGS["etx"].pack(b"a\x03b")


def test_items_print_no_content():
    for item in (Frame(b"4000001234567899", TPDU), OverLong(9999, b"4000001234567899")):
        assert "4000" not in repr(item)
