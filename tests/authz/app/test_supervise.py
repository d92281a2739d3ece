"""A worker that would not end; those that end too soon are in test_workers.py."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from authz.app import supervise
from authz.app.embedded.process import try_lock
from authz.app.front import Front
from authz.app.store import Store
from authz.app.supervise import Worker
from authz.config import Config, EmbeddedConfig, EngineConfig


def test_a_worker_that_hangs_is_ended_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no store for that: it comes up without one, and is not ready."""
    config = Config(
        engine=EngineConfig(state_dir=tmp_path), embedded=EmbeddedConfig(data_dir=tmp_path)
    )
    nowhere = f"unix://{tmp_path}/nowhere"
    monkeypatch.setattr(supervise, "STOP_S", 0.2)

    async def hang() -> None:
        lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        assert try_lock(lock)
        worker = Worker(0, config, Store(nowhere, nowhere, None, False, "test"), tmp_path, lock)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert not worker.take(0, theirs)
            worker.start()
            await asyncio.wait_for(worker.came_up.wait(), 10)
            assert worker.take(0, theirs)
            said = await Front([worker], 0.2).health()
            assert "hot state" in said.reason
            assert worker.process is not None
            assert await worker.answers()
            os.kill(worker.process, signal.SIGSTOP)
            monkeypatch.setattr(supervise, "ANSWER_S", 0.1)
            assert await asyncio.gather(worker.answers(), worker.answers()) == [False, False]
            os.kill(worker.process, signal.SIGCONT)
            async with asyncio.timeout(10):
                while not await worker.answers():
                    await asyncio.sleep(0.02)
            os.kill(worker.process, signal.SIGSTOP)
            os.close(lock)
            lock = os.open(tmp_path / "lock", os.O_RDWR)
            assert not try_lock(lock)  # the worker has inherited it, and lives
            await worker.stop()
            assert not await worker.answers()
            assert try_lock(lock)
            os.close(lock)
            with pytest.raises(ProcessLookupError):
                os.kill(worker.process, 0)
            assert not worker.take(0, theirs)

    asyncio.run(hang())
