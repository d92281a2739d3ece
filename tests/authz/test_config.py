"""What is refused, by the path of its key; and which source wins."""

from pathlib import Path

import pytest
from msgspec.structs import NODEFAULT, fields

from authz.checks.settings import CheckConfig
from authz.config import Config, ConfigError, Secret, load_config, shown
from rules.holds import HoldRule
from rules.routes import Quote
from rules.settlement import CycleRule, InterchangeRule

DOCS = Path(__file__).parents[2] / "docs"
KEY = "0f" * 32


def load(text: str, tmp_path: Path, **env: str) -> Config:
    file = tmp_path / "authz.toml"
    file.write_text(text)
    return load_config(file, env, {})


def test_without_anything_there_are_defaults() -> None:
    config = load_config(None, {"HOME": "/srv/someone"}, {})

    assert config.engine.budget_ms == 200
    assert config.engine.state_dir == Path("/srv/someone/.local/state/authz")
    assert config.embedded.data_dir == Path("/srv/someone/.local/share/authz")
    assert [link.port for link in config.links] == [8583]
    assert config.redis.address() is None


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "authz.toml"
    file.write_text("[engine]\nbudget_ms = 301\nhold_days = 3\nworkers = 2\n")
    env = {"AUTHZ_ENGINE_BUDGET_MS": "302", "AUTHZ_ENGINE_HOLD_DAYS": "4"}

    engine = load_config(file, env, {"engine.budget_ms": 303, "engine.workers": None}).engine

    assert (engine.budget_ms, engine.hold_days, engine.workers) == (303, 4, 2)
    assert engine.clock_skew_s == 300


