"""The configured policy file: at the start of `authz serve`, and at SIGHUP, to a real process."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.app.child import EngineProcess
from authz.hot import admin
from authz.judgement import put_policy, texts_in_force
from tests.scenarios.test_policy import HEAD, rule
from tests.support.hot import opened

GOOD, OTHER = HEAD + rule("refer"), HEAD.replace("1", "2") + rule("decline")
BAD = HEAD + rule("decline", 'mcc = ["79"]')


class Place:
    """A store with open gates, a policy file, and a process that serves."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store = folder, store
        self.file = folder / "policy.toml"
        (folder / "pan.key").write_text("6b" * 32)
        self.process: EngineProcess | None = None

    def start(self, *words: str, configured: bool = True) -> EngineProcess:
        config = self.folder / "authz.toml"
        config.write_text('[rules]\nfile = "policy.toml"\n' if configured else "")
        self.process = EngineProcess(
            self.folder, "--config", str(config), "--redis", self.store,
            "--pan-key-file", str(self.folder / "pan.key"), *words,
        )  # fmt: skip
        return self.process

    def hang_up(self, process: int | None = None) -> None:
        assert self.process is not None
        os.kill(process or self.process.pid, signal.SIGHUP)

    @property
    def log(self) -> str:
        return (self.folder / "engine.log").read_text()

    def in_force(self) -> str:
        return self.ask(texts_in_force)[0]  # type: ignore[no-any-return]

    def put(self, text: str) -> None:
        self.ask(lambda client: put_policy(client, text, "test"))

    def ask(self, work: Callable[[Any], Any]) -> Any:
        async def asked() -> Any:
            client = admin.administrator(self.store)
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(asked())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path, fresh_redis: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    async def open_gates() -> None:
        state = await opened(fresh_redis)
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(open_gates())
    monkeypatch.setenv("AUTHZ_REDIS_FSYNC", "off")
    one = Place(tmp_path, fresh_redis)
    yield one
    if one.process is not None:
        one.process.stop()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_file_is_in_force_at_the_start_and_again_at_each_signal(
    place: Place, workers: str
) -> None:
    place.file.write_text(GOOD)
    place.start("--workers", workers).wait_until_ready()
    assert place.in_force() == GOOD

    place.file.write_text(OTHER)
    place.hang_up()
    until(lambda: place.in_force() == OTHER)

    place.file.write_text(BAD)
    place.hang_up()
    until(lambda: "policy_refused" in place.log)
    assert "policy.toml: rule[0].when, line 5: mcc: not a code: 79" in place.log
    assert place.in_force() == OTHER

    place.put(GOOD)  # by `authz rules load`: whoever loads last
    place.file.write_text(OTHER + "\n")
    if workers == "2":
        worker = re.findall(r'"process": ?(\d+)', place.log)[0]
        place.hang_up(int(worker))
    else:
        place.hang_up()
    until(lambda: place.in_force() == OTHER + "\n")

    place.file.unlink()
    place.hang_up()
    until(lambda: "cannot be read" in place.log)
    assert place.in_force() == OTHER + "\n"
    assert place.process is not None
    assert b"authz_hot_up" in place.process.ask("/metrics"), "it lives"


def test_a_bad_file_at_the_start_leaves_what_is_in_force(place: Place) -> None:
    place.put(GOOD)
    place.file.write_text(BAD)
    place.start().wait_until_ready()
    assert "policy_refused" in place.log
    assert place.in_force() == GOOD


def test_a_bad_file_and_none_in_force_is_no_start(place: Place) -> None:
    place.file.write_text(BAD)
    with pytest.raises(RuntimeError, match=r"line 5: mcc: not a code: 79; and no policy"):
        place.start().wait_until_ready()


def test_without_a_file_a_signal_is_told_and_changes_nothing(place: Place) -> None:
    place.put(GOOD)
    place.start(configured=False).wait_until_ready()
    place.hang_up()
    until(lambda: "policy_not_reloaded" in place.log)
    assert place.in_force() == GOOD


def test_whoever_loads_last_wins_over_a_file_too(place: Place) -> None:
    place.file.write_text(GOOD)
    place.start().wait_until_ready()
    other = place.folder / "other.toml"
    other.write_text(OTHER)
    said = CliRunner().invoke(cli.main, ["rules", "load", str(other), "--redis", place.store])
    assert said.exit_code == 0, said.output
    assert place.in_force() == OTHER
    place.hang_up()
    until(lambda: place.in_force() == GOOD)


def test_a_terminal_that_is_closed_ends_it(place: Place) -> None:
    place.file.write_text(GOOD)
    (place.folder / "authz.toml").write_text('[rules]\nfile = "policy.toml"\n')
    ours, theirs = pty.openpty()
    # A session of its own, whose terminal is this one from when it first opens it.
    opens = f"import os; os.open({os.ttyname(theirs)!r}, os.O_RDWR)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{opens}; import sys; from authz.app.cli import main; main()",
         "serve", "--port", "0", "--metrics-port", "0", "--state-dir", str(place.folder / "state"),
         "--announce", str(place.folder / "up.json"), "--redis", place.store, "--pan-key-file",
         str(place.folder / "pan.key"), "--config", str(place.folder / "authz.toml")],
        stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        os.close(theirs)
        until((place.folder / "up.json").exists)
        os.close(ours)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
