"""The writer's numbers: what lanes tell is what a scrape finds."""

from ledger.metrics import Metrics


def test_what_lanes_tell_is_what_a_scrape_finds() -> None:
    metrics = Metrics()
    metrics.wrote(300, 640, 2, 0.07)
    metrics.wrote(100, 200, 0, 0.007)
    metrics.failed("postgres")
    metrics.owns(0, 32)
    metrics.owns(1, 31)
    metrics.stands(12, 1.5, 3)
    lines = set(metrics.text().decode().splitlines())
    assert {
        "authz_ledger_entries_total 400.0",
        "authz_ledger_postings_total 840.0",
        "authz_ledger_parked_total 2.0",
        "authz_ledger_batch_entries_sum 400.0",
        'authz_ledger_batch_seconds_bucket{le="0.01"} 1.0',
        'authz_ledger_failures_total{of="postgres"} 1.0',
        'authz_ledger_failures_total{of="redis"} 0.0',
        "authz_ledger_shards_owned 63.0",
        "authz_ledger_lag_entries 12.0",
        "authz_ledger_lag_seconds 1.5",
        "authz_ledger_parked_open 3.0",
    } <= lines
    metrics.owns(0, 0)
    assert b"authz_ledger_shards_owned 31.0" in metrics.text()
