"""The log: JSON lines to stderr, and no card data on them, whoever logs.

Fails closed. A value is shown only as far as it cannot be a card number: a run of twelve
digits or more is hidden under any key but the few of SAFE, keys named after secrets are
dropped, bytes and objects are shown by size and type, exceptions by type and place. What
the standard library's loggers say goes the same way (tests/authz/test_log.py looks for a
canary in every shape).
"""

import logging
import re
import sys
from contextlib import suppress
from datetime import date, datetime
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from authz.clock import Clock, SystemClock, utc

DEPTH_MAX = 6  # of lists in dicts in lists; a log line is not a document
ITEMS_MAX = 50  # of one list or dict
TEXT_MAX = 2000  # characters of one value
NUMBER_MAX = 10**11  # twelve digits might be a card number
CALLS_MAX = 12  # innermost of a traceback
HIDDEN = "‹hidden›"

# Twelve digits or more, written together or in groups, in any script; and behind a "="
# or "D" what is left of a track.
LONG_NUMBER = re.compile(r"\d(?:[\s-]?\d){11,}(?:[=D^]\S*)?")
# Words of a key that hide its value: keys are split at what is neither letter nor digit.
SECRET_WORDS = frozenset({
    "pan", "pans", "track", "track1", "track2", "track3", "pin", "pinblock", "emv", "icc", "chip",
    "cvv", "cvv2", "cvc", "cvc2", "cav2", "cid", "raw", "hex", "body", "frame",
    "password", "passwd", "secret", "token", "key",
})  # fmt: skip
# Long numbers that are no card's, each under its own key and in its own shape.
SAFE = {
    key: re.compile(shape, re.ASCII)
    for key, shape in {
        "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
        "rrn": r"\d{12}",  # DE 37
        "pan_masked": r"\d{6}\*{3,9}\d{4}",
        "now_ms": r"1\d{12}",  # from 2001 to 2033
        "sent_at_ms": r"1\d{12}",
    }.items()
}
encode_line = msgspec.json.Encoder().encode


class Patient:
    """A stream that may fail, on a full disk or with nobody at its other end: then lines are lost,
    and nothing else is. Whoever logs has more to do than to log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the latter of one that is closed
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def set_up_log(
    stream: TextIO | None = None,
    *,
    level: str = "info",
    console: bool | None = None,
    clock: Clock | None = None,
) -> None:
    """Set structlog and the standard library's logging up, for the whole process.

    `console` is for eyes instead of machines; left open, a terminal decides.
    """
    out = sys.stderr if stream is None else stream
    if console is None:
        console = out.isatty()
    renderer: Processor = render_json
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), timestamp_key="time")
    tail: list[Processor] = [add_time(clock or SystemClock()), place_of_error, hide, renderer]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Patient(out))),
        cache_logger_on_first_use=False,  # so that a second set-up is heard everywhere
    )
    handler = logging.StreamHandler(Patient(out))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))  # libraries tell their life's story below that


def add_time(clock: Clock) -> Processor:
    def add(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        now = utc(clock.now_ms())
        line["time"] = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        return line

    return add


def place_of_error(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """An exception as its type and its calls. Its text may quote what it stumbled over."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    line.pop("exception", None)
    line.pop("stack_info", None)
    if isinstance(error, BaseException):
        line["error"] = type(error).__name__
        calls = extract_tb(error.__traceback__)[-CALLS_MAX:]
        line["calls"] = [f"{PurePath(call.filename).name}:{call.lineno}" for call in calls]
    return line


def hide(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """The processor that fails closed; the last one before the line is written."""
    return shown("", line, 0)  # type: ignore[no-any-return]


def is_secret(key: str) -> bool:
    if key in SAFE:
        return False
    return not SECRET_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", key.lower()))


def shown(key: str, value: Any, depth: int) -> Any:
    """As much of a value as cannot be card data, in types that JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        safe = SAFE.get(key)
        return str(value) if safe and safe.fullmatch(value) else hide_text(value)
    if isinstance(value, int):
        if abs(value) < NUMBER_MAX:
            return value
        safe = SAFE.get(key) if abs(value) < 10**19 else None  # Python will not print any size
        return value if safe and safe.fullmatch(str(value)) else HIDDEN
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) < NUMBER_MAX else HIDDEN
    if isinstance(value, datetime | date | PurePath):
        return hide_text(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"‹{len(value)} bytes›"
    if depth >= DEPTH_MAX:
        return "‹too deep›"
    if isinstance(value, dict):
        items = list(value.items())[:ITEMS_MAX]
        return {
            hide_text(str(name)): shown(str(name), item, depth + 1)
            for name, item in items
            if not is_secret(str(name))
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(key, item, depth + 1) for item in list(value)[:ITEMS_MAX]]
    return f"‹{type(value).__name__}›"


def hide_text(text: str) -> str:
    """Hidden first and cut afterwards: a cut could leave half a number that looks short."""
    text = LONG_NUMBER.sub(HIDDEN, text)
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}‹{len(text) - TEXT_MAX} more›"
    return text


def render_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    return encode_line(line).decode()


def where(error: BaseException) -> str:
    """File and line of the innermost frame: where, never what."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
