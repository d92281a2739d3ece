"""The page and the comparison say what the runs said, and nothing is fetched for it."""

import json
import re

import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from bench import report
from bench.cli import command
from bench.compare import table
from bench.report import bins, charts, page

MACHINE = {
    "cores": 2, "cpu": "a <fast> one", "python": "3.11.7", "valkey": "9.1.2", "commit": "abc",
    "date": "2026-11-21", "seed": 1, "durability": "always",
}  # fmt: skip


def answer(**changes):
    histogram = HdrHistogram(1, 60_000_000, 3)
    for us in (900, 1000, 1000, 2000, 250_000):
        histogram.record_value(us)
    return {
        "histogram": histogram.encode().decode(), "machine": MACHINE,
        "asked": {"rate": 400.0, "seconds": 6.0, "cards": 10, "links": 4, "dialect": "iso87_ascii",
                  "p99_ms": 20.0, "p999_ms": 50.0},
        "answered": 5, "sent": 5, "unanswered": 0, "p50_ms": 1.0, "p99_ms": 250.0,
        "p999_ms": 250.0, "max_ms": 250.0, "over_budget": 1, "stalls": 0, "audit_ok": True,
        "verdict": "p99 over 20 ms", "exit_code": 1,
        "busy_share": 0.3, "others_share": 0.0, "steal_share": 0.0,
        "generator_us": 80.0, "engine_us": 200.0, "store_us": 150.0, "writer_us": 60.0,
        "postgres_us": 50.0, "journal_lag_max": 10, "drained_s": 0.2,
        "fdatasync_ms": {"p50": 0.1, "p99": 0.4}, "memory_mb": {"engine": 76.0},
        "stages_us": {"decode": 50.0, "hot": 1000.0},
        "by_second": [[0, 3, 1.0, 2.0], [1, 2, 1.0, 250.0]],
    } | changes  # fmt: skip


def test_the_page_holds_all_and_fetches_nothing():
    html = page([("one", answer()), ("two", answer(max_ms=3.0))])
    assert not re.search(r"(src|href)\s*=|@import|url\(", html.split("<script>")[0])
    assert html.count("<h1>") == 2
    assert "a &lt;fast&gt; one" in html
    assert "<div class=bad><b>250.0 ms</b>slowest</div>" in html
    assert "<div class=bad><b>250.00 ms</b>p99.9</div>" in html
    assert "<div class=bad><b>not met</b>SLA: p99 20, p99.9 50 ms, all answered</div>" in html
    assert "fdatasync on this disk: p50 0.10, p99 0.40 ms" in html
    data = json.loads(re.search(r"const RUNS = (.*?);\n", html)[1].replace("<\\/", "</"))
    assert [run["id"] for run in data] == ["run0", "run1"]
    assert data[0]["seconds"] == [[0, 1], [3, 2], [2.0, 250.0]]


def soaked(**changes):
    """A soak without books: no figures of theirs."""
    looks = [
        {"at_s": 5.0, "engine_mb": 70.0, "keys": 100.0, "p50_ms": 1.0},
        {"at_s": 10.0, "engine_mb": 71.0, "keys": 110.0},  # nothing was answered meanwhile
    ]
    return {
        "machine": MACHINE, "minutes": 0.2, "looks": looks, "first": looks[0], "last": looks[1],
        "slopes_per_h": {"engine_mb": 720.0, "keys": 7200.0}, "answered": 9, "sent": 10,
        "verdict": "engine gains 720 MB an hour; a <fault>",
        "asked": {"rate": 50.0, "cards": 10, "links": 4, "books": False},
    } | changes  # fmt: skip


def test_a_soak_is_drawn_over_its_minutes_with_what_it_gains_in_an_hour():
    html = page([("long", soaked()), ("one", answer())])
    assert html.count("<h1>") == 2
    text = html.replace("\n", "")
    assert "<td>engine, MB</td><td>70.00</td><td>71.00</td><td>+720.00</td>" in text
    assert "The verdict: engine gains 720 MB an hour; a &lt;fault&gt;." in text
    drawn = json.loads(re.search(r"const SOAKS = (.*?);\n", html)[1].replace("<\\/", "</"))
    assert [(chart["names"], chart["data"]) for chart in drawn] == [
        (["engine, MB"], [[0.083, 0.167], [70.0, 71.0]]),
        (["p50, ms"], [[0.083, 0.167], [1.0, None]]),
        (["keys"], [[0.083, 0.167], [100.0, 110.0]]),
    ]
    assert all(f'<div id="{chart["id"]}">' in html for chart in drawn)
    with pytest.raises(ValueError, match="broken: a part of the run is missing"):
        page([("broken", {"machine": MACHINE, "looks": []})])


@pytest.mark.parametrize("told", [soaked, answer])
def test_what_should_be_a_number_is_no_way_into_the_page(told):
    asked = told()["asked"] | {"links": "<script>", "rate": 1.0}
    with pytest.raises(ValueError, match="odd: a part of the run is missing or broken"):
        page([("odd", told(asked=asked))])
    comment = "<!--<script>"
    html = page([("odd", soaked(looks=[{"at_s": 5.0, "keys": comment}]))])
    assert comment not in html
    with pytest.raises(ValueError, match="odd: "):
        page([("odd", told(asked=told()["asked"] | {"rate": "fast"}))])