# One mistake each; what the error says begins with the path of the key.
MISTAKES = [
    ("[engine]\nbudgt_ms = 1", "engine.budgt_ms: unknown key; did you mean budget_ms?"),
    ("[engin]\nbudget_ms = 1", "engin: unknown section; did you mean engine?"),
    ("engine = 1", "engine: is a section"),
    ("[engine]\nbudget_ms = '200'", "engine.budget_ms: expected `int`, got `str`"),
    ("[engine]\nbudget_ms = 0", "engine.budget_ms: expected `int` >= 1"),
    ("[engine]\nbudget_ms = 200\nhot_deadline_ms = 200", "engine.hot_deadline_ms: must be below"),
    ("[engine]\nanswer_window_s = 9\nadvice_window_s = 8", "engine.answer_window_s: must not"),
    ("[engine]\nbudget_ms = 60001", "engine.budget_ms: expected `int` <= 60000"),
    ("[engine]\nhot_deadline_ms = 60001", "engine.hot_deadline_ms: expected `int` <= 60000"),
    ("[engine]\nworkers = 257", "engine.workers: expected `int` <= 256"),
    ("[engine]\nhold_days = 3651", "engine.hold_days: expected `int` <= 3650"),
    ("[engine]\nanswer_window_s = 31536001", "engine.answer_window_s: expected `int` <= 31536000"),
    ("[engine]\nadvice_window_s = 31536001", "engine.advice_window_s: expected `int` <= 31536000"),
    ("[engine]\nclock_skew_s = 31536001", "engine.clock_skew_s: expected `int` <= 31536000"),
    ("[engine]\nstate_dir = 1", "engine.state_dir: expected text"),
    ("[redis]\nurl = 'http://x'", "redis.url: expected unix"),
    ("[redis]\nurl = 'redis://'", "redis.url: expected unix"),
    ("[redis]\nurl = 'redis://h:x'", "redis.url: not an address"),
    ("[redis]\nurl = 'redis://u:hunter2@h'", "redis.url: no user or password here"),
    ("[redis]\npassword = 'hunter2'", "redis.password: a secret; use AUTHZ_REDIS_PASSWORD or"),
    ("[redis]\npassword_file = 'none'", "redis.password_file: cannot be read"),
    ("[redis]\nfsync = 'sometimes'", "redis.fsync: unknown; known are always, everysec, no, off"),
    ("[pan]\nkey = 'hunter2'", "pan.key: a secret; use AUTHZ_PAN_KEY or pan.key_file"),
    ("[pan]\nkey_id = '12'", "pan.key_id: expected"),
    ("[metrics]\nport = 65536", "metrics.port: expected `int` <= 65535"),
    ("[metrics]\nport = 8583", "link[0].port: already taken by metrics.port"),
    ("link = []", "link: one or more are needed"),
    ("[link]\nport = 1", "link: one or more are needed, each written [[link]]"),
    ("[[link]]\ndialect = 'iso'", "link[0].dialect: unknown; known are iso87_ascii"),
    ("[[link]]\nframing = 'x'", "link[0].framing: unknown; known are "),
    ("[[link]]\nconnect = 'here'", "link[0].connect: expected host:port"),
    ("[[link]]\nconnect = 'here:0'", "link[0].connect: expected host:port"),
    ("[[link]]\nconnect = 'here:65536'", "link[0].connect: expected host:port"),
    ("[[link]]\nconnect = 'a@here:1'", "link[0].connect: expected host:port"),
    ("[[link]]\nconnect = ''", "link[0].connect: expected host:port"),
    ("[[link]]\nreconnect_min_s = 31", "link[0].reconnect_min_s: must not be above"),
    ("[[link]]\nnetwork = 'x'", "link[0].network: unknown; known are generic"),
    ("[[link]]\nframing = 'ascii4'\nmax_frame = 10000", "link[0].max_frame: ascii4 cannot count"),
    ("[[link]]\nframe_timeout_s = 0", "link[0].frame_timeout_s: expected `float` > 0"),
    ("[[link]]\nframe_timeout_s = 86401.0", "link[0].frame_timeout_s: expected `float` <= 86400"),
    ("[[link]]\nsign_on_timeout_s = 0", "link[0].sign_on_timeout_s: expected `float` > 0"),
    ("[[link]]\nidle_echo_s = 86401.0", "link[0].idle_echo_s: expected `float` <= 86400"),
    ("[[link]]\necho_timeout_s = inf", "link[0].echo_timeout_s: expected `float` <= 86400"),
    ("[[link]]\nmax_frame = 255", "link[0].max_frame: expected `int` >= 256"),
    ("[[link]]\nhost = '999.1.1.1'", "link[0].host: not an address"),
    ("[[link]]\nhost = '1.1.1'", "link[0].host: not an address"),
    ("[[link]]\nhost = 'fe80::zz'", "link[0].host: not an address"),
    ("[[link]]\nhost = 'a b'", "link[0].host: neither an address nor the name of a host"),
    ("[metrics]\nhost = '0.0.0.256'", "metrics.host: not an address"),
    ("[[link]]\nport = 65536", "link[0].port: expected `int` <= 65535"),
    ("[[link]]\nport = -1", "link[0].port: expected `int` >= 0"),
    (f"[[link]]\nname = '{'n' * 65}'", "link[0].name: expected `str` of length <= 64"),
    ("[[link]]\nnetwork = 'x'", "link[0].network: unknown; known are generic, visa, mastercard"),
    (
        "[[link]]\ndialect = 'iso93_ascii'\nnetwork = 'generic'",
        "link[0].network: of another version than the dialect",
    ),
    ("[[link]]\nnetwork = 'iso93'", "link[0].network: of another version than the dialect"),
    ("[[link]]\nframing = 'etx'\ndialect = 'iso87_binary'", "link[0].framing: carries text only"),
    ("[[link]]\nmax_frame = 65536", "link[0].max_frame: binary2 cannot count above 65535"),
    ("[[link]]\nfile_update = ''", "link[0].file_update: expected"),
    ("[[link]]\nfile_update = 'BLOCKED CARDS AND MORE'", "link[0].file_update: expected"),
    ("[[link]]\nfile_update = 'GRÜN'", "link[0].file_update: expected"),
    ("[[link]]\nkey_change = 1", "link[0].key_change: expected"),
    ("[[link]]\nidle_echo_s = nan", "link[0].idle_echo_s: expected `float`"),
    ("[[link]]\nport = 1\n[[link]]\nname = 'b'\nportt = 2", "link[1].portt: unknown key"),
    ("[[link]]\nport = 1\n[[link]]\nport = 2", "link[1].name: used twice"),
    ("[[link]]\n[[link]]\nname = 'b'\nhost = '0.0.0.0'", "link[1].port: already taken by link[0]"),
    ("[[hold]]\ndays = 1\nremainder = 'x'", "hold[0].remainder: unknown; known are release, keep"),
    (
        "[[hold]]\ndays = 1\nfinality = 'x'",
        "hold[0].finality: unknown; known are plain, pre, final",
    ),
    ("[[hold]]\ndays = 1\ncredit = 1", "hold[0].credit: unknown; known are posting, approval"),
    ("[[hold]]\ndays = 1\nprogram = 'x'", "hold[0].program: unknown key"),
    ("[[link]", "authz.toml: not TOML"),
]


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("", "generic"),
        ("dialect = 'iso87_binary'", "generic"),
        ("dialect = 'visa'", "visa"),
        ("dialect = 'mastercard'", "mastercard"),
        ("dialect = 'postilion'", "postilion"),
        ("dialect = 'iso93_ascii'", "iso93"),
        ("dialect = 'file:ours.toml'", "iso93"),
        ("dialect = 'visa'\nnetwork = 'generic'", "generic"),
    ],
)
def test_where_nothing_is_said_the_network_is_the_dialects(
    text: str, network: str, tmp_path: Path
) -> None:
    (tmp_path / "ours.toml").write_text('name = "ours"\nbased_on = "iso93_ascii"\n')
    assert load(f"[[link]]\n{text}", tmp_path).links[0].network == network
    if "file:" not in text and "network" not in text and text:
        dialect = text.partition("'")[2].rstrip("'")
        assert load_config(None, {"AUTHZ_LINK_DIALECT": dialect}, {}).links[0].network == network


