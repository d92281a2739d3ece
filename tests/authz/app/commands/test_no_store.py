"""Every command that needs a store, where there is none: a sentence, and nothing left behind."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.app.commands import serve

LOOKS = [
    ("show", "account", "acme-1"),
    ("show", "card", "C1"),
    ("show", "message", "--stan", "1"),
    ("show", "authorization", "x"),
    ("reconcile",),
]


@pytest.fixture(autouse=True)
def other_tests_keep_their_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "set_up_log", lambda: None)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.main, words, env={"AUTHZ_REDIS_FSYNC": "always"})


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_a_look_makes_no_store(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    result = run(*words, "--data-dir", str(folder))
    assert (result.exit_code, result.stderr) == (
        1, f"Error: There is no store in {folder} yet: `authz load` makes one.\n",
    )  # fmt: skip
    assert not folder.exists()


def test_so_a_first_load_after_a_look_is_a_first_load(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"))
    run(*LOOKS[0], *where)
    (tmp_path / "accounts.csv").write_text("account_id,currency\nacme-1,USD\n")
    assert run("load", str(tmp_path / "accounts.csv"), *where).exit_code == 0
    assert "acme-1" in run(*LOOKS[0], *where).stdout


@pytest.mark.parametrize("words", [*LOOKS, ("serve",), ("serve", "--workers", "2")], ids=" ".join)
def test_a_store_that_is_not_there_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    url = f"unix://{tmp_path}/none"
    result = run(*words, "--redis", url)
    assert (result.exit_code, result.stderr) == (
        1, f"Error: The store at {url} cannot be reached.\n",
    )  # fmt: skip


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHZ_REDIS_PASSWORD", "swordfish")
    result = run("serve", "--redis", "redis://127.0.0.1:1")
    assert (result.exit_code, result.stderr) == (
        1, "Error: The store at redis://127.0.0.1:1 cannot be reached.\n",
    )  # fmt: skip
