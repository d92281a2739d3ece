"""What a worker is told before its first link; the rest is tried in test_workers.py."""

import socket
from pathlib import Path

import pytest

from authz.app.worker import Orders, read_orders, write_orders
from authz.checks.settings import CheckConfig
from authz.config import Config, LinkConfig, PanConfig, RedisConfig, RulesConfig, Secret


def test_orders_arrive_with_their_secrets() -> None:
    config = Config(
        redis=RedisConfig(url="redis://there", password=Secret("word")),
        pan=PanConfig(key=Secret("00" * 32), key_file=Path("key")),
        links=(LinkConfig(), LinkConfig(name="other", port=0)),
        rules=RulesConfig(file=Path("policy.toml")),
        checks=(
            CheckConfig(
                name="score", connect=":7001", share_ms=40, when_spent="skip", tells=("risk",)
            ),
        ),
    )
    orders = Orders(config, "redis://:word@there", "unix:///there", "folder/0.sock")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(write_orders(orders) + b"\0")
        assert read_orders(theirs) == orders
        assert theirs.recv(2) == b"\0"  # the first link's byte is left for the door
        ours.close()
        with pytest.raises(EOFError):
            read_orders(theirs)
