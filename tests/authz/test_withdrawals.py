import asyncio
import errno
import os
from pathlib import Path

import pytest

from authz.hot.acts import Withdraw
from authz.hot.errors import NoReply
from authz.withdrawals import Withdrawals, read_spool


def act(n: int) -> Withdraw:
    return Withdraw(
        account_id="A", shard_of="A", message_id=f"m{n}", attempt=f"t{n}",
        answer_ttl_s=60,
    )  # fmt: skip


class Store:
    """Answers once it is up."""

    def __init__(self, up: bool = True) -> None:
        self.up, self.asked = up, []

    async def withdraw(self, act: Withdraw, timeout_s: float) -> str:
        if not self.up:
            raise NoReply("no reply in time")
        self.asked.append(act.attempt)
        return "released"


def test_what_is_noted_is_withdrawn_and_told(tmp_path: Path) -> None:
    async def story() -> None:
        store, heard = Store(), []
        spool = Withdrawals(tmp_path / "s" / "spool", store, heard.append)
        for n in range(100):
            spool.note(act(n))
        task = asyncio.create_task(spool.run())
        while len(spool):
            await asyncio.sleep(0)
        task.cancel()
        assert sorted(store.asked) == sorted(f"t{n}" for n in range(100))
        assert heard == ["released"] * 100
        spool.close()

    asyncio.run(story())


def test_what_a_killed_engine_left_is_worked_off_by_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "spool"
        first = Withdrawals(path, Store(up=False))
        first.note(act(1))
        first.note(act(2))
        with path.open("ab") as torn:
            torn.write(b'{"act":{"acc')
        store = Store(up=False)
        second = Withdrawals(path, store)
        assert len(second) == 2
        task = asyncio.create_task(second.run())
        await asyncio.sleep(0.05)
        assert len(second) == 2
        store.up = True
        while len(second):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        task.cancel()
        assert len(Withdrawals(path, store)) == 0
        first.close()
        second.close()

    asyncio.run(story())


def test_what_was_withdrawn_is_not_asked_again_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        path, store = tmp_path / "spool", Store()
        spool = Withdrawals(path, store)
        spool.note(act(1))
        assert await spool._withdraw(act(1))
        spool.note(act(2))
        after = Withdrawals(path, store)
        assert list(after._pending) == ["t2"]
        spool.close()
        after.close()

    asyncio.run(story())


def test_a_line_cut_short_is_told_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes half a line. It is remembered in memory, and the file stays readable."""
    path = tmp_path / "spool"
    spool = Withdrawals(path, Store(up=False))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, raw: write(file, raw[: len(raw) // 2]))
    with pytest.raises(OSError, match="cut short") as caught:
        spool.note(act(1))
    assert caught.value.errno == errno.ENOSPC
    assert len(spool) == 1
    monkeypatch.undo()
    spool.note(act(2))
    assert list(read_spool(path)) == ["t2"]
    spool.close()


def test_a_spool_that_cannot_be_taken_over_whole_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Withdrawals(tmp_path / "left", Store(up=False))
    left.note(act(1))
    left.close()
    spool = Withdrawals(tmp_path / "spool", Store(up=False))
    monkeypatch.setattr(os, "write", lambda file, raw: 0)
    with pytest.raises(OSError, match="cut short"):
        spool.adopt(tmp_path / "left")
    monkeypatch.undo()
    assert list(read_spool(tmp_path / "left")) == ["t1"]
    spool.adopt(tmp_path / "left")
    assert not (tmp_path / "left").exists()
    assert list(read_spool(tmp_path / "spool")) == ["t1"]
    spool.close()


def test_every_one_that_is_noted_is_on_disk_at_once(tmp_path: Path) -> None:
    spool = Withdrawals(tmp_path / "spool", Store(up=False))
    for n in range(50):
        spool.note(act(n))
        assert len(read_spool(tmp_path / "spool")) == n + 1
    spool.close()
