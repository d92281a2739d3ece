"""The command line from outside: what it prints, what it loads, how it ends."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.config import ConfigError

CANARY = "4539578763621486"


def python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, env={**os.environ, **env}, timeout=30, check=False,
    )  # fmt: skip


def test_help_lists_every_command_and_imports_none() -> None:
    listed = python("-X", "importtime", "-m", "authz", "--help")

    assert listed.returncode == 0
    for name, line in cli.COMMANDS.items():
        assert f"  {name} " in listed.stdout
        assert line in listed.stdout
    loaded = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    assert "authz.app.cli" in loaded
    for module in ("authz.config", "authz.app.commands", "iso8583", "rich", "redis", "asyncio"):
        assert module not in loaded


def test_help_explains_the_exit_codes() -> None:
    text = CliRunner().invoke(cli.main, ["--help"]).output

    for line in ("0  fine", "1  failed", "2  wrong use", "3  inconclusive"):
        assert line in text


def test_no_help_shows_its_own_markup() -> None:
    def look(command: click.Command, words: list[str]) -> None:
        text = CliRunner().invoke(cli.main, [*words, "--help"]).output
        assert "\\b" not in text, words
        assert "\b" not in text, words
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                look(found, [*words, name])

    look(cli.main, [])


def test_version() -> None:
    result = CliRunner().invoke(cli.main, ["--version"])

    assert (result.exit_code, result.output) == (0, f"authz {version('authz')}\n")


def test_an_unknown_command_is_wrong_use() -> None:
    assert CliRunner().invoke(cli.main, ["settel"]).exit_code == 2


@pytest.mark.parametrize("module", ["authz", "authz.app"])
def test_it_refuses_to_run_without_assertions(module: str) -> None:
    result = python("-O", "-m", module, "--help")

    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "python -O" in result.stderr


def test_both_modules_are_the_command() -> None:
    assert python("-m", "authz.app", "--version").stdout == f"authz {version('authz')}\n"


SPACED, DASHED = "4539 5787 6362 1486", "4539-5787-6362-1486"
SHOWN = "453957******1486"

# The words, what the error says, and what it shows in place of the number.
IN_THE_WRONG_PLACE = [
    ((CANARY,), "No such command", SHOWN),
    ((SPACED,), "No such command", SHOWN),
    ((f"--{CANARY}",), "No such option", SHOWN),
    (("show", CANARY), "No such command", SHOWN),
    (("show", "account", "A1", CANARY), "unexpected extra argument", SHOWN),
    (("show", "account", "A1", *SPACED.split()), "unexpected extra arguments", SHOWN),
    (("show", "card", "C1", DASHED), "unexpected extra argument", SHOWN),
    (("simulate", "--rate", CANARY + "x"), "not a valid float", SHOWN),
    (("simulate", "--dialect", CANARY), "is not one of", SHOWN),
    (("simulate", "--framing", f"pan {DASHED}!"), "is not one of", SHOWN),
    (("serve", "--port", SPACED), "not a valid integer", SHOWN),
    (("load", f"{CANARY}.csv"), "does not exist", SHOWN),
    (("load", f"--partial={CANARY}", "x"), "does not take a value", None),
    (("config", "check", "a", CANARY), "unexpected extra argument", SHOWN),
    (("decode", "--framing", CANARY), "is not one of", SHOWN),
    (("demo", CANARY), "unexpected extra argument", SHOWN),
    (("reconcile", CANARY), "unexpected extra argument", SHOWN),
    (("demo", SPACED.replace(" ", "\u2013")), "unexpected extra argument", SHOWN),
    (("demo", SPACED.replace(" ", "\u00a0")), "unexpected extra argument", SHOWN),
    # What is no card number by its length is hidden whole: it may be more than one, or a track.
    (("demo", CANARY[:12]), "unexpected extra argument", "*" * 12),
    (("demo", CANARY, CANARY), "unexpected extra arguments", "*" * 32),
    (("demo", f"{CANARY}=28122011234567890"), "unexpected extra argument", "*" * 33),
]


@pytest.mark.parametrize(("words", "said", "shown"), IN_THE_WRONG_PLACE)
def test_a_card_number_in_the_wrong_place_is_not_repeated(
    words: tuple[str, ...], said: str, shown: str | None
) -> None:
    result = CliRunner().invoke(cli.main, words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert shown is None or shown in result.stderr
    digits = "".join(filter(str.isdigit, result.output))
    assert CANARY not in digits
    assert CANARY[6:12] not in digits


def test_numbers_that_are_no_card_number_stay_readable() -> None:
    result = CliRunner().invoke(cli.main, ["serve", "--port", "127.0.0.1:858312345"])

    assert "127.0.0.1:858312345" in result.stderr
    assert "Usage: main serve [OPTIONS]" in result.stderr


@pytest.mark.parametrize("words", [[], ["show"]])
def test_without_a_command_the_help_is_shown(words: list[str]) -> None:
    assert "Commands:" in CliRunner().invoke(cli.main, words).output


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """`authz show` that fails with the exception put in here."""
    errors: list[Exception] = []

    @click.command()
    def command() -> None:
        raise errors[0]

    monkeypatch.setattr(cli, "command", lambda module: command)
    monkeypatch.delenv("AUTHZ_DEBUG", raising=False)
    return errors


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(CANARY), "An unexpected ValueError ended this command."),
        (PermissionError(13, "Permission denied", CANARY), "The system refused: Permission"),
        (ConfigError("engine.workers: no"), "Configuration: engine.workers: no."),
        (ExceptionGroup("two", [ValueError(CANARY)]), "An unexpected ExceptionGroup ended"),
        (click.ClickException(f"Not {CANARY}."), f"Error: Not {SHOWN}."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_nobody_expected_ends_in_one_sentence(
    failing: list[Exception], error: Exception, said: str
) -> None:
    failing.append(error)

    result = CliRunner().invoke(cli.main, ["show"])

    assert result.exit_code == 1
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == 1
    assert CANARY not in result.output


def test_debugging_shows_the_traceback(
    failing: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing.append(ValueError("here"))
    monkeypatch.setenv("AUTHZ_DEBUG", "1")

    assert isinstance(CliRunner().invoke(cli.main, ["show"]).exception, ValueError)


def test_the_bench_is_found_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @click.command()
    def command() -> None:
        click.echo("measured")

    fake = type(sys)("bench.cli")
    fake.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bench", type(sys)("bench"))
    monkeypatch.setitem(sys.modules, "bench.cli", fake)

    assert CliRunner().invoke(cli.main, ["bench"]).output == "measured\n"


def test_a_fault_inside_the_bench_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> click.Command:
        raise ModuleNotFoundError(name="hdrh")

    monkeypatch.setattr(cli, "command", missing)

    assert CliRunner().invoke(cli.main, ["bench"]).exit_code == 1


def test_without_a_checkout_the_bench_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> click.Command:
        raise ModuleNotFoundError(name="bench")

    monkeypatch.setattr(cli, "command", missing)

    result = CliRunner().invoke(cli.main, ["bench"])

    assert result.exit_code == 2
    assert "run it in a checkout" in result.stderr
