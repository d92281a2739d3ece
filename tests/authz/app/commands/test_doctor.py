"""`authz doctor --match-keys`: what tells requests apart, and never what they hold."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from authz import match_survey
from authz.app.capture import PIECE
from authz.app.cli import main
from authz.app.commands import doctor
from iso8583.framing import FRAMINGS
from tests.support import engine
from tests.support.capture import Said, answer, bodies, lines, stream
from tests.support.engine import advice_of, reversal

# Their middle digits stand nowhere else.
PAN, OTHER_PAN = "4539578763621486", "5413339172648013"


def purchase(stan: int, amount: int = 5000, **changes: str) -> dict[int, Any]:
    return engine.purchase(stan, amount, **({"de2": PAN} | changes))


ECHO: Said = ("0800", {7: "0322120000", 11: "000001", 70: "301"})
DAY: list[Said] = [
    ECHO,
    ("0100", purchase(1, 6000)),
    answer("0100", purchase(1, 6000), approval="A1B2C3"),
    ("0101", purchase(1, 6000, de12="235959")),
    ("0100", purchase(2, 500, de2=OTHER_PAN)),
    ("0400", reversal(purchase(1, 6000))),
    ("0401", reversal(purchase(1, 6000))),
]
COLLIDING: list[Said] = [("0100", purchase(1, 6000)), ("0100", purchase(1, 7000))]


def run(source: bytes, *arguments: str) -> Result:
    result = CliRunner().invoke(main, ["doctor", "--match-keys", "-", *arguments], input=source)
    for pan in (PAN, OTHER_PAN):
        assert pan not in result.output
        assert pan[6:12] not in re.sub(r"[^0-9]", "", result.output)
    return result


def ask(source: bytes, *arguments: str) -> dict[str, Any]:
    result = run(source, "--json", *arguments)
    assert result.exit_code in (0, 1), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found | {"exit": result.exit_code}


def keys(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in found["keys"]}


def test_repeats_are_no_collisions() -> None:
    found = ask(stream(DAY))
    assert (found["exit"], found["unique"]) == (0, True)
    counts = [found[name] for name in ("messages", "requests", "answers", "management", "bad")]
    assert counts == [7, 5, 1, 1, 0]
    own = keys(found)["the engine's own"]
    assert (own["repeats"], own["collisions"], own["repeats_without_first"]) == (2, 0, 0)


def test_other_content_under_the_engines_key_is_a_collision_and_exit_code_1() -> None:
    result = run(stream(COLLIDING))
    assert result.exit_code == 1
    assert "NOT unique here: 1 collision" in result.output
    pair = "message 1 (MTI 0100, STAN 000001) and message 2 (MTI 0100, STAN 000001)"
    assert pair in result.output
    assert "7000" not in result.output


def test_a_weaker_key_collides_where_the_engines_does_not() -> None:
    """One STAN for two terminals, at one second and at another, of one acquirer and of two."""
    said: list[Said] = [
        ("0100", purchase(1, 100)),
        ("0100", purchase(1, 100, de2=OTHER_PAN)),  # same second: told by the card
        ("0100", purchase(1, 100, de7="0322120001")),
        ("0100", purchase(1, 100, de32="654321")),
    ]
    found = ask(stream(said))
    rows = {name: row["collisions"] for name, row in keys(found).items()}
    assert rows == {
        "the engine's own": 0,
        "DE 11": 3,
        "DE 11+7": 2,
        "DE 11+7+32": 1,
        "DE 11+7+32+41": 1,
        "DE 11+7+32+37": 1,
        "DE 11+7+card": 1,
        "DE 37+41+card": 2,
        "life-cycle id": 0,
        "life-cycle id+11": 0,
    }
    assert keys(found)["life-cycle id"]["without"] == 4


def test_a_repeat_with_a_new_time_is_a_repeat_to_weaker_keys_alone() -> None:
    """The engine would decide it afresh: worth knowing before a link goes live."""
    said = [("0100", purchase(1, 100)), ("0101", purchase(1, 100, de7="0322120005"))]
    found = ask(stream(said))
    own, weak = keys(found)["the engine's own"], keys(found)["DE 11"]
    assert (own["repeats"], own["collisions"], own["repeats_without_first"]) == (0, 0, 1)
    assert (weak["repeats"], weak["collisions"]) == (1, 0)
    assert "1 repeat (0101 and the like) came without a first" in run(stream(said)).output


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_with_offsets_of_what_is_bad(framing: str) -> None:
    kind = FRAMINGS[framing]
    good = bodies(DAY)
    frames = [kind.pack(body) for body in (*good[:3], good[3][:60], *good[4:])]
    found = ask(kind.keep_alive + b"".join(frames), "--framing", framing)
    assert (found["messages"], found["bad"]) == (7, 1)
    [bad] = found["bad_messages"]
    assert (bad["number"], bad["offset"]) == (4, len(kind.keep_alive + b"".join(frames[:3])))
    assert bad["trouble"].startswith(("short_field", "lying_length"))


def test_lines_of_hexadecimal_with_and_without_framing() -> None:
    text = b"# captured on a Sunday\n\n" + lines(DAY).replace(b"\n", b"\r\n")
    assert ask(text)["messages"] == 7
    framed = b"\n".join(FRAMINGS["binary2"].pack(body).hex(" ").encode() for body in bodies(DAY))
    assert ask(framed, "--framing", "binary2")["messages"] == 7
    assert ask(lines(DAY), "--form", "hex")["form"] == "hex"


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (b"zz" * 40, "not hexadecimal"),
        (b"123", "an odd number of hexadecimal digits"),
        (b"30" * 200_000, "a line of more than"),
        (b"30313030", "too_short"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line: bytes, trouble: str) -> None:
    good = lines(DAY)
    found = ask(good + line + b"\n" + good, "--form", "hex")
    [bad] = found["bad_messages"]
    assert (bad["number"], bad["line"], bad["offset"]) == (8, 8, len(good))
    assert trouble in bad["trouble"]
    assert found["messages"] == 15


@pytest.mark.parametrize("line", [b"01OO0", b"the gateway was restarted here", b"0800:"])
def test_one_line_that_is_not_hexadecimal_is_one_bad_message(line: bytes) -> None:
    good = lines(DAY)
    found = ask(good + line + b"\n" + good)
    assert (found["form"], found["messages"], found["bad"]) == ("hex", 15, 1)
    assert found["bad_messages"][0] == {
        "number": 8, "line": 8, "offset": len(good), "trouble": "not hexadecimal",
    }  # fmt: skip


def test_a_stream_that_cannot_be_followed_says_from_where() -> None:
    good = stream(DAY[:3], framing="ascii4")
    found = ask(good + b"00x0" + good, "--framing", "ascii4")
    [bad] = found["bad_messages"]
    assert (bad["number"], bad["offset"]) == (4, len(good))
    assert "cannot be cut" in bad["trouble"]
    half = ask(stream(DAY)[:-3])
    assert half["bad_messages"][0]["trouble"] == "the file ends inside a frame"
    assert "byte" in run(stream(DAY)[:-3]).output


@pytest.mark.parametrize("dialect", ["visa", "mastercard", "postilion", "iso87_binary"])
def test_other_dialects(dialect: str) -> None:
    found = ask(stream(DAY, dialect), "--dialect", dialect)
    network = dialect if dialect != "iso87_binary" else "generic"
    assert (found["unique"], found["network"], found["messages"]) == (True, network, 7)


def test_what_the_engine_would_refuse_has_no_key() -> None:
    said = [*DAY, ("0100", purchase(9, 100, de18="")), ("0302", {7: "0322120000", 11: "000009"})]
    result = run(stream(said))
    assert result.exit_code == 0
    assert "message 8 (MTI 0100, STAN 000009): DE 18: missing" in result.output
    assert "no story of the engine takes 1 of 0302" in result.output


def found_by(said: list[Said], kind: str, *arguments: str) -> dict[str, list[int]]:
    """By rung: how many found one original, none, several."""
    originals = ask(stream(said, *arguments[1:2]), *arguments)["originals"]
    return {
        rung: [row["one"], row["none"], row["several"]]
        for rung, row in originals[kind].items()
        if row["carried"]
    }


def test_each_rung_of_a_reversal() -> None:
    bought = purchase(1, 6000)
    full = reversal(bought)
    zeros = reversal(bought, 901, de90=f"0100{bought[11]}{bought[7]}{'':0>22}")
    by_code = reversal(bought, 902, de90="", de37="", de38="A1B2C3")
    lost = reversal(purchase(77, 100), 903)
    said = [
        ("0100", bought), answer("0100", bought, approval="A1B2C3"),
        *(("0400", one) for one in (full, zeros, by_code, lost)),
    ]  # fmt: skip
    assert found_by(said, "reversal") == {
        "DE 90 in full": [1, 1, 0],
        "DE 90, rest zeros": [1, 0, 0],
        "DE 37+41+42": [2, 1, 0],
        "DE 37": [2, 1, 0],
        "DE 38": [1, 0, 0],
        "the engine's ladder": [3, 1, 0],
    }


def test_a_shared_reference_finds_several() -> None:
    """A terminal that asks once more under the same DE 37, and takes its first try back."""
    first, retry = purchase(1, 6000), purchase(2, 6000, de37=f"{1:012}")
    said: list[Said] = [("0100", first), ("0100", retry), ("0400", reversal(first))]
    assert found_by(said, "reversal") == {
        "DE 90 in full": [1, 0, 0],
        "DE 37+41+42": [0, 0, 1],
        "DE 37": [0, 0, 1],
        "the engine's ladder": [1, 0, 0],
    }


def test_advices_and_completions_and_what_stands_alone() -> None:
    bought = purchase(1, 6000)
    alone = advice_of(purchase(5, 100), 705)
    said: list[Said] = [
        ("0220", advice_of(bought, 700)),  # before its authorization
        ("0100", bought),
        ("0120", alone),
        ("0400", reversal(purchase(5, 100), 905, de90="")),  # of what stood in for us
    ]
    assert found_by(said, "completion")["the engine's ladder"] == [1, 0, 0]
    assert found_by(said, "advice")["the engine's ladder"] == [0, 1, 0]
    assert found_by(said, "reversal")["DE 37+41+42"] == [1, 0, 0]


def test_increments_and_parts_that_were_approved() -> None:
    bought = purchase(1, 6000)
    more = purchase(2, 500, de37="000000000077", de90=f"0100{bought[11]}{bought[7]}{'':0>22}")
    back = reversal(purchase(3, 900), 901, de90="", de37="", de38="B1B2B3")  # of what was asked
    said: list[Said] = [
        ("0100", bought), ("0100", more), ("0100", purchase(3, 900, de37="")),
        answer("0100", purchase(3, 400, de37=""), code="10", approval="B1B2B3"), ("0400", back),
    ]  # fmt: skip
    assert found_by(said, "increment")["DE 90, rest zeros"] == [1, 0, 0]
    assert found_by(said, "reversal") == {"DE 38": [1, 0, 0], "the engine's ladder": [1, 0, 0]}


def test_the_life_cycle_id_of_networks_that_have_one() -> None:
    bought = purchase(1, 6000, de22="0510") | {62: {2: "123456789012345"}}
    back = reversal(purchase(1, 6000), de90="") | {62: {2: "123456789012345"}}
    said: list[Said] = [("0100", bought), ("0400", back)]
    assert found_by(said, "reversal", "--dialect", "visa")["life-cycle id"] == [1, 0, 0]

    bought = purchase(1, 6000) | {63: {1: "MCC", 2: "ABC123   "}, 15: "0322"}
    back = reversal(purchase(1, 6000), de90="") | {
        48: {"tcc": "R", "63": {1: "MCCABC123", 2: "0322  "}}
    }
    said = [("0100", bought), ("0400", back)]
    assert found_by(said, "reversal", "--dialect", "mastercard")["life-cycle id"] == [1, 0, 0]


def test_a_link_of_1993() -> None:
    from tests.support.iso93 import purchase_1993, reversal_1993

    bought = purchase_1993(1, 6000, de2=PAN)
    said: list[Said] = [("1100", bought), ("1101", bought), ("1420", reversal_1993(bought))]
    arguments = ("--dialect", "iso93_ascii")
    assert ask(stream(said, "iso93_ascii"), *arguments)["network"] == "iso93"
    assert found_by(said, "reversal", *arguments)["the engine's ladder"] == [1, 0, 0]


def test_the_bound_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_survey, "REQUESTS_MAX", 3)
    monkeypatch.setattr(doctor, "REQUESTS_MAX", 3)
    found = ask(stream(DAY))
    assert (found["all_read"], found["requests"]) == (False, 3)
    assert "only the first 3 requests were read" in run(stream(DAY)).output


@pytest.mark.parametrize(
    ("source", "arguments", "said"),
    [
        (b"", (), "The file is empty"),
        (b"# nothing yet\n\n", (), "holds no message"),
        (stream([ECHO]), (), "no request among 1 message"),
        (stream([("0302", {7: "0322120000", 11: "000009"})]), (), "No story of the engine takes"),
        (b"\x00\x05nope!" * 3, (), "Only 0 of"),
        (stream(DAY), ("--dialect", "iso93_ascii"), "Only 1 of 7 messages"),
        (stream(DAY), ("--dialect", "iso94"), "is neither a file nor one of"),
        (stream(DAY), ("--dialect", "auto"), "must be named"),
        (stream(DAY), ("--network", "iso93"), "of another version"),
        (stream([("0100", purchase(1, de18=""))]), (), "DE 18: missing"),
    ],
)
def test_wrong_use(source: bytes, arguments: tuple[str, ...], said: str) -> None:
    result = run(source, *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(stream(DAY))
    result = CliRunner().invoke(main, ["doctor", "--match-keys", str(path)])
    assert result.exit_code == 0
    assert "capture.bin: 7 messages: 5 requests, 1 answer, 1 of network management" in result.output
    result = CliRunner().invoke(main, ["doctor", "--match-keys", str(tmp_path / PAN)])
    assert result.exit_code == 2
    assert PAN not in result.output
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 2


def test_a_file_longer_than_a_piece_is_read_whole_and_its_offsets_hold() -> None:
    said: list[Said] = [("0100", purchase(n, 100 + n)) for n in range(1, 1001)]
    broken = bodies(said[:1])[0][:60]
    frames = [FRAMINGS["binary2"].pack(body) for body in bodies(said)]
    frames.insert(900, FRAMINGS["binary2"].pack(broken))
    at = sum(map(len, frames[:900]))
    assert at > 2 * PIECE
    found = ask(b"".join(frames))
    assert (found["messages"], found["bad_messages"][0]["offset"]) == (1001, at)
    text = lines(said)
    assert len(text) > 4 * PIECE
    assert ask(text)["messages"] == 1000


@given(
    st.sampled_from(["auto", "raw", "hex"]),
    st.sampled_from([None, *FRAMINGS]),
    st.binary(max_size=200),
    st.integers(0, 900),
)
def test_any_bytes_end_in_an_answer(form: str, framing: str | None, noise: bytes, at: int) -> None:
    good = stream(DAY)
    data = good[:at] + noise + good[at + len(noise) :]
    result = run(data, "--form", form, *(("--framing", framing) if framing else ()))
    assert result.exit_code in (0, 1, 2), result.output
    assert not result.exception or isinstance(result.exception, SystemExit)
