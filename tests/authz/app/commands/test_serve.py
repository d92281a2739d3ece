"""The engine as a command: what becomes of it when its own store ends, or its port is taken."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
import redis

from authz.app.child import EngineProcess


def store_pid(folder: Path) -> int:
    client = redis.Redis.from_url((folder / "data" / "valkey.address").read_text().strip())
    with client:
        return int(client.info("server")["process_id"])


def test_it_ends_when_the_store_that_it_started_ends(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, "--data-dir", str(tmp_path / "data"))
    try:
        engine.wait_until_ready()
        os.kill(store_pid(tmp_path), signal.SIGKILL)
        until = time.monotonic() + 10
        while engine._process.running and time.monotonic() < until:
            time.sleep(0.05)
        assert not engine._process.running
        assert "has ended" in (tmp_path / "engine.log").read_text()
    finally:
        engine.stop()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_another_pan_key_than_the_stores_is_refused(workers: str, tmp_path: Path) -> None:
    """A pan.key that was lost is drawn anew, and every card would be unknown under it."""
    arguments = ("--data-dir", str(tmp_path / "data"), "--workers", workers)
    engine = EngineProcess(tmp_path, *arguments)
    engine.wait_until_ready()
    engine.stop()
    (tmp_path / "data" / "pan.key").unlink()
    engine = EngineProcess(tmp_path, *arguments)
    with pytest.raises(RuntimeError, match="the PAN key is not the one"):
        engine.wait_until_ready()


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        engine = EngineProcess(tmp_path, "--data-dir", str(tmp_path / "data"), "--port", port)
        with pytest.raises(RuntimeError, match=f"ISO 8583 port {port} is taken"):
            engine.wait_until_ready()


TRIES = 4


def test_a_metrics_port_that_is_taken_is_told_every_time(tmp_path: Path) -> None:
    """And the command ends: it was seen to wait for ever, every second time or so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for n in range(TRIES):
            (tmp_path / str(n)).mkdir()
            engine = EngineProcess(
                tmp_path / str(n), "--data-dir", str(tmp_path / "data"), "--metrics-port", port
            )
            with pytest.raises(RuntimeError, match=f"metrics port {port} is taken"):
                engine.wait_until_ready(timeout_s=10)
