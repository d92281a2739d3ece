"""The sources alone, with sections of their own: who wins, and what is refused."""

from pathlib import Path

import pytest
from msgspec import Struct

from authz.config_sources import ConfigError, Secret, Sources


class Oven(Struct, frozen=True):
    heat: int = 1
    door: bool = False
    book: Path | None = None
    code: Secret | None = None
    code_file: Path | None = None


class Link(Struct, frozen=True):
    port: int = 1


def sources() -> Sources:
    return Sources({"oven": Oven, "link": Link}, {"oven.code": "oven.code_file"})


def test_later_readings_go_over_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[oven]\nheat = 2\nbook = 'recipes'\n[[link]]\nport = 3\n")
    found = sources()

    found.read_file(file)
    found.read_env({"AUTHZ_OVEN_DOOR": "true", "AUTHZ_OVEN_HEAT": "4", "OVEN_HEAT": "5"})
    found.read_flags({"oven.heat": 6, "oven.door": None, "link.port": "7"})

    assert found.tables == {"oven": {"heat": 6, "door": True, "book": tmp_path / "recipes"}}
    assert found.listed.pop("link") == [{"port": 7}]
    assert not any(found.listed.values())


def test_text_is_converted_from_the_environment_and_not_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text("[oven]\nheat = '2'\n")

    with pytest.raises(ConfigError, match=r"^oven\.heat: expected `int`, got `str`$"):
        sources().read_file(file)


def test_a_secret_comes_by_the_environment_or_by_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "code").write_text(" 1234\n")
    by_file, by_env = sources(), sources()

    by_file.read_flags({"oven.code_file": str(tmp_path / "code")})
    by_file.read_secret_files()
    by_env.read_env({"AUTHZ_OVEN_CODE": "5678", "AUTHZ_OVEN_CODE_FILE": str(tmp_path / "code")})
    by_env.read_secret_files()

    assert by_file.tables["oven"]["code"] == Secret("1234")
    assert by_env.tables["oven"]["code"].reveal() == "5678"


def test_a_secret_is_no_flag() -> None:
    with pytest.raises(AssertionError, match="all who can list processes"):
        sources().read_flags({"oven.code": "1234"})


def test_a_secret_does_not_print() -> None:
    secret = Secret("1234")

    assert "1234" not in f"{secret!r} {secret} {[secret]}"
    assert {secret} == {Secret("1234")}
    assert secret != "1234"
