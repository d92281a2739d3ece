"""Scenes of trouble: each is really made, and its figures say what happened when."""

import asyncio
import json
import re

import pytest
from click.testing import CliRunner

from bench import scenes, trouble
from bench.cli import command
from bench.load import FAILED, INCONCLUSIVE, OK
from bench.open_loop import Sent
from bench.report import page
from bench.scenes import SCENES, Ground, told_by
from bench.trouble import Order, faults_of, verdict
from bench.trouble_figures import Window, figures
from bench.trouble_words import table


def sent_of(*rows):
    """Due, seconds until its answer (None: none), DE 39, link."""
    sent = Sent(len(rows))
    sent.count = len(rows)
    for number, (due, took_s, code, link) in enumerate(rows):
        sent.dues[number], sent.links[number] = due, link
        if took_s is not None:
            sent.hear(number, code, due + took_s)
    return sent


def steady(since, until, took_s, code="00", link=0, step=0.01):
    return [(since + n * step, took_s, code, link) for n in range(round((until - since) / step))]


def test_before_during_and_after_are_told_apart():
    sent = sent_of(
        *steady(100.0, 101.0, 0.5),  # warm-up
        *steady(101.0, 103.0, 0.004),
        *steady(103.0, 103.5, 0.150),
        *steady(103.5, 103.6, 0.050, "91"),
        *steady(103.6, 104.0, 0.004),
        *steady(104.0, 105.0, 0.030),
        *steady(105.0, 107.0, 0.005),
    )
    f = figures(sent, Window(103.0, 103.2), 1.0, 10.0)
    assert (f["sent"], f["answered"], f["unanswered"], f["over_budget"]) == (700, 700, 0, 0)
    assert f["before"]["max_ms"] == pytest.approx(4.0)
    assert f["before"]["per_s"] == pytest.approx(100, rel=0.03)
    # A trouble of a moment is looked at for a second, and from a little before it.
    during = f["during"]
    assert (during["verdicts"], during["told_91"]) == (95, 10)
    assert during["max_ms"] == pytest.approx(150.0)
    assert during["told_91_p50_ms"] == during["told_91_max_ms"] == pytest.approx(50.0)
    assert f["after"]["max_ms"] == pytest.approx(30.0)
    # Seconds from 103.2: the first two are slow, the third is back.
    assert (f["recovered_s"], f["back_ms"]) == (2.0, 10.0)
    assert f["trouble_s"] == [3.0, 3.2]
    assert sum(slot[1] + slot[2] for slot in f["slots"]) == 700
    assert [slot[2] for slot in f["slots"] if slot[2]] == [10]


def test_a_link_told_apart_is_in_no_other_figure():
    sent = sent_of(
        *sorted([*steady(1.0, 3.0, 0.004, link=1), *steady(1.0, 3.0, 0.900, link=0)]),
        (3.0, None, "", 0),
    )
    f = figures(sent, Window(1.5, 2.5), 0.0, 10.0, apart=True)
    assert (f["over_budget"], f["unanswered"]) == (0, 1)
    assert f["during"]["max_ms"] == pytest.approx(4.0)
    assert f["slow"]["over_budget"] == f["slow"]["verdicts"] > 90
    assert figures(sent, Window(1.5, 2.5), 0.0, 10.0)["over_budget"] == 200


def test_nothing_recovers_by_refusing_or_by_silence():
    told = [*steady(0.0, 2.0, 0.004), *steady(2.0, 5.0, 0.001, "91")]
    assert figures(sent_of(*told), Window(2.0, 2.0), 0.0, 10.0)["recovered_s"] is None
    gap = [*steady(0.0, 2.0, 0.004), *steady(4.0, 6.0, 0.004)]
    assert figures(sent_of(*gap), Window(2.0, 2.0), 0.0, 10.0)["recovered_s"] == 2.0
    # Where the time before was no better, that is what it comes back to.
    slow = [*steady(0.0, 2.0, 0.030), *steady(2.0, 4.0, 0.030)]
    assert figures(sent_of(*slow), Window(2.0, 2.0), 0.0, 10.0)["recovered_s"] == 0.0


def test_no_answers_at_all_are_figures_too():
    f = figures(sent_of((1.0, None, "", 0)), Window(1.0, 1.1), 0.0, 10.0)
    assert (f["unanswered"], f["recovered_s"], f["slots"]) == (1, None, [])


FINE = {
    "sent": 10_000, "over_budget": 0, "served_share": None, "stalls": 0, "faults": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, OK),
        ({"served_share": 0.8}, OK),
        ({"served_share": 0.79}, FAILED),
        ({"served_share": 0.79, "stalls": 1}, INCONCLUSIVE),
        ({"over_budget": 10}, INCONCLUSIVE),
        ({"over_budget": 11}, FAILED),
        ({"over_budget": 11, "stalls": 1}, INCONCLUSIVE),
        ({"faults": ["one"], "stalls": 1}, FAILED),
    ],
)
def test_exit_codes(changes, code):
    assert verdict({"a": FINE, "b": FINE | changes, "c": {"skipped": "no books"}})[0] == code


