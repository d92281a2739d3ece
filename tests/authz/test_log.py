"""A canary, a card number, sent through the log in every shape. It must not come out."""

import io
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from authz.clock import ManualClock
from authz.log import set_up_log

CANARY = "4539578763621486"
TRACK = f"{CANARY}=27121010000012345"


@pytest.fixture(autouse=True)
def _set_back() -> Iterator[None]:
    """Logging belongs to the process: other tests find it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def logged(event: str = "something", *, console: bool = False, **values: Any) -> str:
    out = io.StringIO()
    set_up_log(out, console=console, clock=ManualClock(1_750_000_000_123))
    structlog.get_logger().warning(event, **values)
    return out.getvalue()


def test_a_line_is_json_with_time_level_and_event() -> None:
    line = logged("bad_input", link="a", kind="decode", place="field 2, byte 22", n=3)

    assert json.loads(line) == {
        "event": "bad_input",
        "kind": "decode",
        "level": "warning",
        "link": "a",
        "n": 3,
        "place": "field 2, byte 22",
        "time": "2025-06-15T15:06:40.123Z",
    }


def grouped(digits: str) -> list[str]:
    return [digits, " ".join(re.findall("..?.?.?", digits)), "-".join(digits)]


class Holder:
    def __repr__(self) -> str:
        return TRACK


shapes = st.recursive(
    st.sampled_from(
        [
            *grouped(CANARY),
            TRACK,
            int(CANARY),
            -int(CANARY),
            float(CANARY),
            CANARY.encode(),
            bytearray(CANARY.encode()),
            Holder(),
            ValueError(CANARY),
            f"x{CANARY}y" * 300,
            CANARY.translate({48 + n: 0x0660 + n for n in range(10)}),
            (date(2026, 1, 1), CANARY),
            None,
            1.5,
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", CANARY, "pan", "track_2"]), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
keys = st.sampled_from(["value", "event_", "rrn", "now_ms", "pan_masked", "time_", "pan", "cvv2"])


@given(st.dictionaries(keys, shapes, max_size=4), st.booleans())
def test_the_canary_never_comes_out(values: dict[str, Any], console: bool) -> None:
    text = logged(f"seen {CANARY}", console=console, **values)

    digits = re.sub(r"[^\d]", "", re.sub(r"2025-06-15T\S+", "", text))
    assert CANARY not in digits
    assert CANARY[6:12] not in digits  # the part that no mask shows
    assert CANARY.encode().hex() not in text
    assert "27121010000012345" not in text


@pytest.mark.parametrize("key", ["pan", "card_pan", "track_2", "PIN", "cvv2", "password", "hex"])
def test_a_key_named_after_a_secret_is_dropped(key: str) -> None:
    assert key not in json.loads(logged(**{key: "12"}))
    assert json.loads(logged(value={key: "12", "span": 1}))["value"] == {"span": 1}


def test_known_numbers_stay_in_their_own_shape_only() -> None:
    line = json.loads(
        logged(rrn="123456789012", now_ms=1750000000123, pan_masked="453957******1486")
    )
    assert line["rrn"] == "123456789012"
    assert line["now_ms"] == 1750000000123
    assert line["pan_masked"] == "453957******1486"

    line = json.loads(logged(rrn=CANARY, now_ms=int(CANARY), pan_masked=CANARY))
    assert {line["rrn"], line["now_ms"], line["pan_masked"]} == {"‹hidden›"}


def test_an_exception_is_its_type_and_place() -> None:
    out = io.StringIO()
    set_up_log(out, console=False)
    try:
        raise ValueError(CANARY)
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("asyncio").exception("failed %s", CANARY)

    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["error"] == second["error"] == "ValueError"
    assert first["calls"][-1].startswith("test_log.py:")
    assert second["logger"] == "asyncio"
    assert CANARY not in out.getvalue()


def test_levels_below_are_not_heard() -> None:
    out = io.StringIO()
    set_up_log(out, level="error", console=False)

    structlog.get_logger().warning("quiet")
    logging.getLogger("some.library").warning("quiet")

    assert out.getvalue() == ""


@pytest.mark.parametrize("key", ["value", "now_ms"])
@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), float("inf"), float("nan")], ids=["big", "-big", "inf", "nan"]
)
def test_numbers_of_any_size_are_taken(key: str, value: float) -> None:
    assert json.loads(logged(**{key: value}))[key] in ("‹hidden›", None)


def test_long_and_deep_values_are_cut() -> None:
    deep: list[Any] = []
    for _ in range(20):
        deep = [deep]
    line = json.loads(logged(text="x" * 5000, deep=deep, many=list(range(200))))

    assert len(line["text"]) < 2100
    assert "‹too deep›" in str(line["deep"])
    assert len(line["many"]) == 50


@contextmanager
def broken(file: TextIO) -> Iterator[TextIO]:
    """A stream that cannot even be closed."""
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full, of Linux")
def test_a_line_that_cannot_be_written_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with broken(open("/dev/full", "w")) as full:
        set_up_log(full)
        for _ in range(3):
            structlog.get_logger().error("something", n=1)
            logging.getLogger("asyncio").error("something")
    structlog.get_logger().error("after it was closed")
    assert capsys.readouterr().err == ""  # nor does logging complain of it, line by line


def test_a_reader_that_is_gone_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with broken(open(writer, "w")) as gone:
        set_up_log(gone)
        structlog.get_logger().error("something")
