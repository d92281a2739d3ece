"""`authz config check` says what holds, or what stops it, and hides secrets."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authz.app.cli import main
from authz.config import load_config, shown

KEY = "5a" * 32


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AUTHZ_PAN_KEY", KEY)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", "check", *arguments])


def test_what_is_printed_is_toml_of_the_same_values(tmp_path: Path) -> None:
    file = tmp_path / "authz.toml"
    file.write_text("[[link]]\nname = 'a\"b'\nport = 1\n[[link]]\nname = 'b'\nport = 2\n")

    result = check(str(file))

    assert result.exit_code == 0
    printed = tomllib.loads(result.output)
    assert [link["name"] for link in printed["link"]] == ['a"b', "b"]
    assert printed["engine"]["budget_ms"] == 200
    assert printed["link"][0]["frame_timeout_s"] == 2.0
    assert printed["pan"]["key"] == "‹hidden›"
    assert KEY not in result.output


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_may_be_a_card_number_is_masked(
    form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHZ_ENGINE_STATE_DIR", "/srv/4929123412341234")
    output = check(*form).output
    assert "4929123412341234" not in output
    assert "/srv/492912******1234" in output


def test_json_has_them_too(tmp_path: Path) -> None:
    expected = shown(load_config(None, {"HOME": str(tmp_path), "AUTHZ_PAN_KEY": KEY}, {}))

    assert json.loads(check("--json").output) == json.loads(json.dumps(expected))


def test_a_mistake_is_named_with_exit_code_one(tmp_path: Path) -> None:
    file = tmp_path / "authz.toml"
    file.write_text("[engine]\nbudget_ms = 'soon'\n")

    result = check(str(file))

    assert result.exit_code == 1
    assert result.stderr == "Error: engine.budget_ms: expected `int`, got `str`\n"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = check(str(tmp_path / "none.toml"))

    assert result.exit_code == 1
    assert "none.toml: cannot be read (No such file or directory)" in result.stderr


def test_only_what_differs_from_the_defaults(tmp_path: Path) -> None:
    assert check("--changed").output == '[pan]\nkey = "‹hidden›"\n'
    file = tmp_path / "authz.toml"
    file.write_text(
        "[engine]\nbudget_ms = 200\nhold_days = 3\n[[link]]\ndialect = 'visa'\nframing = 'vap'\n"
        "max_frame = 2048\n[[hold]]\nmcc_group = 'fuel'\ndays = 1\n[[hold]]\ndays = 2\n"
    )
    assert json.loads(check(str(file), "--changed", "--json").output) == {
        "engine": {"hold_days": 3},
        "pan": {"key": "‹hidden›"},
        "link": [
            {
                "name": "default", "dialect": "visa", "framing": "vap", "network": "visa",
                "max_frame": 2048,
            }
        ],
        "hold": [{"mcc_group": "fuel", "days": 1}, {"days": 2}],
    }  # fmt: skip
