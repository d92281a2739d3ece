"""The table of a link's states is what a session does."""

import pytest

from authz.link_states import ENDINGS, TRANSITIONS, State, Word, takes_requests
from authz.metrics import BAD_INPUT
from authz.session import Ask, Close, Session
from tests.authz.test_session import frame, management, session
from tests.support.engine import purchase

CODES = {Word.SIGN_ON: "001", Word.SIGN_OFF: "002", Word.ECHO: "301"}  # DE 70


@pytest.mark.parametrize(("before", "word"), TRANSITIONS)
def test_a_word_moves_a_session_as_the_table_says(before: State, word: Word) -> None:
    s = session(sign_on=word is Word.ACCEPTED)
    if word is Word.ACCEPTED:
        s.begin(0.0, "260322120000")
        said = frame("0810", {7: "0322120000", 11: "000001", 39: "00", 70: "001"})
    else:
        said = management(CODES[word])
    s.state = before
    s.receive(said, 1.0)
    assert s.state is TRANSITIONS[before, word]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("required", [True, False])
def test_requests_are_taken_as_the_table_says(state: State, required: bool) -> None:
    s = session(sign_on_required=required)
    s.state = state
    asked = any(isinstance(a, Ask) for a in s.receive(frame("0100", purchase()), 1.0))
    assert asked == takes_requests(state, required)


def ends(kind: str, s: Session) -> list[object]:
    """What makes a link end so, in whatever state it is."""
    if kind == "framing":
        return [*s.receive(b"\xff\xff\xff\xff", 1.0)]
    if kind == "unanswerable":
        return [a for _ in range(3) for a in s.receive(b"\0\5nope!", 1.0)]
    if kind == "half_frame":
        s.receive(b"\0", 1.0)
        return [*s.tick(9.0, "260322120000")]
    if kind == "over_long":
        return [*s.receive(b"\xff\xff" + b"x" * 300, 1.0)]
    if kind == "echo_unanswered":
        s.tick(20.0, "260322120000")
        return [*s.tick(29.0, "260322120000")]
    if kind == "no_sign_on":
        return [*s.tick(40.0, "260322120000")]
    s.begin(0.0, "260322120000")
    if kind == "sign_on_unanswered":
        return [*s.tick(11.0, "260322120000")]
    answer = frame("0810", {7: "0322120000", 11: "000001", 39: "05", 70: "001"})
    return [*s.receive(answer, 1.0)]


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("state", State)
def test_endings_are_where_the_table_has_them(kind: str, state: State) -> None:
    from iso8583.framing import FRAMINGS

    changes: dict[str, object] = {"sign_on": kind.startswith("sign_on")}
    if kind == "framing":
        changes["framing"] = FRAMINGS["ascii4"]
    if kind == "echo_unanswered":
        changes |= {"idle_echo_s": 10.0, "echo_timeout_s": 5.0, "sign_on_timeout_s": 99.0}
    s = session(**changes)
    s.state = state
    whys = [a.why for a in ends(kind, s) if isinstance(a, Close)]
    assert (ENDINGS[kind].why in whys) == (state in ENDINGS[kind].states)
    assert kind in BAD_INPUT