def test_every_answer_is_in_one_bin():
    told = answer()
    drawn = charts("x", told)
    assert sum(drawn["histogram"][1]) == 5
    edges, counts = bins(HdrHistogram.decode(told["histogram"]))
    assert edges == sorted(edges)
    assert edges[-1] >= 250
    assert counts[0] > 0
    assert counts[-1] == 1
    assert bins(HdrHistogram(1, 60_000_000, 3)) == ([], [])


def test_a_run_without_an_answer_has_a_page_without_a_curve():
    drawn = charts("x", answer(histogram=HdrHistogram(1, 1000, 3).encode().decode(), by_second=[]))
    assert set(drawn["percentiles"][1]) == {None}
    assert drawn["histogram"] == [[], []]


def test_the_command_refuses_what_is_no_run(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "good.json").write_text(json.dumps(answer()))
    html = tmp_path / "o.html"
    done = CliRunner().invoke(command, ["report", str(tmp_path / "a.json"), "--html", str(html)])
    assert done.exit_code == 1
    assert "not what" in done.output
    assert not html.exists()
    done = CliRunner().invoke(command, ["report", str(tmp_path / "good.json"), "--html", str(html)])
    assert done.exit_code == 0, done.output
    assert html.stat().st_size > 50_000


def test_a_broken_file_is_named_and_a_run_is_not_overwritten(tmp_path):
    broken, good = tmp_path / "broken.json", tmp_path / "good.json"
    broken.write_text("[" * 200_000)
    report_of_broken = ["report", str(broken), "--html", str(tmp_path / "o.html")]
    assert "broken.json: not JSON" in CliRunner().invoke(command, report_of_broken).output
    broken.write_text('{"machine": ')
    good.write_text(json.dumps(answer()))
    was = good.read_bytes()
    for words, why in (
        (["report", str(good), str(broken), "--html", str(tmp_path / "o.html")], "not JSON"),
        (["report", str(good), "--html", str(good)], "the place of its own run"),
        (["report", str(good), "--html", str(tmp_path / "o.html"), "--png", str(good)], "own run"),
        (["compare", str(good), str(broken)], "not JSON"),
    ):
        done = CliRunner().invoke(command, words)
        assert done.exit_code == 1
        assert why in done.output
        assert ("broken.json" if why == "not JSON" else "good.json") in done.output
    assert good.read_bytes() == was
    half = tmp_path / "half.json"
    half.write_text(json.dumps({name: answer()[name] for name in ("machine", "histogram")}))
    html = tmp_path / "o.html"
    done = CliRunner().invoke(command, ["report", str(half), "--html", str(html)])
    assert done.exit_code == 1
    assert "half: a part of the run is missing" in done.output
    assert not html.exists()


def test_a_picture_needs_a_browser(tmp_path, monkeypatch):
    (tmp_path / "good.json").write_text(json.dumps(answer()))
    html, png = tmp_path / "o.html", tmp_path / "o.png"
    words = ["report", str(tmp_path / "good.json"), "--html", str(html), "--png", str(png)]
    monkeypatch.setattr(report, "BROWSERS", ("no-such-browser",))
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 1
    assert "none is here: no-such-browser" in done.output
    assert not html.exists()
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nfor a; do case $a in --screenshot=*) : > ${a#*=};; esac; done\n")
    browser.chmod(0o755)
    monkeypatch.setattr(report, "BROWSERS", (str(browser),))
    assert CliRunner().invoke(command, words).exit_code == 0
    assert png.exists()


def test_what_a_newer_run_tells_is_on_the_page_and_an_older_one_has_a_page_too():
    newer = answer(
        asked=answer()["asked"] | {"ramp": {"start": 500.0, "end": 6000.0}},
        by_share={"authorizations": {"offered": 9, "per_cent": 90.0, "approved": 9}},
        garbage={"pauses": 3, "total_ms": 4.5, "longest_ms": 2.0, "by_generation": {}},
        generator={"core_share": 0.97, "left_late_p50_ms": 0.1, "left_late_p99_ms": 30.0,
                   "bottleneck": "it used 97% of a core"},
    )  # fmt: skip
    html = page([("newer", newer), ("older", answer())])
    assert "<h1>500 to 6,000 messages a second for 6 s</h1>" in html
    assert "<h1>400 messages a second for 6 s</h1>" in html
    for once in ("Traffic: 90.0 % authorizations.", "3 pauses, ", "the bottleneck: it used 97%"):
        assert html.count(once) == 1
    assert any(line.startswith("p99_ms ") for line in table(answer(), newer))


def test_ratios_and_what_else_differs():
    other = answer(p50_ms=2.0, machine=MACHINE | {"commit": "def"})
    lines = list(table(answer(), other))
    assert lines[0] == "differs: machine commit: abc → def"
    assert any(re.match(r"p50_ms +1\.000 +2\.000 +2\.00$", line) for line in lines)
    assert any(line.startswith("fdatasync_ms.p99 ") for line in lines)
    assert not any(line.startswith(("histogram", "audit_ok")) for line in lines)
    worse = answer(audit_ok=False, books_faults=["one"], verdict="p99 over 10 ms", exit_code=1)
    lines = list(table(answer(), worse))
    assert "differs: audit_ok: True → False" in lines
    assert any(line.startswith("differs: verdict: ") for line in lines)
    with pytest.raises(ValueError, match="not of one command"):
        list(table(answer(), {"machine": MACHINE, "scenes": {}}))
    with pytest.raises(ValueError, match="no figure in common"):
        list(table({"machine": {}, "a": 1}, {"machine": {}, "b": 1}))
