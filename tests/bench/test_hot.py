"""The hot benchmark runs on a small scale, with the same calls on both sides."""

import json
from itertools import islice

import msgspec
import pytest

from bench.hot import Round, make_acts, quantile, run, side
from ledger.journal import AuthorizationBody
from rules.facts import AccountProfile, AccountState, CardProfile, CardState

SIDE = {"per_s", "p50_ms", "p99_ms", "client_us", "server_us"}


def test_a_small_run_has_every_figure(tmp_path, capsys):
    path = tmp_path / "hot.json"

    answer = run(str(path), rounds=1, calls=256)

    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["ratio"] == pytest.approx(written["per_s"] / written["baseline_per_s"])
    assert written["ratio"] == answer["ratio"]
    assert written["durability"] == "always"
    assert set(written["by_durability"]) == {"always", "no"}
    for figures in written["by_durability"].values():
        assert set(figures["ours"]) == set(figures["baseline"]) == SIDE
        assert figures["ours"]["per_s"] > 0
        assert figures["ours"]["p50_ms"] <= figures["ours"]["p99_ms"]
    printed = capsys.readouterr().out
    assert "redis-py" in printed
    assert "appendfsync always" in printed


def test_a_side_is_the_median_of_its_rounds_and_the_quantiles_of_all_calls():
    rounds = [
        Round(per_s=per_s, latencies_s=[0.001, 0.003], client_us=per_s / 10, server_us=1.0)
        for per_s in (100.0, 900.0, 200.0)
    ]

    assert side(rounds) == {
        "per_s": 200.0, "p50_ms": 1.0, "p99_ms": 3.0, "client_us": 20.0, "server_us": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_quantile_is_a_value_that_was_seen(share, expected):
    assert quantile([float(n) for n in range(1, 101)], share) == expected


def test_acts_are_what_the_story_plans_and_no_two_are_alike():
    account = AccountProfile("A1", "classic", "840", 0, "UTC", AccountState.ACTIVE)
    card = CardProfile(
        "c1", "A1", "c1", "3012", CardState.ACTIVE, daily_amount_minor=10**12, daily_count=10**9
    )

    acts = list(islice(make_acts([account] * 1000, [card] * 1000), 2000))

    assert len({act.message_id for act in acts}) == len(acts)
    for act in acts[:10]:
        assert act.planned == "approved"
        assert len(act.limits) == 2
        assert len(act.references) == 4
        body = msgspec.msgpack.decode(act.body, type=AuthorizationBody)
        assert body.amount_minor == act.hold_minor
        assert 200 <= len(act.body) <= 350
