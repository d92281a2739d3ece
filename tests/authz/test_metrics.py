"""Names, closed labels, and numbers that Prometheus reads back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from authz.hot import errors
from authz.metrics import HOT_CALLS, WATCHED, Metrics
from rules.reason import Reason

DOCS = Path(__file__).parents[2] / "docs"


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def test_an_answer_is_counted_with_its_time() -> None:
    metrics = Metrics()

    metrics.answered("0100", Reason.CARD_LOST, 0.0041)
    metrics.answered("0100", Reason.CARD_LOST, 0.2001)

    labels = {"mti": "0100", "answer": "declined", "reason": "card_lost"}
    assert value(metrics, "authz_requests_total", **labels) == 2
    assert value(metrics, "authz_over_budget_total") == 1
    assert value(metrics, "authz_answer_seconds_bucket", le="0.003") == 0
    assert value(metrics, "authz_answer_seconds_bucket", le="0.005") == 1
    assert value(metrics, "authz_answer_seconds_bucket", le="+Inf") == 2
    assert value(metrics, "authz_answer_seconds_count") == 2
    assert value(metrics, "authz_answer_seconds_sum") == pytest.approx(0.2042)


@pytest.mark.parametrize("seconds", [0.0005, 0.01, 0.05, 0.2])
def test_an_edge_belongs_to_its_bucket(seconds: float) -> None:
    metrics = Metrics()

    metrics.answered("0100", Reason.APPROVED, seconds)

    assert value(metrics, "authz_answer_seconds_bucket", le=str(seconds)) == 1
    assert value(metrics, "authz_over_budget_total") == 0


@given(st.lists(st.text(max_size=16), max_size=5))
def test_no_peer_can_add_a_series(words: list[str]) -> None:
    metrics = Metrics()
    before = len(metrics.text().splitlines())

    for word in words:
        metrics.answered(word, Reason.APPROVED, 0.001)
        metrics.bad_input(word)
        metrics.stage(word, 0.001)
        metrics.hot_call(word)
        metrics.withdrawn(word)

    assert len(metrics.text().splitlines()) == before


def test_every_way_to_get_no_verdict_has_a_name() -> None:
    kinds = {kind.__name__ for kind in errors.HotStateError.__subclasses__()}

    assert kinds <= set(HOT_CALLS)


def test_watched_numbers_are_asked_for_at_the_scrape() -> None:
    metrics = Metrics()
    seen = [3, 4]
    metrics.watch("near_cache_hits", lambda: seen.pop(0))
    metrics.watch("in_flight", lambda: 7)

    assert value(metrics, "authz_near_cache_hits_total") == 3
    assert value(metrics, "authz_near_cache_hits_total") == 4
    with pytest.raises(AssertionError):
        metrics.watch("something", lambda: 0)


def test_the_other_counters() -> None:
    metrics = Metrics(version="1.2")

    metrics.stage("decide", 0.00002)
    metrics.hot_call("NoReply")
    metrics.bad_input("decode")
    metrics.withdrawn("kept")
    metrics.near_cache_stale()
    metrics.frames(5)

    assert value(metrics, "authz_stage_seconds_bucket", stage="decide", le="3e-05") == 1
    assert value(metrics, "authz_hot_calls_total", outcome="no_reply") == 1
    assert value(metrics, "authz_bad_input_total", kind="decode") == 1
    assert value(metrics, "authz_withdrawals_total", outcome="kept") == 1
    assert value(metrics, "authz_near_cache_stale_total") == 1
    assert value(metrics, "authz_frames_total") == 5
    assert any(("version", "1.2") in labels for _, labels in samples(metrics))


def test_the_documentation_has_every_name() -> None:
    text = (DOCS / "metrics.md").read_text()
    metrics = Metrics()
    for name in WATCHED:
        metrics.watch(name, lambda: 0)

    for line in metrics.text().decode().splitlines():
        if line.startswith("# TYPE authz_"):
            assert f"`{line.split()[2]}`" in text


def test_the_state_of_a_link_that_we_dial_is_one_of_three() -> None:
    metrics, state = Metrics(), ["down"]
    assert "authz_link_state" not in metrics.text().decode()
    metrics.watch_link("north", lambda: state[0])
    metrics.dialled("north", "failed")

    text = metrics.text().decode()
    assert 'authz_link_state{link="north",state="down"} 1.0' in text
    assert 'authz_link_state{link="north",state="open"} 0.0' in text
    assert 'authz_link_dials_total{link="north",outcome="failed"} 1.0' in text
    assert 'authz_link_dials_total{link="north",outcome="connected"} 0.0' in text
    state[0] = "open"
    assert 'authz_link_state{link="north",state="open"} 1.0' in metrics.text().decode()
