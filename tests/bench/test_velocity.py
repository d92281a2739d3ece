"""The velocity benchmark runs on a small scale: nothing is declined, and every figure is there."""

import json
from pathlib import Path

from bench.velocity import LIMITS, PROMISED, policy, run
from rules.policy import read_policy


def test_a_small_run_has_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "velocity.json"

    answer = run(str(path), rounds=1, calls=1500, buckets=20)

    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["ratio"] == answer["ratio"]
    assert answer["ratio"] == answer["ten"]["server_us"] / answer["none"]["server_us"]
    assert 1 < answer["ratio"] < 3 * PROMISED  # of a moment, on a machine that others use


def test_ten_limits_of_which_six_roll() -> None:
    rows = read_policy(policy()).limit
    assert len(rows) == len(LIMITS) == 10
    assert sum(row.window[0].isdigit() for row in rows) == 6
