"""The comparison with a baseline finds what became slower, and what is gone."""

import json

import pytest

from bench import check


def told(tmp_path, name, **least):
    rows = [
        {"name": n, "stats": {"min": s}} for n, s in ({"test_calibration": 2.0} | least).items()
    ]
    path = tmp_path / name
    path.write_text(json.dumps({"benchmarks": rows}))
    return path


def test_a_slower_machine_is_no_slower_step(tmp_path):
    fast = told(tmp_path, "fast.json", test_decode=1.0)
    slow = told(tmp_path, "slow.json", test_calibration=4.0, test_decode=2.0)
    assert check.ratios(fast) == check.ratios(slow) == {"test_decode": 0.5}


@pytest.mark.parametrize(
    ("now", "bad"),
    [({"a": 1.0}, False), ({"a": 1.24}, False), ({"a": 1.26}, True), ({}, True),
     ({"a": 1.0, "b": 1.0}, True)],
)  # fmt: skip
def test_what_is_told(now, bad):
    assert any(slow for _, slow in check.compared(now, {"a": 1.0})) == bad


def test_a_run_becomes_the_baseline_and_passes_by_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check, "BASELINE", tmp_path / "baseline.json")
    run = told(tmp_path, "run.json", test_decode=1.0)
    assert check.main(str(run), "--save") == 0
    assert check.main(str(run)) == 0
    assert check.main(str(told(tmp_path, "slow.json", test_decode=1.6))) == 1
    assert "SLOWER" in capsys.readouterr().out
