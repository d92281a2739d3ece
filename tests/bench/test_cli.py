"""`authz bench` finds its subcommands, shows an example of each, and imports only what it runs."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from bench.cli import command, said
from bench.load import Order


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


def test_help_loads_no_measurement():
    script = "import sys, bench.cli; print([m for m in sys.modules if m.startswith('bench.')])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert loaded.stdout.strip() == "['bench.cli']"


def test_what_was_not_said_is_left_to_the_defaults():
    assert said({"rate": 100.0, "seconds": None}) == {"rate": 100.0}
    assert Order(rate=100.0).seconds == 30.0
