"""Which store a command finds: its own, somebody's that runs, or the configured one."""

import asyncio
from pathlib import Path

import pytest

from authz.app.store import as_engine, find_store, opened, pan_keys
from authz.config import ConfigError, load_config
from authz.hot import admin
from authz.privacy import Pan


def config(tmp_path: Path, **flags: object):  # type: ignore[no-untyped-def]
    given = {"embedded.data_dir": tmp_path / "data"} | {
        name.replace("__", "."): value for name, value in flags.items()
    }
    return load_config(None, {"HOME": str(tmp_path)}, given)


def test_the_first_starts_it_the_second_finds_it_and_its_data_stay(tmp_path: Path) -> None:
    async def story() -> None:
        first = await find_store(config(tmp_path))
        assert first.embedded is not None
        assert first.fresh
        async with opened(first, "test") as state:
            run = state.run_id
        second = await find_store(config(tmp_path))
        assert second.embedded is None
        assert second.url == first.url
        async with opened(second, "test") as state:
            assert state.run_id == run
        first.stop()
        third = await find_store(config(tmp_path))
        assert third.embedded is not None
        assert not third.fresh
        client = admin.administrator(third.url)
        assert await admin.state_of_gates(client) == "shut"
        await client.aclose()
        third.stop()

    asyncio.run(story())


def test_a_store_weaker_than_configured_is_refused(tmp_path: Path, redis_url: str) -> None:
    with pytest.raises(admin.NotFit, match="appendfsync"):
        asyncio.run(find_store(config(tmp_path, redis__url=redis_url)))


def test_the_engine_asks_as_a_user_that_may_do_little_else() -> None:
    assert as_engine("unix:///a/b%20c") == "unix://engine:@/a/b%20c"


def test_the_key_is_drawn_once_for_a_store_of_our_own(tmp_path: Path) -> None:
    pan = Pan("9999990000000010")
    first, second = pan_keys(config(tmp_path)), pan_keys(config(tmp_path))
    assert first.card_key(pan) == second.card_key(pan)
    assert (tmp_path / "data" / "pan.key").stat().st_mode & 0o077 == 0


def test_the_key_of_another_store_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pan\.key_file"):
        pan_keys(config(tmp_path, redis__url="redis://127.0.0.1:6379"))
