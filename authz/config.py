"""The configuration: one TOML file, checked, with every key's unit, default and reason.

A value comes from a flag, else from the environment (AUTHZ_SECTION_KEY), else from the
file, else from here. Errors name the key by its path and never quote a secret.
docs/configuration.md shows the same tables to operators.
"""

from binascii import unhexlify
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta, Struct

from authz.checks.settings import CheckConfig, problem_of
from authz.config_books import (
    ClearingConfig,
    PostgresConfig,
    SettleConfig,
    check_clearing,
    check_postgres,
)
from authz.config_hosts import ANY_HOST, check_host
from authz.config_rows import check_of, hold_rule
from authz.config_settlement import (
    SettlementConfig,
    check_settlement,
    cycle_rule,
    interchange_rule,
    quote_of,
)
from authz.config_sources import ConfigError, Secret, Sources
from authz.dialects import find_dialect
from authz.wire.networks import NETWORK_OF, NETWORKS, PLAIN
from iso8583.codec import encode
from iso8583.dialect_file import DialectFileError
from iso8583.dialects import BY_NAME
from iso8583.errors import EncodeError
from iso8583.framing import FRAMINGS
from iso8583.spec import Dialect
from rules.holds import HoldRule
from rules.routes import Quote
from rules.settlement import CycleRule, InterchangeRule

__all__ = ["Config", "ConfigError", "Secret", "load_config", "shown"]

PAN_KEY_MIN = 32  # bytes: card numbers are few enough to try them all, so the key is the secret
LOOPBACK = "127.0.0.1"  # nothing is reachable from elsewhere until somebody says so

