"""`authz bench` finds its subcommands, shows an example of each, and imports only what it runs."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from bench.cli import command, said
from bench.load import Order, Ramp
from bench.mix import WITHOUT_ADVICES, Mix


@pytest.mark.parametrize("name", ["codec", "clearing", "decide", "hot", "load", "memory"])
def test_each_subcommand_has_help_with_an_example_and_json(name):
    answer = CliRunner().invoke(command, [name, "--help"])

    assert answer.exit_code == 0
    assert f"authz bench {name}" in answer.output
    assert "--json FILE" in answer.output


@pytest.mark.parametrize(
    "wrong", [["nothing"], ["load", "--rate", "0"], ["memory", "--cards", "x"]]
)
def test_wrong_use_is_exit_code_2(wrong):
    assert CliRunner().invoke(command, wrong).exit_code == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--rate nan", "no number to measure with"),
        ("--seconds inf", "is not in the range 1<=x<=3600"),
        ("--seconds nan", "no number to measure with"),
        ("--rate 1000000", "not in the range"),
        ("--ramp 500", "two rates with a colon"),
        ("--ramp 500:x", "two rates with a colon"),
        ("--ramp 500:nan", "each from 1 to 100,000"),
        ("--ramp 0:500", "each from 1 to 100,000"),
        ("--ramp 1:2 --rate 3", "leave --rate out"),
        ("--mix authorizations=90", "add up to 90, not to 100"),
        ("--mix purchases=100", "is no share"),
        ("--dialect visa --mix authorizations=90,advices=10", "are said in iso87_ascii"),
    ],
)
def test_a_load_that_cannot_be_made_is_refused_before_anything_starts(words, why):
    answer = CliRunner().invoke(command, ["load", *words.split()])
    assert answer.exit_code == 2
    assert why in answer.output


@pytest.mark.parametrize(
    ("path", "why"), [("no/such/folder.json", "cannot be written"), (".", "is a folder")]
)
def test_where_nothing_can_be_written_nothing_is_measured(path, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("load", "capacity", "codec", "memory"):
        answer = CliRunner().invoke(command, [name, "--json", path])
        assert answer.exit_code == 2
        assert why in answer.output


def test_a_load_is_what_was_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr("bench.load.run", lambda order, path: asked.append(order) or 0)
    for words in ("", "--ramp 500:1500", "--mix authorizations=95,repeats=5", "--dialect visa"):
        assert CliRunner().invoke(command, ["load", *words.split()]).exit_code == 0
    assert asked == [
        Order(),
        Order(rate=1000.0, ramp=Ramp(500.0, 1500.0)),
        Order(mix=Mix(95.0, 5.0, 0.0, 0.0, 0.0)),
        Order(dialect="visa", mix=WITHOUT_ADVICES),
    ]


def test_help_loads_no_measurement():
    script = (
        "import sys, bench.cli; print(sorted(m for m in sys.modules if m.startswith('bench.')))"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert loaded.stdout.strip() == "['bench.cli', 'bench.options']"


def test_what_was_not_said_is_left_to_the_defaults():
    assert said({"rate": 100.0, "seconds": None}) == {"rate": 100.0}
    assert Order(rate=100.0).seconds == 30.0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("growth --rate 1e9", "is not in the range 1<=x<=100000"),
        ("growth --seconds 1e9", "is not in the range 1<=x<=3600"),
        ("soak --rate 1e9", "is not in the range"),
        ("capacity --start 1e9", "is not in the range"),
        ("trouble --rate 1e9", "is not in the range"),
        ("drill --rate 1e9", "is not in the range"),
        ("report pyproject.toml --html /nonexistent/page.html", "/nonexistent/page.html cannot be"),
        ("report pyproject.toml --html /tmp", "/tmp is a folder"),
    ],
)
def test_what_would_run_away_or_could_not_be_written_is_refused(words, why):
    answer = CliRunner().invoke(command, words.split())
    assert answer.exit_code == 2
    assert why in answer.output
