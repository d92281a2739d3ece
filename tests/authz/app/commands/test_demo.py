"""The demo, small: everything from nothing, and an answer that programs can read."""

import json
import subprocess
import sys

import pytest
from msgspec.structs import replace

from authz.app.books_beside import Booked
from authz.app.demo import Result, Settings
from authz.app.heartbeat import Stall
from authz.audit import AuditReport
from authz.simulator.report import Report
from ledger.verify import Verified

KEYS = {
    "offered_per_s", "achieved_per_s", "sent", "answered", "unanswered", "over_budget", "stalls",
    "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "approved", "declined", "referred",
    "audit_ok", "journal_lag_max", "drained_s", "durability",
}  # fmt: skip


def test_everything_from_nothing() -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "authz", "demo", "--cards", "300", "--rate", "150",
            "--seconds", "2", "--json", "-",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    answer = json.loads(done.stdout)
    assert answer.keys() >= KEYS
    assert answer["sent"] == answer["answered"] == 300
    assert answer["audit_ok"]
    assert answer["books_ok"]
    assert answer["postings"] > 2 * answer["approved"]
    assert answer["journal_lag_max"] > 0
    assert answer["drained_s"] >= 0
    assert answer["approved"] > 200
    assert sum(answer["reasons"].values()) >= answer["approved"]
    assert answer["sent"] == sum(answer["reasons"].values()) + answer["reversals"]
    assert f"answers to {answer['repeats']} repeat" in done.stderr
    assert "every promise held" in done.stderr or done.returncode == 3
    assert "******" in done.stderr, "a masked pair is shown"


BOOKS = Booked(lag_max=0, drained_s=0.1, entries=0, verified=Verified(), approved=0)


def result(**changes: object) -> Result:
    base: dict[str, object] = {
        "report": Report(), "latency": {"over_budget": 0.0}, "reasons": {}, "stalls": [],
        "audit": AuditReport(), "first_answer_s": 1.0, "books": BOOKS,
    }  # fmt: skip
    return Result(**(base | changes))  # type: ignore[arg-type]


STALL = Stall(1.0, 0.08)
BROKEN = AuditReport(ok=False, found=1)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"stalls": [STALL]}, 0),
        ({"latency": {"over_budget": 1.0}}, 1),
        ({"latency": {"over_budget": 1.0}, "stalls": [STALL]}, 3),
        ({"report": Report(unanswered=1)}, 1),
        ({"report": Report(conflicts=1), "stalls": [STALL]}, 1),
        ({"audit": BROKEN, "stalls": [STALL]}, 1),
        ({"books": replace(BOOKS, drained_s=None), "stalls": [STALL]}, 1),
        ({"books": replace(BOOKS, approved=1), "stalls": [STALL]}, 1),
        ({"books": replace(BOOKS, verified=Verified(ok=False, found=1)), "stalls": [STALL]}, 1),
        ({"books": replace(BOOKS, verified=Verified(parked=1)), "stalls": [STALL]}, 1),
    ],
    ids=str,
)
def test_only_time_is_excused_by_a_stall(changes: dict[str, object], code: int) -> None:
    found = result(**changes)
    assert found.exit_code() == code
    assert bool(found.failures()) == (code != 0)


def test_settings_are_plain() -> None:
    assert Settings(1, 2.0, 3.0, 4).seed == 4
