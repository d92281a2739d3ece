"""A link's conversation, in memory: every state, every kind of bad input, every cutting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.actions import Ask, Close, FileAnswer, FileUpdate, Room, Send, Trouble
from authz.session import UPDATES_MAX, LinkSettings, Session, State
from authz.wire.networks import NETWORKS
from authz.wire.to_response import Reply
from authz.wire.totals import NAMES
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from rules.notices import Balance
from rules.reason import Reason
from tests.support.engine import PAN, purchase
from tests.support.iso import field_sets

DIALECT = BY_NAME["iso87_ascii"]
FRAMING = FRAMINGS["binary2"]


def session(**changes: object) -> Session:
    base = {"name": "test", "dialect": DIALECT, "framing": FRAMING}
    return Session(LinkSettings(**(base | changes)), 0.0)  # type: ignore[arg-type]


def frame(mti: str, fields: dict[int, str]) -> bytes:
    return FRAMING.pack(encode(mti, fields, DIALECT))


def management(code: str, stan: str = "000001") -> bytes:
    return frame("0800", {7: "0322120000", 11: stan, 70: code})


def sent(actions: list[object]) -> list[object]:
    return [decode(a.data[2:], DIALECT) for a in actions if isinstance(a, Send)]


def troubles(actions: list[object]) -> list[str]:
    return [a.kind for a in actions if isinstance(a, Trouble)]


@pytest.mark.parametrize(
    ("state", "code", "after", "answer"),
    [
        (State.CONNECTED, "001", State.SIGNED_ON, "00"),
        (State.CONNECTED, "002", State.SIGNED_OFF, "00"),
        (State.CONNECTED, "301", State.CONNECTED, "00"),
        (State.SIGNED_ON, "001", State.SIGNED_ON, "00"),
        (State.SIGNED_ON, "002", State.SIGNED_OFF, "00"),
        (State.SIGNED_ON, "301", State.SIGNED_ON, "00"),
        (State.SIGNED_OFF, "001", State.SIGNED_ON, "00"),
        (State.SIGNED_OFF, "002", State.SIGNED_OFF, "00"),
        (State.SIGNED_OFF, "301", State.SIGNED_OFF, "00"),
        (State.SIGNED_ON, "999", State.SIGNED_ON, "30"),
        (State.SIGNED_ON, "161", State.SIGNED_ON, "12"),
        (State.CONNECTED, "101", State.CONNECTED, "12"),
        (State.CONNECTED, "201", State.CONNECTED, "30"),
        (State.SIGNED_OFF, "201", State.SIGNED_OFF, "30"),
    ],
)
def test_network_management(state: State, code: str, after: State, answer: str) -> None:
    s = session()
    s.state = state
    [message] = sent(s.receive(management(code), 1.0))
    assert s.state is after
    assert (message.mti, message[11], message[39]) == ("0810", "000001", answer)
    assert message[70] == code


def test_a_function_that_nobody_knows_is_named_in_the_log() -> None:
    [trouble] = [a for a in session().receive(management("270"), 1.0) if isinstance(a, Trouble)]
    assert trouble.place == "MTI 0800, STAN 000001, DE 70: not a function we know"


@pytest.mark.parametrize(
    ("tongue", "mti", "field", "code", "answers"),
    [
        (("iso87_ascii", "generic"), "0800", 70, "161", ("12", "00")),
        (("iso87_ascii", "visa"), "0820", 70, "162", ("12", "00")),
        (("iso93_ascii", "iso93"), "1804", 24, "811", ("902", "800")),
    ],
)
@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_key_change_is_unsupported_unless_the_link_is_told_otherwise(
    tongue: tuple[str, str], mti: str, field: int, code: str, answers: tuple[str, str],
    acknowledged: bool,
) -> None:  # fmt: skip
    dialect = BY_NAME[tongue[0]]
    s = session(dialect=dialect, network=tongue[1], key_change=acknowledged)
    body = encode(mti, {7: "0322120000", 11: "000001", field: code}, dialect)
    actions = s.receive(FRAMING.pack(body), 1.0)
    [answer] = [decode(a.data[2:], dialect) for a in actions if isinstance(a, Send)]
    assert answer[39] == answers[acknowledged]
    assert s.state is State.CONNECTED
    assert troubles(actions) == ([] if acknowledged else ["unsupported"])


def test_a_cut_over_is_put_to_the_engine_where_requests_are() -> None:
    s = session(sign_on_required=False)
    [ask] = s.receive(management("201"), 1.0)
    assert isinstance(ask, Ask)
    assert (ask.message.mti, s.in_flight) == ("0800", 1)
    [late] = sent(s.receive(management("201", "000002"), 1.0, room=Room(asks=0, seats=0)))
    assert late[39] == "91"
    [answer] = sent([s.answer(ask, Reply(Reason.APPROVED))])
    assert (answer.mti, answer[39], answer[70]) == ("0810", "00", "201")


@pytest.mark.parametrize(
    ("state", "required", "asked"),
    [
        (State.CONNECTED, True, False),
        (State.CONNECTED, False, True),
        (State.SIGNED_ON, True, True),
        (State.SIGNED_ON, False, True),
        (State.SIGNED_OFF, True, False),
        (State.SIGNED_OFF, False, False),
    ],
)
def test_requests_are_asked_only_where_the_state_lets_them(
    state: State, required: bool, asked: bool
) -> None:
    s = session(sign_on_required=required)
    s.state = state
    actions = s.receive(frame("0100", purchase()), 1.0)
    assert any(isinstance(a, Ask) for a in actions) == asked
    if not asked:
        [answer] = sent(actions)
        assert (answer.mti, answer[39]) == ("0110", "30")
        assert troubles(actions)
        assert "MTI 0100, STAN 000001" in repr(actions)


@given(st.lists(st.integers(1, 60), max_size=40))
def test_any_cutting_of_the_stream_is_the_same_conversation(cuts: list[int]) -> None:
    stream = b"".join(
        [
            management("001"),
            FRAMING.keep_alive,
            frame("0100", purchase(1)),
            FRAMING.pack(b"0100 is no message"),
            frame("0400", purchase(2)),
            management("301", "000002"),
        ]
    )
    whole = session().receive(stream, 1.0)
    cut, s, at = [], session(), 0
    for size in [*cuts, len(stream)]:
        cut += s.receive(stream[at : at + size], 1.0)
        at += size
    assert cut == whole


def test_a_request_and_its_answer() -> None:
    s = session(sign_on_required=False)
    [ask] = s.receive(frame("0100", purchase(7)), 1.0)
    assert isinstance(ask, Ask)
    assert s.in_flight == 1
    [answer] = sent([s.answer(ask, Reply(Reason.APPROVED, "ABC123"))])
    assert s.in_flight == 0
    assert (answer.mti, answer[11], answer[38], answer[39]) == ("0110", "000007", "ABC123", "00")
    assert 35 not in answer
    assert 14 not in answer


def test_answers_go_back_to_where_the_tpdu_says() -> None:
    framing = FRAMINGS["binary2_tpdu"]
    s = session(sign_on_required=False, framing=framing)
    body = encode("0100", purchase(), DIALECT)
    [ask] = s.receive(framing.pack(body, b"\x60\x01\x02\x03\x04"), 1.0)
    assert s.answer(ask, Reply(Reason.APPROVED)).data[2:7] == b"\x60\x03\x04\x01\x02"


def test_what_the_network_hands_back_is_not_answered() -> None:
    framing = FRAMINGS["vap"]
    s = session(sign_on_required=False, framing=framing)
    header = bytes.fromhex("16 01 02 0000 123456 654321") + bytes(11)
    body = encode("0100", purchase(), DIALECT)

    [ask] = s.receive(framing.pack(body, header), 1.0)
    rejected = b"\x1a\x01" + bytes(24) + header + body
    handed_back = s.receive(len(rejected).to_bytes(2, "big") + bytes(2) + rejected, 1.0)

    assert s.answer(ask, Reply(Reason.APPROVED)).data[9:15] == bytes.fromhex("654321 123456")
    assert handed_back == [Trouble("rejected")]
    rejected = b"\x1a\x01" + bytes(20) + b"\x80\x00\x02\x91" + header + body
    handed_back = s.receive(len(rejected).to_bytes(2, "big") + bytes(2) + rejected, 2.0)
    assert handed_back == [Trouble("rejected", "code 0291")]


BAD = {
    "a field cut short": lambda raw: raw[:-3],
    "bytes left over": lambda raw: raw + b"00",
    "a letter in an amount": lambda raw: raw.replace(b"000000005000", b"00000000500O"),
    "a minus sign in an amount": lambda raw: raw.replace(b"000000005000", b"-00000005000"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_malformed_message_is_answered_30_and_the_link_goes_on(how: str) -> None:
    s = session(sign_on_required=False)
    bad = BAD[how](encode("0100", purchase(3), DIALECT))
    actions = s.receive(FRAMING.pack(bad) + frame("0100", purchase(4)), 1.0)
    [answer] = sent(actions)
    assert (answer.mti, answer[39]) == ("0110", "30")
    assert answer.get(11) == "000003"
    assert [a.message[11] for a in actions if isinstance(a, Ask)] == ["000004"]
    assert not any(isinstance(a, Close) for a in actions)
    assert PAN not in repr(actions)


def test_an_over_long_message_is_answered_30_and_skipped() -> None:
    s = session(sign_on_required=False)
    long = encode("0100", purchase(3), DIALECT).ljust(5000, b"0")
    actions = s.receive(FRAMING.pack(long) + frame("0100", purchase(4)), 1.0)
    [answer] = sent(actions)
    assert (answer.mti, answer[11], answer[39]) == ("0110", "000003", "30")
    assert [a.message[11] for a in actions if isinstance(a, Ask)] == ["000004"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 40,
        b"\xff" * 70_000,
    ],
    ids=["http", "tls hello", "ones"],
)
def test_garbage_ends_its_own_link(garbage: bytes) -> None:
    s = session()
    actions = s.receive(garbage, 1.0) + s.tick(10.0, "260322120000")
    assert any(isinstance(a, Close) for a in actions)
    assert troubles(actions)


def test_frames_that_cannot_even_be_refused_are_counted_and_then_enough() -> None:
    s = session(strikes_max=3)
    for _ in range(2):
        assert not any(isinstance(a, Close) for a in s.receive(FRAMING.pack(b"?????"), 1.0))
    s.receive(management("301"), 1.0)
    for _ in range(2):
        assert not any(isinstance(a, Close) for a in s.receive(FRAMING.pack(b"?????"), 1.0))
    assert any(isinstance(a, Close) for a in s.receive(FRAMING.pack(b"?????"), 1.0))


def test_while_we_do_not_read_none_of_the_peers_times_runs() -> None:
    s = session(frame_timeout_s=2.0, idle_echo_s=60.0, sign_on_required=False)
    s.receive(frame("0100", purchase())[:40], 10.0)
    s.not_read(100.0)
    assert s.tick(101.9, "260322120000") == []
    assert troubles(s.tick(102.1, "260322120000")) == ["half_frame"]


def test_half_a_frame_then_silence_is_hung_up_on() -> None:
    s = session(frame_timeout_s=2.0)
    s.receive(frame("0100", purchase())[:40], 10.0)
    assert s.tick(11.9, "260322120000") == []
    assert troubles(s.tick(12.1, "260322120000")) == ["half_frame"]


def test_one_byte_a_second_is_hung_up_on_too() -> None:
    s = session(frame_timeout_s=2.0)
    raw = frame("0100", purchase())
    closed = False
    for second in range(10):
        s.receive(raw[second : second + 1], float(second))
        closed = closed or any(isinstance(a, Close) for a in s.tick(second + 0.5, "260322120000"))
    assert closed


def test_a_silent_link_is_asked_whether_it_lives() -> None:
    s = session(sign_on_required=False, idle_echo_s=60, echo_timeout_s=10)
    assert s.tick(60.0, "260322120100") == []
    [echo] = sent(s.tick(60.5, "260322120100"))
    assert (echo.mti, echo[7], echo[70]) == ("0800", "0322120100", "301")
    assert s.tick(65.0, "260322120105") == []
    answer = frame("0810", {7: "0322120100", 11: str(echo[11]), 39: "00", 70: "301"})
    assert s.receive(answer, 66.0) == []
    assert s.tick(80.0, "260322120120") == []
    s.tick(127.0, "260322120207")
    assert troubles(s.tick(138.0, "260322120218")) == ["echo_unanswered"]


def test_a_link_is_crowded_at_its_bound() -> None:
    s = session(sign_on_required=False, in_flight_max=2)
    asks = s.receive(frame("0100", purchase(1)), 1.0) + s.receive(frame("0100", purchase(2)), 1.0)
    assert s.crowded
    s.answer(asks[0], Reply(Reason.APPROVED))  # type: ignore[arg-type]
    assert not s.crowded


def test_what_one_read_brings_above_the_bound_is_held_back() -> None:
    s = session(sign_on_required=False, in_flight_max=3)
    many = b"".join(frame("0100", purchase(n)) for n in range(1, 11)) + management("301")
    asks = list(s.receive(many, 1.0))
    assert [a.message[11] for a in asks] == ["000001", "000002", "000003"]
    assert s.waiting == 8
    seen = 3
    while asks:
        s.answer(asks.pop(0), Reply(Reason.APPROVED))
        more = s.go_on()
        seen += sum(isinstance(a, Ask) for a in more)
        asks += [a for a in more if isinstance(a, Ask)]
        assert s.in_flight <= 3
        assert all(a.received == 1.0 for a in asks)
    assert seen == 10
    assert not s.waiting


def test_without_room_requests_wait_and_are_told_91_when_they_waited_too_long() -> None:
    s = session(sign_on_required=False)
    asked = s.receive(frame("0100", purchase(1)), 1.0, room=Room(asks=1))
    assert [type(a) for a in asked] == [Ask]
    assert s.receive(frame("0100", purchase(2)), 1.1, room=Room(asks=0)) == []
    assert s.receive(frame("0100", purchase(3)), 1.2, room=Room(asks=0)) == []
    assert (s.waiting, s.crowded, s.take_refused()) == (2, False, 0)
    refused = s.go_on(Room(asks=1, since=1.15))
    assert [m[39] for m in sent(refused)] == ["91"]
    assert [a.message[11] for a in refused if isinstance(a, Ask)] == ["000003"]
    assert refused[0].received == 1.1  # type: ignore[union-attr]
    assert (s.waiting, s.take_refused(), s.take_refused()) == (0, 1, 0)


def test_one_that_comes_when_all_seats_are_taken_takes_that_of_the_oldest() -> None:
    s = session(sign_on_required=False)
    for n in range(1, 4):
        assert s.receive(frame("0100", purchase(n)), float(n), room=Room(asks=0, seats=3)) == []
    [told] = sent(s.receive(frame("0100", purchase(4)), 4.0, room=Room(asks=0, seats=3)))
    assert (told[11], told[39]) == ("000001", "91")
    asked = s.go_on()
    assert [a.message[11] for a in asked if isinstance(a, Ask)] == ["000002", "000003", "000004"]


def test_above_its_seats_the_first_are_told_91_and_the_order_stays() -> None:
    """What is asked, refused or answered here happens in the order of the stream."""
    s = session()
    said = frame("0100", purchase(1)) + frame("0100", purchase(2))
    s.receive(management("001"), 1.0)
    actions = s.receive(
        said + management("002") + frame("0100", purchase(3)), 1.0, room=Room(asks=0, seats=0)
    )
    assert [(m.mti, m[39]) for m in sent(actions)] == [
        ("0110", "91"), ("0110", "91"), ("0810", "00"), ("0110", "30"),
    ]  # fmt: skip
    assert not s.waiting


def test_what_came_while_the_engine_stood_still_is_as_old_as_that() -> None:
    s = session(sign_on_required=False)
    [ask] = s.receive(frame("0100", purchase(1)), 9.0, received=7.0)
    assert isinstance(ask, Ask)
    assert ask.received == 7.0


def test_an_answer_to_nothing_is_noted_and_not_answered() -> None:
    s = session(sign_on_required=False)
    actions = s.receive(frame("0110", purchase() | {39: "00"}), 1.0)
    assert troubles(actions) == ["unexpected_response"]
    assert not sent(actions)


@given(st.binary(max_size=400), st.sampled_from(sorted(FRAMINGS)))
def test_no_bytes_raise(data: bytes, framing: str) -> None:
    s = session(framing=FRAMINGS[framing], sign_on_required=False)
    s.receive(data, 1.0)
    s.tick(100.0, "260322120000")


KEEP_ALIVE = b"\x00\x00"


@pytest.mark.parametrize("said", [b"", KEEP_ALIVE, management("301")])
def test_who_does_not_sign_on_in_time_makes_room_for_others(said: bytes) -> None:
    s = session(sign_on_timeout_s=30)
    for second in range(30):
        s.receive(said, float(second))
    assert not any(isinstance(a, Close) for a in s.tick(30.0, "260322120030"))
    actions = s.tick(30.5, "260322120030")
    assert troubles(actions) == ["no_sign_on"]
    assert isinstance(actions[-1], Close)


@pytest.mark.parametrize("code", ["001", "002"])
def test_who_has_signed_on_or_off_may_stay(code: str) -> None:
    s = session(sign_on_timeout_s=30)
    s.receive(management(code), 29.0)
    assert s.tick(60.0, "260322120100") == []


def test_where_no_sign_on_is_required_none_is_waited_for() -> None:
    assert session(sign_on_required=False).tick(59.0, "260322120059") == []


def test_keep_alives_alone_do_not_count_before_the_sign_on() -> None:
    s = session(sign_on_timeout_s=3600, idle_echo_s=60, echo_timeout_s=10)
    s.receive(KEEP_ALIVE, 59.0)
    assert len(sent(s.tick(61.0, "260322120101"))) == 1
    s.receive(KEEP_ALIVE, 70.0)
    assert troubles(s.tick(72.0, "260322120112")) == ["echo_unanswered"]
    s = session(sign_on_timeout_s=3600, idle_echo_s=60)
    s.receive(management("001"), 1.0)
    s.receive(KEEP_ALIVE, 59.0)
    assert s.tick(62.0, "260322120102") == []


def test_each_frame_has_its_own_time_to_be_finished() -> None:
    """One that came whole with the beginning of the next ends its time, and begins another."""
    s = session(sign_on_required=False, frame_timeout_s=2)
    whole = management("301")
    s.receive(whole[:10], 0.0)
    s.receive(whole[10:] + whole[:10], 1.5)
    assert s.tick(3.0, "260322120003") == []
    assert troubles(s.tick(3.6, "260322120003")) == ["half_frame"]


def test_an_idle_link_of_1993_is_asked_in_its_own_words() -> None:
    dialect = BY_NAME["iso93_ascii"]
    s = session(dialect=dialect, network="iso93", idle_echo_s=5.0)

    [echo] = s.tick(6.0, "260322120100")

    assert isinstance(echo, Send)
    message = decode(echo.data[2:], dialect)
    assert message.mti == "1804"
    assert message.to_dict() == {7: "0322120100", 11: "000001", 12: "260322120100", 24: "831"}
    said = {7: "0322120100", 11: "000001", 12: "260322120100", 24: "831", 39: "800"}
    assert s.receive(FRAMING.pack(encode("1814", said, dialect)), 7.0) == []


@pytest.mark.parametrize("code", ["001", "002", "301"])
def test_management_of_another_version_moves_nothing(code: str) -> None:
    s = session()
    s.state = State.SIGNED_OFF if code == "001" else State.SIGNED_ON
    before = s.state

    actions = s.receive(frame("1804", {7: "0322120000", 11: "000001", 70: code}), 1.0)

    assert (s.state, troubles(actions)) == (before, ["unknown_mti"])
    [answer] = sent(actions)
    assert (answer.mti, answer[39]) == ("1814", "30")


TONGUES = [
    *(("iso87_ascii", name) for name in NETWORKS if NETWORKS[name].version == "0"),
    ("iso87_binary", "visa"),
    ("iso93_ascii", "iso93"),
    *((name, name) for name in ("visa", "mastercard", "postilion")),
]


@pytest.mark.parametrize(("name", "network"), TONGUES)
@given(data=st.data())
def test_whatever_was_asked_can_be_answered_for_every_reason(
    name: str, network: str, data: st.DataObject
) -> None:
    dialect = BY_NAME[name]
    s = session(dialect=dialect, network=network, sign_on_required=False)
    version = NETWORKS[network].version
    mti = version + data.draw(
        st.sampled_from(["100", "101", "200", "220", "420", "500", "520", "620", "804", "600"])
    )
    fields = data.draw(field_sets(dialect)) | {11: "000007"}

    for action in s.receive(FRAMING.pack(encode(mti, fields, dialect)), 1.0):
        if isinstance(action, Ask):
            reason = data.draw(st.sampled_from(Reason))
            bad = data.draw(st.none() | st.integers(2, 128))
            action = s.answer(action, Reply(reason, "A1B2C3", bad))
        if isinstance(action, Send):
            answer = decode(action.data[2:], dialect)
            assert answer.mti[:3] == f"{mti[:2]}{int(mti[2]) + 1}"
            assert answer[11] == "000007"


@pytest.mark.parametrize(("name", "network"), TONGUES)
@pytest.mark.parametrize("amount", [0, -7, 10**17])
def test_totals_can_be_said_in_every_dialect(name: str, network: str, amount: int) -> None:
    dialect = BY_NAME[name]
    s = session(dialect=dialect, network=network, sign_on_required=False)
    fields = {7: "0322120000", 11: "000007", 50: "840"}
    mti = f"{NETWORKS[network].version}500"
    [ask] = s.receive(FRAMING.pack(encode(mti, fields, dialect)), 1.0)
    assert isinstance(ask, Ask)
    ours = {name: max(amount, 0) for name in NAMES.values()} | {"net": amount}
    send = s.answer(ask, Reply(Reason.APPROVED, balance=Balance(20_534, ours, True)))
    answer = decode(send.data[2:], dialect)
    sign = "D" if amount < 0 else "C"
    assert answer[97] == f"{sign}{min(abs(amount), 10**16 - 1):016}"
    assert answer[74] == f"{min(max(amount, 0), 10**10 - 1):010}"
    assert answer.get(66, "2") == "2"


def test_where_we_sign_on_its_answer_is_waited_for_and_not_the_peers_sign_on() -> None:
    """The peer need not sign on to us: our own sign-on, once accepted, lifts the time limit."""
    s = session(sign_on=True, sign_on_timeout_s=30, echo_timeout_s=10, idle_echo_s=3600)
    [ours] = sent(s.begin(0.0, "260322120000"))
    accepted = {7: "0322120000", 11: str(ours[11]), 39: "00", 70: "001"}
    assert s.receive(frame("0810", accepted), 9.0) == []
    assert (s.state, s.tick(60.0, "260322120100")) == (State.SIGNED_ON, [])

    for patience, said in ((10.0, "sign_on_unanswered"), (60.0, "no_sign_on")):
        s = session(sign_on=True, sign_on_timeout_s=30, echo_timeout_s=patience)
        s.begin(0.0, "260322120000")
        assert troubles(s.tick(30.5, "260322120030")) == [said]


def told_of_a_card(stan_at: int = 0) -> Session:
    s = session(sign_on_required=False, file_update="BLOCKED")
    s._stan = stan_at
    return s


WORD = FileUpdate("C1", "1/add", "add", PAN)


def test_a_word_on_a_card_and_its_answer() -> None:
    s = told_of_a_card(999_999)
    update = s.update_file(WORD, "260322120000")
    [message] = sent([update])
    assert message.mti == "0302"
    assert message.to_dict() == {
        2: PAN, 7: "0322120000", 11: "000001", 91: "1", 101: "BLOCKED"
    }  # fmt: skip
    assert PAN not in repr(update) + repr(WORD)
    assert [told.number for told in s._updates.values()] == [""]

    answer = frame("0312", {7: "0322120000", 11: "000001", 39: "00"})
    assert s.receive(answer, 1.0) == [FileAnswer("C1", "1/add", True, "00")]
    assert troubles(s.receive(answer, 2.0)) == ["unexpected_response"]


@pytest.mark.parametrize("fields", [{11: "000002", 39: "00"}, {39: "00"}])
def test_an_answer_to_no_word_of_ours_settles_none(fields: dict[int, str]) -> None:
    s = told_of_a_card()
    s.update_file(WORD, "260322120000")
    assert troubles(s.receive(frame("0312", fields), 1.0)) == ["unexpected_response"]
    # Nor does the answer to another kind of message that has its STAN.
    assert troubles(s.receive(frame("0810", {11: "000001", 39: "00"}), 1.0)) == []
    [answer] = s.receive(frame("0312", {11: "000001", 39: "27"}), 1.0)
    assert answer == FileAnswer("C1", "1/add", False, "27")


def test_words_without_an_answer_are_bounded() -> None:
    s = told_of_a_card()
    for _ in range(UPDATES_MAX + 5):
        s.update_file(WORD, "260322120000")
    assert len(s._updates) == UPDATES_MAX
    assert troubles(s.receive(frame("0312", {11: "000005", 39: "00"}), 1.0))
    assert troubles(s.receive(frame("0312", {11: "000006", 39: "00"}), 1.0)) == []


@pytest.mark.parametrize("mti", ["0300", "0302", "0320", "1304"])
def test_a_file_update_of_the_peer_is_put_to_the_engine_which_knows_none(mti: str) -> None:
    s = told_of_a_card()
    [ask] = s.receive(frame(mti, {2: PAN, 7: "0322120000", 11: "000001", 91: "1"}), 1.0)
    assert isinstance(ask, Ask)
