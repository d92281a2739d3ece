"""The bench of clearing files runs, and says what it says it does."""

import json
from pathlib import Path

from bench.clearing import run


def test_every_format_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    run(str(path), records=200, post=60)
    figures = json.loads(path.read_text())
    assert set(figures["formats"]) == {"ipm", "base2", "csv"}
    for told in figures["formats"].values():
        assert min(told.values()) > 0
    assert figures["post"]["posted_per_s"] > 0
    assert figures["cut"]["cardutil_us"] > figures["cut"]["ours_us"] > 0
