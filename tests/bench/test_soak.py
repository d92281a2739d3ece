"""A soak tells growth from noise, and looks at what is there."""

import json
from collections import Counter

import pytest

from bench import soak
from bench.load import Timed
from bench.soak import Order, faults_of, slope


def looks(*values):
    return [{"at_s": 5.0 * n, "x": float(value)} for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "an_hour"),
    [
        ((1, 1, 1, 1), 0.0),
        ((0, 50, 100, 100, 100, 100), 0.0),  # what fills at first is not growth
        ((0, 0, 0, 0, 5, 10), 3600.0),
        ((7,), 0.0),
        ((0, 0, 9, 8, 7, 6), -720.0),
    ],
)
def test_slopes_are_of_the_second_half(values, an_hour):
    assert slope(looks(*values), "x") == pytest.approx(an_hour)


def test_what_is_a_fault():
    assert faults_of({"engine_mb": 10.0, "store_mb": 900.0}, True, Timed(), [], True) == []
    assert faults_of({"engine_mb": 100.0}, True, Timed(), [], False) == []
    told_91 = Timed(codes=Counter({("0100", "91"): 2, ("0100", "00"): 5}))
    for slopes, audit_ok, report, failed, words in (
        ({"engine_mb": 100.0}, True, Timed(), [], "engine gains 100 MB"),
        ({"engine_files": 60.0}, True, Timed(), [], "the engine opens files"),
        ({"engine_mb": 1.0}, False, Timed(), [], "the audit found differences"),
        ({"engine_mb": 1.0}, True, Timed(unanswered=1), [], "requests without an answer"),
        ({"engine_mb": 1.0}, True, Timed(), ["A", "B", "A"], "looks that failed: 3 (A, B)"),
        ({}, True, Timed(), [], "nothing was seen"),
        ({"engine_mb": 1.0}, True, Timed(over_budget=3), [], "3 answers over 200 ms"),
        ({"engine_mb": 1.0}, True, told_91, [], "2 requests told 91 or 96"),
    ):
        [fault] = faults_of(slopes, audit_ok, report, failed, True)
        assert words in fault


def test_a_short_one(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "LOOK_S", 0.5)
    path = tmp_path / "soak.json"
    code = soak.run(Order(minutes=0.05, rate=100, cards=50, links=1), str(path))
    answer = json.loads(path.read_text())
    assert answer["answered"] == answer["sent"] == 300
    assert len(answer["looks"]) >= 4
    last = answer["last"]
    assert last["keys"] > 100
    assert last["engine_mb"] > 20
    assert last["database_mb"] > 5
    assert last["engine_files"] > 5
    assert answer["audit_ok"]
    assert answer["drained_s"] is not None
    assert (code, answer["faults"]) == (3, [])
    assert "too short" in answer["verdict"]


def test_a_look_that_fails_is_told_and_the_next_ones_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "LOOK_S", 0.3)
    whole, asked = soak.of_store, []

    async def failing(client):
        asked.append(client)
        if len(asked) == 2:
            raise TimeoutError
        return await whole(client)

    monkeypatch.setattr(soak, "of_store", failing)
    path = tmp_path / "soak.json"
    code = soak.run(Order(minutes=0.05, rate=50, cards=50, links=1, books=False), str(path))
    answer = json.loads(path.read_text())
    assert code == 1
    assert "looks that failed: 1 (TimeoutError)" in answer["faults"]
    assert len(answer["looks"]) >= 4
