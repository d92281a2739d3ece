"""Dialects by name and by file, where the configuration finds them."""

import json
import tomllib
from pathlib import Path

import pytest

from authz.config import ConfigError, load_config
from authz.dialects import find_dialect
from iso8583.dialect_file import DialectFileError
from iso8583.dialects import BY_NAME

NORTH = """
name = "North switch"
based_on = "iso87_ascii"

[field.48]
max = 255
"""


def link(tmp_path: Path, dialect: str, network: str = "generic") -> Path:
    file = tmp_path / "authz.toml"
    file.write_text(f'[[link]]\ndialect = "{dialect}"\nnetwork = "{network}"\n')
    return file


def test_ours_by_name() -> None:
    assert find_dialect("iso87_ascii") is BY_NAME["iso87_ascii"]
    with pytest.raises(KeyError):
        find_dialect("iso87")


def test_a_file_lies_beside_the_configuration_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text(NORTH)
    config = load_config(link(tmp_path, "file:north.toml"), {}, {})
    assert config.links[0].dialect == f"file:{tmp_path / 'north.toml'}"
    dialect = find_dialect(config.links[0].dialect)
    assert dialect.fields[48].maximum == 255
    assert find_dialect(config.links[0].dialect) is dialect


def test_json_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "north.json").write_text(json.dumps(tomllib.loads(NORTH)))
    assert find_dialect(f"file:{tmp_path / 'north.json'}").name == "North switch"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NORTH.replace("max", "maks"), "north.toml: field 48: object contains unknown field"),
        (NORTH.replace("255", "9999"), "north.toml: field 48, prefix: too small"),
        ("name = ", "north.toml: Invalid value"),
        ("\x00", "north.toml: "),
    ],
)
def test_a_mistake_is_told_under_the_links_key(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(link(tmp_path, "file:north.toml"), {}, {})
    assert str(caught.value).startswith("link[0].dialect: north.toml: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "network", "said"),
    [
        ("[field.39]\nlength = 3", "generic", "dialect: cannot say what 0110 must: wrong_size"),
        ("[field.70]\nlength = 4", "generic", "dialect: cannot say what 0800 must: wrong_size"),
        ("[field.38]\nkind = 'n'", "generic", "dialect: cannot say what 0110 must: bad_char"),
        ("[field.4]\nlength = 10", "generic", "dialect: cannot say what 0110 must: wrong_size"),
        ("", "iso93", "network: of another version than the dialect; use generic"),
    ],
)
def test_a_dialect_must_be_able_to_say_what_its_network_needs(
    changes: str, network: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "north.toml").write_text(NORTH + changes)
    with pytest.raises(ConfigError) as caught:
        load_config(link(tmp_path, "file:north.toml", network), {}, {})
    assert str(caught.value).startswith(f"link[0].{said}")


def test_what_is_no_file_of_a_dialect(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    (tmp_path / "long.toml").write_bytes(b"#" * 2_000_000)
    for name in ("list.json", "deep.json", "latin.toml", "long.toml", "none.toml", "."):
        with pytest.raises(DialectFileError):
            find_dialect(f"file:{tmp_path / name}")


def test_the_example_of_the_page_is_a_dialect(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    [example] = [part for part in page.split("```") if "based_on" in part and "[field.48]" in part]
    (tmp_path / "north.toml").write_text(example.removeprefix("toml"))
    dialect = find_dialect(f"file:{tmp_path / 'north.toml'}")
    assert (dialect.fields[121].name, 120 in dialect.fields) == ("loyalty", False)
