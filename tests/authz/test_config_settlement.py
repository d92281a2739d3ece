"""Settlement's part of a configuration: what is wrong is named by its path; what is right is shown
as it was written."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from authz.app.cli import main
from authz.config import ConfigError, load_config

GOOD = """\
[settlement]
grace_s = 60
currencies = { acme = "840", "two words" = "978" }
calendars = { "826" = "target" }
holidays = { "840" = ["2026-12-24"] }

[[cycle]]
network = "visa"
bins = ["4"]
mccs = ["fuel", "5411", "iso:airlines"]
days = 0
cut_off = "17:00"
zone = "America/New_York"

[[interchange]]
card_present = true
percent_bp = 150

[[fx]]
name = "bank"
of = "978"
into = "840"
rate = "1.10"
"""


def load(text: str, folder: Path) -> object:
    path = folder / "authz.toml"
    path.write_text(text)
    return load_config(path, {}, {})


def test_what_is_shown_is_what_was_written(tmp_path: Path) -> None:
    config = load(GOOD, tmp_path)
    shown = CliRunner().invoke(main, ["config", "check", str(tmp_path / "authz.toml")])
    assert shown.exit_code == 0
    (tmp_path / "again").mkdir()
    assert load(shown.output, tmp_path / "again") == config
    changed = CliRunner().invoke(
        main, ["config", "check", "--changed", str(tmp_path / "authz.toml")]
    )
    assert tomllib.loads(changed.output) == tomllib.loads(GOOD)


BAD = [
    # What is changed, into what; the path that is named.
    ('acme = "840"', 'acme = "USD"', "settlement.currencies.acme"),
    ('"826" = "target"', '"826" = "bank"', "settlement.calendars.826: unknown"),
    ('"826" = "target"', '"000" = "target"', "settlement.calendars.000"),
    ("2026-12-24", "24.12.2026", "settlement.holidays.840"),
    ("grace_s = 60", "grace_s = -1", "settlement.grace_s"),
    ("America/New_York", "America/Metropolis", "cycle[0].zone"),
    ("America/New_York", "../etc/passwd", "cycle[0].zone"),
    ("17:00", "24:00", "cycle[0].cut_off"),
    ('"5411"', '"541"', "cycle[0].mccs"),
    ('"iso:airlines"', '"iso:rockets"', "cycle[0].mccs"),
    ('["4"]', '["4111111111111111"]', "cycle[0].bins"),
    ('network = "visa"', 'currency = "999"', "cycle[0].currency"),
    ("percent_bp = 150", "percent_bp = 10001", "interchange[0].percent_bp"),
    ('rate = "1.10"', "", "fx[0].rate: is needed"),
    ('rate = "1.10"', 'rate = "0.0"', "fx[0].rate: must be above zero"),
    ('rate = "1.10"', "rate = 1.10", "fx[0].rate"),
    ('into = "840"', 'into = "978"', "fx[0].into: the same as of"),
    ("[[fx]]", '[[fx]]\nname = "bank"\nof = "978"\ninto = "840"\nrate = "2"\n[[fx]]', "fx[1].name"),
]


@pytest.mark.parametrize(("was", "becomes", "said"), BAD, ids=[row[2] for row in BAD])
def test_a_mistake_is_named_by_its_path(was: str, becomes: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(GOOD.replace(was, becomes, 1), tmp_path)
    assert str(error.value).startswith(said)
    assert "4111111111111111" not in str(error.value)
