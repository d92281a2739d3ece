"""The memory benchmark adds up, on a small scale."""

import json

import pytest

from bench.memory import near_cache_bytes, run


def test_a_small_run_adds_up(tmp_path, capsys):
    path = tmp_path / "memory.json"

    run(str(path), cards=300, holds=1000)

    answer = json.loads(path.read_text(encoding="utf-8"))
    per_card, kinds = answer["bytes_per_card"], answer["by_kind"]
    assert set(kinds) == {"account", "directory", "journal"}
    assert all(size > 0 for size in kinds.values())
    without = sum(kinds.values()) - kinds["journal"] + answer["unaccounted"]
    assert without == pytest.approx(per_card["without_journal"])
    assert without + kinds["journal"] == pytest.approx(per_card["with_journal"])
    assert answer["cards"] == 300
    # Two of each card's: its account and itself; and one for the opening of each shard's gate.
    assert answer["journal_entries_per_card"] == pytest.approx(2 + 64 / 300)
    # What a server grew by for an open authorization is what its keys grew by, more or less.
    held = answer["bytes_per_authorization"]
    assert min(held[kind] for kind in ("record_and_answer", "references", "expiry", "journal")) > 0
    parts = sum(size for kind, size in held.items() if kind not in ("hot_state", "journal"))
    assert held["hot_state"] == pytest.approx(parts, rel=0.1)
    assert answer["durability"] == "no"
    assert "appendfsync no" in capsys.readouterr().out


def test_the_near_cache_costs_the_same_for_each_card():
    few, many = near_cache_bytes(500, seed=1), near_cache_bytes(2000, seed=1)

    assert 300 < few < 3000
    assert many == pytest.approx(few, rel=0.2)
