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
each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=lambda f: f.name)


def header_for(framing):
    return TPDU if framing.header_size else b""


def pack(framing, body):
    return framing.pack(body, header_for(framing))


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
)


@each_framing
@given(sent=st.lists(bodies, max_size=6), cuts=st.lists(st.integers(0, 30000), max_size=12))
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
            assert item == OverLong(len(body), body[:HEAD_SIZE], header_for(framing))
        elif body or framing.header_size:
            assert item == Frame(body, header_for(framing))
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
        Frame(b"one", header_for(framing)),
        KeepAlive(),
        Frame(b"two", header_for(framing)),
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
    body = bytes(range(256)) * 20
    stream = pack(framing, body)
    told_at = framing.prefix_size + framing.header_size + HEAD_SIZE
    reader = framing.reader(LIMIT)

    assert reader.feed(stream[: told_at - 1]) == []
    [over] = reader.feed(stream[told_at - 1 : told_at])

    assert over == OverLong(len(body), body[:HEAD_SIZE], header_for(framing))
    assert reader.waiting
    assert reader.feed(stream[told_at:-1]) == []
    assert reader.waiting
    assert reader.feed(stream[-1:] + pack(framing, b"next")) == [
        Frame(b"next", header_for(framing))
    ]


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
    assert frame.reply_header == b"\x60\x03\x04\x01\x02"
    assert OverLong(9999, b"", TPDU).reply_header == frame.reply_header
    assert Frame(b"body").reply_header == b""


def test_on_the_wire():
    assert FRAMINGS["binary2"].pack(b"x" * 300)[:2] == b"\x01\x2c"
    assert FRAMINGS["ascii4"].pack(b"x" * 300)[:4] == b"0300"
    assert FRAMINGS["binary2_tpdu"].pack(b"xyz", TPDU) == b"\x00\x08" + TPDU + b"xyz"
    assert FRAMINGS["binary2_tpdu"].pack(b"xyz") == b"\x00\x08\x60\x00\x00\x00\x00xyz"
    assert FRAMINGS["ascii4"].keep_alive == b"0000"
    assert FRAMINGS["binary2"].keep_alive == FRAMINGS["binary2_tpdu"].keep_alive == b"\x00\x00"


@pytest.mark.parametrize(
    ("name", "longest"), [("binary2", 65535), ("ascii4", 9999), ("binary2_tpdu", 65530)]
)
def test_a_body_that_no_prefix_can_count_is_refused(name, longest):
    framing = FRAMINGS[name]
    [item] = framing.reader(limit=10**6).feed(framing.pack(bytes(longest)))
    assert isinstance(item, Frame)
    with pytest.raises(FrameError):
        framing.pack(bytes(longest + 1))


def test_items_print_no_content():
    for item in (Frame(b"4000001234567899", TPDU), OverLong(9999, b"4000001234567899")):
        assert "4000" not in repr(item)
