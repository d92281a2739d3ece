"""Options that commands share: which configuration, which store, which key."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from authz.config import Config, ConfigError, load_config

COMMON = (
    click.option(
        "--config", "config_file", type=click.Path(path_type=Path), envvar="AUTHZ_CONFIG",
        help="A TOML file; docs/configuration.md has every key.",
    ),
    click.option("--redis", "redis_url", help="unix:///path or redis://host:port; else our own."),
    click.option(
        "--data-dir", type=click.Path(path_type=Path),
        help="Where our own store keeps its data. [~/.local/share/authz]",
    ),
    click.option(
        "--pan-key-file", type=click.Path(path_type=Path),
        help="The key that card numbers are hashed under, in hex.",
    ),
    click.option("--embedded", is_flag=True, help="Our own store, whatever the file says."),
)  # fmt: skip


def configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the common options, and the configuration that they add up to."""

    @wraps(command)
    def with_config(
        config_file: Path | None,
        redis_url: str | None,
        data_dir: Path | None,
        pan_key_file: Path | None,
        embedded: bool,
        **others: Any,
    ) -> Any:
        flags = {
            "redis.url": redis_url,
            "embedded.data_dir": data_dir,
            "pan.key_file": pan_key_file,
        }
        config = read_config(config_file, flags | others.pop("flags", {}))
        return command(config=without_url(config) if embedded else config, **others)

    for option in reversed(COMMON):
        with_config = option(with_config)
    return with_config


def read_config(path: Path | None, flags: dict[str, object]) -> Config:
    """Raises: click.UsageError with the key's path."""
    try:
        return load_config(path, os.environ, flags)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def without_url(config: Config) -> Config:
    import msgspec

    redis = msgspec.structs.replace(config.redis, url=None)
    return msgspec.structs.replace(config, redis=redis)
