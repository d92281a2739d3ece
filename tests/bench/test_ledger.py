"""The ledger's bench, small: it measures, and what it filled the journal with is told in full."""

import json
from pathlib import Path

from bench.ledger import run


def test_small(tmp_path: Path) -> None:
    figures = run(str(tmp_path / "ledger.json"), entries=1500, seconds=1.0)
    assert figures["per_s"] > 0
    assert figures["drained_s"] >= 0
    assert figures["postings_per_s"] == 2 * figures["per_s"]
    assert json.loads((tmp_path / "ledger.json").read_text()).keys() >= {"per_s", "drained_s"}