@pytest.mark.parametrize(
    "changes",
    [{"audit_ok": False}, {"unanswered": 1}, {"extra": 1}, {"links_lost": 1},
     {"books_faults": ["not drained"]}],
)  # fmt: skip
def test_a_promise_that_was_not_kept_is_a_fault(changes):
    fine = {"audit_ok": True, "unanswered": 0, "extra": 0, "links_lost": 0, "books_faults": []}
    assert faults_of(fine) == []
    assert len(faults_of(fine | changes)) == 1


PLAYED = tuple(name for name in SCENES if name != "fsync")  # that needs no servers to be tried


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Each scene as short as it can be."""
    path = tmp_path_factory.mktemp("trouble") / "trouble.json"
    order = Order(
        rate=200, warm_up_s=0.1, calm_s=0.2, lasts_s=0.2, overload_s=0.3, capacity_s=0.1,
        cards=50, rules=1, scenes=PLAYED,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "SLOW_S", 0.2)
        patch.setattr(trouble, "FIRST_CLOSED", 300)
        code = trouble.run(order, str(path))
    return code, json.loads(path.read_text(encoding="utf-8"))


def test_every_scene_is_played_and_all_that_is_promised_holds_after_it(played):
    code, answer = played
    assert tuple(answer["scenes"]) == PLAYED
    for name, a in answer["scenes"].items():
        assert a["faults"] == [], name
        assert a["answered"] == a["sent"] > 0
        assert a["before"]["verdicts"] > 0
        began, ended = a["trouble_s"]
        assert 0.2 < began <= ended
    assert answer["exit_code"] == code
    assert answer["capacity_per_s"] > 0


@pytest.mark.parametrize(
    ("name", "fact"),
    [("checkpoint", "checkpoint_ms"), ("gc", "collection_ms"),
     ("rewrite", "aof_mb_after")],
)  # fmt: skip
def test_each_trouble_was_really_made(played, name, fact):
    assert played[1]["scenes"][name]["facts"][fact] > 0


def test_a_pause_is_seen_in_what_fell_due_in_it(played):
    pause = played[1]["scenes"]["pause"]
    assert pause["during"]["max_ms"] >= 60  # of the 100; what fell due later in it waited less


def test_an_overload_asks_for_twice_of_what_was_managed(played):
    a = played[1]["scenes"]["overload"]
    during = a["during"]
    asked = during["verdicts"] + during["told_91"]
    assert asked > 0.4 * a["capacity_per_s"]  # 0.3 s of it, of capacities before and after
    assert a["served_share"] == pytest.approx(during["per_s"] / a["capacity_per_s"], abs=0.01)


def test_the_slow_link_is_told_apart(played):
    assert played[1]["scenes"]["slow-link"]["slow"]["verdicts"] > 0
    assert played[1]["scenes"]["pause"]["slow"] is None


def test_it_is_told_as_a_table_and_drawn_on_the_page(played):
    answer = played[1]
    lines = "\n".join(table(answer))
    html = page([("one", answer)])
    for name in PLAYED:
        scene = SCENES[name]
        assert f"{name}: {scene.title}" in lines
        assert f"<h2>{scene.title}</h2>" in html
        assert f'id="run0-{name}"' in html
    data = json.loads(re.search(r"const SCENES = (.*?);\n", html)[1].replace("<\\/", "</"))
    assert [each["id"] for each in data] == [f"run0-{name}" for name in PLAYED]
    assert all(len({len(row) for row in each["slots"]}) == 1 for each in data)
    assert "const RUNS = [];" in html
    assert not re.search(r"(src|href)\s*=|@import|url\(", html.split("<script>")[0])


def test_a_scene_without_what_it_troubles_is_skipped():
    skipped = {"title": "A checkpoint", "skipped": "there are no books to trouble"}
    answer = {"capacity_per_s": 1.0, "rate": 1.0, "scenes": {"checkpoint": skipped},
              "verdict": "fine", "exit_code": 0}  # fmt: skip
    assert "checkpoint: skipped, there are no books to trouble" in list(table(answer))


def test_a_scene_that_is_not_there_is_wrong_use():
    done = CliRunner().invoke(command, ["trouble", "earthquake"])
    assert done.exit_code == 2
    assert "no scene 'earthquake'; there are pause, fsync" in done.output


def test_the_disk_is_kept_busy_and_left_clean(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "FSYNC_S", 0.05)
    monkeypatch.setattr(scenes, "PROBES", 5)
    said = asyncio.run(scenes.fsync(Ground(None, tmp_path, tmp_path, None)))
    assert said["fsyncs"] >= scenes.FSYNC_WRITERS
    assert said["fdatasync_ms"]["p99"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path):
    path = tmp_path / "collected"
    assert told_by(path) == []
    path.write_text("0.010000\n0.02")
    assert told_by(path) == [0.01]
