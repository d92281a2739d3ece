"""An engine's spools: its own store's, and nobody else's meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from authz.app import spools
from authz.app.spools import SpoolsTaken, open_spool, spools_locked
from authz.config import Config, EngineConfig
from authz.hot.acts import Withdraw
from authz.hot.errors import NotConnected
from authz.withdrawals import Withdrawals, read_spool
from tests.support.scene import Scene


def act(n: int) -> Withdraw:
    return Withdraw(
        account_id="A", shard_of="A", message_id=f"m{n}", attempt=f"t{n}",
        answer_ttl_s=60,
    )  # fmt: skip


class Nowhere:
    async def withdraw(self, act: Withdraw, timeout_s: float) -> str:
        raise NotConnected("not connected")


def config(folder: Path, workers: int = 1) -> Config:
    return Config(engine=EngineConfig(state_dir=folder, workers=workers))


def opened(folder: Path, store_id: str, workers: int = 1) -> Withdrawals:
    return open_spool(config(folder, workers), store_id, Nowhere(), lambda outcome: None)


def test_what_another_store_must_take_back_is_told_and_left_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = opened(tmp_path, "one")
    first.note(act(1))
    first.close()
    other = opened(tmp_path, "two")
    assert len(other) == 0
    other.close()
    out = "".join(capsys.readouterr())
    assert "spool_of_another_store" in out
    assert "withdrawals-one-0.jsonl" in out
    again = opened(tmp_path, "one")
    assert len(again) == 1
    again.close()


def test_an_empty_spool_of_another_store_is_not_worth_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(tmp_path, "one").close()
    opened(tmp_path, "two").close()
    assert capsys.readouterr().out == ""


def test_spools_of_workers_there_are_no_more_are_taken_over_of_this_store_only(
    tmp_path: Path,
) -> None:
    for store_id, n in (("one", 1), ("one", 2), ("two", 2)):
        left = Withdrawals(tmp_path / f"withdrawals-{store_id}-{n}.jsonl", Nowhere())
        left.note(act(n))
        left.close()
    spool = opened(tmp_path, "one", workers=2)
    assert list(spool._pending) == ["t2"]  # number 1 has a worker
    spool.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "withdrawals-one-0.jsonl", "withdrawals-one-1.jsonl", "withdrawals-two-2.jsonl",
    ]  # fmt: skip


def test_a_second_engine_is_told_which_file_and_gets_it_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "LOCK_WAIT_S", 0.05)

    async def story() -> None:
        async with spools_locked(config(tmp_path), "one"):
            with pytest.raises(SpoolsTaken, match=r"already running on this store: .*-one\.lock"):
                async with spools_locked(config(tmp_path), "one"):
                    pass
            async with spools_locked(config(tmp_path), "two"):
                pass  # another store's spools are other files
        async with spools_locked(config(tmp_path), "one"):
            pass

    asyncio.run(story())


def test_the_lock_lasts_as_long_as_a_worker_that_inherited_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent that is gone may leave a worker that still answers, and notes."""
    monkeypatch.setattr(spools, "LOCK_WAIT_S", 0.05)

    async def story() -> None:
        async with spools_locked(config(tmp_path), "one") as lock:
            worker = subprocess.Popen(  # noqa: ASYNC220 - it does not block for long
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,)
            )
        try:
            with pytest.raises(SpoolsTaken):
                async with spools_locked(config(tmp_path), "one"):
                    pass
        finally:
            worker.communicate(b"\n")
        async with spools_locked(config(tmp_path), "one"):
            pass

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_engine_on_the_same_folder_stops_with_one_sentence(
    workers: int, tmp_path: Path
) -> None:
    scene = Scene(tmp_path)
    try:
        until_locked(tmp_path / "state")
        second = subprocess.run(
            [
                sys.executable, "-m", "authz", "serve", "--redis", scene.valkey.url, "--port", "0",
                "--metrics-port", "0", "--state-dir", tmp_path / "state", "--pan-key-file",
                tmp_path / "pan.key", "--workers", str(workers),
            ],
            capture_output=True, timeout=30, text=True, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert "An engine is already running on this store" in second.stderr
        assert "Traceback" not in second.stderr
        os.kill(scene.engine.pid, signal.SIGKILL)  # and then the next may have it
        scene.engine.kill()
        lock = next((tmp_path / "state").glob("*.lock")).name
        store_id = lock.removeprefix("withdrawals-").removesuffix(".lock")

        async def take() -> None:
            async with spools_locked(config(tmp_path / "state"), store_id):
                assert read_spool(tmp_path / "state" / f"withdrawals-{store_id}-0.jsonl") == {}

        asyncio.run(take())
    finally:
        scene.stop()


def until_locked(folder: Path) -> None:
    """The spool is opened after the lock was taken."""

    async def look() -> None:
        async with asyncio.timeout(20):
            while not list(folder.glob("*.jsonl")):  # noqa: ASYNC240 - a test may
                await asyncio.sleep(0.02)

    asyncio.run(look())
