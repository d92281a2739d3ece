"""The fixtures of tests/conftest.py: a fresh server each time, and nobody's data flushed."""

import os
import subprocess
import sys
from pathlib import Path

import redis

from authz.app.embedded.valkey import EmbeddedValkey

ROOT = Path(__file__).parents[2]
LIBRARY = "#!lua name=left\nredis.register_function('left', function() return 1 end)"


def dirty(url: str) -> None:
    with redis.Redis.from_url(url) as store:
        assert store.dbsize() == 0
        assert store.function_list() == []
        store.set("left", "over")
        store.function_load(LIBRARY)


def test_fresh_once(fresh_redis: str) -> None:
    dirty(fresh_redis)


def test_fresh_twice(fresh_redis: str) -> None:
    dirty(fresh_redis)


def own_server_run(url: str) -> subprocess.CompletedProcess[str]:
    """The two tests above in a run of their own, against that server."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-k", "fresh"],
        cwd=ROOT,
        env=os.environ | {"AUTHZ_TEST_REDIS_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_empty_server_of_ones_own_is_left_empty() -> None:
    with EmbeddedValkey.start() as server, redis.Redis.from_url(server.url) as store:
        done = own_server_run(server.url)
        assert done.returncode == 0, done.stdout
        assert store.dbsize() == 0
        assert store.function_list() == []


def test_somebodys_data_is_not_flushed() -> None:
    with EmbeddedValkey.start() as server:
        with redis.Redis.from_url(server.url, db=3) as store:  # not the one that the URL names
            store.set("precious", "data")
            done = own_server_run(server.url)
            assert done.returncode == 2
            assert "is not empty" in done.stdout + done.stderr
            assert store.get("precious") == b"data"