Count = Annotated[int, Meta(ge=1)]
Millis = Annotated[int, Meta(ge=1, le=60_000)]  # no network waits longer for an answer
Workers = Annotated[int, Meta(ge=1, le=256)]  # all share one store, which two of them keep busy
Port = Annotated[int, Meta(ge=0, le=65_535)]  # 0: any free port
Window = Annotated[int, Meta(ge=1, le=31_536_000)]  # seconds, a year at most
Days = Annotated[int, Meta(ge=1, le=3650)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Frame = Annotated[int, Meta(ge=256)]  # bytes; a plain purchase has 200, and must get through
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Host = Annotated[str, Meta(min_length=1)]


class EngineConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long an answer may take, how much is remembered, how much may be under way."""

    budget_ms: Millis = 200  # last byte read to answer handed over; what networks time out on
    hot_deadline_ms: Millis = 150  # of the hot state; leaves 50 ms to say 91 inside the budget
    near_cache_cards: Count = 100_000  # cards kept with their accounts, 1.3 kB each: 135 MB
    in_flight_max: Count = 4096  # asked at once, of all links; 200 ms at 20,000 a second
    answer_window_s: Window = 3600  # answers to requests: networks repeat within minutes
    advice_window_s: Window = 604_800  # to reversals and advices: stored and forwarded for days
    clock_skew_s: Window = 300  # how far DE 7 may lie ahead of the store's clock
    hold_days: Days = 7  # a hold ends after them if it was never cleared
    workers: Workers = 1  # processes; each needs a core
    state_dir: Path = Path("~/.local/state/authz")  # the spool of withdrawals; survives a restart


class RedisConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the hot state lives, and how durable it must at least be."""

    url: str | None = None  # unix:///path or redis://host:port; none: a server of our own
    user: str | None = None
    password: Secret | None = None  # by AUTHZ_REDIS_PASSWORD, or by the file below
    password_file: Path | None = None
    # What the store must at least have: we refuse to start on less. "off": no AOF asked for.
    fsync: Literal["always", "everysec", "no", "off"] = "always"

    def address(self) -> str | None:
        """The URL with its credentials, for the client that connects. Not to be printed."""
        if self.url is None or self.password is None:
            return self.url
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{quote(self.user or '', '')}:{quote(self.password.reveal(), '')}@{rest}"


class EmbeddedConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The servers that we start ourselves."""

    data_dir: Path = Path("~/.local/share/authz")  # their data; the socket lies elsewhere


class PanConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The key under which card numbers become directory keys."""

    key: Secret | None = None  # by AUTHZ_PAN_KEY, or by the file below; hex, 32 bytes or more
    key_file: Path | None = None
    # One letter or digit, in front of every hash: tells keys apart when one replaces another.
    key_id: Annotated[str, Meta(pattern="^[0-9A-Za-z]$")] = "1"

    def key_bytes(self) -> bytes | None:
        return None if self.key is None else unhexlify(self.key.reveal())


class RulesConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy that is put in force by whoever serves."""

    file: Path | None = None  # at the start and at SIGHUP; none: `authz rules load` alone


class MetricsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where /metrics, /health and /latency are served."""

    host: Host = LOOPBACK
    port: Port = 9583


class LinkConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One listener, or one link that we dial; and what its peers may do."""

    name: Name = "default"  # in logs
    host: Host = LOOPBACK
    port: Port = 8583
    connect: str | None = None  # "host:port" to dial, instead of listening on the two above
    sign_on: bool = True  # we sign on, where we dial
    reconnect_min_s: Seconds = 0.5  # a peer that restarts takes seconds
    reconnect_max_s: Seconds = 30.0  # as long as who has mended a line may wait to see it
    dialect: str = "iso87_ascii"
    framing: str = "binary2"
    network: str = "generic"  # where nobody says it, the dialect's: NETWORK_OF
    partial_approval: bool = False  # all terminals behind it take less than they asked for
    sign_on_required: bool = True  # 0800/001 before anything else
    sign_on_timeout_s: Seconds = 30.0  # where it is required; else strangers keep all seats
    # DE 101, the peer's file of blocked cards; not set: it is told of none.
    file_update: Annotated[str, Meta(pattern="^[!-~]([ -~]{0,15}[!-~])?$")] | None = None
    key_change: bool = False  # acknowledged, though we hold no keys; else refused as unsupported
    in_flight_max: Count = 256  # unanswered requests of one link; those above it wait
    max_frame: Frame = 4096  # bytes; the largest real message has about 1,500
    frame_timeout_s: Seconds = 2.0  # for the rest of a frame that has begun
    idle_echo_s: Seconds = 60.0  # silence, after which we send an echo
    echo_timeout_s: Seconds = 10.0  # for its answer; then the link is dead
    links_max: Count = 100  # connections at once, of each worker; networks hold few
    strikes_max: Count = 3  # unreadable messages in a row before we hang up

    def address(self) -> tuple[str, int]:
        """Where to dial. Raises: ValueError, where `connect` is not host:port."""
        parts = urlsplit(f"//{self.connect}")
        if not parts.hostname or not parts.port or parts.path or "@" in parts.netloc:
            raise ValueError
        return parts.hostname, parts.port


class Config(Struct, frozen=True, kw_only=True):
    """Everything, resolved and checked."""

    engine: EngineConfig = EngineConfig()
    redis: RedisConfig = RedisConfig()
    embedded: EmbeddedConfig = EmbeddedConfig()
    pan: PanConfig = PanConfig()
    rules: RulesConfig = RulesConfig()
    metrics: MetricsConfig = MetricsConfig()
    postgres: PostgresConfig = PostgresConfig()
    settle: SettleConfig = SettleConfig()
    settlement: SettlementConfig = SettlementConfig()
    clearing: ClearingConfig = ClearingConfig()
    links: tuple[LinkConfig, ...] = (LinkConfig(),)  # [[link]] in the file
    holds: tuple[HoldRule, ...] = ()  # [[hold]], the first that fits; none: rules/holds.py
    checks: tuple[CheckConfig, ...] = ()  # [[check]], all asked at the same time
    cycles: tuple[CycleRule, ...] = ()  # [[cycle]], the first that fits; none: rules/settlement.py
    interchange: tuple[InterchangeRule, ...] = ()  # [[interchange]], the first that fits
    fx: tuple[Quote, ...] = ()  # [[fx]], of which the best is taken


SECTIONS: dict[str, type[Struct]] = {
    "engine": EngineConfig,
    "redis": RedisConfig,
    "embedded": EmbeddedConfig,
    "pan": PanConfig,
    "rules": RulesConfig,
    "metrics": MetricsConfig,
    "postgres": PostgresConfig,
    "settle": SettleConfig,
    "settlement": SettlementConfig,
    "clearing": ClearingConfig,
    "link": LinkConfig,
    "hold": HoldRule,
    "check": CheckConfig,
    "cycle": CycleRule,
    "interchange": InterchangeRule,
    "fx": Quote,
}
# What may hold each secret instead of the file that everybody reads.
SECRETS = {
    "redis.password": "redis.password_file",
    "pan.key": "pan.key_file",
    "postgres.password": "postgres.password_file",
}


def load_config(path: Path | None, env: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """The configuration that holds, from all its sources.

    Flags are named by path ("engine.budget_ms"); one that is None was not given. A flag or
    variable for `link` means the only link: several are told apart in the file alone.

    Raises: ConfigError.
    """
    sources = Sources(SECTIONS, SECRETS)
    if path is not None:
        sources.read_file(path)
    sources.read_env(env)
    sources.read_flags(flags)
    sources.read_secret_files()
    tables = sources.tables
    place_folders(tables["engine"], tables["embedded"], env)
    config = Config(
        engine=EngineConfig(**tables["engine"]),
        redis=RedisConfig(**tables["redis"]),
        embedded=EmbeddedConfig(**tables["embedded"]),
        pan=PanConfig(**tables["pan"]),
        rules=RulesConfig(**tables["rules"]),
        metrics=MetricsConfig(**tables["metrics"]),
        postgres=PostgresConfig(**tables["postgres"]),
        settle=SettleConfig(**tables["settle"]),
        settlement=SettlementConfig(**tables["settlement"]),
        clearing=ClearingConfig(**tables["clearing"]),
        links=tuple(link_of(table) for table in sources.listed["link"]),
        holds=tuple(hold_rule(at, table) for at, table in enumerate(sources.listed["hold"])),
        checks=tuple(check_of(at, table) for at, table in enumerate(sources.listed["check"])),
        cycles=tuple(cycle_rule(at, row) for at, row in enumerate(sources.listed["cycle"])),
        interchange=tuple(
            interchange_rule(at, row) for at, row in enumerate(sources.listed["interchange"])
        ),
        fx=tuple(quote_of(at, row) for at, row in enumerate(sources.listed["fx"])),
    )
    check(config)
    return config


def link_of(table: dict[str, Any]) -> LinkConfig:
    """One link. Where nobody said which network, it is that of the dialect."""
    link = LinkConfig(**table)
    if "network" in table:
        return link
    network = NETWORK_OF.get(link.dialect)
    if network is None:
        try:
            network = PLAIN[find_dialect(link.dialect).version]
        except (KeyError, DialectFileError):
            return link  # told of as the dialect's fault, when links are checked
    return msgspec.structs.replace(link, network=network)


def place_folders(engine: dict[str, Any], embedded: dict[str, Any], env: Mapping[str, str]) -> None:
    """Where our own folders lie when nobody said: one of each per user."""
    home = Path(env.get("HOME") or Path.home())
    engine.setdefault(
        "state_dir", Path(env.get("XDG_STATE_HOME") or home / ".local/state", "authz")
    )
    embedded.setdefault(
        "data_dir", Path(env.get("XDG_DATA_HOME") or home / ".local/share", "authz")
    )


def check(config: Config) -> None:
    """What no single key can tell."""
    engine = config.engine
    if engine.hot_deadline_ms >= engine.budget_ms:
        raise ConfigError("engine.hot_deadline_ms: must be below engine.budget_ms")
    if engine.answer_window_s > engine.advice_window_s:
        raise ConfigError("engine.answer_window_s: must not be above engine.advice_window_s")
    if problem := problem_of(config.checks, engine.hot_deadline_ms):
        raise ConfigError(problem)
    check_redis(config.redis)
    check_pan_key(config.pan)
    check_postgres(config.postgres)
    check_settlement(config.settlement, config.fx)
    check_clearing(config.clearing)
    check_host(config.settle.metrics_host, "settle.metrics_host")
    check_host(config.metrics.host, "metrics.host")
    taken = {(config.metrics.host, config.metrics.port): "metrics.port"}
    names: set[str] = set()
    for at, link in enumerate(config.links):
        where = f"link[{at}]"
        check_link(link, where)
        if link.name in names:
            raise ConfigError(f"{where}.name: used twice")
        names.add(link.name)
        if link.connect is not None:
            continue  # its host and port are not used
        for (host, port), owner in taken.items():
            if link.port == port != 0 and (host == link.host or {host, link.host} & ANY_HOST):
                raise ConfigError(f"{where}.port: already taken by {owner}")
        taken[link.host, link.port] = f"{where}.port"


def check_redis(redis: RedisConfig) -> None:
    if redis.url is None:
        return
    try:
        parts = urlsplit(redis.url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ConfigError("redis.url: not an address") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError("redis.url: no user or password here; use redis.user and password_file")
    target = {"unix": parts.path, "redis": parts.hostname}.get(parts.scheme)
    if not target:
        raise ConfigError("redis.url: expected unix:///path or redis://host:port")


def check_pan_key(pan: PanConfig) -> None:
    try:
        key = pan.key_bytes()
    except ValueError:
        raise ConfigError("pan.key: expected hexadecimal digits") from None
    if key is not None and len(key) < PAN_KEY_MIN:
        raise ConfigError(f"pan.key: has {len(key)} bytes, needs {PAN_KEY_MIN}")


def check_link(link: LinkConfig, where: str) -> None:
    check_host(link.host, f"{where}.host")
    known = (
        ("framing", link.framing, tuple(FRAMINGS)),
        ("network", link.network, tuple(NETWORKS)),
    )
    for attribute, value, names in known:
        if value not in names:
            raise ConfigError(f"{where}.{attribute}: unknown; known are {', '.join(names)}")
    if link.connect is not None:
        try:
            link.address()
        except ValueError:
            raise ConfigError(f"{where}.connect: expected host:port") from None
    if link.reconnect_min_s > link.reconnect_max_s:
        raise ConfigError(f"{where}.reconnect_min_s: must not be above reconnect_max_s")
    dialect, framing = check_dialect(link, where), FRAMINGS[link.framing]
    if framing.longest is not None and link.max_frame > framing.longest:
        raise ConfigError(f"{where}.max_frame: {link.framing} cannot count above {framing.longest}")
    if framing.is_text and not dialect.is_text:
        raise ConfigError(f"{where}.framing: carries text only, not the bytes of this dialect")


def check_dialect(link: LinkConfig, where: str) -> Dialect:
    """That the link's dialect is one, and can say what its network must be told."""
    try:
        dialect = find_dialect(link.dialect)
    except KeyError:
        names = ", ".join(BY_NAME)
        raise ConfigError(f"{where}.dialect: unknown; known are {names}, file:…") from None
    except DialectFileError as error:
        raise ConfigError(f"{where}.dialect: {error}") from None
    network = NETWORKS[link.network]
    if dialect.version != network.version:
        named = ", ".join(n.name for n in NETWORKS.values() if n.version == dialect.version)
        raise ConfigError(f"{where}.network: of another version than the dialect; use {named}")
    needed = network.least()
    if link.file_update is not None:
        numbers = ("0" * 19, link.file_update, "260101000000", "000001")
        needed += [network.update_file("add", *numbers), network.update_file("delete", *numbers)]
    for mti, fields in needed:
        try:
            encode(mti, fields, dialect)
        except EncodeError as error:
            raise ConfigError(f"{where}.dialect: cannot say what {mti} must: {error}") from None
    return dialect


SHOWN_AS: dict[str, str] = {"links": "link", "holds": "hold", "checks": "check", "cycles": "cycle"}


def shown(config: Config) -> dict[str, Any]:
    """Plain values for printing, under the names of the file. Secrets stay hidden."""
    plain = msgspec.to_builtins(config, enc_hook=str)
    assert isinstance(plain, dict)
    return {SHOWN_AS.get(str(name), str(name)): value for name, value in plain.items()}
