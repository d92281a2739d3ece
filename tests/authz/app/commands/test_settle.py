"""The ledger's writer and its verification as commands, from a store that was just loaded."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ACCOUNTS = """\
account_id,program,currency,opening_funds,credit_line,time_zone,status
acme-1,acme,USD,500.00,100.00,America/New_York,active
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the database's own account can pass through."""
    with tempfile.TemporaryDirectory(prefix="authz-") as name:
        os.chmod(name, 0o711)
        yield Path(name)


def command(folder: Path, *words: str) -> list[str]:
    places = ("--data-dir", str(folder / "data"))
    if words[0] != "load":
        places += ("--ledger-dir", str(folder / "books"))
    return [sys.executable, "-m", "authz", *words, *places]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *words), capture_output=True, text=True, check=False, timeout=60
    )


def started(folder: Path, name: str) -> tuple[subprocess.Popen[bytes], int]:
    """A writer that runs, and its port."""
    file = folder / name
    process = subprocess.Popen(
        command(folder, "settle", "--metrics-port", "0", "--announce", str(file)),
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 30
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    return process, json.loads(file.read_text())["http_port"]


def number(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split(" ")[1])
    raise AssertionError(name)


def until_it_is(port: int, name: str, value: float) -> None:
    until = time.monotonic() + 20
    while number(port, name) != value:
        assert time.monotonic() < until, number(port, name)
        time.sleep(0.05)


def test_loaded_settled_verified(folder: Path) -> None:
    nothing = run(folder, "settle", "--once", "--metrics-port", "0")
    assert nothing.returncode == 1
    assert "There is no store" in nothing.stderr
    assert "There are no books" in run(folder, "ledger", "verify").stderr

    (folder / "accounts.csv").write_text(ACCOUNTS)
    assert run(folder, "load", str(folder / "accounts.csv")).returncode == 0
    once = run(folder, "settle", "--once", "--metrics-port", "0")
    assert (once.returncode, once.stdout) == (0, "65 journal entries written\n"), once.stderr
    whole = run(folder, "ledger", "verify", "--json", "-")
    assert whole.returncode == 0
    report = json.loads(whole.stdout)
    assert (report["ok"], report["entries"], report["postings"]) == (True, 65, 4)
    assert "The books are whole: 65 journal entries, 4 postings, 0 parked." in whole.stderr
    again = run(folder, "settle", "--once", "--metrics-port", "0")
    assert again.stdout == "0 journal entries written\n"


def test_a_second_one_waits_and_takes_over(folder: Path) -> None:
    (folder / "accounts.csv").write_text(ACCOUNTS)
    # A store of its own that both find by its address: the first that needs one starts it.
    assert run(folder, "load", str(folder / "accounts.csv")).returncode == 0
    first, port = started(folder, "first.json")
    try:
        until_it_is(port, "authz_ledger_shards_owned", 64)
        until_it_is(port, "authz_ledger_lag_entries", 0)
        assert number(port, "authz_ledger_entries_total") == 65
        assert number(port, "authz_ledger_postings_total") == 4
        second, other = started(folder, "second.json")
        try:
            assert number(other, "authz_ledger_shards_owned") == 0
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(10) == 0
        assert run(folder, "ledger", "verify").returncode == 0  # beside the one that writes
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0


def test_it_ends_when_a_server_that_it_started_ends(folder: Path) -> None:
    (folder / "accounts.csv").write_text(ACCOUNTS)
    assert run(folder, "load", str(folder / "accounts.csv")).returncode == 0
    writer, _ = started(folder, "writer.json")
    try:
        pid = int((folder / "books" / "postgres-18" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        assert writer.wait(20) == 1
    finally:
        writer.kill()
        writer.wait()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://x/y", "postgres.url: expected postgresql://"),
        ("postgresql://u:secret@h/d", "postgres.url: no password here"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, said: str, folder: Path) -> None:
    done = run(folder, "settle", "--postgres", url)
    assert done.returncode == 2
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_a_postgres_that_is_not_there(folder: Path) -> None:
    (folder / "accounts.csv").write_text(ACCOUNTS)
    assert run(folder, "load", str(folder / "accounts.csv")).returncode == 0
    done = run(folder, "settle", "--postgres", "postgresql://127.0.0.1:1/x", "--once")
    assert done.returncode == 1
    assert "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
