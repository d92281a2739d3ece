"""The engine as a command: what becomes of it when its own store ends, or its port is taken."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from authz.app.child import EngineProcess
from authz.clock import SystemClock
from authz.dialects import find_dialect
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from tests.authz.test_server import Peer
from tests.support.engine import purchase
from tests.support.iso93 import purchase_1993
from tests.support.switch import Switch


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


LINKS = """
[engine]
workers = {workers}
state_dir = "state"

[embedded]
data_dir = "data"

[metrics]
port = 0

[[link]]
name = "plain"
port = 0
sign_on_required = false

[[link]]
name = "own"
port = 0
sign_on_required = false
dialect = "file:north.toml"
framing = "hex4"
network = "visa"

[[link]]
name = "called"
connect = "127.0.0.1:{port}"
dialect = "iso93_ascii"
framing = "ascii4"
network = "iso93"
reconnect_min_s = 0.05
"""


async def decided(ask: Any, mti: str, fields: dict[int, str]) -> str:
    """DE 39, asked again while a process that is only just up says "ask again"."""
    for _ in range(50):
        code = str((await ask(mti, fields))[39])
        if code not in ("91", "911"):
            break
        await asyncio.sleep(0.05)
    return code


@pytest.mark.parametrize("workers", [1, 2])
def test_several_links_in_several_tongues_some_dialled(workers: int, tmp_path: Path) -> None:
    (tmp_path / "north.toml").write_text(
        "name = 'North'\nbased_on = 'iso87_binary'\n[field.41]\nmax = 20\nprefix = 2\n"
    )

    async def story() -> None:
        switch = await Switch(BY_NAME["iso93_ascii"], FRAMINGS["ascii4"], "iso93").open()
        peers: list[Peer] = []
        file, announced = tmp_path / "authz.toml", tmp_path / "announced.json"
        file.write_text(LINKS.format(workers=workers, port=switch.port))
        engine = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authz", "serve", "--config", file, "--announce", announced,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(30):
                while not announced.exists():
                    await asyncio.sleep(0.02)
                ports = json.loads(announced.read_text())["ports"]
                assert ports.keys() == {"plain", "own"}
                await switch.signed_on.wait()
                for name, dialect, framing in (
                    ("plain", "iso87_ascii", "binary2"),
                    ("own", f"file:{tmp_path / 'north.toml'}", "hex4"),
                ):
                    streams = await asyncio.open_connection("127.0.0.1", ports[name])
                    peer = Peer(*streams, find_dialect(dialect), FRAMINGS[framing])
                    peers.append(peer)
                    asked = purchase(1, 100, at_ms=SystemClock().now_ms())
                    assert await decided(peer.ask, "0100", asked) == "14"
                asked = purchase_1993(1, 100, at_ms=SystemClock().now_ms())
                assert await decided(switch.ask, "1100", asked) == "111"
                await switch.close()
                await switch.open()
                await switch.signed_on.wait()
                assert switch.calls == 2
        finally:
            for peer in peers:
                peer.writer.close()
            await switch.close()
            engine.terminate()
            out, _ = await engine.communicate()
        assert f"ISO 8583  to 127.0.0.1:{switch.port}  iso93_ascii, ascii4" in out.decode()

    asyncio.run(story())
