"""The page is refreshed between its marks, and nowhere else."""

import pytest

from bench import canonical
from bench.machine import this_machine

CPU = dict.fromkeys(canonical.CPU, 12.3)
QUANTILES = {"p50_ms": 1.0, "p99_ms": 2.0, "p999_ms": 3.0, "max_ms": 4.0}
TOLD = {
    "decide": {"by_rules": {"50": {"p50_us": 7.8, "p99_us": 11.0}}},
    "hot": {"per_s": 13_000.0, "ratio": 1.4, "repeat_ratio": 1.9},
    "ledger": {"per_s": 16_000.0, "writer_us": 46.0, "postgres_us": 36.0},
    "memory": {"bytes_per_authorization": {"hot_state": 858.6, "journal": 1402.8}},
    "load": {**CPU, **QUANTILES, "fdatasync_ms": {"p50": 0.1, "p99": 0.4}},
    "capacity": {
        "capacity_per_s": 4000.0, "depth": 4, "ratio_to_limit": 0.5, "naive_per_s": 300.0,
        "ratio_to_full": 0.3, "full": {"per_s": 13_000.0, "p99_ms": 3.0, "server_us": 70.0},
        "ratio_to_naive": 13.3, "limit": {"per_s": 8_000.0, "p99_ms": 3.0, "server_us": 90.0},
        "confirmed": {**CPU, "journal_lag_max": 900, "drained_s": 0.3},
    },
}  # fmt: skip


def test_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{canonical.BEGIN}\nold | figures\n{canonical.END}\nafter\n")
    canonical.refresh(page, TOLD, this_machine(seed=1))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert (
        "| a decision, 50 rules and 10 limits: p50, p99 | 7.8, 11.0 µs | `authz bench decide` |"
        in text
    )
    assert "4,000 a second" in text
    assert "859; 1,403 bytes" in text
    assert "900 entries, 0.30 s" in text
    once = text
    canonical.refresh(page, TOLD, this_machine(seed=1))
    assert page.read_text() == once


def test_without_marks_nothing_is_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a page of people's\n")
    with pytest.raises(ValueError, match="marks"):
        canonical.refresh(page, TOLD, this_machine())
    assert page.read_text() == "a page of people's\n"


def test_the_page_of_the_checkout_has_its_marks():
    text = canonical.PAGE.read_text(encoding="utf-8")
    assert text.count(canonical.BEGIN) == text.count(canonical.END) == 1