def test_the_bounds_themselves_are_allowed(tmp_path: Path) -> None:
    text = """
[engine]
hold_days = 3650
answer_window_s = 31536000
advice_window_s = 31536000
[[link]]
port = 65535
max_frame = 65535
frame_timeout_s = 86400.0
"""
    config = load(text, tmp_path)
    assert config.engine.hold_days == 3650
    assert config.links[0].max_frame == 65535


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "fe80::1%eth0", "localhost", "a-1.b_2.net."])
def test_hosts_to_listen_on(host: str, tmp_path: Path) -> None:
    assert load(f"[[link]]\nhost = '{host}'\n", tmp_path).links[0].host == host


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said[:40] for _, said in MISTAKES])
def test_a_mistake_is_named_by_its_path(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)

    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


# What the environment gets wrong names the variable too.
VARIABLES = [
    ("AUTHZ_ENGINE_BUDGET_MS", "soon", "engine.budget_ms: expected `int`, got `str`"),
    ("AUTHZ_ENGINE_BUDGT_MS", "1", "engine.budgt_ms: unknown key"),
    ("AUTHZ_LINK_SIGN_ON_REQUIRED", "maybe", "link.sign_on_required: expected `bool`"),
    ("AUTHZ_REDIS_FSYNC", "now", "redis.fsync: unknown; known are always"),
]


@pytest.mark.parametrize(("name", "text", "said"), VARIABLES)
def test_a_wrong_variable_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, {name: text}, {})

    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith(f"({name})")


def test_other_variables_and_empty_ones_are_left_alone() -> None:
    env = {"AUTHZ_DEBUG": "1", "AUTHZ_TEST_REDIS_URL": "x", "AUTHZ_ENGINE_BUDGET_MS": "", "A": "1"}

    assert load_config(None, env, {}).engine.budget_ms == 200


def test_a_flag_for_the_only_link_and_none_for_several(tmp_path: Path) -> None:
    one = load_config(None, {"AUTHZ_LINK_FRAMING": "ascii4"}, {"link.port": 0})
    assert (one.links[0].port, one.links[0].framing) == (0, "ascii4")

    two = "[[link]]\nname = 'a'\nport = 1\n[[link]]\nname = 'b'\nport = 2\n"
    with pytest.raises(ConfigError, match=r"^link\.port: there are 2, so set it in the file"):
        load(two, tmp_path, AUTHZ_LINK_PORT="3")


def test_any_free_port_may_be_asked_for_twice(tmp_path: Path) -> None:
    text = "[metrics]\nport = 0\n[[link]]\nname = 'a'\nport = 0\n[[link]]\nname = 'b'\nport = 0\n"

    assert len(load(text, tmp_path).links) == 2


def test_a_path_in_a_file_speaks_from_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "pan.key").write_text(f"{KEY}\n")

    config = load("[pan]\nkey_file = 'pan.key'\n[engine]\nstate_dir = 'state'", tmp_path)

    assert config.pan.key_bytes() == bytes.fromhex(KEY)
    assert config.engine.state_dir == tmp_path / "state"


def test_the_environment_beats_a_file_of_secrets(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from the file\n")
    text = "[redis]\nurl = 'redis://h:1'\nuser = 'engine'\npassword_file = 'pw'"

    assert load(text, tmp_path).redis.address() == "redis://engine:from%20the%20file@h:1"
    redis = load(text, tmp_path, AUTHZ_REDIS_PASSWORD="p/w").redis
    assert redis.address() == "redis://engine:p%2Fw@h:1"


@pytest.mark.parametrize(
    ("key", "said"),
    [("xyz", "expected hexadecimal"), ("ab" * 31, "has 31 bytes, needs 32"), ("é", "hexadecimal")],
)
def test_a_weak_pan_key_is_refused_and_not_repeated(key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(None, {"AUTHZ_PAN_KEY": key}, {})

    assert key not in str(caught.value)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "authz.toml"
    with pytest.raises(ConfigError, match=r"authz\.toml: cannot be read \(No such file"):
        load_config(file, {}, {})
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"authz\.toml: not UTF-8"):
        load_config(file, {}, {})


def test_an_empty_file_of_a_secret_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    with pytest.raises(ConfigError, match=r"^pan\.key_file: the file is empty"):
        load("[pan]\nkey_file = 'empty'", tmp_path)


def test_secrets_are_hidden_wherever_a_configuration_is_shown() -> None:
    config = load_config(None, {"AUTHZ_PAN_KEY": KEY, "AUTHZ_REDIS_PASSWORD": "hunter2"}, {})

    text = f"{config} {config!r} {shown(config)} {config.redis.password}"

    assert KEY not in text
    assert "hunter2" not in text
    assert config.redis.password == Secret("hunter2")


def test_the_example_of_the_documentation_is_a_configuration(tmp_path: Path) -> None:
    text = (DOCS / "configuration.md").read_text().partition("## An example")[2]
    (tmp_path / "redis.password").write_text("hunter2\n")
    (tmp_path / "pan.key").write_text(KEY)
    config = load(text.partition("```toml\n")[2].partition("```")[0], tmp_path)
    assert [link.network for link in config.links] == ["generic", "generic", "iso93"]
    assert [rule.mcc_group for rule in config.holds] == ["fuel", "restaurants"]


ROWS = {"hold": HoldRule, "check": CheckConfig, "cycle": CycleRule,
        "interchange": InterchangeRule, "fx": Quote}  # fmt: skip


def test_the_documentation_has_every_key_and_its_default() -> None:
    text = (DOCS / "configuration.md").read_text()

    for section, content in shown(load_config(None, {"HOME": "~"}, {})).items():
        table = content[0] if section == "link" else content
        if section in ROWS:
            assert not content, "none unless told"
            table = {
                field.name: None if field.default is NODEFAULT else field.default
                for field in fields(ROWS[section])
            }
        for key, value in table.items():
            row = next(
                line for line in text.splitlines() if line.startswith(f"| `{section}.{key}`")
            )
            default = (
                ""
                if value in (None, (), {})
                else str(value).lower()
                if value in (True, False)
                else value
            )
            assert str(default) in row, row


@pytest.mark.parametrize(
    ("connect", "address"),
    [("10.0.0.5:7000", ("10.0.0.5", 7000)), ("[::1]:7000", ("::1", 7000)), ("a.b:1", ("a.b", 1))],
)
def test_a_link_that_we_dial_takes_no_port_of_ours(
    connect: str, address: tuple[str, int], tmp_path: Path
) -> None:
    links = [f"[[link]]\nname = '{name}'\nconnect = '{connect}'" for name in "ab"]
    config = load("\n".join([*links, "[[link]]\nname = 'c'"]), tmp_path)
    assert [link.address() for link in config.links[:2]] == [address] * 2
